"""Between polls, only what changed is asked for; and whatever becomes of that, polling is the truth."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy.inventory import Sources, Watches
from hairpin_proxy.kube import PAGE_SIZE, Kube, KubeError
from hairpin_proxy.sources.ingress import Choice
from tests.cluster.processes import Process
from tests.corefiles import rule
from tests.integration.conftest import INGRESSES as OURS
from tests.integration.conftest import World, eventually, ingress, ingress_class
from tests.integration.faults.proxy import Fault, FaultProxy, status
from tests.integration.test_sources import SELECTED, gateway, listener, route

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
WATCH = "watch=true"
LIST = f"GET {INGRESSES}?limit="


@contextmanager
def polling(world: World, *flags: str, interval: str = "60", kubeconfig: Path | None = None) -> Iterator[Process]:
    """A controller whose first poll is over."""
    controller = world.controller("--log-level", "debug", *flags, interval=interval, kubeconfig=kubeconfig)
    try:
        eventually(lambda: re.search("as it should be|updated:", controller.log.read_text()) is not None)
        yield controller
    finally:
        controller.stop()


def seconds_until(seen: Callable[[], bool]) -> float:
    begun = time.monotonic()
    eventually(seen)
    return time.monotonic() - begun


def writes(controller: Process) -> int:
    return controller.log.read_text().count(" updated:\n")


def polls(controller: Process) -> int:
    """How many have changed nothing."""
    return controller.log.read_text().count("as it should be")


def has(world: World, host: str) -> Callable[[], bool]:
    return lambda: rule(host) in world.cluster.corefile()


# ---- what changes shows at once


def test_what_changes_is_written_soon_whatever_the_interval(world: World) -> None:
    with polling(world):
        took = []
        for name in ("a", "b", "c"):
            world.apply(ingress(name, f"{name}.example.com"))
            took.append(seconds_until(has(world, f"{name}.example.com")))
        assert min(took) < 5, took  # the machine may be busy with other tests
        world.apply(ingress("a", "new.example.com"))
        eventually(lambda: has(world, "new.example.com")() and not has(world, "a.example.com")())
        for name in ("a", "b", "c"):
            world.delete(name)
        eventually(lambda: world.cluster.corefile() == world.original)


def test_what_changes_shows_on_a_node_too(world: World, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    with polling(world, "--etc-hosts", str(path), "--min-write-interval", "60", interval="4"):
        for name in ("a", "b"):
            world.apply(ingress(name, f"{name}.example.com"))
            eventually(partial(_contains, path, f"{name}.example.com"), 3)


def _contains(path: Path, text: str) -> bool:
    return text in path.read_text()


def test_an_idle_controller_lists_nothing(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    """And status or annotations that change are no change."""
    world.apply(ingress("web", "a.example.com"), ingress_class("nginx", default=True))
    flags = ("--ingress-class", "nginx", "--namespace-selector", "!x")
    interval = 3
    with polling(world, *flags, interval=str(interval), kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: sum(WATCH in call for call in faulty.calls) > 5)
        begun = time.monotonic()
        before = polls(controller)
        faulty.calls.clear()
        noisy = ingress("web", "a.example.com")
        for number in range(20):
            noisy["metadata"]["annotations"] = {"example.com/number": str(number)}
            world.apply(noisy)
            time.sleep(0.3)
        made = polls(controller) - before
        # One that took them for changes would make one each 0.7 s.
        assert made <= (time.monotonic() - begun) / interval + 2
        eventually(lambda: sum(WATCH in call for call in faulty.calls) > 8)
        assert not [call for call in faulty.calls if "limit=" in call and "endpointslices" not in call]
    world.cluster.kubectl("delete", "ingressclass", "nginx")


def test_a_long_list_is_watched_from_where_it_began(world: World) -> None:
    world.apply(*(ingress(f"web-{number:03}", f"host-{number}.example.com") for number in range(PAGE_SIZE + 1)))
    sources = Sources(Kube(str(world.kubeconfig), None), Choice(), None, watches=Watches(60))
    assert len(sources.read().claims) == PAGE_SIZE + 1
    pages = list(Kube(str(world.kubeconfig), None).pages(INGRESSES, "IngressList"))
    assert len({page.version for page in pages}) == 1
    assert len(pages) == 2
    before = sources.read()
    assert sources.read() is before
    world.apply(ingress("web-0000", "first.example.com"))
    world.delete("web-200")
    begun = time.monotonic()
    sources.wait(60, 0)
    assert time.monotonic() - begun < 10
    listed = Sources(Kube(str(world.kubeconfig), None), Choice(), None).read()
    assert sources.read() == listed  # in the same order too
    assert listed.claims[0].host == "host-0.example.com"


def test_namespaces_gateways_routes_and_classes_are_watched(world: World, gateway_api: None) -> None:
    for name in ("infra", "shop"):
        world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world.apply(gateway(listener("web", SELECTED)), ingress("web", "ingress.example.com"))
    kube = Kube(str(world.kubeconfig), None)
    sources = Sources(kube, Choice(classes=frozenset({"nginx"})), frozenset(), labels=True, watches=Watches(60))

    def hosts() -> set[str]:
        return {claim.host for claim in sources.read().claims if not claim.refusal}

    def after(change: Callable[[], object]) -> set[str]:
        change()
        sources.wait(10, 0)
        return hosts()

    assert hosts() == set()
    assert after(lambda: world.apply(route("shop.example.com"))) == set()
    shop: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    shop["metadata"]["labels"] = {"expose": "yes"}
    assert after(lambda: world.apply(shop)) == {"shop.example.com"}
    assert after(lambda: world.apply(ingress_class("nginx", default=True))) == {
        "shop.example.com",
        "ingress.example.com",
    }
    remove = ("delete", "gateway", "public", "-n", "infra")
    assert after(lambda: world.cluster.kubectl(*remove)) == {"ingress.example.com"}
    world.cluster.kubectl("delete", "ingressclass", "nginx")


# ---- writes are apart


def test_500_ingresses_in_ten_seconds_lead_to_two_writes(world: World) -> None:
    """With the default gap, which is counted from the first write."""
    with polling(world, "--min-write-interval", "30", interval="15") as controller:
        begun = time.monotonic()
        with world.cluster.api() as api:
            for number in range(500):
                api.create(OURS, ingress(f"web-{number}", f"host-{number}.example.com"))
                time.sleep(max(0.0, begun + number / 50 - time.monotonic()))
        assert writes(controller) == 1
        eventually(lambda: world.cluster.corefile().count("rewrite name host-") == 500, 40)
        assert time.monotonic() - begun < 42  # before the next poll that comes in any case
        eventually(lambda: writes(controller) > 1)  # it is said after it was done
        assert writes(controller) == 2


def test_who_toggles_an_ingress_gets_few_writes(world: World) -> None:
    gap = 2.0
    with polling(world, "--min-write-interval", str(gap)) as controller:
        begun = time.monotonic()
        for _ in range(20):
            world.apply(ingress("web", "a.example.com"))
            time.sleep(0.2)
            world.delete("web")
            time.sleep(0.2)
        allowed = 1 + (time.monotonic() - begun) / gap
        assert 2 <= writes(controller) <= allowed
        world.apply(ingress("web", "last.example.com"))
        # When the gap is over and not with the next poll.
        eventually(has(world, "last.example.com"), gap + 3)


def test_a_mass_removal_by_events_waits_for_a_fresh_list(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    interval = 3
    world.apply(ingress("web", *(f"host-{number}.example.com" for number in range(12))))
    with polling(world, interval=str(interval), kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: any(WATCH in call for call in faulty.calls))
        begun = time.monotonic()
        faulty.calls.clear()
        world.delete()
        eventually(lambda: "hosts would go at once" in controller.log.read_text())
        assert not [call for call in faulty.calls if call.startswith(LIST)]
        eventually(lambda: world.cluster.corefile() == world.original)
        assert time.monotonic() - begun > interval
    assert len([call for call in faulty.calls if call.startswith(LIST)]) == 1
    writing = [call for call in faulty.calls if call.startswith((LIST, "PATCH"))]
    assert writing[0].startswith(LIST)


# ---- a watch that fails


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


GONE = json.loads(status(410, "Expired", "too old resource version: 1 (2)"))
FAULTS = {
    "410 event": Fault("GET", WATCH, 200, event("ERROR", GONE)),
    "410 answer": Fault("GET", WATCH, 410, status(410, "Expired", "too old resource version")),
    "500": Fault("GET", WATCH, 500, status(500, "InternalError", "etcd is away")),
    "junk": Fault("GET", WATCH, 200, b"<html>a captive portal\n"),
    "a list": Fault("GET", WATCH, 200, b'{"kind": "IngressList", "metadata": {}, "items": []}\n'),
    "an unknown event": Fault("GET", WATCH, 200, event("BROKEN", ingress("web", "junk.example.com"))),
    "an object that is none": Fault("GET", WATCH, 200, event("ADDED", {"metadata": {"name": "x"}, "spec": "text"})),
    "no object": Fault("GET", WATCH, 200, b'{"type": "ADDED", "object": null}\n'),
    "an end without an event": Fault("GET", WATCH, 200, b""),
    "cut": Fault("GET", WATCH, 200, b'{"type": "ADDED", "obj', cut=True),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_watch_that_fails_leads_to_a_list(world: World, faulty: FaultProxy, tmp_path: Path, fault: Fault) -> None:
    faulty.faults.append(fault)
    with polling(world, interval="1", kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        world.apply(ingress("web", "a.example.com"))
        eventually(has(world, "a.example.com"), 5)
        faulty.calls.clear()
        eventually(lambda: sum(call.startswith(LIST) for call in faulty.calls) > 1)
        faulty.faults.clear()
        eventually(lambda: faulty.calls[-1].startswith("GET") and WATCH in "".join(faulty.calls[-1:]))
        world.apply(ingress("other", "b.example.com"))
        eventually(has(world, "b.example.com"), 5)
        said = controller.log.read_text()
    # Each is for one poll's list to mend; that it is so each time is said once.
    warned = [line for line in said.splitlines() if re.search(" (ERROR|WARNING) ", line) and "assumed" not in line]
    assert len(warned) == 1
    assert "WARNING what changes shows only with the next poll, and " in warned[0]
    assert "junk.example.com" not in said


DEAD = {
    "no answer": Fault("GET", WATCH, stall=True),
    "no event and no end": Fault("GET", WATCH, hush=True),
    "bytes without end": Fault("GET", WATCH, drip=True),
}


@pytest.mark.parametrize("fault", DEAD.values(), ids=DEAD)
def test_a_watch_that_is_silently_dead_is_given_up_after_its_time(
    world: World, faulty: FaultProxy, tmp_path: Path, fault: Fault
) -> None:
    faulty.faults.append(fault)
    with polling(world, interval="2", kubeconfig=faulty.kubeconfig(tmp_path)):
        eventually(lambda: any(WATCH in call for call in faulty.calls))
        world.apply(ingress("web", "a.example.com"))
        assert 3 < seconds_until(has(world, "a.example.com")) < 10


@pytest.mark.parametrize("name", ["no event and no end", "bytes without end"])
def test_no_watch_goes_on_for_ever(
    faulty: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its thread would."""
    monkeypatch.setattr("hairpin_proxy.kube.OVERTIME", 0)
    faulty.faults.append(DEAD[name])
    begun = time.monotonic()
    with pytest.raises(KubeError):
        list(Kube(str(faulty.kubeconfig(tmp_path)), None).watch(INGRESSES, "0", 1))
    assert time.monotonic() - begun < 10


