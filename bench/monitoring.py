"""Draws monitoring/dashboard.json with real data: a controller and HAProxy, while this and that happens to them, and a
Prometheus that scrapes both. `python -m bench.monitoring` writes docs/monitoring.svg in four minutes.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.cluster import TARGET_SERVER, LocalCluster
from tests.cluster.ingress import ProxyPorts, run_haproxy
from tests.cluster.install import locate
from tests.cluster.processes import EndingSignals, Processes, free_port, http_ok

ROOT = Path(__file__).parents[1]
DASHBOARD, PICTURE = ROOT / "monitoring" / "dashboard.json", ROOT / "docs" / "monitoring.svg"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
CONFIGMAP = "/api/v1/namespaces/kube-system/configmaps/coredns"
INTERVAL = "2"
RATE_INTERVAL = "15s"
"""What Grafana would make of $__rate_interval is four times the scrape interval, and at least fifteen seconds here."""

STEP = 2
COLUMN, ROW = 0.62, 0.34
"""Inches of the dashboard's grid."""

COLORS = {"green": "#2e8b57", "orange": "#e08000", "red": "#c02020"}


class Series(NamedTuple):
    """What one expression came to for one set of labels."""

    labels: Mapping[str, str]
    times: list[float]
    values: list[float]


@dataclass
class Story:
    """What happens to the controller, and when."""

    cluster: LocalCluster
    began: float = field(default_factory=time.time)
    events: list[tuple[float, str]] = field(default_factory=list)

    def tell(self) -> None:
        original = self.cluster.corefile()
        self._ingress("first", "a.example.com", "b.example.com", "kubernetes.default.svc")
        time.sleep(20)
        self._event("twenty hosts come")
        for number in range(20):
            self._ingress(f"web-{number}", f"host-{number}.example.com")
            time.sleep(1.5)
        time.sleep(10)
        self._event("the Corefile is put back, three times")
        for _ in range(3):
            with self.cluster.api() as api:
                api.merge_patch(CONFIGMAP, {"data": {"Corefile": original}})
            time.sleep(12)
        time.sleep(20)
        self._event("the API server is away")
        self.cluster.stop_api_server()
        time.sleep(35)
        self.cluster.start_api_server()
        self._event("it is back")
        time.sleep(25)
        self._event("half of the hosts go")
        for number in range(10):
            with self.cluster.api() as api:
                api.delete(f"{INGRESSES}/web-{number}")
        time.sleep(25)

    def _event(self, what: str) -> None:
        self.events.append((time.time() - self.began, what))
        print(f"{self.events[-1][0]:5.0f} s  {what}", flush=True)

    def _ingress(self, name: str, *hosts: str) -> None:
        spec = {"defaultBackend": {"service": {"name": "app", "port": {"number": 80}}}, "tls": [{"hosts": list(hosts)}]}
        metadata = {"name": name, "namespace": "default"}
        item = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
        with self.cluster.api() as api:
            api.create(INGRESSES, item)


