"""The two DNS servers, both the real CoreDNS: the cluster's own, and one that plays the internet."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.api import Access, Api, ApiError
from tests.cluster.install import locate
from tests.cluster.processes import Process, Processes, clean_environment, free_port, http_ok

DNS_ADDRESS = "127.96.0.10"
PUBLIC_DOMAIN = "example.com"
ELSEWHERE = "198.51.100.7"
"""The address of api.github.com, which is nobody's in the cluster."""

# kubeadm's Corefile, with the ports and addresses that loopback needs.
CLUSTER_COREFILE = """\
.:{ports.dns} {{
    bind {address}
    errors
    health 127.0.0.1:{ports.health} {{
       lameduck 5s
    }}
    ready 127.0.0.1:{ports.ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       kubeconfig {kubeconfig} local
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus 127.0.0.1:{ports.metrics}
    forward . 127.0.0.1:{ports.public} {{
       max_concurrent 1000
    }}
    cache 30 {{
       disable success cluster.local
       disable denial cluster.local
    }}
    loop
    reload 2s 1s
    loadbalance
}}
"""

PUBLIC_COREFILE = """\
{domain}:{port} {{
    bind {address}
    template IN A {{
        answer "{{{{ .Name }}}} 60 IN A {ingress}"
    }}
    template IN HTTPS {{
        answer "{{{{ .Name }}}} 60 IN HTTPS 1 . alpn=h3 ipv4hint={ingress}"
    }}
    template IN TXT {{
        match ^_acme-challenge[.]
        answer "{{{{ .Name }}}} 60 IN TXT challenge"
        fallthrough
    }}
    template IN AAAA {domain} {{
        match ^example[.]com[.]$
        answer "{domain}. 60 IN AAAA 2001:db8::80"
        fallthrough
    }}
    template IN MX {domain} {{
        match ^example[.]com[.]$
        answer "{domain}. 60 IN MX 10 mail.{domain}."
        fallthrough
    }}
    template IN TXT {domain} {{
        match ^example[.]com[.]$
        answer "{domain}. 60 IN TXT \\"v=spf1 mx -all\\""
        fallthrough
    }}
    template IN NS {domain} {{
        match ^example[.]com[.]$
        answer "{domain}. 60 IN NS ns.{domain}."
        fallthrough
    }}
    template IN SOA {domain} {{
        match ^example[.]com[.]$
        answer "{domain}. 60 IN SOA ns.{domain}. admin.{domain}. 1 60 60 60 60"
        fallthrough
    }}
    template IN ANY {{
        rcode NOERROR
        authority "{domain}. 60 IN SOA ns.{domain}. admin.{domain}. 1 60 60 60 60"
    }}
}}
.:{port} {{
    bind {address}
    template IN A api.github.com {{
        answer "{{{{ .Name }}}} 60 IN A {elsewhere}"
    }}
    template ANY ANY {{
        rcode NXDOMAIN
        authority ". 60 IN SOA ns. admin. 1 60 60 60 60"
    }}
}}
"""


@dataclass(frozen=True)
class DnsPorts:
    """The ports of the cluster's CoreDNS, and the one of the public DNS that it asks."""

    dns: int
    health: int
    ready: int
    metrics: int
    public: int


def choose_dns_ports(public: int) -> DnsPorts:
    return DnsPorts(free_port("0.0.0.0", udp=True), free_port(), free_port(), free_port(), public)


def cluster_corefile(ports: DnsPorts, kubeconfig: Path) -> str:
    return CLUSTER_COREFILE.format(ports=ports, kubeconfig=kubeconfig, address=DNS_ADDRESS)


def start_cluster_dns(processes: Processes, corefile: Path, ports: DnsPorts) -> Process:
    """Starts CoreDNS on the text of the ConfigMap; returns at once."""
    # SIGTERM would make it wait for its lameduck seconds.
    argv = [locate("coredns"), "-conf", str(corefile)]
    return processes.start("coredns", argv, stop_signal=signal.SIGQUIT)


def public_corefile(address: str, port: int, ingress: str) -> str:
    return PUBLIC_COREFILE.format(
        domain=PUBLIC_DOMAIN, address=address, port=port, ingress=ingress, elsewhere=ELSEWHERE
    )


def start_public_dns(processes: Processes, folder: Path, ingress: str) -> int:
    """Starts the DNS of the internet, where example.com and every name under it leads to the ingress controller."""
    port = free_port(udp=True)
    corefile = folder / "public-dns.corefile"
    corefile.write_text(public_corefile("127.0.0.1", port, ingress))
    argv = [locate("coredns"), "-conf", str(corefile)]
    process = processes.start("public-dns", argv, stop_signal=signal.SIGQUIT)
    process.wait_ready(lambda: dns_answers("127.0.0.1", port, PUBLIC_DOMAIN, "SOA"))
    return port


def dns_ready(ports: DnsPorts) -> bool:
    ready = http_ok("127.0.0.1", ports.ready, "/ready")
    return ready and dns_answers(DNS_ADDRESS, ports.dns, "kubernetes.default.svc.cluster.local")


def dig_command(address: str, port: int, name: str, rdtype: str) -> list[str]:
    """The command that asks a DNS server, and prints the answer only."""
    return [locate("dig"), f"@{address}", "-p", str(port), "+short", "+tries=2", "+time=2", name, rdtype]


def dns_answers(address: str, port: int, name: str, rdtype: str = "A") -> bool:
    """Whether a DNS server has such a record."""
    # CoreDNS says it is ready before it has its port, and it may find that port taken.
    argv = dig_command(address, port, name, rdtype)
    done = subprocess.run(argv, env=clean_environment(Path("/")), capture_output=True, check=False)
    return done.returncode == 0 and done.stdout != b""


@dataclass(frozen=True)
class ConfigMapMirror:
    """Stands in for the kubelet, as there are no nodes: keeps a ConfigMap's keys as files in a folder, as a
    pod would see them mounted. It asks twice a second, and an error waits for the next time."""

    access: Access
    path: str
    folder: Path
    stopped: threading.Event
    thread: threading.Thread

    @staticmethod
    def start(access: Access, namespace: str, name: str, folder: Path) -> ConfigMapMirror:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        stopped = threading.Event()
        folder.mkdir(exist_ok=True)
        thread = threading.Thread(target=_mirror, args=(access, path, folder, stopped), daemon=True)
        thread.start()
        return ConfigMapMirror(access, path, folder, stopped, thread)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()


def _mirror(access: Access, path: str, folder: Path, stopped: threading.Event) -> None:
    api = Api(access)
    seen: dict[str, str] | None = None
    while not stopped.wait(0 if seen is None else 0.5):
        try:
            data: dict[str, str] = api.get(path).get("data") or {}
        except (OSError, http.client.HTTPException, ValueError, ApiError):
            stopped.wait(0.5)
            continue
        if data != seen:
            write_keys(folder, data)
            seen = data
    api.close()


def write_keys(folder: Path, data: dict[str, str]) -> None:
    """Makes the folder hold exactly these files; each one changes at once, never half."""
    for key, text in data.items():
        target = folder / key
        old = target.read_bytes() if target.exists() else None
        if old != text.encode():
            new = folder / f".{key}.new"
            new.write_bytes(text.encode())
            os.replace(new, target)
    for gone in {path.name for path in folder.iterdir() if path.is_file()} - data.keys():
        (folder / gone).unlink()
