"""HAProxy under pressure: it stays within its memory limit, and serves again as soon as the pressure ends."""

import re
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.cluster.install import locate
from tests.cluster.processes import wait_until
from tests.integration.conftest import DEPLOY, eventually
from tests.integration.dataplane import FIRST, PATTERN, Haproxy, Lab, Target, ask, receive, reset, say, target

FILES = 16_000
"""Of both ends of the connections to HAProxy and from it, which are ours."""

STREAMS = 2_000
KIB = 1024
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limit() -> int:
    """The memory limit of the HAProxy pods."""
    (deployment,) = (
        item
        for item in yaml.safe_load_all(DEPLOY.read_text())
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "hairpin-proxy-haproxy")
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    memory_limit = container["resources"]["limits"]["memory"]
    return int(memory_limit[:-2]) * {"Mi": MIB, "Gi": KIB * MIB}[memory_limit[-2:]]


def memory(haproxy: Haproxy) -> int:
    """What the kernel counts: the process, and what its sockets hold."""
    pid = haproxy.process.pid
    sockets = subprocess.run([locate("ss"), "-tmnpHO"], capture_output=True, text=True, check=True).stdout.splitlines()
    held = [re.findall(r"[(,](?:r|f|w|o|bl)(\d+)", line) for line in sockets if f"pid={pid}," in line]
    return resident(haproxy) + sum(int(number) for numbers in held for number in numbers)


def resident(haproxy: Haproxy) -> int:
    (kib,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{haproxy.process.pid}/status").read_text())
    return int(kib) * KIB


def pipes(haproxy: Haproxy) -> int:
    """How many pipes it has open."""
    links = [link.readlink().name for link in Path(f"/proc/{haproxy.process.pid}/fd").iterdir()]
    return len({name for name in links if name.startswith("pipe:")})


def serves(haproxy: Haproxy, seconds: float = 15) -> None:
    """Returns when twenty clients in a row are answered."""
    eventually(lambda: ask(haproxy.http) == FIRST, seconds)
    assert [ask(haproxy.http) for _ in range(20)] == [FIRST] * 20


def start(lab: Lab, **settings: str) -> Haproxy:
    lab.dns.say(FIRST)
    haproxy = lab.haproxy(**settings)
    serves(haproxy)
    return haproxy


@pytest.fixture
def seen(lab: Lab) -> Iterator[Target]:
    with target(FIRST, lab.port) as running:
        yield running


def attempt(port: int) -> socket.socket:
    """A connection that may have to wait until HAProxy has room for it."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def test_silent_connections(lab: Lab, seen: Target) -> None:
    haproxy = start(lab)
    with ExitStack() as clients:
        for _ in range(10_000):
            clients.enter_context(attempt(haproxy.http))
        eventually(lambda: seen.open == 4096, 60)
        assert memory(haproxy) < limit()
        assert not wait_until(lambda: seen.open > 4096, 2)
    serves(haproxy, 60)
    eventually(lambda: seen.open == 0, 60)


def test_a_full_maxconn(lab: Lab, seen: Target) -> None:
    haproxy = start(lab, MAXCONN="50")
    with ExitStack() as clients:
        held = [clients.enter_context(say(haproxy.http, b"hold\n")) for _ in range(50)]
        eventually(lambda: seen.open == 50)
        late = clients.enter_context(say(haproxy.http, b"hello\n"))
        late.settimeout(1)
        with pytest.raises(TimeoutError):
            late.recv(1)
        for client in held:
            reset(client)
        late.settimeout(15)
        assert receive(late, 100) == FIRST.encode()
        assert memory(haproxy) < limit()
    serves(haproxy)


def streams(port: int, count: int) -> list[socket.socket]:
    """Connections to which the target sends without an end, and that have read the beginning."""
    clients = [say(port, b"stream %d\n" % number) for number in range(count)]
    for number, client in enumerate(clients):
        client.settimeout(60)
        assert receive(client, 64 * KIB) == part(number, 0, 64 * KIB)
    return clients


def part(begin: int, offset: int, count: int) -> bytes:
    """What a stream has at that place."""
    start = (begin * 100 + offset) % len(PATTERN)
    return (PATTERN[start:] + PATTERN * (count // len(PATTERN) + 1))[:count]


def test_resets_in_the_middle_of_transfers(lab: Lab, seen: Target) -> None:
    haproxy = start(lab, SOCKET_BUFFER="65536")
    held = []
    for _ in range(10):
        clients = streams(haproxy.http, 100)
        held.append(memory(haproxy))
        for client in clients:
            reset(client)
    serves(haproxy)
    eventually(lambda: seen.open == 0, 30)
    assert max(held) < limit()


def test_clients_that_only_say_goodbye_lose_their_place(lab: Lab, seen: Target) -> None:
    haproxy = start(lab, MAXCONN="50")
    with ExitStack() as clients:
        for client in [say(haproxy.http, b"hold\n") for _ in range(50)]:
            clients.enter_context(client)
            client.shutdown(socket.SHUT_WR)
        eventually(lambda: seen.open == 50)
        serves(haproxy, 60)


def test_readers_that_stand_still_lose_their_place_after_the_idle_time(lab: Lab, seen: Target) -> None:
    haproxy = start(lab, MAXCONN="50", TIMEOUT_IDLE="3s")
    with ExitStack() as clients:
        for client in streams(haproxy.http, 50):
            clients.enter_context(client)
        serves(haproxy, 60)


def test_streams_whose_readers_stand_still(lab: Lab, seen: Target) -> None:
    """With buffers that are bounded, all that the kernel counts; they then go on, and nothing is lost or mixed up."""
    haproxy = start(lab, SOCKET_BUFFER="65536")
    with ExitStack() as clients:
        readers = streams(haproxy.http, STREAMS)
        for reader in readers:
            clients.enter_context(reader)
        settle(haproxy)
        assert memory(haproxy) < limit()
        assert pipes(haproxy) <= 24 + 2
        serves(haproxy)
        for number in range(0, STREAMS, STREAMS // 20):
            assert receive(readers[number], 4 * MIB) == part(number, 64 * KIB, 4 * MIB)
    eventually(lambda: seen.open == 0, 60)
    serves(haproxy)


def test_streams_with_buffers_as_the_kernel_likes(lab: Lab, seen: Target) -> None:
    """Fewer, for such buffers take a machine's memory for TCP; also more than it has pipes for."""
    haproxy = start(lab)
    with ExitStack() as clients:
        for reader in streams(haproxy.http, 100):
            clients.enter_context(reader)
        settle(haproxy)
        assert memory(haproxy) < limit()
        assert 2 <= pipes(haproxy) <= 24 + 2
        serves(haproxy)


def settle(haproxy: Haproxy) -> None:
    """Returns when no socket takes any more."""
    samples = [0]

    def stands_still() -> bool:
        samples.append(memory(haproxy))
        return abs(samples[-1] - samples[-2]) < MIB

    eventually(stands_still, 60)
