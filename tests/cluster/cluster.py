"""A whole cluster on loopback: control plane, DNS, ingress controller, and small ways to use them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.api import Api, ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.dns import (
    DNS_ADDRESS,
    ConfigMapMirror,
    DnsPorts,
    choose_dns_ports,
    cluster_corefile,
    dig_command,
    dns_ready,
    start_cluster_dns,
    start_public_dns,
    write_keys,
)
from tests.cluster.ingress import Ingress, ProxyPorts, run_haproxy, start_nginx
from tests.cluster.install import gateway_api_crds, locate, prometheus_operator_crds
from tests.cluster.processes import (
    EndingSignals,
    Process,
    Processes,
    clean_environment,
    free_port,
    http_ok,
    wait_until,
    with_other_ports,
)

INGRESS_NAMESPACE = "ingress-nginx"
INGRESS_SERVICE = "ingress-nginx-controller"
DIG_NO_REPLY = 9
"""The status with which dig ends when no server has answered."""

TARGET_SERVER = f"{INGRESS_SERVICE}.{INGRESS_NAMESPACE}.svc.cluster.local"


class ClusterError(RuntimeError):
    """A command against the cluster failed, or something in it is missing."""


def _quiet(_line: str) -> None:
    pass


class NoReplyError(ClusterError, OSError):
    """The cluster's DNS has not answered in time. Whoever waits for an answer asks again."""


