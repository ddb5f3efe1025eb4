"""Public addresses, asked of real DNS servers."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hairpin_proxy.lookups import Hairpinned, Lookups
from hairpin_proxy.policy import Claim, Decision
from hairpin_proxy.settings import DnsServer
from tests.cluster.dns import dns_answers
from tests.cluster.install import locate
from tests.cluster.processes import Process, Processes, free_port, with_other_ports
from tests.integration.conftest import eventually

ADDRESS, IPV6 = "192.0.2.1", "2001:db8::1"

COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    log . "asked {{name}} {{type}}"
    template IN A example.com {{
        match ^(good|many-[0-9]+)[.]example[.]com[.]$
        answer "{{{{ .Name }}}} 60 IN A {address}"
        fallthrough
    }}
    template IN AAAA example.com {{
        match ^(good|only-ipv6)[.]example[.]com[.]$
        answer "{{{{ .Name }}}} 60 IN AAAA {ipv6}"
        fallthrough
    }}
    template IN A example.com {{
        match ^alias[.]example[.]com[.]$
        answer "alias.example.com. 60 IN CNAME Edge.CDN.example."
        answer "edge.cdn.example. 60 IN CNAME lb-1.example.net."
        answer "lb-1.example.net. 60 IN A {address}"
        fallthrough
    }}
    template IN ANY example.com {{
        match ^broken[.]example[.]com[.]$
        rcode SERVFAIL
        fallthrough
    }}
    template IN ANY example.com {{
        match ^(good|only-ipv6|only-text|alias|many-[0-9]+)[.]example[.]com[.]$
        rcode NOERROR
        authority "example.com. 60 IN SOA ns.example.com. admin.example.com. 1 60 60 60 60"
        fallthrough
    }}
    template ANY ANY {{
        rcode NXDOMAIN
        authority ". 60 IN SOA ns. admin. 1 60 60 60 60"
    }}
}}
"""


@dataclass
class Internet:
    """A CoreDNS of its own."""

    processes: Processes
    folder: Path
    port: int
    process: Process | None = None

    @property
    def server(self) -> DnsServer:
        return DnsServer("127.0.0.1", self.port)

    def start(self, address: str = ADDRESS) -> None:
        """With the address that `good.example.com` has."""
        corefile = self.folder / "internet.corefile"
        corefile.write_text(COREFILE.format(port=self.port, address=address, ipv6=IPV6))
        self.process = self.processes.start("internet", [locate("coredns"), "-conf", str(corefile)])
        self.process.wait_ready(lambda: dns_answers("127.0.0.1", self.port, "good.example.com"))

    def stop(self) -> None:
        assert self.process
        self.process.stop()

    def asked(self, name: str) -> int:
        """How many questions for the IPv4 address of a name there were."""
        assert self.process
        return self.process.log.read_text().count(f"asked {name}. A\n")


def started(processes: Processes, folder: Path) -> Internet:
    def attempt() -> Internet:
        found = Internet(processes, folder, free_port(udp=True))
        found.start()
        return found

    return with_other_ports(attempt)


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    processes = Processes(tmp_path)
    yield started(processes, tmp_path)
    processes.close()


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Asking:
    """Lookups whose time only passes as a test says."""

    server: DnsServer
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.lookups = Lookups(self.server, self.clock)

    def known(self, *names: str, after: float = 0) -> list[frozenset[str] | None]:
        """What there is some seconds later, once all that is asked by then has its answer."""
        self.clock.now += after
        self.lookups.ask(names)
        self.lookups.wait(120)
        return list(self.lookups.ask(names).values())

    def address(self, name: str, after: float = 0) -> frozenset[str] | None:
        return self.known(name, after=after)[0]


@pytest.fixture
def asking(internet: Internet) -> Asking:
    return Asking(internet.server)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("good.example.com", {ADDRESS, IPV6}),
        ("only-ipv6.example.com", {IPV6}),
        ("alias.example.com", {ADDRESS, "edge.cdn.example", "lb-1.example.net"}),
        ("only-text.example.com", set()),  # NODATA
        ("nobody.example.com", set()),  # NXDOMAIN
        ("broken.example.com", None),
        ("a..example.com", None),  # no name at all
        (f"{'a' * 64}.example.com", None),
    ],
)
def test_what_a_server_says_of_a_name(asking: Asking, name: str, found: set[str] | None) -> None:
    assert asking.lookups.ask([name]) == {name: None}
    assert asking.address(name) == (None if found is None else frozenset(found))
    assert bool(asking.lookups.problem) is (found is None)


def test_many_at_once(asking: Asking) -> None:
    names = [f"many-{number}.example.com" for number in range(1000)]
    began = time.monotonic()
    asking.lookups.ask(names)
    assert time.monotonic() - began < 1
    assert set(asking.known(*names)) == {frozenset({ADDRESS})}
    assert time.monotonic() - began < 120


def test_one_that_is_broken_does_not_hold_up_the_others(asking: Asking) -> None:
    assert asking.known("broken.example.com", "good.example.com", "a..example.com") == [
        None,
        frozenset({ADDRESS, IPV6}),
        None,
    ]
    assert asking.lookups.problem is None


# ---- for how long an answer holds


@pytest.mark.parametrize(("name", "holds"), [("good.example.com", 600), ("nobody.example.com", 300)])
def test_an_answer_holds_for_minutes(internet: Internet, asking: Asking, name: str, holds: float) -> None:
    asking.address(name)
    eventually(lambda: internet.asked(name) > 0)
    before = internet.asked(name)
    asking.address(name, after=holds - 1)
    asking.address("other.example.com")  # of which the log would speak behind any question that there was
    eventually(lambda: internet.asked("other.example.com") == 1)
    assert internet.asked(name) == before

    asking = Asking(internet.server)
    asking.address(name)
    asking.address(name, after=holds + 1)
    eventually(lambda: internet.asked(name) == before + 2)


