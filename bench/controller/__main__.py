"""`python -m bench.controller`: what the running controller costs with many Ingresses; docs/benchmarks/controller.md.

It runs as in the cluster, with the rights of deploy.yml and the default interval, and the kernel says what it took. The
same is measured of what a straightforward program does: list all Ingresses, unpaged and typed, once an interval.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import uniform

from bench.controller import report
from bench.controller.report import OURS, STRAIGHT, Figures, Idle, Row
from bench.kernel import Taken, bytes_read, cpu_seconds, peak_mib
from bench.poll import IMPORT, ingress, measured
from tests.cluster.cluster import LocalCluster
from tests.cluster.hostnames import hosts, under_four_domains
from tests.cluster.processes import Process

ROOT = Path(__file__).parents[2]
SIZES = (1_000, 10_000, 50_000)
HOSTS = hosts(10_000, under_four_domains)
"""Those that the Ingresses name between them, each at least once if there are enough."""
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
COREFILE = "/api/v1/namespaces/kube-system/configmaps/coredns"
CONNECTIONS = 4
SETTLE, WINDOW, REACTIONS = 10.0, 60.0, 5
PATIENCE = 120.0
COREDNS = ("--coredns-version", "1.14.7")
"""What it would see in a cluster by the image of CoreDNS's pods, which there are none of here."""
GAP = "--min-write-interval"
STRAIGHTFORWARD = """
import sys, time
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
while True:
    hosts = {
        host
        for ingress in client.NetworkingV1Api().list_ingress_for_all_namespaces().items
        for tls in ingress.spec.tls or []
        for host in tls.hosts or []
    }
    print("listed", flush=True)
    time.sleep(15)
"""


@dataclass(frozen=True)
class Site:
    """A cluster with the product's manifest, and what its Corefile was before."""

    cluster: LocalCluster
    account: Path
    corefile: str

    def version(self) -> str:
        with self.cluster.api() as api:
            return api.version(COREFILE)

    def without_rules(self) -> str:
        """Takes all rules out; returns the resourceVersion of that."""
        with self.cluster.api() as api:
            api.merge_patch(COREFILE, {"data": {"Corefile": self.corefile}})
            return api.version(COREFILE)

    def fill(self, first: int, last: int) -> None:
        """Creates Ingresses, on several connections."""

        def some(offset: int) -> None:
            with self.cluster.api() as api:
                for number in range(first + offset, last, CONNECTIONS):
                    api.create(INGRESSES, ingress(number, HOSTS[number % len(HOSTS)]))

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(some, range(CONNECTIONS)))

    def written_since(self, version: str) -> bool:
        """Waits for a write of the Corefile that is newer than this one, looking every few milliseconds."""
        deadline = time.monotonic() + PATIENCE
        with self.cluster.api() as api:
            while api.version(COREFILE) == version:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.01)
        return True


def known_flags(*flags: Sequence[str]) -> list[str]:
    """Those that the controller has, for an older one is measured as well."""
    argv = [sys.executable, "-m", "hairpin_proxy", "run", "--help"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [word for flag in flags if flag[0] in shown for word in flag]


def start_ours(site: Site, size: int) -> tuple[Process, Taken]:
    """Starts the controller; returns when it has written its first rules."""
    version = site.without_rules()
    argv = [sys.executable, "-m", "hairpin_proxy", "run", "--kubeconfig", str(site.account), *COREDNS]
    began = time.monotonic()
    process = site.cluster.start(f"ours-{size}", [*argv, *known_flags([GAP, "0"], ["--metrics-address", ""])])
    if not site.written_since(version):
        raise RuntimeError(process.tail())
    return process, Taken(time.monotonic() - began, cpu_seconds(process.pid))


def start_straightforward(site: Site, size: int) -> tuple[Process, Taken]:
    """Starts what it is compared with; returns when it has its first list."""
    began = time.monotonic()
    process = site.cluster.start(f"straightforward-{size}", [sys.executable, "-c", STRAIGHTFORWARD, str(site.account)])
    process.wait_ready(lambda: "listed" in process.tail(), PATIENCE)
    return process, Taken(time.monotonic() - began, cpu_seconds(process.pid))


def watched(processes: Sequence[Process]) -> list[Idle]:
    """What they take while nothing happens, in a minute."""
    before = [(cpu_seconds(each.pid), bytes_read(each.pid)) for each in processes]
    time.sleep(WINDOW)
    minutes = WINDOW / 60
    return [
        Idle((cpu_seconds(each.pid) - cpu) / minutes, (bytes_read(each.pid) - read) / minutes / 1e6)
        for each, (cpu, read) in zip(processes, before, strict=True)
    ]


def reaction(site: Site, ours: Process, number: int, pause: float) -> Taken:
    """From the request that creates an Ingress with a new host to the write of the Corefile."""
    time.sleep(uniform(pause, pause + 4))
    version = site.version()
    cpu = cpu_seconds(ours.pid)
    with site.cluster.api() as api:
        began = time.monotonic()
        api.create(INGRESSES, ingress(number, f"new-{number}.example.com"))
    if not site.written_since(version):
        raise RuntimeError("a new Ingress was not written")
    return Taken(time.monotonic() - began, cpu_seconds(ours.pid) - cpu)


def reactions(site: Site, ours: Process, size: int) -> tuple[Taken, ...]:
    # Each is to be a lone one: after a poll that took long the next one is not soon, and without the setting there are
    # 30 s between writes.
    pause = 12 if known_flags([GAP]) else 31
    numbers = range(1_000_000 + size, 1_000_000 + size + REACTIONS)
    taken = tuple(reaction(site, ours, number, pause) for number in numbers)
    with site.cluster.api() as api:
        for number in numbers:
            api.delete(f"{INGRESSES}/app-{number}")
    return taken


def measure(site: Site, size: int) -> list[Row]:
    ours, start = start_ours(site, size)
    time.sleep(SETTLE)
    other, others_start = start_straightforward(site, size)
    idle, others_idle = watched([ours, other])
    others_peak = peak_mib(other.pid)
    other.stop()
    taken = reactions(site, ours, size)
    peak = peak_mib(ours.pid)
    ours.stop()
    return [
        Row(size, OURS, Figures(start, idle, peak, taken)),
        Row(size, STRAIGHT, Figures(others_start, others_idle, others_peak)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.controller")
    parser.add_argument("sizes", nargs="*", type=int, help="only these numbers of Ingresses, and no page is written")
    sizes = parser.parse_args().sizes
    alone = measured([sys.executable, "-c", IMPORT])
    rows: list[Row] = []
    there = 0
    with LocalCluster(print) as cluster:
        cluster.apply(ROOT / "deploy.yml")
        cluster.register_haproxy()
        account = cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-controller-sa")
        site = Site(cluster, account, cluster.corefile())
        for size in sizes or SIZES:
            began = time.monotonic()
            site.fill(there, size)
            print(f"{size:,} Ingresses are there after {time.monotonic() - began:.0f} s", flush=True)
            there = size
            rows += measure(site, size)
            print("\n".join(report.table(rows[-2:])), flush=True)
    print(report.page(rows, alone) if sizes else report.write(rows, alone))
    return 0


if __name__ == "__main__":
    sys.exit(main())
