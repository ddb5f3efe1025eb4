"""`--only-hairpinned` with the whole controller: the real API server, and DNS servers that know public addresses."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.cluster.dns import ELSEWHERE
from tests.cluster.processes import Processes
from tests.corefiles import TAG
from tests.integration.conftest import INGRESSES, World, eventually, ingress
from tests.integration.test_lookups import ADDRESS, Internet, started

CURRENT = ["--coredns-version", "1.14.7"]
REQUIRE = ["--only-hairpinned", "require", *CURRENT]
MINE, THEIRS = "mine.example.com", "theirs.example.com"
STRANGER = "192.0.2.99"
"""The address of a load balancer that is not ours."""


def hosts(world: World) -> set[str]:
    """Those that have a rule."""
    return {line.split()[2] for line in world.cluster.corefile().splitlines() if TAG in line}


def served(world: World, name: str, balancer: dict[str, str] | None, *asked: str) -> None:
    """An Ingress for these hosts, with the status that its ingress controller gives it."""
    world.apply(ingress(name, *asked))
    status: dict[str, Any] = {"loadBalancer": {"ingress": [balancer] if balancer else []}}
    with world.cluster.api() as api:
        api.merge_patch(f"{INGRESSES}/{name}/status", {"status": status})


def public(world: World) -> list[str]:
    """Asks the cluster's public DNS, in which all of example.com leads to the ingress controller."""
    return ["--resolver", f"127.0.0.1:{world.cluster.dns_ports.public}"]


@pytest.fixture
def ours(world: World) -> dict[str, str]:
    """What the status of an Ingress says whose load balancer has the address of example.com."""
    return {"ip": world.cluster.ingress.address}


# ---- require


def test_required_who_hairpins_gets_a_rule_and_who_does_not_is_left_out(world: World, ours: dict[str, str]) -> None:
    served(world, "mine", ours, MINE)
    served(world, "theirs", {"ip": STRANGER}, THEIRS)
    served(world, "new", None, "new.example.com")
    done = world.once(*REQUIRE, *public(world))
    assert (done.returncode, hosts(world)) == (0, {MINE}), done.stderr
    assert (
        f"WARNING Ingress default/theirs: host '{THEIRS}' is left out: it does not hairpin: its public address "
        f"{ours['ip']} is none of its load balancer {STRANGER} (not-hairpinned)\n"
    ) in done.stderr
    assert (
        "INFO Ingress default/new: host 'new.example.com' is left out: it cannot be told to hairpin: whoever asks for "
        "it has no load balancer in its status (not-hairpinned)\n"
    ) in done.stderr


def test_required_a_hijack_never_gets_a_rule(world: World, ours: dict[str, str]) -> None:
    """Nobody named it to us: it leads elsewhere, and that is enough."""
    names = ["api.github.com", "*.github.com", "nobody.invalid.test", "metadata.google.internal"]
    served(world, "evil", ours, *names)
    served(world, "mine", ours, MINE)
    version = world.version()
    done = world.once(*REQUIRE, *public(world))
    assert (done.returncode, hosts(world)) == (0, {MINE})
    assert f"its public address {ELSEWHERE} is none of its load balancer {ours['ip']} (not-hairpinned)" in done.stderr
    with world.running(*REQUIRE, *public(world)) as controller:
        eventually(lambda: "api.github.com' is left out: it does not hairpin" in controller.log.read_text())
        time.sleep(2)
    assert world.version() != version
    assert hosts(world) == {MINE}
    log = controller.log.read_text()
    assert "updated:" not in log
    for name in names:
        assert 1 <= log.count(f"host '{name}' is left out") <= 2, name  # while it is not known, and once it is


def test_required_a_hijack_of_before_goes(world: World, ours: dict[str, str]) -> None:
    served(world, "evil", ours, "api.github.com", MINE)
    assert world.once("--only-hairpinned", "off").returncode == 0
    assert hosts(world) == {"api.github.com", MINE}
    with world.running(*REQUIRE, *public(world)):
        eventually(lambda: hosts(world) == {MINE})