class LocalCluster:
    """A context manager: a real cluster inside the with-block, and nothing left of it afterwards."""

    folder: Path
    kubeconfig: Path
    ingress: Ingress
    dns_ports: DnsPorts
    startup_seconds: float

    def __init__(self, progress: Callable[[str], None] = _quiet, *, api_only: bool = False) -> None:
        """With `api_only` there is neither DNS nor an ingress controller, and nothing in kube-system."""
        self._progress = progress
        self._api_only = api_only
        self._stack = ExitStack()
        self._signals = EndingSignals()

    # ---- coming and going

    def __enter__(self) -> LocalCluster:
        try:
            self._bring_up()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._signals.hold()
        self._stack.close()

    def _bring_up(self) -> None:
        self._start = time.monotonic()
        self._stack.enter_context(self._signals)
        temporary = tempfile.TemporaryDirectory(prefix="hairpin-proxy-", ignore_cleanup_errors=True)
        self.folder = Path(self._stack.enter_context(temporary))
        self._processes = Processes(self.folder)
        self._stack.callback(self._processes.close)
        self._control_plane = ControlPlane(self.folder, self._processes)
        self._control_plane.start()
        self.kubeconfig = self._control_plane.access.write_kubeconfig(self.folder / "cluster.kubeconfig")
        self._report("etcd and kube-apiserver")
        api = Api(self._control_plane.access)
        self._stack.callback(api.close)
        if not self._api_only:
            self._start_ingress_controller(api)
            self._start_dns(api)
        self.startup_seconds = time.monotonic() - self._start

    def _report(self, what: str) -> None:
        self._progress(f"{time.monotonic() - self._start:5.1f} s  {what}")

    def _start_ingress_controller(self, api: Api) -> None:
        _create(api, "/api/v1/namespaces/kube-system/services", _service("kube-dns", DNS_PORTS, DNS_ADDRESS))
        _create(api, "/api/v1/namespaces", _named("Namespace", INGRESS_NAMESPACE))
        services = f"/api/v1/namespaces/{INGRESS_NAMESPACE}/services"
        _create(api, services, _service(INGRESS_SERVICE, INGRESS_PORTS))
        address = api.get(f"{services}/{INGRESS_SERVICE}")["spec"]["clusterIP"]
        self.ingress = with_other_ports(lambda: start_nginx(self._processes, self.folder, address))
        self._report(f"nginx as the ingress controller on {address}")

    def _start_dns(self, api: Api) -> None:
        address = self.ingress.address
        public = with_other_ports(lambda: start_public_dns(self._processes, self.folder, address))
        folder = self.folder / "coredns"
        folder.mkdir()
        text = with_other_ports(lambda: self._start_coredns(folder, public))
        _create(
            api,
            "/api/v1/namespaces/kube-system/configmaps",
            _named("ConfigMap", "coredns") | {"data": {"Corefile": text}},
        )
        mirror = ConfigMapMirror.start(self._control_plane.access, "kube-system", "coredns", folder)
        self._stack.callback(mirror.stop)
        self._report(f"CoreDNS for the cluster on {self.dns}, and as the public DNS")

    def _start_coredns(self, folder: Path, public_port: int) -> str:
        self.dns_ports = choose_dns_ports(public_port)
        text = cluster_corefile(self.dns_ports, self.kubeconfig)
        write_keys(folder, {"Corefile": text})
        process = start_cluster_dns(self._processes, folder / "Corefile", self.dns_ports)
        process.wait_ready(lambda: dns_ready(self.dns_ports))
        return text

    # ---- where things are

    @property
    def api_url(self) -> str:
        return self._control_plane.access.url

    @contextlib.contextmanager
    def api(self) -> Iterator[Api]:
        """A connection to the API server as the administrator: for what is done often, where kubectl is slow."""
        api = Api(self._control_plane.access)
        try:
            yield api
        finally:
            api.close()

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._control_plane.etcd_port}"

    @property
    def dns(self) -> str:
        """The cluster's CoreDNS as ADDRESS:PORT."""
        return f"{DNS_ADDRESS}:{self.dns_ports.dns}"

    @property
    def coredns_metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.dns_ports.metrics}/metrics"

    @property
    def http_port(self) -> int:
        return self.ingress.http_port

    @property
    def https_port(self) -> int:
        return self.ingress.https_port

    @property
    def kubectl_path(self) -> str:
        return locate("kubectl")

    # ---- what can be done with it

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl prints as the administrator; an error with what it complains about when it fails."""
        env = {"KUBECONFIG": str(self.kubeconfig)}
        return self._run([locate("kubectl"), *args], stdin, env).stdout

    def apply(self, manifest: str | Path) -> str:
        """Applies a manifest: a file's path, or the text itself."""
        if isinstance(manifest, Path):
            return self.kubectl("apply", "-f", str(manifest.resolve()))
        return self.kubectl("apply", "-f", "-", stdin=manifest)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Starts a process that ends with the cluster; what it says goes to NAME.log in the cluster's folder."""
        return self._processes.start(name, argv, env=env)

    def service_ip(self, namespace: str, name: str) -> str:
        return self.kubectl("get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")

    def corefile(self) -> str:
        """The ConfigMap's Corefile as it is now."""
        with self.api() as api:
            return str(api.get("/api/v1/namespaces/kube-system/configmaps/coredns")["data"]["Corefile"])

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with exactly what this ServiceAccount may do."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration=24h").strip()
        path = self.folder / f"{namespace}.{name}.kubeconfig"
        return replace(self._control_plane.access, token=token).write_kubeconfig(path)

    def dig(self, name: str, rdtype: str = "A") -> list[str]:
        """What the cluster's CoreDNS answers."""
        argv = dig_command(DNS_ADDRESS, self.dns_ports.dns, name, rdtype)
        done = self._run(argv, check=False)
        if done.returncode == DIG_NO_REPLY:
            raise NoReplyError(f"the cluster's DNS does not answer to {name} {rdtype}")
        if done.returncode:
            raise ClusterError(f"{' '.join(argv)} failed with status {done.returncode}: {done.stdout}")
        return done.stdout.split("\n")[:-1]

    def curl(self, host: str, scheme: str = "http", *options: str) -> subprocess.CompletedProcess[str]:
        """What curl says to a host found by the cluster's DNS, on the port that stands for 80 or 443."""
        addresses = self.dig(host)
        if not addresses:
            raise ClusterError(f"the cluster's DNS knows no address of {host}")
        port = self.https_port if scheme == "https" else self.http_port
        argv = [locate("curl"), "-sS", "-k", "--max-time", "10", "--noproxy", "*"]
        argv += ["--resolve", f"{host}:{port}:{addresses[-1]}", *options, f"{scheme}://{host}:{port}/"]
        return self._run(argv, check=False)

    def mirror(self, configmap: str, folder: str) -> ConfigMapMirror:
        """Shows a ConfigMap of kube-system to CoreDNS as files in a folder beside its Corefile, until it is stopped."""
        path = self.folder / "coredns" / folder
        return ConfigMapMirror.start(self._control_plane.access, "kube-system", configmap, path)

    def register_haproxy(self, namespace: str = "hairpin-proxy", *, ready: bool = True) -> None:
        """Gives the Service hairpin-proxy an endpoint, as Kubernetes does for a pod."""
        item = haproxy_endpoints(namespace, ready=ready)
        with self.api() as api:
            api.apply(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/hairpin-proxy", item)

    def start_haproxy(self) -> Process:
        """Starts HAProxy on the address of the Service hairpin-proxy, which must exist; returns when requests
        go through it."""
        address = self.service_ip("hairpin-proxy", "hairpin-proxy")
        ports = ProxyPorts(address, self.http_port, self.https_port, self.dns, free_port())
        process = run_haproxy(self._processes, ports, TARGET_SERVER)
        process.wait_ready(lambda: http_ok(address, self.http_port, "/"), 15)
        self.register_haproxy()
        return process

    def install_gateway_api(self, channel: str = "standard") -> None:
        """Applies the Gateway API's definitions, those of its channel `standard` or `experimental`; returns when all
        their kinds are served."""
        files = ["-f", str(gateway_api_crds() / channel)]
        # Some are too long for the annotation in which a client-side apply keeps them.
        self.kubectl("apply", "--server-side", "--force-conflicts", *files)
        self._wait_for_lists(self._gateway_api_lists(), HTTPStatus.OK)

    def remove_gateway_api(self) -> None:
        """Deletes its definitions and all its objects; returns when none of its kinds is served."""
        lists = self._gateway_api_lists()
        files = ["-f", str(gateway_api_crds() / "experimental")]
        self.kubectl("delete", "--ignore-not-found", *files)
        self._wait_for_lists(lists, HTTPStatus.NOT_FOUND)

    def install_service_monitors(self) -> None:
        """Applies the Prometheus Operator's definition of them; returns when they are served."""
        definition = prometheus_operator_crds() / "monitoring.coreos.com_servicemonitors.yaml"
        # It is too long for the annotation in which a client-side apply keeps it.
        self.kubectl("apply", "--server-side", "-f", str(definition))
        self._wait_for_lists(["/apis/monitoring.coreos.com/v1/servicemonitors"], HTTPStatus.OK)

    def _gateway_api_lists(self) -> list[str]:
        """The paths of the lists of all its kinds that are defined now, in each version that is served."""
        with self.api() as api:
            defined = api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
        specs = [item["spec"] for item in defined if item["spec"]["group"].startswith("gateway.networking.")]
        return [
            f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
            for spec in specs
            for version in spec["versions"]
            if version["served"]
        ]

    def _wait_for_lists(self, paths: Sequence[str], status: HTTPStatus) -> None:
        """Waits until the API server answers them all so: what it says of a definition is ahead of what it does."""
        with self.api() as api:
            if not wait_until(lambda: all(_status(api, path) == status for path in paths), 30):
                raise ClusterError(f"the API server does not answer {status} to all of {', '.join(paths)}")

    def stop_api_server(self) -> None:
        self._control_plane.stop_api_server()

    def start_api_server(self) -> None:
        """Starts the API server again where it was, with what it knew."""
        self._control_plane.start_api_server()

    def stop_etcd(self) -> None:
        """Kills etcd; the API server goes on without it."""
        self._control_plane.stop_etcd()

    def start_etcd(self) -> None:
        """Starts etcd again where it was, with what is in its folder."""
        self._control_plane.start_etcd()

    def copy_etcd(self, folder: Path) -> None:
        """Makes this folder, with the state that the cluster is in."""
        self._control_plane.copy_etcd(folder)

    def restore_etcd(self, folder: Path | None) -> None:
        """Gives the cluster the state of such a copy, or none; the API server starts anew, as Kubernetes says."""
        with self.api_server_away():
            self.stop_etcd()
            shutil.rmtree(self._control_plane.etcd_folder)
            if folder:
                shutil.copytree(folder, self._control_plane.etcd_folder)
            self.start_etcd()

    @contextlib.contextmanager
    def api_server_away(self) -> Iterator[None]:
        """Stops the API server, and starts it again after what is done meanwhile."""
        self.stop_api_server()
        try:
            yield
        finally:
            self.start_api_server()

    def renew_certificate(self) -> bytes:
        """Starts the API server again with another certificate that it has signed itself, and returns that: but for the
        administrator's, no kubeconfig of before is good any more."""
        with self.api_server_away():
            self._control_plane.forget_certificate()
        self._control_plane.access.write_kubeconfig(self.kubeconfig)
        return self._control_plane.access.ca.read_bytes()

    def audit(self) -> list[dict[str, Any]]:
        """What ServiceAccounts have asked of the API server since `forget_audit`, as its audit log has it."""
        return self._control_plane.audit()

    def forget_audit(self) -> None:
        self._control_plane.forget_audit()

    def etcd_put(self, key: str, value: bytes) -> None:
        """Stores an object behind the API server's back, also one that it would refuse."""
        self._control_plane.etcd_put(key, value)

    def _run(
        self,
        argv: Sequence[str],
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        *,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(self.folder) | dict(env or {})
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(argv, env=environment, text=True, capture_output=True, check=False, **given)
        if check and done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise ClusterError(f"{' '.join(argv)} failed with status {done.returncode}: {said}")
        return done


# ---- objects that every cluster has

DNS_PORTS = {"dns": 53, "dns-tcp": 53, "metrics": 9153}
INGRESS_PORTS = {"http": 80, "https": 443}


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _service(name: str, ports: Mapping[str, int], address: str | None = None) -> dict[str, Any]:
    labels = {"k8s-app": name} if address else {"app.kubernetes.io/name": name}
    listed = [
        {"name": port, "port": number, "protocol": "UDP" if port == "dns" else "TCP"} for port, number in ports.items()
    ]
    service = _named("Service", name)
    service["metadata"]["labels"] = labels
    service["spec"] = {"ports": listed, "selector": labels} | ({"clusterIP": address} if address else {})
    return service


def haproxy_endpoints(namespace: str, *, ready: bool = True) -> dict[str, Any]:
    """An EndpointSlice of the Service hairpin-proxy. The API takes none of loopback; nobody connects to this."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "hairpin-proxy",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": "hairpin-proxy"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.80"], "conditions": {"ready": ready}}],
        "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
    }


def _status(api: Api, path: str) -> int:
    try:
        api.get(path)
    except ApiError as error:
        return error.status
    return HTTPStatus.OK


def _create(api: Api, path: str, item: dict[str, Any]) -> None:
    """Creates an object; for its first moments an API server has no namespaces and no addresses to give."""
    refusal: list[ApiError] = []

    def created() -> bool:
        try:
            api.create(path, item)
        except ApiError as error:
            refusal[:] = [error]
            return error.status == HTTPStatus.CONFLICT
        return True

    if not wait_until(created, 20):
        raise ClusterError(f"the API server refuses {item['kind']} {item['metadata']['name']}: {refusal}")
