"""The loads, and what the kernel says of a process meanwhile."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """What the scheduler has given to all threads."""
    stats = [task / "schedstat" for each in family(pid) for task in Path(f"/proc/{each}/task").iterdir()]
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def rss_mib(pid: int) -> float:
    statuses = [Path(f"/proc/{each}/status").read_text() for each in family(pid)]
    found = [re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE) for status in statuses]
    return sum(int(rss[1]) for rss in found if rss) / 1024
