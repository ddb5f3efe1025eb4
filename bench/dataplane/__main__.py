"""`make bench-dataplane`: what a request, a connection, a GiB and an idle client cost; docs/benchmarks/dataplane.md.

The proxy has one core, and the load, with the server that answers it, the other. All are taken in turns, for machines
are noisy, and the page has medians. It runs in a network namespace of its own, where the congestion control is one that
does not pace, as on most nodes: a kernel whose default is BBR would measure its timers.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.dataplane import report
from bench.dataplane.contenders import DIRECT_PORT, Contender, Site, contenders, prepare, start_target, versions
from bench.dataplane.loads import Load, bulk, idle, keep_alive, new_connections
from bench.dataplane.report import Figures
from bench.kernel import cpu_seconds, rss_mib
from tests.cluster.install import locate
from tests.cluster.processes import Processes

ROUNDS = 5
IDLE = (2_000, 20_000)
CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
LOADS: dict[str, Callable[[str, int], Load]] = {"request": keep_alive, "connection": new_connections, "gib": bulk}
SCALE = {"request": 1e6, "connection": 1e6, "gib": 1}
"""CPU in microseconds for each, but for a GiB in seconds."""


@dataclass
class Taken:
    """What all rounds came to, by the load."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    p99: dict[str, list[float]] = field(default_factory=dict)

    def add(self, load: str, result: Load, seconds: float = 0) -> None:
        self.cpu.setdefault(load, []).append(seconds / result.count * SCALE[load])
        self.p99.setdefault(load, []).append(result.p99_ms)


def settle() -> str:
    """Makes this network namespace ready, and returns its congestion control."""
    subprocess.run([locate("ip"), "link", "set", "lo", "up"], check=True)
    for name in ("cubic", "reno"):
        try:
            CONTROL.write_text(name)
        except OSError:
            continue
        return name
    return CONTROL.read_text().strip()


def site_of(processes: Processes, folder: Path, number: int, connections: int) -> Site:
    """Each has addresses of its own, so that none finds its ports taken by connections of another."""
    return Site(processes, folder, f"127.0.1.{number}", f"127.0.2.{number}", connections)


def measure(everyone: Sequence[Contender], processes: Processes, folder: Path) -> dict[str, Taken]:
    """CPU and p99, by the name; `direct` has no CPU."""
    sites = {each: site_of(processes, folder, number, 4096) for number, each in enumerate(everyone, 1)}
    running = {each: each.started(site) for each, site in sites.items()}
    taken = {name: Taken() for name in ("direct", *(each.name for each in everyone))}
    for turn in range(ROUNDS):
        print(f"round {turn + 1} of {ROUNDS}", flush=True)
        for name, load in LOADS.items():
            taken["direct"].add(name, load("127.0.0.1", DIRECT_PORT))
            for each in everyone:
                before = cpu_seconds(running[each].pid)
                result = load(sites[each].address, sites[each].port)
                taken[each.name].add(name, result, cpu_seconds(running[each].pid) - before)
    for process in running.values():
        process.stop()
    return taken


def resident(each: Contender, site: Site, clients: int, files: int) -> float:
    """Of one that may have so many open files; not a number if these are too few."""
    if each.files * clients + 100 > files:
        return math.nan
    process = each.started(site)
    try:
        with idle(site.address, site.port, clients):
            time.sleep(1)
            return rss_mib(process.pid)
    finally:
        process.stop()


def figures(taken: Taken, memory: tuple[float, ...]) -> Figures:
    cpu = {name: statistics.median(values) for name, values in taken.cpu.items()}
    p99 = {name: statistics.median(values) for name, values in taken.p99.items()}
    return Figures(cpu["request"], cpu["connection"], cpu["gib"], p99["request"], p99["connection"], memory)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dataplane")
    parser.add_argument("--prepare", action="store_true", help="only get what it needs from outside")
    if parser.parse_args().prepare:
        prepare()
        return 0
    control = settle()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    clients = tuple(min(number, files // 2 - 500) for number in IDLE)
    with tempfile.TemporaryDirectory(prefix="hairpin-proxy-") as name:
        folder = Path(name)
        processes = Processes(folder)
        try:
            start_target(processes, folder, max(clients) + 400)
            everyone = contenders(folder)
            taken = measure(everyone, processes, folder)
            print("memory", flush=True)
            memory = {
                each.name: tuple(
                    resident(each, site_of(processes, folder, number, most + 20), most, files)
                    for number, most in enumerate(clients, 101 + 2 * position)
                )
                for position, each in enumerate(everyone)
            }
        finally:
            processes.close()
    found = {each: figures(of, memory.get(each, ())) for each, of in taken.items()}
    print(report.write(found, clients, control, versions()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
