"""A whole cluster whose pods have addresses: control plane, CoreDNS, nginx as the ingress controller, HAProxy.

What no kubelet and no controller is there to do is done here: endpoints, what pods mount, a load balancer's status.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import nodecache
from tests.cluster.cluster import DNS_PORTS, INGRESS_NAMESPACE, INGRESS_PORTS, INGRESS_SERVICE, LocalCluster
from tests.cluster.dns import DNS_ADDRESS, ConfigMapMirror, dns_answers, public_corefile, write_keys
from tests.cluster.ingress import ENTRYPOINT, NGINX_CONF, Ingress, start_nginx_on
from tests.cluster.install import locate
from tests.cluster.processes import Process, Processes, http_ok, wait_until

ROOT = Path(__file__).parents[2]
COREDNS, HAPROXY, NGINX, NODE_LOCAL = "10.244.0.53", "10.244.0.80", "10.244.0.90", "169.254.20.10"
PUBLIC = "203.0.113.10"
HOST = "subdomain.example.com"

COREFILE = """\
.:53 {{
    bind {address}
    errors
    health 127.0.0.1:18080
    ready 127.0.0.1:18181
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       kubeconfig {kubeconfig} local
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus :9153
    forward . 127.0.0.1:{public} {{
       max_concurrent 1000
    }}
    cache 30
    loop
    reload 2s 1s
    loadbalance
}}
"""

PLAIN_NGINX = NGINX_CONF.replace(" proxy_protocol;", ";").replace("$proxy_protocol_addr", "$remote_addr")
NODE_LOCAL_CONFIGMAP = "/api/v1/namespaces/kube-system/configmaps/node-local-dns"
PUBLIC_PORT = 5300


@dataclass
class Ground:
    """What a test stands on, and may break."""

    cluster: LocalCluster
    processes: Processes
    mirror: ConfigMapMirror | None = None
    domain: str = "cluster.local"
    running: dict[str, Process] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    """Of HAProxy, that a test has set."""

    # ---- what the cluster has

    def apply(self, path: str, item: Mapping[str, Any]) -> None:
        with self.cluster.api() as api:
            api.apply(path, dict(item))

    def patch(self, path: str, patch: Mapping[str, Any]) -> None:
        with self.cluster.api() as api:
            api.merge_patch(path, dict(patch))

    def delete(self, path: str) -> None:
        with self.cluster.api() as api:
            api.delete(path)

    def corefile(self) -> str:
        return self.cluster.corefile()

    def write_corefile(self, text: str) -> None:
        """As an administrator would."""
        self.patch("/api/v1/namespaces/kube-system/configmaps/coredns", {"data": {"Corefile": text}})

    def original(self, domain: str = "cluster.local") -> str:
        values = {"address": COREDNS, "kubeconfig": self.cluster.kubeconfig, "public": PUBLIC_PORT}
        return COREFILE.format(domain=domain, **values)

    def ingress(self, *hosts: str, name: str = "app", **annotations: str) -> None:
        """An Ingress with these TLS hosts."""
        metadata = {"name": name, "namespace": "default", "annotations": annotations}
        spec = {"defaultBackend": {"service": {"name": "app", "port": {"number": 80}}}, "tls": [{"hosts": list(hosts)}]}
        item = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
        self.apply(f"/apis/networking.k8s.io/v1/namespaces/default/ingresses/{name}", item)

    def balancer(self, *ingress: Mapping[str, str], name: str = INGRESS_SERVICE) -> None:
        """What the cloud says of the load balancer of a Service."""
        path = f"/api/v1/namespaces/{INGRESS_NAMESPACE}/services/{name}/status"
        self.patch(path, {"status": {"loadBalancer": {"ingress": list(ingress)}}})

    def endpoints(self, namespace: str, service: str, ports: Mapping[str, int], *addresses: str) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{service}"
        ready = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
        listed = [
            {"name": name, "port": port, "protocol": "UDP" if name == "dns" else "TCP"} for name, port in ports.items()
        ]
        metadata = {"name": service, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}}
        item = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
        self.apply(path, {**item, "addressType": "IPv4", "endpoints": ready, "ports": listed})

    def set_env(self, deployment: str, **variables: str | None) -> None:
        """As `kubectl set env` does, which takes a variable away where it is None."""
        self.variables.update(variables)
        words = [f"{name}={value}" if value is not None else f"{name}-" for name, value in variables.items()]
        self.cluster.kubectl("-n", "hairpin-proxy", "set", "env", f"deployment/{deployment}", *words)

    def service(self, namespace: str, name: str, ports: Mapping[str, int], **spec: Any) -> str:
        """Its address."""
        listed = [
            {"name": port, "port": number, "protocol": "UDP" if port == "dns" else "TCP"}
            for port, number in ports.items()
        ]
        metadata = {"name": name, "namespace": namespace, "labels": {"k8s-app": name}}
        item = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        self.apply(
            f"/api/v1/namespaces/{namespace}/services/{name}",
            {**item, "spec": {"ports": listed, "selector": {"k8s-app": name}, **spec}},
        )
        return self.cluster.service_ip(namespace, name)

    # ---- what runs

    @property
    def folder(self) -> Path:
        return self.cluster.folder

    def start_dns(self) -> None:
        """The public DNS, and CoreDNS on what the ConfigMap holds."""
        public = self.folder / "public.corefile"
        public.write_text(public_corefile("127.0.0.1", PUBLIC_PORT, PUBLIC))
        self.running["public-dns"] = self._start_coredns("public-dns", public)
        self.restart_coredns()

    def restart_coredns(self) -> None:
        """On what the ConfigMap holds now, and follows it from then on."""
        self.stop_coredns()
        folder = self.folder / "coredns"
        folder.mkdir(exist_ok=True)
        write_keys(folder, {"Corefile": self.corefile()})
        process = self._start_coredns("coredns", folder / "Corefile")
        process.wait_ready(lambda: dns_answers(COREDNS, 53, f"kube-dns.kube-system.svc.{self.domain}"))
        self.running["coredns"] = process
        self.follow()

    def _start_coredns(self, name: str, corefile: Path) -> Process:
        # SIGTERM would make it wait for its lameduck seconds.
        return self.processes.start(name, [locate("coredns"), "-conf", str(corefile)], stop_signal=signal.SIGQUIT)

    def stop_coredns(self) -> None:
        self.stop_following()
        self.stop("coredns")

    def follow(self) -> None:
        """Shows the ConfigMap to CoreDNS, as kubelet does."""
        self.mirror = self.cluster.mirror("coredns", str(self.folder / "coredns"))

    def stop_following(self) -> None:
        if self.mirror:
            self.mirror.stop()
            self.mirror = None

    def start_nginx(self, name: str, address: str, conf: str = NGINX_CONF) -> None:
        """A web server on ports 80 and 443 of an address."""
        self.running[name] = start_nginx_on(
            self.processes, self.folder / name, Ingress(address, 80, 443), "user root root;\n" + conf
        )

    def start_haproxy(self, **environment: str) -> None:
        """On the address of its pod and of its Service, as its Deployment's environment has it."""
        address = self.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
        binds = {
            "HTTP_BIND": f"{HAPROXY}:8080,{address}:80",
            "HTTPS_BIND": f"{HAPROXY}:8443,{address}:443",
            "HEALTH_BIND": f"{HAPROXY}:8404",
            "RESOLVER": f"{COREDNS}:53",
        }
        self.stop("haproxy")
        process = self.processes.start("haproxy", [str(ENTRYPOINT)], env=binds | environment)
        self.running["haproxy"] = process
        process.wait_ready(lambda: http_ok(HAPROXY, 8404, "/healthz"))

    def stop(self, name: str) -> None:
        if name in self.running:
            self.running.pop(name).stop()

    def mend(self) -> None:
        """Makes whole again what a test may have broken."""
        self.domain = "cluster.local"
        with self.cluster.api() as api:
            api.delete("/apis/networking.k8s.io/v1/namespaces/default/ingresses")
        self.stop("plain")
        self.set_env("hairpin-proxy-haproxy", **dict.fromkeys(self.variables))
        self.variables.clear()
        furnish(self)
        self.start_haproxy()
        self.restart_coredns()

    # ---- hairpin-proxy

    def once(self, *flags: str) -> None:
        """The controller writes its rules."""
        done = self.command("run", "--once", *flags, kubeconfig=self.account)
        assert done.returncode == 0, done.stderr

    def write_rules(self, *flags: str, host: str = HOST) -> None:
        """The same; returns when CoreDNS answers by them."""
        self.once(*flags)
        address = self.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
        assert wait_until(lambda: self.dig(host) == [address], 40), self.dig(host)

    def install_node_local_dns(self, address: str = NODE_LOCAL) -> None:
        """As its manifest does, in front of CoreDNS on the address that it has on every node."""
        args = ["-localip", address, "-conf", "/etc/Corefile"]
        self.apply("/apis/apps/v1/namespaces/kube-system/daemonsets/node-local-dns", nodecache.daemonset(args=args))
        metadata = {"name": "node-local-dns", "namespace": "kube-system"}
        configmap = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"Corefile": nodecache.STANDARD},
        }
        self.apply(NODE_LOCAL_CONFIGMAP, configmap)
        self.start_node_local_dns()

    def start_node_local_dns(self) -> None:
        """On what its ConfigMap holds, as node-cache does it."""
        self.stop("node-local-dns")
        with self.cluster.api() as api:
            text = api.get(NODE_LOCAL_CONFIGMAP)["data"]["Corefile"]
        values = {"cluster": COREDNS, "local": NODE_LOCAL, "upstream": f"127.0.0.1:{PUBLIC_PORT}"}
        corefile = self.folder / "node-local.corefile"
        corefile.write_text(nodecache.replaced(text, **values))
        process = self._start_coredns("node-local-dns", corefile)
        process.wait_ready(lambda: dns_answers(NODE_LOCAL, 53, "kube-dns.kube-system.svc.cluster.local"))
        self.running["node-local-dns"] = process

    def remove_node_local_dns(self) -> None:
        self.stop("node-local-dns")
        self.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/node-local-dns")
        self.delete(NODE_LOCAL_CONFIGMAP)

    def wait_for_metric(self, text: str) -> None:
        assert wait_until(lambda: text in self.metrics(), 40), self.metrics()

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{COREDNS}:9153/metrics") as answer:
            return str(answer.read().decode())

    def dig(self, name: str, server: str = COREDNS) -> list[str]:
        argv = [locate("dig"), f"@{server}", "+short", "+tries=2", "+time=2", name]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()

    @property
    def account(self) -> Path:
        return self.cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-controller-sa")

    def command(
        self, *argv: str, kubeconfig: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        full = [
            sys.executable,
            "-m",
            "hairpin_proxy",
            *argv,
            "--kubeconfig",
            str(kubeconfig or self.cluster.kubeconfig),
        ]
        return subprocess.run(full, env=dict(env or {}), text=True, capture_output=True, timeout=120, check=False)

    def doctor(self, *flags: str, kubeconfig: Path | None = None) -> Examined:
        done = self.command("doctor", "--output", "json", *flags, kubeconfig=kubeconfig)
        assert done.stdout, done.stderr
        return Examined(done.returncode, json.loads(done.stdout))


@dataclass(frozen=True)
class Examined:
    """What the doctor said."""

    code: int
    entries: Sequence[Mapping[str, str]]

    @property
    def statuses(self) -> dict[str, str]:
        return {entry["check"]: entry["status"] for entry in self.entries}

    def of(self, status: str) -> list[str]:
        return [check for check, its in self.statuses.items() if its == status]

    def said(self, check: str) -> str:
        """Message and fix of a check."""
        return next(f"{entry['message']} -> {entry['fix']}" for entry in self.entries if entry["check"] == check)


def build(ground: Ground) -> None:
    """The cluster as a distribution and a cloud would have made it, and hairpin-proxy in it."""
    furnish(ground)
    ground.start_nginx("nginx", ground.cluster.service_ip(INGRESS_NAMESPACE, INGRESS_SERVICE))
    ground.start_haproxy()
    ground.start_dns()


def furnish(ground: Ground) -> None:
    """All objects, as they should be."""
    domain = ground.domain
    ground.service("kube-system", "kube-dns", DNS_PORTS, clusterIP=DNS_ADDRESS)
    ground.endpoints("kube-system", "kube-dns", DNS_PORTS, COREDNS)
    ground.apply("/apis/apps/v1/namespaces/kube-system/deployments/coredns", COREDNS_DEPLOYMENT)
    metadata = {"name": "coredns", "namespace": "kube-system"}
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    ground.apply(
        "/api/v1/namespaces/kube-system/configmaps/coredns",
        {**configmap, "data": {"Corefile": ground.original(domain)}},
    )
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": INGRESS_NAMESPACE}}
    ground.apply(f"/api/v1/namespaces/{INGRESS_NAMESPACE}", namespace)
    ground.service(INGRESS_NAMESPACE, INGRESS_SERVICE, INGRESS_PORTS, type="LoadBalancer")
    ground.endpoints(INGRESS_NAMESPACE, INGRESS_SERVICE, INGRESS_PORTS, NGINX)
    ground.balancer({"ip": PUBLIC})
    ground.cluster.apply(ROOT / "deploy.yml")
    ground.endpoints("hairpin-proxy", "hairpin-proxy", {"http": 8080, "https": 8443}, HAPROXY)


COREDNS_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    "spec": {
        "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "template": {
            "metadata": {"labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "containers": [
                    {
                        "name": "coredns",
                        "image": "coredns/coredns:1.14.7",
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
                    }
                ],
                "volumes": [
                    {
                        "name": "config",
                        "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
                    }
                ],
            },
        },
    },
}