def test_required_a_wildcard_counts_by_a_name_below_it(world: World, ours: dict[str, str]) -> None:
    served(world, "mine", ours, "*.example.com", "example.com")
    served(world, "theirs", {"ip": STRANGER}, "*.shop.example.com")
    done = world.once(*REQUIRE, *public(world))
    assert done.returncode == 0
    assert world.cluster.corefile().count("rewrite name regex") == 1
    assert world.cluster.corefile().count("template IN") == 3
    assert "host '*.shop.example.com' is left out: it does not hairpin" in done.stderr


def test_required_one_of_those_that_ask_is_enough(world: World, ours: dict[str, str]) -> None:
    served(world, "a", {"ip": STRANGER}, MINE)
    served(world, "b", ours, MINE)
    assert world.once(*REQUIRE, *public(world)).returncode == 0
    assert hosts(world) == {MINE}


def test_required_a_load_balancer_with_a_name(world: World) -> None:
    served(world, "mine", {"hostname": "lb-1.example.com"}, MINE)
    served(world, "theirs", {"hostname": "api.github.com"}, THEIRS)
    served(world, "nowhere", {"hostname": "lb.example.net"}, "nowhere.example.com")
    done = world.once(*REQUIRE, *public(world))
    assert (done.returncode, hosts(world)) == (0, {MINE})
    assert "none of its load balancer api.github.com (not-hairpinned)" in done.stderr
    assert "its load balancer lb.example.net has no known address (yet)" in done.stderr


def test_required_a_running_controller_adds_a_host_once_its_address_is_known(
    world: World, ours: dict[str, str]
) -> None:
    with world.running(*REQUIRE, *public(world)) as controller:
        eventually(lambda: " starts: " in controller.log.read_text())
        served(world, "new", None, MINE)
        eventually(lambda: f"host '{MINE}' is left out" in controller.log.read_text())
        served(world, "new", ours, MINE)
        eventually(lambda: hosts(world) == {MINE})


# ---- warn, and off


def test_by_default_there_is_a_rule_and_a_warning_once(world: World, ours: dict[str, str]) -> None:
    served(world, "mine", ours, MINE)
    served(world, "theirs", {"ip": STRANGER}, THEIRS)
    with world.running(*CURRENT, *public(world)) as controller:
        eventually(lambda: "does not hairpin" in controller.log.read_text())
        eventually(lambda: hosts(world) == {MINE, THEIRS})
        time.sleep(2)
    log = controller.log.read_text()
    assert log.count("hairpin:") == 1
    assert (
        f"WARNING Ingress default/theirs: host {THEIRS} does not hairpin: its public address {ours['ip']} is none of "
        f"its load balancer {STRANGER}: it may have worked without us, and be broken by us; --only-hairpinned require "
        "leaves it out (not-hairpinned)\n"
    ) in log
    assert log.count("updated:") == 1


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_off_asks_nobody_nor_does_a_single_poll_that_could_not_warn(
    world: World, silent: tuple[socket.socket, list[str]], mode: str
) -> None:
    bound, flags = silent
    served(world, "theirs", {"ip": STRANGER}, THEIRS)
    assert world.once("--only-hairpinned", mode, *flags).returncode == 0
    assert hosts(world) == {THEIRS}
    bound.setblocking(False)
    with pytest.raises(BlockingIOError):
        bound.recv(512)


# ---- a DNS server that does not answer