class Prometheus:
    """One that scrapes some ports of loopback every second."""

    def __init__(self, processes: Processes, folder: Path, ports: Sequence[int]) -> None:
        self.port = free_port()
        targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        config = folder / "prometheus.yml"
        jobs = [{"job_name": "hairpin-proxy", "scrape_interval": "1s", "static_configs": targets}]
        config.write_text(json.dumps({"scrape_configs": jobs}))
        argv = [locate("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        process = processes.start("prometheus", [*argv, f"--web.listen-address=127.0.0.1:{self.port}"])
        process.wait_ready(lambda: http_ok("127.0.0.1", self.port, "/-/ready"))

    def series(self, expression: str, began: float, ended: float) -> list[Series]:
        query = {"query": expression, "start": began, "end": ended, "step": STEP}
        url = f"http://127.0.0.1:{self.port}/api/v1/query_range?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = json.load(answer)["data"]["result"]
        return [
            Series(
                each["metric"], [at - began for at, _ in each["values"]], [float(text) for _, text in each["values"]]
            )
            for each in found
        ]


@contextmanager
def traffic(address: str, port: int) -> Iterator[None]:
    """Some requests a second through HAProxy."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            http_ok(address, port, "/")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(folder: Path) -> None:
    with LocalCluster() as cluster:
        processes = Processes(folder)
        try:
            cluster.apply(ROOT / "deploy.yml")
            address = cluster.service_ip("hairpin-proxy", "hairpin-proxy")
            health, metrics = free_port(), free_port("0.0.0.0")
            run_haproxy(
                processes,
                ProxyPorts(address, cluster.http_port, cluster.https_port, cluster.dns, health),
                TARGET_SERVER,
            )
            cluster.register_haproxy()
            prometheus = Prometheus(processes, folder, [metrics, health])
            account = cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-controller-sa")
            argv = [sys.executable, "-m", "hairpin_proxy", "run", "--kubeconfig", str(account)]
            argv += ["--metrics-address", f"127.0.0.1:{metrics}", "--interval", INTERVAL, "--min-write-interval", "4"]
            processes.start("controller", argv).wait_ready(lambda: http_ok("127.0.0.1", metrics, "/readyz"))
            story = Story(cluster)
            with traffic(address, cluster.http_port):
                story.tell()
            draw(json.loads(DASHBOARD.read_text()), prometheus, story)
        finally:
            processes.close()


def draw(dashboard: dict[str, Any], prometheus: Prometheus, story: Story) -> None:
    """Each panel in its place."""
    import matplotlib as mpl  # noqa: PLC0415 - only `make bench` installs it, and it is slow to import
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    mpl.rcParams["font.size"] = 7
    panels, ended = dashboard["panels"], time.time()
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(24 * COLUMN, rows * ROW))
    for panel in panels:
        place = panel["gridPos"]
        left, bottom = (place["x"] + 0.9) / 24, 1 - (place["y"] + place["h"] - 1.3) / rows
        axes = figure.add_axes((left, bottom, (place["w"] - 1.3) / 24, (place["h"] - 2.4) / rows))
        axes.set_title(panel["title"], fontsize=8, loc="left")
        found = [
            (target["legendFormat"], series)
            for target in panel["targets"]
            for series in prometheus.series(
                target["expr"].replace("$__rate_interval", RATE_INTERVAL), story.began, ended
            )
        ]
        if panel["type"] == "stat":
            draw_stat(axes, panel, [series for _, series in found])
        else:
            draw_lines(axes, panel, found)
            for at, _ in story.events:
                axes.axvline(at, color="grey", linestyle=":", linewidth=0.6)
            axes.set_xlim(0, ended - story.began)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"{PICTURE} is drawn")


def draw_stat(axes: Any, panel: dict[str, Any], found: Sequence[Series]) -> None:
    axes.set_axis_off()
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0].values[-1] if found else 0.0
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    text = (
        f"{value:.1%}" if defaults["unit"] == "percentunit" else f"{value:.0f}{' s' if defaults['unit'] == 's' else ''}"
    )
    axes.text(0.5, 0.4, text, fontsize=20, ha="center", va="center", color=COLORS[steps[-1]["color"]])


def draw_lines(axes: Any, panel: dict[str, Any], found: Sequence[tuple[str, Series]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    scale = 1024**2 if defaults["unit"] == "bytes" else 1
    below: dict[float, float] | None = {} if "stacking" in defaults["custom"] else None
    for legend, series in found:
        label = worded(legend, series.labels)
        values = [value / scale for value in series.values]
        if below is None:
            axes.plot(series.times, values, linewidth=1, label=label)
            continue
        bottom = [below.get(at, 0.0) for at in series.times]
        top = [low + value for low, value in zip(bottom, values, strict=True)]
        axes.fill_between(series.times, bottom, top, alpha=0.6, linewidth=0, label=label)
        below |= dict(zip(series.times, top, strict=True))
    axes.set_ylim(bottom=0)
    axes.set_ylabel({"s": "seconds", "bytes": "MiB"}.get(defaults["unit"], ""))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.2)
    if found:
        axes.legend(fontsize=5.5, loc="upper left", framealpha=0.6)


def worded(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda word: labels.get(word[1], ""), legend)


def main() -> int:
    with EndingSignals(), tempfile.TemporaryDirectory(prefix="hairpin-proxy-monitoring-") as folder:
        run(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
