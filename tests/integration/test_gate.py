"""The gate: no host comes new while nobody would answer it behind our Service; what stands stays."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from hairpin_proxy.gate import STARTING, Gate
from hairpin_proxy.kube import Kube
from hairpin_proxy.names import ServiceName
from tests.corefiles import rule
from tests.integration.conftest import DEPLOY, World, eventually, ingress

OLD, NEW = "old.example.com", "new.example.com"
SERVICE = "/api/v1/namespaces/hairpin-proxy/services/hairpin-proxy"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/hairpin-proxy/endpointslices/hairpin-proxy"
ROLE = "/apis/rbac.authorization.k8s.io/v1/namespaces/hairpin-proxy/roles/hairpin-proxy-controller-r"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(DEPLOY.read_text()))


@pytest.fixture
def filled(world: World) -> Iterator[World]:
    """With a rule for one host, and an Ingress that asks for another."""
    world.apply(ingress("old", OLD))
    assert world.once().returncode == 0
    world.apply(ingress("new", NEW))
    yield world
    world.cluster.apply(DEPLOY)
    world.cluster.register_haproxy()


def hosts(world: World) -> set[str]:
    """Of the two, those that have a rule."""
    return {host for host in (OLD, NEW) if rule(host) in world.cluster.corefile()}


def delete(world: World, path: str) -> None:
    with world.cluster.api() as api:
        api.delete(path)


def test_a_new_host_waits_until_the_service_has_a_ready_endpoint(filled: World) -> None:
    filled.cluster.register_haproxy(ready=False)
    with filled.running() as controller:
        why = "no new host is led to Service hairpin-proxy/hairpin-proxy: it has no ready endpoint"
        eventually(lambda: why in controller.log.read_text())
        assert hosts(filled) == {OLD}
        filled.cluster.register_haproxy()
        eventually(lambda: hosts(filled) == {OLD, NEW})
    assert controller.log.read_text().count("no new host is led") == 1


def test_the_first_hosts_of_a_fresh_install_wait_calmly_for_its_haproxy_to_start(world: World) -> None:
    world.apply(ingress("new", NEW))
    world.cluster.register_haproxy(ready=False)
    with world.running() as controller:
        eventually(lambda: "hosts wait until Service" in controller.log.read_text())
        world.cluster.register_haproxy()
        eventually(lambda: hosts(world) == {NEW})
    log = controller.log.read_text()
    assert log.count(" INFO hosts wait until Service hairpin-proxy/hairpin-proxy has a ready endpoint") == 1
    assert "no new host is led" not in log


@pytest.mark.parametrize(
    ("is_first", "since", "is_calm"), [(True, 0, True), (True, STARTING, False), (False, 0, False)]
)
def test_that_is_a_warning_where_it_lasts_or_rules_stand(
    world: World, is_first: bool, since: float, is_calm: bool
) -> None:
    world.cluster.register_haproxy(ready=False)
    kube = Kube(str(world.kubeconfig), None)
    gate = Gate(kube, ServiceName("hairpin-proxy", "hairpin-proxy"), time.monotonic() - since)
    shut, why = gate.shut(is_first=is_first)
    world.cluster.register_haproxy()
    assert (shut, why is not None and why.calm) == (True, is_calm)


def test_without_any_endpoint_as_well_and_once_says_that_something_is_left(filled: World) -> None:
    delete(filled, SLICE)
    done = filled.once()
    assert (done.returncode, hosts(filled)) == (1, {OLD})
    assert "it has no ready endpoint (kubectl -n hairpin-proxy get pods)" in done.stderr


def test_without_the_service_a_new_host_waits_and_what_stands_stays(filled: World) -> None:
    delete(filled, SERVICE)
    done = filled.once()
    assert (done.returncode, hosts(filled)) == (1, {OLD})
    assert "no new host is led to Service hairpin-proxy/hairpin-proxy: it does not exist" in done.stderr


def test_who_is_not_asked_for_any_more_goes_all_the_same(filled: World) -> None:
    filled.cluster.register_haproxy(ready=False)
    filled.delete("old")
    filled.once()
    assert hosts(filled) == set()


def test_a_service_that_may_not_be_read_changes_nothing_and_that_is_said_once(filled: World) -> None:
    filled.cluster.register_haproxy(ready=False)
    role = next(item for item in OBJECTS if item["kind"] == "Role" and item["metadata"]["namespace"] == "hairpin-proxy")
    role["rules"] = [each for each in role["rules"] if each["resources"] != ["endpointslices"]]
    with filled.cluster.api() as api:
        api.merge_patch(ROLE, {"rules": role["rules"]})
    with filled.running() as controller:
        eventually(lambda: hosts(filled) == {OLD, NEW})
        filled.apply(ingress("another", "another.example.com"))
        eventually(lambda: rule("another.example.com") in filled.cluster.corefile())
    log = controller.log.read_text()
    assert log.count("new hosts do not wait until Service hairpin-proxy/hairpin-proxy has a ready endpoint: GET") == 1
    assert "403 Forbidden: endpointslices.discovery.k8s.io is forbidden" in log


def test_a_name_of_somebody_else_s_service_has_no_endpoints_to_wait_for(filled: World) -> None:
    delete(filled, SLICE)
    with filled.cluster.api() as api:
        patch = {
            "spec": {"type": "ExternalName", "externalName": "proxy.example.org", "clusterIP": "", "clusterIPs": None}
        }
        api.delete(SERVICE)
        metadata = {"name": "hairpin-proxy", "namespace": "hairpin-proxy"}
        api.apply(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, **patch})
    assert filled.once().returncode == 0
    assert hosts(filled) == {OLD, NEW}
    delete(filled, SERVICE)
