"""What is compared: our HAProxy of two versions, nginx's stream module, a TCP relay in Go; and the server behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import Need, cache_folder, go, locate, locked, packages
from tests.cluster.processes import Process, Processes, http_ok

PROXY_CORE, LOAD_CORE = "0", "1"
HAPROXY = Path(__file__).parents[2] / "haproxy"
RELAY = Path(__file__).parent / "relay"
TRIXIE = cache_folder() / "trixie-haproxy"
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
NEEDS = (
    Need("wrk", "wrk"),
    Need("taskset", "util-linux"),
    Need("ip", "iproute2"),
    Need("unshare", "util-linux"),
    Need("debootstrap", "debootstrap"),
    Need("nginx's stream module", "libnginx-mod-stream", STREAM_MODULE.exists),
)
PROXIED_PORT, DIRECT_PORT = 18080, 18081
BULK_MIB = 256


def prepare() -> None:
    """Gets everything from outside that the measurement needs, which then goes without a network."""
    packages(NEEDS)
    with locked("trixie"):
        if not TRIXIE.exists():
            print("making a small Debian trixie for its HAProxy; takes a minute or two", flush=True)
            fresh = TRIXIE.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            argv = [locate("debootstrap"), "--variant=minbase", "--include=haproxy", "trixie", str(fresh)]
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            fresh.rename(TRIXIE)


def pinned(core: str, argv: Sequence[str]) -> list[str]:
    return [locate("taskset"), "--cpu-list", core, *argv]


@dataclass(frozen=True)
class Site:
    """Where one of the compared listens and finds the server, and for how many connections it has to be ready."""

    processes: Processes
    folder: Path
    address: str
    target: str
    connections: int

    @property
    def port(self) -> int:
        return 20080


Start = Callable[[Site], Process]


@dataclass(frozen=True)
class Contender:
    name: str
    start: Start
    files: int = 2
    """Open files for each client: its two sockets, and what it copies through."""

    def started(self, site: Site) -> Process:
        """Returns when it answers."""
        process = self.start(site)
        process.wait_ready(lambda: http_ok(site.address, site.port, "/"))
        return process


def contenders(folder: Path) -> list[Contender]:
    """All of them; the folder is for what has to be built."""
    shutil.copytree(HAPROXY, TRIXIE / "hairpin-proxy", dirs_exist_ok=True)
    in_trixie = [locate("chroot"), str(TRIXIE)]
    return [
        Contender("ours, HAProxy 2.6", haproxy([str(HAPROXY / "entrypoint.sh")])),
        Contender("ours, HAProxy 3.0", haproxy([*in_trixie, "/hairpin-proxy/entrypoint.sh"])),
        Contender("nginx stream", nginx_stream),
        Contender("Go relay", go_relay(folder), files=6),
    ]


def version(argv: Sequence[str]) -> str:
    """The first line of what a program says of its version."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0]


def versions() -> list[str]:
    return [
        version([locate("haproxy"), "-v"]),
        version([locate("chroot"), str(TRIXIE), "haproxy", "-v"]),
        version([locate("nginx"), "-v"]),
        version([str(go()), "version"]),
    ]


def haproxy(argv: Sequence[str]) -> Start:
    def start(site: Site) -> Process:
        environment = {
            "HTTP_BIND": f"{site.address}:{site.port}",
            "HTTPS_BIND": f"{site.address}:20443",
            "HEALTH_BIND": f"{site.address}:20404",
            "TARGET_SERVER": site.target,
            "TARGET_HTTP_PORT": str(PROXIED_PORT),
            "MAXCONN": str(site.connections),
        }
        return site.processes.start(f"haproxy-{site.address}", pinned(PROXY_CORE, argv), env=environment)

    return start


STREAM_CONF = """\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr;
load_module {module};
events {{ worker_connections {connections}; }}
stream {{
    server {{
        listen {site.address}:{site.port} backlog=4096;
        proxy_pass {site.target}:{target_port};
        proxy_protocol on;
    }}
}}
"""


def nginx_stream(site: Site) -> Process:
    home = site.folder / f"nginx-{site.address}"
    home.mkdir(exist_ok=True)
    connections = 2 * site.connections + 20
    text = STREAM_CONF.format(
        home=home, module=STREAM_MODULE, connections=connections, site=site, target_port=PROXIED_PORT
    )
    return _nginx(site.processes, home, text, PROXY_CORE)


def _nginx(processes: Processes, home: Path, text: str, core: str) -> Process:
    conf = home / "nginx.conf"
    conf.write_text(text)
    argv = [locate("nginx"), "-p", str(home), "-e", "stderr", "-c", str(conf)]
    return processes.start(home.name, pinned(core, argv))


def go_relay(folder: Path) -> Start:
    binary = folder / "relay"
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    argv = [str(go()), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(binary), "."]
    subprocess.run(argv, cwd=RELAY, env=env, check=True)

    def start(site: Site) -> Process:
        argv = [str(binary), f"{site.address}:{site.port}", f"{site.target}:{PROXIED_PORT}"]
        return site.processes.start(f"relay-{site.address}", pinned(PROXY_CORE, argv))

    return start


TARGET_CONF = """\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    sendfile on;
    server {{
        listen {proxied} proxy_protocol backlog=4096;
        listen {direct} backlog=4096;
        root {home};
        location = / {{ return 200 "hello from the ingress controller\\n"; }}
    }}
}}
"""


def start_target(processes: Processes, folder: Path, connections: int) -> Process:
    """The server behind all of them, on every address: small answers, and a large file."""
    home = folder / "target"
    home.mkdir()
    for path in (folder, home):
        path.chmod(0o755)
    (home / "bulk").write_bytes(os.urandom(1 << 20) * BULK_MIB)
    text = TARGET_CONF.format(home=home, connections=connections + 100, proxied=PROXIED_PORT, direct=DIRECT_PORT)
    process = _nginx(processes, home, text, LOAD_CORE)
    process.wait_ready(lambda: http_ok("127.0.0.1", DIRECT_PORT, "/"))
    return process
