"""What the data plane costs: ours, beside nginx's stream module, a TCP relay in Go, and no proxy at all.

`python -m bench.dataplane` needs root. The proxy has one core, and the load, with the server that answers it, the other.
Each figure of a proxy is taken in turns with the others, for these machines are noisy, and the page has medians.
CPU is what the kernel's scheduler has given to the proxy's threads; memory is what its processes hold when N clients
have had an answer and keep their connections.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate
from tests.cluster.processes import Process, Processes, http_ok

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "benchmarks"
HAPROXY_CFG = ROOT / "haproxy" / "haproxy.cfg"
PROXY_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 50
SECONDS = 3
BULK_MIB, BULK_STREAMS = 256, 4
TARGET = "127.0.0.1"
PROXIED_PORT, DIRECT_PORT = 18080, 18081
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
"""Descriptors a process may have: two for each idle connection, and some."""


def pinned(core: str, argv: Sequence[str]) -> list[str]:
    return [locate("taskset"), "--cpu-list", core, *argv]


# ---- what stands in between


@dataclass(frozen=True)
class Proxy:
    """One of those that are compared. It listens on a port of its own, and its target tells it by an address."""

    name: str
    port: int
    start: Callable[[Processes, Path, Proxy, int], Process | None]
    """Starts it, ready for so many connections at once."""


def haproxy(binary: Sequence[str], config: Path = HAPROXY_CFG, **env: str) -> Callable[..., Process]:
    def start(processes: Processes, folder: Path, proxy: Proxy, connections: int) -> Process:
        environment = {
            "HTTP_BIND": f"127.0.0.1:{proxy.port}",
            "HTTPS_BIND": f"127.0.0.1:{proxy.port + 1000}",
            "HEALTH_BIND": f"127.0.0.1:{proxy.port + 2000}",
            "TARGET_SERVER": TARGET,
            "TARGET_HTTP_PORT": str(PROXIED_PORT),
            "MAXCONN": str(connections),
            **env,
        }
        argv = [*binary, "-db", "-f", str(config)]
        return processes.start(proxy.name.replace(" ", "-"), pinned(PROXY_CORE, argv), env=environment)

    return start


NGINX_STREAM = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr;
load_module {module};
events {{ worker_connections {connections}; }}
stream {{
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass {target}:{target_port};
        proxy_protocol on;
    }}
}}
"""


def nginx_stream(processes: Processes, folder: Path, proxy: Proxy, connections: int) -> Process:
    home = folder / f"stream-{proxy.port}"
    home.mkdir(exist_ok=True)
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    text = NGINX_STREAM.format(
        files=FILES, folder=home, module=module, connections=2 * connections + 100, port=proxy.port,
        target=TARGET, target_port=PROXIED_PORT,
    )
    return _nginx(processes, home, text, PROXY_CORE)


def _nginx(processes: Processes, home: Path, text: str, core: str) -> Process:
    (home / "nginx.conf").write_text(text)
    argv = [locate("nginx"), "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf")]
    return processes.start(f"nginx-{home.name}", pinned(core, argv))


def go_relay(binary: Path) -> Callable[..., Process]:
    def start(processes: Processes, folder: Path, proxy: Proxy, connections: int) -> Process:
        argv = [str(binary), f"127.0.0.1:{proxy.port}", f"{TARGET}:{PROXIED_PORT}"]
        return processes.start("go-relay", pinned(PROXY_CORE, argv))

    return start


