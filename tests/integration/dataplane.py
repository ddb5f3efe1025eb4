"""HAProxy as its image starts it, with a DNS that is a file, targets, and clients; without a cluster."""

import asyncio
import contextlib
import itertools
import random
import re
import signal
import socket
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.dns import dns_answers
from tests.cluster.ingress import ENTRYPOINT, NGINX_CONF, Ingress, start_nginx_on
from tests.cluster.install import locate
from tests.cluster.processes import Process, Processes, free_port, http_ok

NAME = "target.test"
FIRST, SECOND = "127.96.200.1", "127.96.200.2"
"""Addresses for targets."""

CLIENTS = {"127.0.0.1": "127.0.0.9", "::1": "::1"}
"""Where HAProxy listens, and from which address a client comes."""

COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    hosts {hosts} {{
        ttl 1
        reload 100ms
    }}
}}
"""
PATTERN = random.Random(1).randbytes(1 << 20)
"""What a stream consists of, again and again; each begins at another place in it."""

_numbers = itertools.count()


# ---- DNS and HAProxy


@dataclass(frozen=True)
class Dns:
    """A CoreDNS that knows what a file says, and has no answer (SERVFAIL) for all else."""

    hosts: Path
    address: str
    process: Process

    def say(self, *addresses: str) -> None:
        """Gives the target's name these addresses."""
        new = self.hosts.with_suffix(".new")
        new.write_text("127.0.0.1 dns.test\n" + "".join(f"{address} {NAME}\n" for address in addresses))
        new.replace(self.hosts)


def start_dns(processes: Processes, folder: Path) -> Dns:
    port = free_port(udp=True)
    hosts, corefile = folder / "hosts", folder / "Corefile"
    hosts.write_text("127.0.0.1 dns.test\n")
    corefile.write_text(COREFILE.format(port=port, hosts=hosts))
    # SIGTERM would make it wait some seconds for its last questions.
    process = processes.start("dns", [locate("coredns"), "-conf", str(corefile)], stop_signal=signal.SIGQUIT)
    process.wait_ready(lambda: dns_answers("127.0.0.1", port, "dns.test"))
    return Dns(hosts, f"127.0.0.1:{port}", process)


@dataclass(frozen=True)
class Haproxy:
    """A running HAProxy and its ports."""

    process: Process
    http: int
    https: int
    health: int

    def lines(self) -> list[str]:
        """What it has logged about connections, without what it says about itself."""
        return [line for line in self.process.log.read_text().splitlines() if f" to {NAME}:" in line]

    def metric(self, name: str, proxy: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(rf'^{name}{{proxy="{proxy}"}} (\d+)$', text, re.MULTILINE)
        assert found, f"no {name} in\n{text}"
        return int(found[1])


@dataclass(frozen=True)
class Lab:
    """A folder, processes, the DNS, and ports for targets that are free on all addresses."""

    folder: Path
    processes: Processes
    dns: Dns
    port: int
    tls_port: int

    def haproxy(self, bind: str = "127.0.0.1:{port}", **settings: str) -> Haproxy:
        """Starts HAProxy on the target's name; returns when it is healthy. It ends with the test."""
        ports = {name: free_port("0.0.0.0") for name in ("HTTP", "HTTPS", "HEALTH")}
        environment = {f"{name}_BIND": bind.format(port=port) for name, port in ports.items()}
        environment |= {
            "TARGET_SERVER": NAME,
            "TARGET_HTTP_PORT": str(self.port),
            "TARGET_HTTPS_PORT": str(self.port),
            "RESOLVER": self.dns.address,
        }
        process = self.processes.start(f"haproxy-{next(_numbers)}", [str(ENTRYPOINT)], env=environment | settings)
        process.wait_ready(lambda: http_ok("127.0.0.1", ports["HEALTH"], "/healthz"))
        return Haproxy(process, ports["HTTP"], ports["HTTPS"], ports["HEALTH"])

    def nginx(self, address: str, conf: str = NGINX_CONF) -> Process:
        """Starts an nginx for HTTP on the target's port and TLS on the other."""
        return start_nginx_on(self.processes, self.folder / f"nginx-{address}", self.ingress(address), conf)

    def ingress(self, address: str) -> Ingress:
        return Ingress(address, self.port, self.tls_port)

    def on_nginx(self, **settings: str) -> Haproxy:
        """An HAProxy before both ports of an nginx."""
        return self.haproxy(TARGET_HTTPS_PORT=str(self.tls_port), **settings)


# ---- Targets


@dataclass
class Target:
    """What a target has seen, and how many connections it has open."""

    address: str
    received: list[bytes] = field(default_factory=list)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What to do is said by the first line after the PROXY header; nothing, as long as nothing is said."""
        self.open += 1
        _small(writer.get_extra_info("socket"), socket.SO_SNDBUF)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._do(reader, writer)
        self.open -= 1
        writer.close()

    async def _do(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = line = b""
        while not re.search(rb"(hello|hold|echo|stream \d+)\n$", received):
            line = await reader.readline()
            if not line:
                return
            received += line
        self.received.append(received)
        if received.endswith(b"hello\n"):
            writer.write(self.address.encode())
        elif received.endswith(b"echo\n"):
            while data := await reader.read(65536):
                writer.write(data)
        elif received.endswith(b"hold\n"):
            await asyncio.sleep(3600)
        else:
            await self._stream(writer, int(line.split()[1]))

    async def _stream(self, writer: asyncio.StreamWriter, begin: int) -> None:
        try:
            writer.write(PATTERN[100 * begin :])
            while True:
                await writer.drain()
                writer.write(PATTERN)
        finally:
            writer.transport.abort()


def _small(end: socket.socket, buffer: int) -> None:
    """Leaves the machine's memory for TCP, which all share, to HAProxy."""
    end.setsockopt(socket.SOL_SOCKET, buffer, 32 * 1024)


@contextmanager
def target(address: str, port: int) -> Iterator[Target]:
    """A server that expects a PROXY header, if any, and a line: hello (answers its address), echo, hold or stream N."""
    seen = Target(address)
    with serving(seen.serve, address, port):
        yield seen


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(handler: Handler, address: str, port: int) -> Iterator[None]:
    """A server in a thread of its own."""
    loops: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(handler, address, port, backlog=4096)
        started.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(5), f"no server on {address}:{port}"
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join()


# ---- Clients


def connect(port: int, here: str = "127.0.0.1") -> socket.socket:
    """A connection to HAProxy."""
    connection = socket.create_connection((here, port), 5, source_address=(CLIENTS[here], 0))
    _small(connection, socket.SO_RCVBUF)
    return connection


def say(port: int, words: bytes) -> socket.socket:
    """A connection to HAProxy on which this is said."""
    connection = connect(port)
    connection.sendall(words)
    return connection


def ask(port: int, here: str = "127.0.0.1") -> str:
    """Says hello through HAProxy, and returns who answered; empty if nobody did."""
    with connect(port, here) as connection:
        try:
            connection.sendall(b"hello\n")
            return connection.recv(100).decode()
        except OSError:
            return ""


def receive(connection: socket.socket, count: int) -> bytes:
    """That many bytes, or fewer if the other side ends before."""
    received = bytearray()
    while len(received) < count and (data := connection.recv(count - len(received))):
        received += data
    return bytes(received)


def reset(connection: socket.socket) -> None:
    """Ends a connection by a reset instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
