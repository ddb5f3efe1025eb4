"""A small ingress controller on nginx, behind a load balancer that speaks the PROXY protocol.

Every second it asks the API server what there is, and reloads nginx when that changes its configuration.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

NGINX_CONF = """\
daemon off;
pid {listen.folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 1024;
}}
http {{
    access_log /dev/stdout;
    client_body_temp_path {listen.folder}/body;
    proxy_temp_path {listen.folder}/proxy;
    fastcgi_temp_path {listen.folder}/fastcgi;
    uwsgi_temp_path {listen.folder}/uwsgi;
    scgi_temp_path {listen.folder}/scgi;
    default_type text/plain;
    client_max_body_size 0;
    server_names_hash_bucket_size 256;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $proxy_protocol_addr;
    proxy_set_header X-Forwarded-For $proxy_protocol_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    add_header X-Client-Address $proxy_protocol_addr always;
    server {{
        listen {listen.health_port};
        location = /healthz {{
            return 200 "ok";
        }}
    }}
{servers}}}
"""

SERVER = """\
    server {{
{listens}        server_name {host};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
{locations}    }}
"""

Name = tuple[str, str]
"""An object's namespace and name."""


@dataclass(frozen=True)
class Listen:
    """Where nginx listens, and keeps its files."""

    folder: Path
    addresses: Sequence[str]
    http_port: int
    https_port: int
    health_port: str

    @property
    def default_certificate(self) -> Path:
        return self.folder / "default.pem"

    def directives(self, option: str = "") -> str:
        lines = (
            f"        listen {address}:{port}{tls} proxy_protocol{option};\n"
            for address in self.addresses
            for port, tls in ((self.http_port, ""), (self.https_port, " ssl"))
        )
        return "".join(lines)


# ---- from the cluster's objects to nginx's text: pure


def nginx_conf(
    listen: Listen, ingresses: Iterable[Any], services: Iterable[Any], certificates: Mapping[Name, Path]
) -> str:
    """The whole configuration: one server for each host, all Ingresses of that host merged, the oldest one first."""
    ours = [ingress for ingress in ingresses if ingress["spec"].get("ingressClassName", "nginx") == "nginx"]
    ours.sort(key=lambda ingress: (ingress["metadata"]["creationTimestamp"], _name(ingress)))
    by_name = {_name(service): service["spec"] for service in services}
    servers = [_default_server(listen)]
    for host in sorted({rule["host"] for ingress in ours for rule in _rules(ingress)}):
        certificate = next(_certificates_of(host, ours, certificates), listen.default_certificate)
        servers.append(
            SERVER.format(
                listens=listen.directives(),
                host=host,
                certificate=certificate,
                locations=_locations(host, ours, by_name),
            )
        )
    return NGINX_CONF.format(listen=listen, servers="".join(servers))


def _name(item: Any) -> Name:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _rules(ingress: Any) -> list[Any]:
    return [rule for rule in ingress["spec"].get("rules", ()) if "host" in rule and "http" in rule]


def _default_server(listen: Listen) -> str:
    locations = '        location / {\n            return 404 "default backend";\n        }\n'
    return SERVER.format(
        listens=listen.directives(" default_server"),
        host="_",
        certificate=listen.default_certificate,
        locations=locations,
    )


def _certificates_of(host: str, ingresses: Iterable[Any], certificates: Mapping[Name, Path]) -> Iterator[Path]:
    for ingress in ingresses:
        for tls in ingress["spec"].get("tls", ()):
            name = ingress["metadata"]["namespace"], tls.get("secretName", "")
            if host in tls.get("hosts", ()) and name in certificates:
                yield certificates[name]


def _locations(host: str, ingresses: Iterable[Any], services: Mapping[Name, Any]) -> str:
    found: dict[str, str] = {}
    for path, namespace, backend in _paths(host, ingresses):
        for match in _matches(path):
            found.setdefault(match, _answer(namespace, backend, services))
    return "".join(
        f"        location {match} {{\n            {answer}\n        }}\n" for match, answer in found.items()
    )


def _paths(host: str, ingresses: Iterable[Any]) -> list[tuple[Any, str, Any]]:
    """What Exact paths say counts before Prefix, and a longer path before a shorter one."""
    paths = [
        (path, ingress["metadata"]["namespace"], path["backend"])
        for ingress in ingresses
        for rule in _rules(ingress)
        if rule["host"] == host
        for path in rule["http"]["paths"]
    ]
    return sorted(paths, key=lambda found: (found[0]["pathType"] != "Exact", -len(found[0].get("path", "/"))))


def _matches(path: Any) -> list[str]:
    """/a as a prefix is /a and all below /a/, not /ab."""
    text = path.get("path", "/")
    if path["pathType"] == "Exact":
        return [f'= "{text}"']
    stem = text.rstrip("/")
    return [f'= "{stem}"', f'"{stem}/"'] if stem else ['"/"']


