"""How long a new Ingress takes until every CoreDNS answers its host rightly, with deploy-nudge-coredns.yml and without.

`python -m bench.propagation` on a whole node, which needs root. Each run applies an Ingress with a new host, and splits
the time by what it waits for:

- poll: until the rule is in the ConfigMap;
- kubelet: until the file has it that each CoreDNS pod mounts;
- reload: until each CoreDNS pod gives the right answer, and no other any more, to a pod that asks all the time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.node.node import Node

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "benchmarks"
NUDGE = ROOT / "deploy-nudge-coredns.yml"
NAMESPACE = "hairpin-proxy"
CONTROLLER = "hairpin-proxy-controller"
ASKER = "asker"
PARTS = ("poll", "kubelet", "reload")
AIM = 40
"""Seconds that the median shall stay below with the nudge."""
LIMIT = 300
"""Seconds after which a run is given up."""
SETTLED = 5
"""Seconds in which no wrong answer may follow the right ones."""
LONGEST_INTERVAL = {"without": 90, "with": 45}
"""Seconds between what a run waits for, without the nudge and with it: kubelet's sync, and CoreDNS's reload."""

# Asks each pod in turn, some times a second, and notes when the answer came; a pod of its own, so that it ends with it.
ASK = """\
host=$1; shift
while sleep 0.2; do
  for pod; do
    answer=$(dig +short +time=1 +tries=1 "@$pod" "$host" A)
    echo "$(date +%s.%N) $pod $answer"
  done
done
"""


@dataclass(frozen=True)
class Run:
    """Seconds of one Ingress, by what they were spent on."""

    poll: float
    kubelet: float
    reload: float

    @property
    def total(self) -> float:
        return self.poll + self.kubelet + self.reload


class Bench:
    """A node with the product on it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hosts = 0
        service = json.loads(node.kubectl("-n", NAMESPACE, "get", "service", "hairpin-proxy", "-o", "json"))
        self._right = service["spec"]["clusterIP"]

    def switch_nudge_on(self) -> None:
        """As the manifest's header says."""
        self._node.apply(NUDGE)
        self._node.kubectl("-n", NAMESPACE, "set", "env", f"deployment/{CONTROLLER}", "NUDGE_COREDNS=true")
        self._node.wait_rolled_out(NAMESPACE, CONTROLLER)

    def run(self, pause: float) -> Run:
        """One new host, after a random pause of up to so many seconds: no interval shall know of the run before."""
        self._hosts += 1
        host = f"app-{self._hosts}.example.com"
        pods = self._coredns()
        self._start_asking(host, [pod["status"]["podIP"] for pod in pods])
        time.sleep(random.uniform(0, pause))
        start = time.time()
        self._node.apply(json.dumps(ingress(host)))
        written = when(lambda: f" {host} " in self._node.corefile())
        mounted = when(lambda: self._mounted(host) == len(pods))
        answered = self._answered(len(pods))
        self._node.kubectl("delete", "pod", ASKER, "--now")
        return Run(written - start, mounted - written, answered - mounted)

    def _coredns(self) -> list[dict[str, Any]]:
        listed = self._node.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json")
        pods: list[dict[str, Any]] = json.loads(listed)["items"]
        return pods

    def _start_asking(self, host: str, addresses: Sequence[str]) -> None:
        run = ["run", ASKER, "--image=hairpin-proxy-e2e:1", "--restart=Never", "--command", "--"]
        self._node.kubectl(*run, "sh", "-c", ASK, "sh", host, *addresses)
        self._node.kubectl("wait", "--for=condition=Ready", f"pod/{ASKER}", "--timeout=60s")

    def _mounted(self, host: str) -> int:
        """How many pods' Corefiles name the host."""
        files = "/var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/config-volume/Corefile"
        return int(self._node.run_on_node(["sh", "-c", f"grep -ls ' {host} ' {files} | wc -l"]).stdout)

    def _answered(self, pods: int) -> float:
        """When the first right answers of all pods were there that no wrong one followed."""
        deadline = time.time() + LIMIT
        while time.time() < deadline:
            answers = [line.split() for line in self._node.kubectl("logs", ASKER).splitlines()]
            since = right_since(answers, self._right, pods)
            if since is not None and float(answers[-1][0]) - since > SETTLED:
                return since
            time.sleep(0.5)
        raise TimeoutError(f"CoreDNS does not answer as it should after {LIMIT} seconds")


def right_since(answers: Sequence[Sequence[str]], right: str, pods: int) -> float | None:
    """When the last of these pods began to give the right answer only; None as long as one does not."""
    since: dict[str, float | None] = {}
    for moment, pod, *answer in answers:
        if answer != [right]:
            since[pod] = None
        elif since.get(pod) is None:
            since[pod] = float(moment)
    moments = [moment for moment in since.values() if moment is not None]
    return max(moments) if len(moments) == pods else None


