"""What a poll costs: CPU and peak memory of `hairpin-proxy run --once` at up to 10,000 Ingresses or HTTPRoutes.

Every figure is that of a whole process, by the kernel's own account, beside two others in the same run: one that only
imports the Kubernetes client, and one that lists the objects as most tools do, unpaged and, of Ingresses, typed. The
polls are taken in turns, for these machines are noisy; the table has medians, and ratios to the import alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.cluster import LocalCluster

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "benchmarks"
SIZES = (100, 1_000, 10_000)
HOSTS = 1_000
"""Distinct hosts that the objects name between them, at the most."""
ROUNDS = 5
LIMIT_MIB = 100
PLURALS = {"Ingress": "Ingresses", "HTTPRoute": "HTTPRoutes"}

IMPORT = "from kubernetes import client, config"
UNPAGED = """
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
routes = client.CustomObjectsApi().list_cluster_custom_object("gateway.networking.k8s.io", "v1", "httproutes")
hosts = {host for route in routes["items"] for host in route["spec"].get("hostnames") or []}
"""
TYPED = """
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
hosts = {
    host
    for ingress in client.NetworkingV1Api().list_ingress_for_all_namespaces().items
    for tls in ingress.spec.tls or []
    for host in tls.hosts or []
}
"""


@dataclass(frozen=True)
class Cost:
    """Of one process, from its start to its end."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Row:
    """Medians of one command at one number of objects."""

    kind: str
    objects: int
    name: str
    cost: Cost


def measured(argv: Sequence[str]) -> Cost:
    """Runs a command and asks the kernel what it took. Raises if it fails."""
    started = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}: {said.decode()}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu_seconds for cost in costs),
        statistics.median(cost.wall_seconds for cost in costs),
        statistics.median(cost.peak_mib for cost in costs),
    )


def fill(cluster: LocalCluster, kind: str, first: int, last: int) -> None:
    """Creates objects of an ordinary size, about 1.5 KB each as the API server sends them."""
    make = {"Ingress": ingress, "HTTPRoute": http_route}[kind]
    group = {"Ingress": "networking.k8s.io", "HTTPRoute": "gateway.networking.k8s.io"}[kind]
    plural = "ingresses" if kind == "Ingress" else "httproutes"
    with cluster.api() as api:
        for number in range(first, last):
            api.create(f"/apis/{group}/v1/namespaces/default/{plural}", make(number))


def host_of(number: int) -> str:
    return f"host-{number % HOSTS:04d}.example.com"


def ingress(number: int, host: str = "") -> dict[str, Any]:
    """One with this host, or with one that it shares with others."""
    host = host or host_of(number)
    service = {"service": {"name": f"app-{number}", "port": {"number": 80}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": service} for path in ("/", "/api", "/static")]
    annotations = {
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
        "nginx.ingress.kubernetes.io/configuration-snippet": "more_set_headers 'X-Frame-Options: DENY';\n" * 6,
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"app-{number}", "namespace": "default", "annotations": annotations},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": f"app-{number}-tls"}],
            "rules": [{"host": host, "http": {"paths": paths}}],
        },
    }


GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "public", "namespace": "default"},
    "spec": {
        "gatewayClassName": "nginx",
        "listeners": [
            {"name": "web", "port": 80, "protocol": "HTTP"},
            {"name": "other", "port": 8080, "protocol": "HTTP"},
        ],
    },
}


