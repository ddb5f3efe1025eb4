"""What is compared: CoreDNS with kubeadm's Corefile, without rules and with them in each form; and the internet."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.kernel import Taken, cpu_seconds
from tests.cluster.asking import ask_all
from tests.cluster.cluster import LocalCluster
from tests.cluster.dns import CLUSTER_COREFILE, DnsPorts, choose_dns_ports, dns_answers
from tests.cluster.install import locate
from tests.cluster.processes import Process, free_port, with_other_ports

ADDRESS = "127.0.0.1"
ELSEWHERE = "198.51.100.7"
"""The address of every name in the internet."""
BARE, LINES, PACKED, HOSTS = FORMS = ("bare", "lines", "packed", "hosts plugin")
MARK = "# Added by hairpin-proxy"
END = "}\n"
"""Of a Corefile."""
LIMIT = 1024 * 1024
"""Bytes that a ConfigMap may have."""
READY = "kubernetes.default.svc.cluster.local"

CACHE = re.compile(r"    cache 30 \{.*?\n    \}\n", re.DOTALL)
INTERNET = """\
.:{port} {{
    bind {address}
    template IN A {{
        answer "{{{{ .Name }}}} 60 IN A {elsewhere}"
    }}
    template ANY ANY {{
        rcode NOERROR
        authority ". 60 IN SOA ns. admin. 1 60 60 60 60"
    }}
}}
"""


@dataclass(frozen=True)
class Server:
    """One of the compared, as it runs."""

    form: str
    text: str
    port: int
    process: Process
    start: Taken
    """From the process's start to its first answer."""

    @property
    def rules(self) -> int:
        return self.text.count(MARK)


@dataclass(frozen=True)
class Site:
    """Where they run: a cluster with our Service, and the internet behind it."""

    cluster: LocalCluster
    internet_port: int

    @staticmethod
    def on(cluster: LocalCluster) -> Site:
        return Site(cluster, with_other_ports(lambda: _start_internet(cluster)))

    @functools.cached_property
    def service_ip(self) -> str:
        return self.cluster.service_ip("hairpin-proxy", "hairpin-proxy")

    def start(self, form: str, hosts: Sequence[str], *, cache: bool) -> Server | None:
        """Starts one of them; nothing if its rules do not fit into a ConfigMap."""
        return with_other_ports(lambda: self._start(form, hosts, cache=cache))

    def restart(self, server: Server) -> Server:
        server.process.stop()
        return self._started(server.form, server.text, server.port)

    def _start(self, form: str, hosts: Sequence[str], *, cache: bool) -> Server | None:
        ports = choose_dns_ports(self.internet_port)
        text = self._text(form, bare_text(ports, self.cluster.kubeconfig, cache=cache), hosts)
        return self._started(form, text, ports.dns) if text else None

    def _text(self, form: str, bare: str, hosts: Sequence[str]) -> str | None:
        if form == BARE:
            return bare
        if form == HOSTS:
            text = with_hosts_plugin(bare, hosts, self.service_ip)
            return text if len(text) <= LIMIT else None
        text = rendered(self.cluster.folder, bare, hosts, form)
        return None if form == LINES and text.count(MARK) < len(hosts) else text

    def _started(self, form: str, text: str, port: int) -> Server:
        corefile = self.cluster.folder / f"bench-{port}.corefile"
        corefile.write_text(text)
        began = time.monotonic()
        process = self.cluster.start(f"bench-{port}", [locate("coredns"), "-conf", str(corefile)])
        process.wait_ready(functools.partial(_answers, port))
        return Server(form, text, port, process, Taken(time.monotonic() - began, cpu_seconds(process.pid)))


def _start_internet(cluster: LocalCluster) -> int:
    port = free_port(udp=True)
    corefile = cluster.folder / "internet.corefile"
    corefile.write_text(INTERNET.format(port=port, address=ADDRESS, elsewhere=ELSEWHERE))
    process = cluster.start("internet", [locate("coredns"), "-conf", str(corefile)])
    process.wait_ready(lambda: dns_answers(ADDRESS, port, "example.net"))
    return port


def _answers(port: int) -> bool:
    return ask_all(ADDRESS, port, [READY])[READY][0] == "NOERROR"


def bare_text(ports: DnsPorts, kubeconfig: Path, *, cache: bool) -> str:
    """That of kubeadm, which looks at its file every 30 seconds; without its cache if that is so wished."""
    text = CLUSTER_COREFILE.format(ports=ports, kubeconfig=kubeconfig, address=ADDRESS)
    text = text.replace("reload 2s 1s", "reload").replace("       lameduck 5s\n", "")
    return text if cache else CACHE.sub("", text)


def with_hosts_plugin(bare: str, hosts: Sequence[str], address: str) -> str:
    """What somebody could write who has no need of rules that follow the Service."""
    names = textwrap.wrap(" ".join(hosts), 1000, break_long_words=False, break_on_hyphens=False)
    lines = "".join(f"        {address} {some}\n" for some in names)
    options = "".join(f"        {option}\n" for option in ("ttl 30", "no_reverse", "reload 0", "fallthrough"))
    return f"{bare.removesuffix(END)}    hosts /dev/null {{\n{lines}{options}    }}\n{END}"


def rendered(folder: Path, bare: str, hosts: Sequence[str], form: str) -> str:
    """What the product writes for an Ingress with these hosts."""
    corefile, ingresses = folder / "bench.corefile", folder / "bench.ingresses.json"
    corefile.write_text(bare)
    ingresses.write_text(json.dumps(ingress(hosts)))
    argv = [sys.executable, "-m", "hairpin_proxy", "render", "--rules", form]
    argv += ["--corefile", str(corefile), "--ingresses", str(ingresses)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def ingress(hosts: Sequence[str]) -> dict[str, object]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {"tls": [{"hosts": list(hosts)}]},
    }