@pytest.fixture
def silent() -> Iterator[tuple[socket.socket, list[str]]]:
    """A server that takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound, ["--resolver", f"127.0.0.1:{bound.getsockname()[1]}"]


def test_a_server_that_hangs_neither_delays_a_poll_nor_takes_a_rule(
    world: World, ours: dict[str, str], silent: tuple[socket.socket, list[str]]
) -> None:
    many = [f"host-{number}.example.com" for number in range(50)]
    served(world, "web", ours, *many)
    with world.running(*CURRENT, *silent[1], "--rules", "lines") as controller:
        eventually(lambda: hosts(world) == {*many})
        took = []
        for number in range(3):
            began = time.monotonic()
            served(world, f"more-{number}", ours, f"more-{number}.example.com")
            eventually(lambda number=number: f"more-{number}.example.com" in hosts(world))
            took.append(time.monotonic() - began)
        assert min(took) < 3, took  # for which a single question goes without an answer; the machine may be slow
        eventually(lambda: "no public address can be looked up: " in controller.log.read_text())
        time.sleep(4)  # in which others time out
    assert controller.log.read_text().count("no public address can be looked up: ") == 1
    assert controller.log.read_text().count("updated:") == 4
    assert len(hosts(world)) == 53

    with world.running(*REQUIRE, *silent[1], "--rules", "lines") as controller:
        eventually(lambda: "no public address can be looked up: " in controller.log.read_text())
        served(world, "new", ours, "new.example.com")
        world.delete("more-0")
        eventually(lambda: len(hosts(world)) == 52)
        time.sleep(1)
    assert len(hosts(world)) == 52
    assert "host 'new.example.com' is left out: it cannot be told to hairpin" in controller.log.read_text()


def test_required_once_a_server_that_hangs_leaves_what_stands_and_ends_with_0(
    world: World, ours: dict[str, str], silent: tuple[socket.socket, list[str]]
) -> None:
    served(world, "web", ours, MINE)
    assert world.once().returncode == 0
    served(world, "web", ours, MINE, "new.example.com")
    began = time.monotonic()
    done = world.once(*REQUIRE, *silent[1])
    assert time.monotonic() - began < 45  # the start of a program included
    assert (done.returncode, hosts(world)) == (0, {MINE})


def test_sigterm_ends_it_at_once_while_look_ups_hang(
    world: World, ours: dict[str, str], silent: tuple[socket.socket, list[str]]
) -> None:
    served(world, "web", ours, *(f"host-{number}.example.com" for number in range(50)))
    controller = world.controller(*REQUIRE, *silent[1])
    silent[0].settimeout(15)
    assert silent[0].recv(512)
    eventually(lambda: "is left out" in controller.log.read_text())
    controller.send_signal(SIGTERM)
    eventually(lambda: not controller.running, 10)
    assert controller.exit_code == 0
    assert "Traceback" not in controller.log.read_text()


def test_sigterm_ends_a_single_poll_that_waits_for_answers(
    world: World, ours: dict[str, str], silent: tuple[socket.socket, list[str]]
) -> None:
    served(world, "web", ours, MINE)
    controller = world.controller("--once", *REQUIRE, *silent[1])
    silent[0].settimeout(15)
    assert silent[0].recv(512)
    controller.send_signal(SIGTERM)
    eventually(lambda: not controller.running, 10)


def test_a_server_that_goes_and_comes_back(world: World, tmp_path: Path) -> None:
    """What was asked for keeps its rule meanwhile, what is new waits, and what goes goes."""
    good, other = "good.example.com", "many-1.example.com"
    processes = Processes(tmp_path)
    internet: Internet = started(processes, tmp_path)
    flags = ["--resolver", str(internet.server)]
    balancer = {"ip": ADDRESS}
    try:
        served(world, "good", balancer, good)
        served(world, "other", balancer, other)
        with world.running(*REQUIRE, *flags) as controller:
            eventually(lambda: hosts(world) == {good, other})
            internet.stop()
            served(world, "new", balancer, "many-2.example.com")
            world.delete("other")
            eventually(lambda: hosts(world) == {good})
            time.sleep(4)  # the look-up fails
            assert hosts(world) == {good}
            internet.start()
            served(world, "newer", balancer, "many-3.example.com")
            eventually(lambda: hosts(world) == {good, "many-3.example.com"})
        assert controller.log.read_text().count("no public address can be looked up") == 0  # for some are known
        # A new controller knows nothing, and takes nothing away.
        internet.stop()
        with world.running(*REQUIRE, *flags) as controller:
            eventually(lambda: "no public address can be looked up" in controller.log.read_text())
            assert hosts(world) == {good, "many-3.example.com"}
    finally:
        processes.close()
