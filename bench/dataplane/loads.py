"""The loads."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.dataplane.contenders import BULK_MIB, LOAD_CORE, pinned
from tests.cluster.install import locate

CONNECTIONS = 50
SECONDS = 3
STREAMS = 4
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What one run came to."""

    count: float
    """Requests, or GiB."""

    p99_ms: float = 0


def keep_alive(address: str, port: int) -> Load:
    return _wrk(address, port)


def new_connections(address: str, port: int) -> Load:
    return _wrk(address, port, "--header", "Connection: close")


def _wrk(address: str, port: int, *options: str) -> Load:
    argv = [locate("wrk"), "--threads=1", f"--connections={CONNECTIONS}", f"--duration={SECONDS}s", "--latency"]
    argv += [*options, f"http://{address}:{port}/"]
    said = subprocess.run(pinned(LOAD_CORE, argv), capture_output=True, text=True, check=True).stdout
    requests = re.search(r"(\d+) requests in", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", said)
    if not requests or not p99 or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return Load(int(requests[1]), float(p99[1]) * _UNITS[p99[2]])


def bulk(address: str, port: int) -> Load:
    argv = [locate("curl"), "--silent", "--show-error", "--no-progress-meter", "--fail", "--noproxy", "*", "--parallel"]
    argv += ["--output", "/dev/null", f"http://{address}:{port}/bulk"] * STREAMS
    subprocess.run(pinned(LOAD_CORE, argv), check=True)
    return Load(BULK_MIB * STREAMS / 1024)


@contextmanager
def idle(address: str, port: int, number: int) -> Iterator[None]:
    """So many clients that had an answer and keep their connections."""
    with ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(socket.create_connection((address, port), 10))
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            if not client.recv(1000).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("no answer")
        yield
