"""Do no harm: what the controller does not write at once, or not at all."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.corefiles import rule
from tests.integration.conftest import World, eventually, ingress

HOSTS = [f"host-{number:02d}.example.com" for number in range(12)]


def filled(world: World) -> str:
    """The Corefile with a rule for each of the hosts."""
    world.apply(ingress("many", *HOSTS[1:]), ingress("one", HOSTS[0]))
    assert world.once().returncode == 0
    text = world.cluster.corefile()
    assert all(rule(host) in text for host in HOSTS)
    return text


def test_a_mass_removal_is_left_undone_by_a_single_poll(world: World) -> None:
    before = filled(world)
    world.delete("many")
    world.apply(ingress("new", "new.example.com"))
    done = world.once()
    assert done.returncode == 1
    assert "11 of 12 hosts would go at once, such as host-01.example.com" in done.stderr
    after = world.cluster.corefile()
    assert after.replace(f"{rule('new.example.com')}\n", "") == before
    assert after != before


def test_a_second_poll_agrees_to_a_mass_removal(world: World) -> None:
    filled(world)
    world.delete("many")
    controller = world.controller(interval="1")
    try:
        eventually(lambda: "would go at once" in controller.log.read_text())
        assert rule(HOSTS[1]) in world.cluster.corefile()
        eventually(lambda: rule(HOSTS[1]) not in world.cluster.corefile())
        assert rule(HOSTS[0]) in world.cluster.corefile()
        # The log tells of a write only when its answer has come.
        eventually(lambda: "updated:" in controller.log.read_text())
    finally:
        controller.stop()
    log = controller.log.read_text()
    assert (log.count("would go at once"), log.count("updated:")) == (1, 1)


def test_half_of_the_hosts_go_at_once(world: World) -> None:
    world.apply(ingress("half", *HOSTS[:6]), ingress("rest", *HOSTS[6:]))
    assert world.once().returncode == 0
    world.delete("half")
    done = world.once()
    assert (done.returncode, rule(HOSTS[0]) in world.cluster.corefile()) == (0, False)


@contextmanager
def reverting(world: World) -> Iterator[list[float]]:
    """Somebody puts the Corefile back as soon as it changes; yields the times of it."""
    times: list[float] = []
    stop = threading.Event()

    def revert() -> None:
        while not stop.wait(0.05):
            if world.cluster.corefile() != world.original:
                world.write_corefile(world.original)
                times.append(time.monotonic())

    thread = threading.Thread(target=revert)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join()


def test_reverted_again_and_again_it_writes_ever_more_seldom_and_says_who_it_is(world: World) -> None:
    world.patch_configmap({"metadata": {"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}})
    world.apply(ingress("web", "a.example.com"))
    try:
        with reverting(world) as times:
            controller = world.controller(interval="0.2")
            eventually(lambda: len(times) >= 6)
            controller.stop()
    finally:
        world.patch_configmap({"metadata": {"labels": None}})
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[0] < gaps[4]
    assert gaps[4] > 2
    log = controller.log.read_text()
    assert log.count("ERROR") == 2
    assert "undone 2 times or more" in log
    assert "undone 4 times or more" in log
    assert "the cluster's addon manager (label addonmanager.kubernetes.io/mode=Reconcile)" in log


OLD = "hairpin-proxy.old.svc.cluster.local"


def with_rule_of(world: World, destination: str) -> str:
    assert world.original.endswith("    loadbalance\n}\n")
    line = rule("a.example.com", destination)
    return world.original.removesuffix("}\n") + f"{line}\n}}\n"


@pytest.mark.parametrize("old", [OLD, "hairpin-proxy.hairpin-proxy.svc.old.example"])
def test_orphans_are_an_error_until_they_are_adopted_in_one_write(world: World, old: str) -> None:
    world.write_corefile(with_rule_of(world, old))
    world.apply(ingress("web", "a.example.com"))
    controller = world.controller()
    try:
        eventually(lambda: rule("a.example.com") in world.cluster.corefile())
        time.sleep(1)
    finally:
        controller.stop()
    log = controller.log.read_text()
    assert log.count("ERROR") == 1
    assert f"--adopt-destination {old}" in log
    assert rule("a.example.com", old) in world.cluster.corefile()

    world.write_corefile(with_rule_of(world, old))
    done = world.once("--adopt-destination", old, "--adopt-destination", "other.old.svc.cluster.local")
    assert done.returncode == 0
    assert "ERROR" not in done.stderr
    assert world.cluster.corefile() == with_rule_of(world, "hairpin-proxy.hairpin-proxy.svc.cluster.local")


def test_rules_of_another_install_are_left_alone(world: World) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}}
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hairpin-proxy", "namespace": "old"},
        "spec": {"ports": [{"port": 80}]},
    }
    world.apply(namespace, service)
    try:
        text = with_rule_of(world, OLD)
        world.write_corefile(text)
        done = world.once()
        assert (done.returncode, world.cluster.corefile()) == (0, text)
        assert "another install of hairpin-proxy added them" in done.stderr
        assert "ERROR" not in done.stderr
    finally:
        world.cluster.kubectl("-n", "old", "delete", "service", "hairpin-proxy")


def test_a_corefile_that_coredns_refuses_is_left_as_it_is_and_said_once(world: World) -> None:
    text = ".:53 {\n    kubernetes cluster.local\n    cache {\n}\n"
    metadata = {"name": "broken", "namespace": "kube-system"}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": text}})
    world.apply(ingress("web", "a.example.com"))
    admin = world.cluster.kubeconfig
    controller = world.controller("--configmap", "kube-system/broken", kubeconfig=admin)
    try:
        eventually(lambda: "Corefile:1:" in controller.log.read_text())
        time.sleep(3)
    finally:
        controller.stop()
    assert controller.log.read_text().count("Corefile:1:") == 1
    assert world.configmap("broken")["data"]["Corefile"] == text