def test_a_failure_is_tried_again_ever_more_seldom(internet: Internet, asking: Asking) -> None:
    name = "broken.example.com"
    asking.address(name)
    tries = 1
    for seconds in (60, 120, 240, 480, 960, 1920, 3600, 3600):
        asking.address(name, after=seconds - 1)
        eventually(lambda tries=tries: internet.asked(name) == tries)
        asking.address(name, after=2)
        tries += 1
        eventually(lambda tries=tries: internet.asked(name) == tries)
    time.sleep(0.5)
    assert internet.asked(name) == tries


def test_names_that_are_not_asked_for_any_more_are_forgotten(asking: Asking) -> None:
    asking.address("good.example.com")
    asking.address("nobody.example.com")
    assert asking.lookups.ask(["good.example.com"]) == {"good.example.com": None}


# ---- a server that is not there


def test_what_was_known_stays_known_while_the_server_is_gone(internet: Internet, asking: Asking) -> None:
    old, new = frozenset({ADDRESS, IPV6}), frozenset({"192.0.2.2", IPV6})
    assert asking.address("good.example.com") == old
    internet.stop()
    for seconds in (601, 61, 121):
        assert asking.address("good.example.com", after=seconds) == old
        assert asking.lookups.problem is None
    internet.start("192.0.2.2")
    assert asking.address("good.example.com", after=241) == new
    # It failed three times, and does not suffer for that any longer.
    internet.stop()
    assert asking.address("good.example.com", after=601) == new
    internet.start("192.0.2.3")
    assert asking.address("good.example.com", after=61) == frozenset({"192.0.2.3", IPV6})


def test_the_problem_is_told_until_there_is_an_answer(internet: Internet, asking: Asking) -> None:
    internet.stop()
    assert asking.address("good.example.com") is None
    assert f"127.0.0.1@{internet.port}" in (asking.lookups.problem or "")
    internet.start()
    assert asking.address("good.example.com", after=61)
    assert asking.lookups.problem is None


def test_the_problem_goes_with_the_names(internet: Internet, asking: Asking) -> None:
    internet.stop()
    asking.address("good.example.com")
    asking.lookups.ask([])
    assert asking.lookups.problem is None


@pytest.fixture
def silent() -> Iterator[DnsServer]:
    """A server that takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield DnsServer("127.0.0.1", bound.getsockname()[1])


def test_nobody_waits_for_a_server_that_hangs(silent: DnsServer) -> None:
    lookups = Lookups(silent)
    names = [f"host-{number}.example.com" for number in range(100)]
    for _ in range(5):
        began = time.monotonic()
        assert lookups.ask(names) == dict.fromkeys(names)
        assert time.monotonic() - began < 1
    began = time.monotonic()
    lookups.wait(1)
    assert 1 <= time.monotonic() - began < 2.5


def test_a_server_that_hangs_is_told_of_in_the_same_words_each_time(silent: DnsServer) -> None:
    asking = Asking(silent)
    assert asking.address("good.example.com") is None
    problem = asking.lookups.problem
    assert problem
    assert f"127.0.0.1@{silent.port}" in problem
    asking.known("good.example.com", "another.example.com", after=61)
    assert asking.lookups.problem == problem


# ---- a judgement with it


HOST = "good.example.com"


def judged(lookups: Lookups, *, once: bool, balancer: str = ADDRESS) -> set[str]:
    """Which hosts get a rule, if one hairpins that has none yet."""
    claims = {HOST: (Claim(HOST, "Ingress shop/web", "shop", (balancer,)),)}
    decision, _ = Hairpinned(lookups, require=True, once=once)(Decision(frozenset(claims), {}, claims), ())
    return set(decision.hosts)


def test_a_single_poll_waits_for_the_answers(internet: Internet) -> None:
    assert judged(Lookups(internet.server), once=True) == {HOST}
    assert judged(Lookups(internet.server), once=True, balancer="192.0.2.9") == set()


def test_any_other_poll_does_not_wait_and_the_next_one_knows(internet: Internet) -> None:
    lookups = Lookups(internet.server)
    assert judged(lookups, once=False) == set()
    eventually(lambda: judged(lookups, once=False) == {HOST})


def test_a_single_poll_waits_no_longer_than_there_is_hope(silent: DnsServer) -> None:
    began = time.monotonic()
    assert judged(Lookups(silent), once=True) == set()
    assert time.monotonic() - began < 10


# ---- without a server of its own

WITH_RESOLV_CONF = """
set -e
mount --bind "$1" /etc/resolv.conf
exec "$2" -c "
from hairpin_proxy.lookups import Lookups
lookups = Lookups(None)
for name in map(str, range(10)):  # more than it has threads
    lookups.ask([name])
    lookups.wait(10)
    print(lookups.problem)
"
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nameserver dns.example.com\n", "nameserver dns.example.com is not"),
        ("", "no nameservers"),
        ("\ufffe\udcff", "codec can't decode"),
    ],
)
def test_a_resolv_conf_that_is_none_is_a_problem_each_time(
    tmp_path: Path, own_mounts: list[str], text: str, problem: str
) -> None:
    """In a mount namespace of the process's own."""
    path = tmp_path / "resolv.conf"
    path.write_text(text, errors="surrogateescape")
    argv = [*own_mounts, "sh", "-c", WITH_RESOLV_CONF, "sh", str(path), sys.executable]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert [problem in line for line in done.stdout.splitlines()] == [True] * 10
