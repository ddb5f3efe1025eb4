"""Events on the objects whose hosts are left out and on our Deployment, with the rights of deploy-events.yml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from hairpin_proxy.events import Events, Notice
from hairpin_proxy.kube import Kube
from tests.cluster.cluster import LocalCluster
from tests.integration.conftest import ROOT, World, eventually, ingress

COMPONENT = ROOT / "deploy-events.yml"
ON = ("--events", "--install-namespace", "hairpin-proxy")
LEFT_OUT = "host 'kubernetes.default.svc' is left out: it is within svc, which is never redirected (protected)"


@pytest.fixture
def component(cluster: LocalCluster) -> Iterator[None]:
    cluster.apply(COMPONENT)
    yield
    cluster.kubectl("delete", "-f", str(COMPONENT))


@pytest.fixture(autouse=True)
def _none_before(world: World) -> None:
    for namespace in ("default", "hairpin-proxy"):
        with world.cluster.api() as api:
            api.delete(f"/api/v1/namespaces/{namespace}/events")


def events(world: World, namespace: str = "default") -> list[dict[str, Any]]:
    with world.cluster.api() as api:
        found: list[dict[str, Any]] = api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    return found


@pytest.mark.usefixtures("component")
def test_a_host_that_is_left_out_is_told_once_where_its_owner_looks(world: World) -> None:
    world.apply(ingress("web", "a.example.com", "kubernetes.default.svc"))
    with world.running(*ON) as controller:
        eventually(lambda: events(world))
        polled = controller.log.stat().st_size
        world.apply(ingress("more", "b.example.com"))
        eventually(lambda: controller.log.stat().st_size > polled)
    (event,) = events(world)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "HostLeftOut", LEFT_OUT)
    assert LEFT_OUT in world.cluster.kubectl("describe", "ingress", "web")
    assert LEFT_OUT not in world.cluster.kubectl("describe", "ingress", "more")


@pytest.mark.usefixtures("component")
def test_what_somebody_chose_is_not_told(world: World) -> None:
    item = ingress("web", "kubernetes.default.svc")
    item["metadata"]["annotations"] = {"hairpin-proxy/ignore": "true"}
    world.apply(item)
    assert world.once(*ON).returncode == 0
    assert events(world) == []


@pytest.mark.usefixtures("component", "gateway_api")
def test_a_route_is_told_too(world: World) -> None:
    listener = {"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "x"}]}}
    gateway = {"name": "web", "namespace": "default"}
    spec = {"gatewayClassName": "any", "listeners": [listener]}
    route = {"parentRefs": [{"name": "web"}], "hostnames": ["kubernetes.default.svc"]}
    world.apply(
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": gateway, "spec": spec},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": gateway, "spec": route},
    )
    assert world.once(*ON, "--source", "gateway").returncode == 0
    assert [event["involvedObject"]["kind"] for event in events(world)] == ["HTTPRoute"]


@pytest.mark.usefixtures("component")
def test_a_revert_is_told_on_the_deployment(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    with world.running(*ON):
        eventually(lambda: "a.example.com" in world.cluster.corefile())
        world.write_corefile(world.original)
        eventually(lambda: events(world, "hairpin-proxy"))
    (event,) = events(world, "hairpin-proxy")
    assert (event["involvedObject"]["name"], event["reason"]) == ("hairpin-proxy-controller", "Reverted")


@pytest.mark.usefixtures("component")
def test_a_refused_write_is_told_on_the_deployment(world: World) -> None:
    """Somebody took the right to patch away."""
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/hairpin-proxy-controller-r"
    with world.cluster.api() as api:
        before = api.get(path)["rules"]
    rules = [dict(rule, verbs=["get"]) if rule["resources"] == ["configmaps"] else rule for rule in before]
    with world.cluster.api() as api:
        api.merge_patch(path, {"rules": rules})
    world.apply(ingress("web", "a.example.com"))
    try:
        eventually(lambda: world.once(*ON).returncode == 1)
    finally:
        with world.cluster.api() as api:
            api.merge_patch(path, {"rules": before})
    told = events(world, "hairpin-proxy")
    assert {event["reason"] for event in told} == {"WriteRefused"}
    assert "cannot patch resource" in told[0]["message"]


def test_without_the_right_the_log_says_so_once_and_rules_are_written(world: World) -> None:
    world.apply(ingress("web", "a.example.com", "kubernetes.default.svc"))
    with world.running(*ON) as controller:
        eventually(lambda: "a.example.com" in world.cluster.corefile())
        world.apply(ingress("more", "b.example.com"))
        eventually(lambda: "b.example.com" in world.cluster.corefile())
        log = controller.log.read_text()
    assert log.count("kubectl apply -f deploy-events.yml gives the rights") == 1
    assert events(world) == []


def test_it_is_off_by_default_and_in_a_dry_run(world: World) -> None:
    world.cluster.apply(COMPONENT)
    world.apply(ingress("web", "kubernetes.default.svc"))
    assert world.once().returncode == world.once(*ON, "--dry-run").returncode == 0
    world.cluster.kubectl("delete", "-f", str(COMPONENT))
    assert events(world) == []


@pytest.mark.usefixtures("component")
def test_one_that_cannot_be_written_keeps_no_other_from_it(world: World) -> None:
    """One namespace is being deleted, in which nothing can be created any more."""
    there = {**ingress("a-first", "localhost"), "metadata": {"name": "a-first", "namespace": "leaving"}}
    world.cluster.kubectl("create", "namespace", "leaving")
    try:
        world.apply(ingress("web", "kubernetes.default.svc"), there)
        world.cluster.kubectl("delete", "namespace", "leaving", "--wait=false")
        done = world.once(*ON)
    finally:
        world.cluster.kubectl("delete", "ingress", "a-first", "-n", "leaving")
    assert [event["message"] for event in events(world)] == [LEFT_OUT]
    assert "event failed" in done.stderr
    assert "gives the rights" not in done.stderr


@pytest.mark.usefixtures("component")
def test_only_so_many_come_in_a_row_and_the_same_comes_again_after_an_hour(world: World) -> None:
    """By a clock of the test's own."""
    now = [0.0]
    teller = Events(Kube(str(world.cluster.kubeconfig), None), "hairpin-proxy", clock=lambda: now[0])
    world.apply(ingress("web", "a.example.com"))
    notices = [Notice("Ingress default/web", "HostLeftOut", f"number {number}") for number in range(25)]

    def told() -> int:
        teller.tell(notices)
        return len(events(world))

    assert told() == 20
    now[0] = 30.0
    assert told() == 23
    now[0] = 60.0
    assert told() == 25
    now[0] = 3590.0
    assert told() == 25
    now[0] = 3600.0
    assert told() == 45


@pytest.mark.usefixtures("component")
def test_the_rights_are_exactly_the_calls_that_are_made(world: World) -> None:
    world.apply(ingress("web", "kubernetes.default.svc"))
    world.cluster.forget_audit()
    world.once(*ON)
    made = {(event["verb"], event["objectRef"]["resource"]) for event in world.cluster.audit() if "objectRef" in event}
    role = next(item for item in yaml.safe_load_all(COMPONENT.read_text()) if item["kind"] == "ClusterRole")
    given = {(verb, resource) for rule in role["rules"] for verb in rule["verbs"] for resource in rule["resources"]}
    assert {("create", "events"), ("get", "ingresses")} <= made
    routes = ("gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes")
    assert given == {("create", "events"), ("get", "ingresses"), *(("get", route) for route in routes)}