TARGET_CONF = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    sendfile on;
    server {{
        listen {target}:{proxied} proxy_protocol backlog=4096;
        listen {target}:{direct} backlog=4096;
        root {folder};
        location = / {{ return 200 "hello from the ingress controller\\n"; }}
    }}
}}
"""


def start_target(processes: Processes, folder: Path) -> Process:
    home = folder / "target"
    home.mkdir()
    with (home / "bulk").open("wb") as bulk:
        for _ in range(BULK_MIB):
            bulk.write(os.urandom(1 << 20))
    text = TARGET_CONF.format(files=FILES, folder=home, target=TARGET, proxied=PROXIED_PORT, direct=DIRECT_PORT)
    home.chmod(0o755)
    folder.chmod(0o755)
    process = _nginx(processes, home, text, LOAD_CORE)
    process.wait_ready(lambda: http_ok(TARGET, DIRECT_PORT, "/"))
    return process


# ---- what is measured


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """That the scheduler has given to all threads."""
    stats = [task / "schedstat" for each in family(pid) for task in Path(f"/proc/{each}/task").iterdir()]
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def rss_mib(pid: int) -> float:
    kib = 0
    for each in family(pid):
        found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text(), re.MULTILINE)
        kib += int(found[1]) if found else 0
    return kib / 1024


@dataclass(frozen=True)
class Load:
    """What one run of a load came to."""

    count: float
    """Requests, or GiB."""
    p99_ms: float


def wrk(port: int, *options: str) -> Load:
    argv = [locate("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *options, f"http://{TARGET}:{port}/"]
    done = subprocess.run(pinned(LOAD_CORE, argv), capture_output=True, text=True, check=True)
    requests = re.search(r"(\d+) requests in", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", done.stdout)
    if not requests or not p99 or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    return Load(int(requests[1]), float(p99[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[p99[2]])


def keep_alive(port: int) -> Load:
    return wrk(port)


def new_connections(port: int) -> Load:
    return wrk(port, "-H", "Connection: close")


def bulk(port: int) -> Load:
    argv = [locate("curl"), "-s", "-S", "--no-progress-meter", "--fail", "--noproxy", "*", "--parallel"]
    argv += ["-o", "/dev/null", f"http://{TARGET}:{port}/bulk"] * BULK_STREAMS
    subprocess.run(pinned(LOAD_CORE, argv), check=True)
    return Load(BULK_MIB * BULK_STREAMS / 1024, 0)


@contextmanager
def idle(port: int, number: int) -> Iterator[None]:
    """So many clients that had an answer and keep their connections."""
    with ExitStack() as stack:
        for index in range(number):
            source = (f"127.0.1.{1 + index // 10_000}", 0)
            client = stack.enter_context(socket.create_connection((TARGET, port), 10, source))
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            if not client.recv(1000).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("no answer")
        yield


def explore() -> None:
    import json

    spec = json.loads(sys.argv[1])
    rounds = int(sys.argv[2])
    what = sys.argv[3].split(",")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(folder)
        try:
            start_target(processes, folder)
            proxies = {}
            running = {}
            for i, (label, v) in enumerate(spec.items()):
                port = 20000 + i
                if v == "nginx":
                    p = Proxy(label, port, nginx_stream)
                elif v == "go":
                    p = Proxy(label, port, go_relay(Path("/tmp/dp/relay")))
                else:
                    binary = v.pop("bin", ["haproxy"])
                    p = Proxy(label, port, haproxy(binary, Path(v.pop("cfg")), **v))
                proxies[label] = p
                running[label] = p.start(processes, folder, p, 4096)
                running[label].wait_ready(lambda: http_ok(TARGET, port, "/"))
            res = {l: {w: [] for w in what} for l in spec}
            loads = {"ka": keep_alive, "new": new_connections, "bulk": bulk}
            for r in range(rounds):
                for l, p in proxies.items():
                    for w in what:
                        if w == "idle":
                            if r == 0:
                                time.sleep(1)
                                with idle(p.port, 2000):
                                    time.sleep(1)
                                    res[l][w].append((rss_mib(running[l].pid), 0))
                                time.sleep(1)
                            continue
                        before = cpu_seconds(running[l].pid)
                        load = loads[w](p.port)
                        used = cpu_seconds(running[l].pid) - before
                        res[l][w].append((used / load.count * (1 if w == "bulk" else 1e6), load.p99_ms))
            for l in spec:
                print(f"{l:28s}", "  ".join(f"{w} {statistics.median(x[0] for x in res[l][w]):8.3f} [{min(x[0] for x in res[l][w]):.2f}] p99 {statistics.median(x[1] for x in res[l][w]):6.2f}" for w in what))
        finally:
            processes.close()


if __name__ == "__main__":
    explore()