def when(seen: Callable[[], bool]) -> float:
    """The time at which it was seen first."""
    deadline = time.time() + LIMIT
    while not seen():
        if time.time() > deadline:
            raise TimeoutError(f"it was not to be seen in {LIMIT} seconds")
        time.sleep(0.1)
    return time.time()


def ingress(host: str) -> dict[str, Any]:
    service = {"service": {"name": "my-app", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": service}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": host, "namespace": "default"},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": [host], "secretName": "my-app-tls"}],
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    }


def table(results: dict[str, list[Run]]) -> str:
    lines = ["| nudge | runs | part | median, s | shortest, s | longest, s |", "|---|---:|---|---:|---:|---:|"]
    for name, runs in results.items():
        for part in (*PARTS, "total"):
            seconds = [getattr(run, part) for run in runs]
            figures = (statistics.median(seconds), min(seconds), max(seconds))
            cells = " | ".join(f"**{figure:.1f}**" if part == "total" else f"{figure:.1f}" for figure in figures)
            lines.append(f"| {name} | {len(runs)} | {part} | {cells} |")
    return "\n".join(lines)


def plot(results: dict[str, list[Run]], path: Path) -> None:
    """One bar a run, the shortest at the bottom."""
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` installs it, and it is slow to import
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    figure, everyone = plt.subplots(1, len(results), figsize=(9, 3.6), layout="constrained", sharex=True, squeeze=False)
    for axes, (name, runs) in zip(everyone[0], results.items(), strict=True):
        ordered = sorted(runs, key=lambda run: run.total)
        left = [0.0] * len(ordered)
        for part in PARTS:
            widths = [getattr(run, part) for run in ordered]
            axes.barh(range(len(ordered)), widths, left=left, label=part)
            left = [before + width for before, width in zip(left, widths, strict=True)]
        axes.axvline(AIM, color="grey", linestyle=":", linewidth=1)
        axes.set(title=f"{name} the nudge", xlabel="seconds", yticks=[])
    everyone[0][-1].legend(fontsize="small", loc="lower right")
    figure.savefig(path, metadata={"Date": None})


REPORT_TEXT = """\
# How long a new Ingress takes

Seconds from `kubectl apply` of an Ingress with a new host until each of the two CoreDNS pods gives a pod the right
answer, and no other any more. "Nudge" is the optional `deploy-nudge-coredns.yml`.

{table}

![the runs, each split into poll, kubelet and reload](propagation.svg)

Nearly all of it is waiting for intervals that somebody chose, so these seconds hold where these settings do:

- poll: the controller sees it at once, and writes at the soonest 30 seconds after its last write
  (`MIN_WRITE_INTERVAL`).
- kubelet: it reads a pod's ConfigMaps anew every 60 to 90 seconds (`syncFrequency`, 1m by default, jittered), or at
  once when the pod changes, which the nudge makes it do.
- reload: each CoreDNS looks at its file every 30 seconds, jittered (its `reload` plugin); the later of the two counts.
  It is less without the nudge: kubelet comes to one pod first, which often has reloaded when it comes to the other.

The aim, the dotted line, is a median below {aim} s with the nudge. It is {median}: {verdict}.

How to repeat it: `make e2e-long` as root, or `.venv/bin/python -m bench.propagation --without 8 --with 20` for other
numbers of runs; 20 and 20 take about an hour. Each run first waits for a random part of the longest of these intervals,
so that it does not begin in step with one that the run before has started.
"""


def report(results: dict[str, list[Run]]) -> str:
    nudged = [run.total for run in results.get("with", [])]
    median = statistics.median(nudged) if nudged else None
    return REPORT_TEXT.format(
        table=table(results),
        aim=AIM,
        median="not measured" if median is None else f"{median:.1f} s",
        verdict="met" if median is not None and median < AIM else "not met",
    )


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.propagation", description="Writes docs/benchmarks/propagation.md."
    )
    for name in LONGEST_INTERVAL:
        parser.add_argument(f"--{name}", type=int, default=20, metavar="RUNS", help=f"runs {name} the nudge (20)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    runs = vars(arguments(argv))
    results: dict[str, list[Run]] = {}
    with Node(print) as node:
        node.start_ingress_controller()
        node.apply(ROOT / "deploy.yml")
        for name in ("hairpin-proxy-haproxy", CONTROLLER):
            node.wait_rolled_out(NAMESPACE, name)
        bench = Bench(node)
        for name, pause in LONGEST_INTERVAL.items():
            if name == "with":
                bench.switch_nudge_on()
            for number in range(runs[name]):
                run = bench.run(pause)
                results.setdefault(name, []).append(run)
                print(f"{name} the nudge, {number + 1}: {run}, in all {run.total:.1f} s", flush=True)
    plot(results, REPORT / "propagation.svg")
    text = report(results)
    (REPORT / "propagation.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
