"""The data plane on its own: it starts without its target, follows it, and writes the header byte for byte."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.cluster import HAPROXY_CFG
from tests.cluster.install import locate
from tests.cluster.processes import free_port, http_ok
from tests.integration.conftest import World, eventually


class Target(socketserver.ThreadingTCPServer):
    """A server for connections with a PROXY header: keeps what comes in, and answers with its own address."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.received: list[bytes] = []
        super().__init__((address, port), _Recorder)


class _Recorder(socketserver.StreamRequestHandler):
    server: Target

    def handle(self) -> None:
        received = b""
        while not received.endswith(b"hello\n"):
            line = self.rfile.readline()
            if not line:
                return
            received += line
        self.server.received.append(received)
        self.wfile.write(self.server.address.encode())


@contextmanager
def target(address: str, port: int) -> Iterator[list[bytes]]:
    """A running Target; yields what it received."""
    with Target(address, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.received
        finally:
            server.shutdown()


def ask(port: int) -> str:
    """Says hello through HAProxy from 127.0.0.9, and returns who answered; empty if nobody did."""
    with socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.0.9", 0)) as connection:
        connection.sendall(b"hello\n")
        try:
            return connection.recv(100).decode()
        except OSError:
            return ""


def service(address: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "late", "namespace": "default"},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]},
    }


@pytest.fixture
def ports(world: World) -> Iterator[dict[str, int]]:
    """An HAProxy whose target does not exist."""
    ports = {name: free_port() for name in ("HTTP", "HTTPS", "HEALTH")}
    environment = {f"{name}_BIND": f"127.0.0.1:{port}" for name, port in ports.items()}
    ports["TARGET"] = free_port("127.96.200.1")
    environment |= {
        "TARGET_SERVER": "late.default.svc.cluster.local",
        "TARGET_HTTP_PORT": str(ports["TARGET"]),
        "TARGET_HTTPS_PORT": str(ports["TARGET"]),
        "RESOLVER": world.cluster.dns,
    }
    haproxy = world.cluster.start("haproxy-late", [locate("haproxy"), "-W", "-db", "-f", str(HAPROXY_CFG)], environment)
    try:
        haproxy.wait_ready(lambda: http_ok("127.0.0.1", ports["HEALTH"], "/healthz"))
        yield ports
        assert haproxy.running
    finally:
        haproxy.stop()
        world.cluster.kubectl("delete", "service", "late", "-n", "default", "--ignore-not-found")


def test_it_starts_without_its_target_and_follows_it(world: World, ports: dict[str, int]) -> None:
    assert ask(ports["HTTP"]) == ""
    first, second = "127.96.200.1", "127.96.200.2"
    with target(first, ports["TARGET"]) as at_first, target(second, ports["TARGET"]) as at_second:
        world.apply(service(first))
        eventually(lambda: ask(ports["HTTP"]) == first, 5)
        assert ask(ports["HTTPS"]) == first
        assert at_first

        world.cluster.kubectl("delete", "service", "late", "-n", "default")
        world.apply(service(second))
        # CoreDNS may answer by the old address for some seconds: its cache knows the name.
        eventually(lambda: ask(ports["HTTP"]) == second, 40)
        assert at_second


def test_the_header_byte_for_byte(world: World, ports: dict[str, int]) -> None:
    address = "127.96.200.1"
    with target(address, ports["TARGET"]) as received:
        world.apply(service(address))
        eventually(lambda: ask(ports["HTTP"]) == address, 10)
        received.clear()
        assert ask(ports["HTTPS"]) == address
        assert ask(ports["HTTP"]) == address
    for port, got in zip(("HTTPS", "HTTP"), received, strict=True):
        header, rest = got.split(b"\r\n")
        protocol, family, client, here, source_port, destination_port = header.split(b" ")
        assert (protocol, family, client, here) == (b"PROXY", b"TCP4", b"127.0.0.9", b"127.0.0.1")
        assert source_port.isdigit()
        assert int(destination_port) == ports[port]
        assert rest == b"hello\n"