def _answer(namespace: str, backend: Any, services: Mapping[Name, Any]) -> str:
    wanted = backend.get("service")
    service = services.get((namespace, wanted["name"]), {}) if wanted else {}
    address = service.get("clusterIP", "None")
    port = _port(wanted["port"], service.get("ports", ())) if wanted else None
    if address == "None" or port is None:
        return 'return 503 "no such service";'
    return f"proxy_pass http://{f'[{address}]' if ':' in address else address}:{port};"


def _port(wanted: Any, ports: Iterable[Any]) -> int | None:
    known = {port["port"] for port in ports}
    named = {port["name"]: port["port"] for port in ports if "name" in port}
    number = wanted.get("number", named.get(wanted.get("name")))
    return number if number in known else None


# ---- from the API server to nginx


class Cluster:
    """What the API server knows, as plain JSON."""

    def __init__(self) -> None:
        config.load_config()
        self._networking = client.NetworkingV1Api()
        self._core = client.CoreV1Api()

    def ingresses(self) -> list[Any]:
        return _items(self._networking.list_ingress_for_all_namespaces)

    def services(self) -> list[Any]:
        return _items(self._core.list_service_for_all_namespaces)

    def tls_secrets(self) -> list[Any]:
        return _items(self._core.list_secret_for_all_namespaces, field_selector="type=kubernetes.io/tls")


def _items(call: Callable[..., Any], **options: str) -> list[Any]:
    items: list[Any] = json.loads(call(_preload_content=False, _request_timeout=10, **options).data)["items"]
    return items


def write_certificates(folder: Path, secrets: Iterable[Any]) -> dict[Name, Path]:
    """Makes each Secret a file with certificate and key, and leaves out the ones that TLS cannot use."""
    pairs = ((_name(secret), _write_certificate(folder, secret["data"])) for secret in secrets)
    return {name: path for name, path in pairs if path}


def _write_certificate(folder: Path, data: Mapping[str, str]) -> Path | None:
    pem = b"\n".join(base64.b64decode(data[key]) for key in ("tls.crt", "tls.key"))
    # A name for each content, so that a renewed certificate changes nginx's configuration.
    path = folder / f"{hashlib.sha256(pem).hexdigest()}.pem"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(pem)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except ssl.SSLError:
        return None
    return path


def write_default_certificate(path: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=default certificate", "-keyout", str(path), "-out", "-"]
    certificate = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    path.write_text(path.read_text() + certificate)


class Nginx:
    """A running nginx, and the configuration that it was last given."""

    def __init__(self, folder: Path) -> None:
        self._conf = folder / "nginx.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._given = ""

    def use(self, text: str) -> None:
        """Starts nginx with this configuration, or reloads it; keeps the one before if nginx refuses this one."""
        if text == self._given:
            return
        self._given = text
        new = self._conf.with_suffix(".new")
        new.write_text(text)
        if subprocess.run(self._argv(new, "-t", "-q"), check=False).returncode != 0:
            return
        new.replace(self._conf)
        if self._process is None:
            self._process = subprocess.Popen(self._argv(self._conf))
        else:
            subprocess.run(self._argv(self._conf, "-s", "reload"), check=True)
        print("nginx has a new configuration", flush=True)

    def _argv(self, conf: Path, *options: str) -> list[str]:
        return ["nginx", "-e", "stderr", "-c", str(conf), *options]

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def poll(listen: Listen, cluster: Cluster, nginx: Nginx) -> None:
    try:
        certificates = write_certificates(listen.folder, cluster.tls_secrets())
        text = nginx_conf(listen, cluster.ingresses(), cluster.services(), certificates)
    except (client.ApiException, HTTPError, OSError) as error:
        print(f"the cluster cannot be read: {error}", flush=True)
        return
    nginx.use(text)


def run(listen: Listen) -> int:
    """Polls until nginx ends, or a signal comes."""
    listen.folder.mkdir(parents=True, exist_ok=True)
    write_default_certificate(listen.default_certificate)
    cluster, nginx = Cluster(), Nginx(listen.folder)
    try:
        while not nginx.ended:
            poll(listen, cluster, nginx)
            time.sleep(1)
    finally:
        nginx.stop()
    print("nginx has ended", flush=True)
    return 1


def _all_addresses() -> list[str]:
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["*"]
    return ["*", "[::]"]


def _end(number: int, _frame: object) -> None:
    # The first process of a container has no default action for SIGTERM.
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/run/ingress-controller"))
    parser.add_argument("--address", action="append", help="default: all, IPv6 too where there is any")
    parser.add_argument("--http-port", type=int, default=80)
    parser.add_argument("--https-port", type=int, default=443)
    parser.add_argument("--health", default="10254", metavar="[ADDRESS:]PORT", help="for GET /healthz; no PROXY header")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    addresses = given.address or _all_addresses()
    return run(Listen(given.folder, addresses, given.http_port, given.https_port, given.health))


if __name__ == "__main__":
    raise SystemExit(main())
