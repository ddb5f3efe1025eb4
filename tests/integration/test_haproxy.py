"""The data plane on its own: the header byte for byte, how it follows its target, its settings and metrics."""

import os
import socket
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.cluster.ingress import ENTRYPOINT
from tests.cluster.install import locate
from tests.cluster.processes import Process, clean_environment, wait_until
from tests.integration.conftest import World, eventually
from tests.integration.dataplane import FIRST, SECOND, Haproxy, Lab, ask, connect, receive, target

# ---- The header

Header = Callable[[tuple[str, int], tuple[str, int]], bytes]


def version_1(client: tuple[str, int], here: tuple[str, int]) -> bytes:
    family = "TCP6" if ":" in here[0] else "TCP4"
    return f"PROXY {family} {client[0]} {here[0]} {client[1]} {here[1]}\r\n".encode()


def version_2(client: tuple[str, int], here: tuple[str, int]) -> bytes:
    family, kind = (socket.AF_INET6, 0x21) if ":" in here[0] else (socket.AF_INET, 0x11)
    addresses = socket.inet_pton(family, client[0]) + socket.inet_pton(family, here[0])
    addresses += struct.pack("!HH", client[1], here[1])
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, kind, len(addresses)) + addresses


def no_header(_client: tuple[str, int], _here: tuple[str, int]) -> bytes:
    return b""


@pytest.mark.parametrize("bind", ["127.0.0.1:{port},[::1]:{port}", ":{port},:::{port}"])
@pytest.mark.parametrize(("protocol", "header"), [("v1", version_1), ("v2", version_2), ("off", no_header)])
def test_the_header_byte_for_byte(lab: Lab, bind: str, protocol: str, header: Header) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.haproxy(bind, PROXY_PROTOCOL=protocol)
    with target(FIRST, lab.port) as seen:
        eventually(lambda: ask(haproxy.http) == FIRST)
        for port, here in product((haproxy.http, haproxy.https), ("127.0.0.1", "::1")):
            with connect(port, here) as connection:
                client = connection.getsockname()[:2]
                connection.sendall(b"hello\n")
                assert receive(connection, 100) == FIRST.encode()
            assert seen.received[-1] == header(client, (here, port)) + b"hello\n"


# ---- Following the target


def test_it_starts_without_its_target_and_follows_it_to_another_address(lab: Lab) -> None:
    haproxy = lab.haproxy()
    assert ask(haproxy.http) == ""
    with target(FIRST, lab.port), target(SECOND, lab.port):
        took = []
        for address in (FIRST, SECOND, FIRST, SECOND):
            lab.dns.say(address)
            began = time.monotonic()
            eventually(lambda: {ask(haproxy.http), ask(haproxy.https)} == {address}, 15)  # noqa: B023
            took.append(time.monotonic() - began)
        # The first may come just before it asks, the others come just behind; the machine may be slow.
        assert min(took[1:]) < 5, took


def test_it_uses_all_addresses_of_a_name_and_those_that_refuse_cost_no_connection(lab: Lab) -> None:
    lab.dns.say(FIRST, SECOND)
    haproxy = lab.haproxy()
    with target(FIRST, lab.port):
        with target(SECOND, lab.port):
            eventually(lambda: {ask(haproxy.http) for _ in range(4)} == {FIRST, SECOND})
        assert [ask(haproxy.http) for _ in range(40)] == [FIRST] * 40


def test_a_target_may_have_an_ipv6_address_only(lab: Lab) -> None:
    lab.dns.say("::1")
    haproxy = lab.haproxy()
    with target("::1", lab.port):
        eventually(lambda: ask(haproxy.http) == "::1")


def test_it_keeps_the_address_it_knows_when_dns_is_gone(lab: Lab) -> None:
    """Longer than HAProxy's own 30 s, after which it would forget the address."""
    lab.dns.say(FIRST)
    haproxy = lab.haproxy()
    with target(FIRST, lab.port):
        eventually(lambda: ask(haproxy.http) == FIRST)
        lab.dns.process.stop()
        assert not wait_until(lambda: ask(haproxy.http) != FIRST, 40)


def service(address: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "late", "namespace": "default"},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]},
    }


@pytest.fixture
def late(world: World, lab: Lab) -> Iterator[Haproxy]:
    """An HAProxy that asks the cluster's DNS for a Service that does not exist."""
    yield lab.haproxy(TARGET_SERVER="late.default.svc.cluster.local", RESOLVER=world.cluster.dns)
    world.cluster.kubectl("delete", "service", "late", "-n", "default", "--ignore-not-found")


