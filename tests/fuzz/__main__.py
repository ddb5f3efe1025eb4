"""`make fuzz`: tries the laws of render on as many Corefiles as asked, with the real CoreDNS as judge.

Ends with 1 if a law is broken, after it has shown the smallest Corefile for it that was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path

from tests.cluster.cluster import LocalCluster
from tests.cluster.processes import EndingSignals
from tests.fuzz.dns import Cluster
from tests.fuzz.run import Report, run, run_dns

DEPLOY = Path(__file__).parents[2] / "deploy.yml"
CHUNK = 500
DNS_CHUNK = 25


def main() -> int:
    with EndingSignals():
        return _fuzz(_options())


def _fuzz(options: argparse.Namespace) -> int:
    print(f"seed {options.seed}", flush=True)
    report = Report()
    start = time.monotonic()
    for part in _judged(options):
        report.add(part)
        _progress(f"{report.tried} of {options.cases} cases judged", start)
        if report.broken and options.until_broken:
            break
    if options.dns:
        with LocalCluster() as cluster:
            cluster.apply(DEPLOY)
            report.add(_compared(options, cluster))
    print(report.table())
    print(f"\nseed {options.seed}, {time.monotonic() - start:.0f} s")
    return 1 if report.broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=10_000, help="how many go through the judge of acceptance")
    parser.add_argument("--dns", type=int, default=100, help="how many also go through a started CoreDNS")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="which cases; another each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--until-broken", action="store_true", help="stop at the first broken law")
    return parser.parse_args()


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _judged(options: argparse.Namespace) -> Iterator[Report]:
    chunks = [range(first, min(first + CHUNK, options.cases)) for first in range(0, options.cases, CHUNK)]
    if options.jobs == 1:
        yield from (run(options.seed, chunk) for chunk in chunks)
        return
    with _pool(options.jobs) as pool:
        yield from pool.map(run, [options.seed] * len(chunks), chunks)


def _compared(options: argparse.Namespace, cluster: LocalCluster) -> Report:
    """Starts CoreDNS on the first cases of the seed that are accepted and have hosts, until there are enough."""
    known = Cluster(cluster.kubeconfig, cluster.service_ip("hairpin-proxy", "hairpin-proxy"))
    report = Report()
    start = time.monotonic()
    # A start is mostly waiting for the API server.
    with _pool(2 * options.jobs) as pool:
        running: set[Future[Report]] = set()
        for first in count(0, DNS_CHUNK):
            numbers = range(first, first + DNS_CHUNK)
            running.add(pool.submit(run_dns, options.seed, numbers, known))
            if len(running) < 2 * options.jobs:
                continue
            done, running = wait(running, return_when=FIRST_COMPLETED)
            _add_all(report, done)
            _progress(f"{report.compared} of {options.dns} cases compared by their DNS", start)
            if report.compared >= options.dns:
                break
        _add_all(report, running)
    return report


def _add_all(report: Report, done: Iterable[Future[Report]]) -> None:
    for future in done:
        report.add(future.result())


_shown = 0.0


def _progress(text: str, start: float) -> None:
    """Shows how far it is, four times a minute."""
    global _shown  # noqa: PLW0603
    if time.monotonic() - _shown > 15:
        _shown = time.monotonic()
        print(f"{text}, {_shown - start:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