def test_without_the_right_to_watch_each_poll_lists_and_says_so_once(
    world: World, faulty: FaultProxy, tmp_path: Path
) -> None:
    """As with a new image and the manifest of before."""
    forbidden = 'ingresses.networking.k8s.io is forbidden: User "x" cannot watch resource "ingresses"'
    fault = Fault("GET", WATCH, 403, status(403, "Forbidden", forbidden))
    faulty.faults.append(fault)
    with polling(world, interval="1", kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: sum(call.startswith(LIST) for call in faulty.calls) > 4)
        world.apply(ingress("web", "a.example.com"))
        eventually(has(world, "a.example.com"), 5)
        said = controller.log.read_text()
        (warning,) = re.findall("WARNING what changes shows only with the next poll, and .*", said)
        assert 'cannot watch resource "ingresses" (the RBAC in the manifest' in warning
        faulty.faults.clear()
        faulty.calls.clear()
        eventually(lambda: sum(WATCH in call for call in faulty.calls) > 3)
        faulty.calls.clear()
        eventually(lambda: sum(WATCH in call for call in faulty.calls) > 3)
        assert not [call for call in faulty.calls if call.startswith(LIST)]


def test_an_api_server_that_starts_again_is_watched_again(world: World) -> None:
    with polling(world, interval="1"):
        world.cluster.stop_api_server()
        world.cluster.start_api_server()
        world.apply(ingress("web", "a.example.com"))
        eventually(has(world, "a.example.com"))


def test_once_watches_nothing(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    world.apply(ingress("web", "a.example.com"))
    assert world.once(kubeconfig=faulty.kubeconfig(tmp_path)).returncode == 0
    assert not [call for call in faulty.calls if WATCH in call]