def test_it_starts_without_its_target_and_follows_a_service(world: World, lab: Lab, late: Haproxy) -> None:
    assert ask(late.http) == ""
    with target(FIRST, lab.port), target(SECOND, lab.port):
        world.apply(service(FIRST))
        eventually(lambda: {ask(late.http), ask(late.https)} == {FIRST}, 15)

        world.cluster.kubectl("delete", "service", "late", "-n", "default")
        world.apply(service(SECOND))
        # CoreDNS may answer by the old address for some seconds: its cache knows the name.
        eventually(lambda: ask(late.http) == SECOND, 40)


# ---- Settings


WRONG = [
    *product(
        ["TARGET_SERVER"], ["", "http://a", "a:80", "a b", "-a", "[::1]", "$(id)", 'a"b', "a'b", "a;b", "fe80::zz"]
    ),
    *product(["PROXY_PROTOCOL"], ["", "v3", "V1", "on", "v1 "]),
    *product(
        ["TARGET_HTTP_PORT", "TARGET_HTTPS_PORT"], ["", "0", "080", "65536", "-1", "http", " 80", "1e3", "99999999"]
    ),
    *product(["MAXCONN"], ["", "0", "abc", "-1", "4k", "1000001", "99999999999999999999"]),
    *product(["NBTHREAD"], ["", "0", "two", "65", "1.5"]),
    *product(["TIMEOUT_CONNECT", "TIMEOUT_IDLE"], ["", "0s", "5", "5 s", "-1s", "1w", "s", "1000000s"]),
    *product(["RESOLVER"], ["", "192.0.2.53", "[2001:db8::53]", "dns:", "dns:0"]),
    *product(["SOCKET_BUFFER"], ["", "-1", "999", "64k", "1e6", "1000000000"]),
]


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path, variable: str, value: str) -> None:
    done = subprocess.run(
        [ENTRYPOINT],
        env=clean_environment(tmp_path) | {variable: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {variable} is '{value}', and takes ")


def test_more_connections_than_files_are_refused(tmp_path: Path) -> None:
    """HAProxy would start, and fail when it is needed most."""
    argv = ["sh", "-c", f"ulimit -n 1000 && exec {ENTRYPOINT}"]
    environment = clean_environment(tmp_path) | {"MAXCONN": "451"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    expected = "error: MAXCONN is '451', and takes at most 450 here, as this container may have 1000 files open\n"
    assert (done.returncode, done.stderr) == (1, expected)


# ---- Default binds, with IPv6 and without it


def start_with_defaults(lab: Lab, *, disable_ipv6: int) -> Process:
    """In a network of its own, where the default ports are free."""
    sysctl = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
    script = f"ip link set lo up && echo {disable_ipv6} >{sysctl} && exec {ENTRYPOINT}"
    return lab.processes.start("haproxy-defaults", ["unshare", "--net", "sh", "-c", script])


def listening(process: Process) -> set[str]:
    argv = [*("nsenter", "--net", "--target", str(process.pid)), "ss", "-tlnH"]
    lines = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    return {line.split()[3] for line in lines}


def answers_health(process: Process, url: str) -> bool:
    argv = ["nsenter", "--net", "--target", str(process.pid), locate("curl"), "-sf", "-m", "5", url]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0


IPV4 = {"0.0.0.0:8080", "0.0.0.0:8443", "0.0.0.0:8404"}
IPV6 = {"[::]:8080", "[::]:8443", "[::]:8404"}


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
@pytest.mark.parametrize(("disable_ipv6", "expected"), [(1, IPV4), (0, IPV4 | IPV6)])
def test_it_starts_with_its_defaults_with_ipv6_and_without(lab: Lab, disable_ipv6: int, expected: set[str]) -> None:
    haproxy = start_with_defaults(lab, disable_ipv6=disable_ipv6)
    haproxy.wait_ready(lambda: answers_health(haproxy, "http://127.0.0.1:8404/healthz"))
    assert listening(haproxy) == expected
    assert answers_health(haproxy, "http://[::1]:8404/healthz") == (not disable_ipv6)


# ---- Health and metrics


def test_it_is_healthy_and_has_metrics_without_a_target(lab: Lab) -> None:
    haproxy = lab.haproxy()
    with urllib.request.urlopen(f"http://127.0.0.1:{haproxy.health}/metrics", timeout=5) as answer:
        text = answer.read().decode()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "\n# TYPE haproxy_process_current_connections gauge\n" in text
    assert '\nhaproxy_backend_connection_errors_total{proxy="https"} 0\n' in text


def test_connections_that_fail_are_counted(lab: Lab) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.haproxy(TIMEOUT_CONNECT="100ms")

    def errors() -> int:
        return sum(haproxy.metric("haproxy_backend_connection_errors_total", name) for name in ("http", "http-sampled"))

    with target(FIRST, lab.port):
        eventually(lambda: ask(haproxy.http) == FIRST)
    before = errors()
    assert ask(haproxy.http) == ""
    eventually(lambda: errors() > before)
