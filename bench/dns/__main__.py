"""`python -m bench.dns`: what rules for up to 30,000 hosts cost CoreDNS; docs/benchmarks/dns.md.

All that are compared run at once. In each round each of them has a short burst of the same questions, in an order that
rotates; what counts is the CPU time of its process, as a ratio to bare's in the same round. One after the other they
could not be compared: these machines are noisy, and what else they do changes from second to second.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from bench.dns import report
from bench.dns.contenders import ADDRESS, BARE, FORMS, Server, Site
from bench.dns.report import DEEPER, ROUNDS, SECONDS, Cost, Figures, Scene
from bench.dns.traffic import questions
from bench.kernel import Taken, cpu_seconds, rss_mib
from tests.cluster.asking import ask_all
from tests.cluster.cluster import LocalCluster
from tests.cluster.hostnames import hosts, under_four_domains, with_own_domain
from tests.cluster.install import Need, locate, packages

ROOT = Path(__file__).parents[2]
SIZES = (10, 100, 1_000, 8_000, 30_000)
KINDS: dict[str, Callable[[Random], str]] = {
    "under four domains": under_four_domains,
    "each with its own domain": with_own_domain,
}
FEWEST = 100
"""Queries that a burst has to have."""
STARTS = 3
CHECKED = 500
"""Hosts that each of them is asked for before it is measured."""

Bursts = dict[str, list[float]]
"""CPU microseconds a query, by the form."""


def burst(server: Server, file: Path) -> float:
    """CPU microseconds of one query, in one burst of them; one in which the load got too little time is repeated."""
    argv = [locate("dnsperf"), "-s", ADDRESS, "-p", str(server.port), "-d", str(file), "-l", str(SECONDS)]
    argv += ["-c", "4", "-T", "1", "-q", "40"]
    for _ in range(20):
        before = cpu_seconds(server.process.pid)
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        taken = cpu_seconds(server.process.pid) - before
        completed, lost = (re.search(rf"Queries {what}:\s+(\d+)", said) for what in ("completed", "lost"))
        if not completed or not lost or int(lost[1]) or "SERVFAIL" in said:
            raise RuntimeError(said)
        if int(completed[1]) >= FEWEST:
            return taken / int(completed[1]) * 1e6
    raise RuntimeError(f"the machine is too busy: {said}")


def rounds(servers: Sequence[Server], file: Path) -> Bursts:
    taken: Bursts = {server.form: [] for server in servers}
    for turn in range(-1, ROUNDS):
        first = turn % len(servers)
        for server in [*servers[first:], *servers[:first]]:
            micros = burst(server, file)
            if turn >= 0:  # the round before the first one warms up
                taken[server.form].append(micros)
    return taken


def cost(taken: Bursts, form: str) -> Cost:
    ratios = [bare / mine for bare, mine in zip(taken[BARE], taken[form], strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return Cost(statistics.median(taken[form]), ratio, low, high)


def check(server: Server, names: Sequence[str], address: str) -> None:
    """Raises if it does not lead our hosts to our Service, or if bare does."""
    found = ask_all(ADDRESS, server.port, Random(1).sample(names, min(CHECKED, len(names))))
    if any((answer == ("NOERROR", address)) == (server.form == BARE) for answer in found.values()):
        raise RuntimeError(f"{server.form} does not answer as it should: {found}")


def started(site: Site, form: str, names: Sequence[str], *, cache: bool) -> tuple[Server, Taken] | None:
    """One of the compared, and the median of some starts of it; nothing if its rules do not fit into a ConfigMap."""
    server = site.start(form, names, cache=cache)
    if not server:
        return None
    starts = [server.start]
    while len(starts) < STARTS:
        server = site.restart(server)
        starts.append(server.start)
    check(server, names, site.service_ip)
    medians = (statistics.median(values) for values in zip(*starts, strict=True))
    return server, Taken(*medians)


def scene(site: Site, kind: str, size: int, *, cache: bool) -> Scene:
    """One comparison with so many hosts; how the others' names fare alone is asked without cache, at some sizes."""
    names = hosts(size, KINDS[kind])
    found = {form: started(site, form, names, cache=cache) for form in FORMS}
    there = {form: each for form, each in found.items() if each}
    servers = [server for server, _ in there.values()]
    mixed = rounds(servers, asked(site, names, ours=0.5))
    foreign = rounds(servers, asked(site, names, ours=0)) if size in DEEPER and not cache else None
    figures = {
        form: Figures(
            cost(mixed, form),
            cost(foreign, form) if foreign else None,
            len(server.text),
            server.rules,
            start,
            rss_mib(server.process.pid),
        )
        for form, (server, start) in there.items()
    }
    for server in servers:
        server.process.stop()
    return Scene(kind, size, cache, figures)


def asked(site: Site, names: Sequence[str], *, ours: float) -> Path:
    path = site.cluster.folder / "questions.txt"
    path.write_text(questions(names, ours=ours))
    return path


def scenes(site: Site, sizes: Sequence[int]) -> list[Scene]:
    found = []
    for size in sizes:
        for kind in KINDS:
            for cache in (False, True) if size in DEEPER else (False,):
                found.append(scene(site, kind, size, cache=cache))
                print(report.line(found[-1]), flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dns")
    parser.add_argument("sizes", nargs="*", type=int, help="only these numbers of hosts, and no page is written")
    sizes = parser.parse_args().sizes
    packages([Need("dnsperf", "dnsperf")])
    with LocalCluster(print) as cluster:
        cluster.apply(ROOT / "deploy.yml")
        cluster.register_haproxy()
        found = scenes(Site.on(cluster), sizes or SIZES)
    print(report.page(found) if sizes else report.write(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
