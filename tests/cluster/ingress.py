"""The ingress controller, a real nginx that demands the PROXY header, and the HAProxy that is to speak it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate
from tests.cluster.processes import (
    Process,
    Processes,
    clean_environment,
    free_port,
    http_ok,
)

ENTRYPOINT = Path(__file__).parents[2] / "haproxy" / "entrypoint.sh"
NGINX_CONF = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{
    worker_connections 1024;
}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    server {{
        listen {ingress.address}:{ingress.http_port} proxy_protocol;
        listen {ingress.address}:{ingress.https_port} ssl proxy_protocol;
        ssl_certificate {folder}/tls.crt;
        ssl_certificate_key {folder}/tls.key;
        location / {{
            return 200 "hello from the ingress controller\\nhost: $host\\nclient: $proxy_protocol_addr\\n";
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Ingress:
    """Where the ingress controller listens; 80 and 443 would need root, so the ports are others."""

    address: str
    http_port: int
    https_port: int


def start_nginx(processes: Processes, folder: Path, address: str) -> Ingress:
    """Starts the ingress controller on two ports of that address that are free on all others too."""
    ingress = Ingress(address, free_port("0.0.0.0"), free_port("0.0.0.0"))
    start_nginx_on(processes, folder / "nginx", ingress)
    return ingress


def start_nginx_on(processes: Processes, home: Path, ingress: Ingress, conf: str = NGINX_CONF) -> Process:
    """Starts an nginx in a folder of its own; returns when it has its ports."""
    home.mkdir(exist_ok=True)
    _write_certificate(home)
    path = home / "nginx.conf"
    path.write_text(conf.format(folder=home, ingress=ingress))
    process = processes.start(home.name, [locate("nginx"), "-p", str(home), "-e", "stderr", "-c", str(path)])
    # It writes this file once it has its ports; to connect could mean to reach somebody else.
    process.wait_ready((home / "nginx.pid").exists)
    return process


def _write_certificate(home: Path) -> None:
    argv = [
        locate("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    argv += ["-days", "2", "-subj", "/CN=ingress-nginx-controller", "-keyout", str(home / "tls.key")]
    argv += ["-out", str(home / "tls.crt")]
    subprocess.run(argv, env=clean_environment(home), capture_output=True, check=True)


@dataclass(frozen=True)
class ProxyPorts:
    """What HAProxy binds, and by which DNS server it finds its target."""

    address: str
    http_port: int
    https_port: int
    resolver: str
    health_port: int

    def environment(self, target: str) -> Mapping[str, str]:
        return {
            "HTTP_BIND": f"{self.address}:{self.http_port}",
            "HTTPS_BIND": f"{self.address}:{self.https_port}",
            "HEALTH_BIND": f"127.0.0.1:{self.health_port}",
            "TARGET_SERVER": target,
            "TARGET_HTTP_PORT": str(self.http_port),
            "TARGET_HTTPS_PORT": str(self.https_port),
            "RESOLVER": self.resolver,
        }


def run_haproxy(processes: Processes, ports: ProxyPorts, target: str) -> Process:
    """Starts HAProxy as its image does; returns when it is healthy."""
    process = processes.start("haproxy", [str(ENTRYPOINT)], env=ports.environment(target))
    process.wait_ready(lambda: http_ok("127.0.0.1", ports.health_port, "/healthz"))
    return process