def http_route(number: int) -> dict[str, Any]:
    backends = [{"name": f"app-{number}", "port": 80}]
    rules = [
        {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": backends}
        for path in ("/", "/api", "/static")
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"app-{number}", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": [host_of(number)], "rules": rules},
    }


def commands(cluster: LocalCluster, kind: str) -> dict[str, list[str]]:
    account = str(cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-controller-sa"))
    poll = [sys.executable, "-m", "hairpin_proxy", "run", "--once", "--kubeconfig", account]
    others = {
        "Ingress": {"typed and unpaged list": [sys.executable, "-c", TYPED, account]},
        "HTTPRoute": {"unpaged list": [sys.executable, "-c", UNPAGED, account]},
    }
    return {
        "the client's import alone": [sys.executable, "-c", IMPORT],
        "hairpin-proxy, one poll": [*poll, "--source", "gateway" if kind == "HTTPRoute" else "ingress"],
        **others[kind],
    }


def rows(cluster: LocalCluster, kind: str) -> Iterator[Row]:
    there = 0
    for size in SIZES:
        fill(cluster, kind, there, size)
        there = size
        everyone = commands(cluster, kind)
        taken: dict[str, list[Cost]] = {name: [] for name in everyone}
        for turn in range(ROUNDS + 1):
            for name, argv in everyone.items():
                cost = measured(argv)
                if turn:  # the first turn writes the Corefile, and warms up
                    taken[name].append(cost)
        for name, costs in taken.items():
            yield Row(kind, size, name, median(costs))


def table(measurements: Sequence[Row]) -> str:
    lines = [
        "| objects | command | peak memory, MiB | ratio | CPU, s | ratio | wall, s |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in measurements:
        base = next(each.cost for each in measurements if (each.kind, each.objects) == (row.kind, row.objects))
        cost = row.cost
        lines.append(
            f"| {row.objects:,} {PLURALS[row.kind]} | {row.name} | {cost.peak_mib:.0f} "
            f"| {cost.peak_mib / base.peak_mib:.2f} | {cost.cpu_seconds:.2f} "
            f"| {cost.cpu_seconds / base.cpu_seconds:.2f} | {cost.wall_seconds:.2f} |"
        )
    return "\n".join(lines)


def plot(measurements: Sequence[Row], path: Path) -> None:
    # Not before all is measured: to the kernel, a process's peak memory begins with that of the one that started it.
    import matplotlib as mpl  # noqa: PLC0415
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    figure, grid = plt.subplots(2, 2, figsize=(9, 6.8), layout="constrained")
    for (memory, cpu), kind in zip(grid, PLURALS, strict=True):
        rows_of_kind = [row for row in measurements if row.kind == kind]
        for name in dict.fromkeys(row.name for row in rows_of_kind):
            mine = [row for row in rows_of_kind if row.name == name]
            sizes = [row.objects for row in mine]
            memory.plot(sizes, [row.cost.peak_mib for row in mine], marker="o", label=name)
            cpu.plot(sizes, [row.cost.cpu_seconds for row in mine], marker="o", label=name)
        memory.axhline(LIMIT_MIB, color="grey", linestyle=":", linewidth=1)
        for axes, title in ((memory, "peak memory, MiB"), (cpu, "CPU seconds")):
            axes.set(xscale="log", xlabel=PLURALS[kind], title=title, ylim=(0, None))
        memory.legend(fontsize="small", loc="upper left")
    figure.savefig(path, metadata={"Date": None})


REPORT_TEXT = """\
# What a poll costs

`make bench ONLY=poll` measures all of this anew and writes this page. Absolute figures are those of one machine on one
day; the ratios, to what stands first in the same run, travel.

One poll (`hairpin-proxy run --once`) as a whole process, on the real API server, when up to {hosts:,} hosts stand in
the Corefile and nothing has changed. Medians of {rounds} turns. The list below it, unpaged and of Ingresses typed, is
what a straightforward program on the same client does.

{table}

![peak memory and CPU of one poll](poll.svg)

Peak memory at {largest:,} objects is {peak} MiB; the aim is below {limit} MiB, and `deploy.yml` allows 256 MiB.

Measured with Python {python} on {cpus} CPUs.
"""


def report(measurements: Sequence[Row]) -> str:
    ours = [row for row in measurements if row.name.startswith("hairpin-proxy") and row.objects == SIZES[-1]]
    return REPORT_TEXT.format(
        hosts=HOSTS,
        rounds=ROUNDS,
        table=table(measurements),
        largest=SIZES[-1],
        peak=" and ".join(f"{row.cost.peak_mib:.0f}" for row in ours),
        limit=LIMIT_MIB,
        python=".".join(map(str, sys.version_info[:2])),
        cpus=os.cpu_count(),
    )


def main() -> int:
    REPORT.mkdir(parents=True, exist_ok=True)
    with LocalCluster(print) as cluster:
        cluster.apply(ROOT / "deploy.yml")
        cluster.register_haproxy()
        cluster.install_gateway_api()
        with cluster.api() as api:
            api.create("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways", GATEWAY)
        measurements: list[Row] = []
        corefile = {"data": {"Corefile": cluster.corefile()}}
        for kind in PLURALS:
            with cluster.api() as api:  # without the rules for the kind before, which a poll would not take out at once
                api.merge_patch("/api/v1/namespaces/kube-system/configmaps/coredns", corefile)
            measurements += rows(cluster, kind)
    plot(measurements, REPORT / "poll.svg")
    text = report(measurements)
    (REPORT / "poll.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
