"""One local cluster for all integration tests, with deploy.yml applied, and clean before each test."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import LocalCluster
from tests.cluster.processes import Process, Processes, free_port, wait_until
from tests.hostsfiles import NODE
from tests.integration.dataplane import Lab, start_dns
from tests.integration.faults.proxy import FaultProxy, fault_proxy

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy.yml"
DAEMONSET = ROOT / "deploy-etchosts-daemonset.yml"
_numbers = itertools.count()
ACCOUNT = ("hairpin-proxy", "hairpin-proxy-controller-sa")
NODE_ACCOUNT = "hairpin-proxy-etchosts-controller-sa"
EVERY_SOURCE = [
    *("--source", "ingress", "--ingress-class", "nginx", "--source", "gateway"),
    *("--namespace-selector", "kubernetes.io/metadata.name=default"),
]
"""Flags with which everything is listed that hosts can come from, or depend on."""

INGRESSES = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"


def object_path(item: dict[str, Any]) -> str:
    """Where the API has an object of this kind."""
    metadata = item["metadata"]
    group = f"/apis/{item['apiVersion']}" if "/" in item["apiVersion"] else f"/api/{item['apiVersion']}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    kind = item["kind"].lower()
    return f"{group}{namespace}/{kind}{'es' if kind.endswith('s') else 's'}/{metadata['name']}"


def ingress(name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    """An Ingress with these TLS hosts, as an object."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "defaultBackend": {"service": {"name": "app", "port": {"number": 80}}},
            "tls": [{"hosts": list(hosts)}],
            **spec,
        },
    }


def ingress_class(name: str, *, default: bool = False) -> dict[str, Any]:
    annotations = {"ingressclass.kubernetes.io/is-default-class": str(default).lower()}
    metadata = {"name": name, "annotations": annotations}
    spec = {"controller": "example.com/ingress"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": spec}


@dataclass(frozen=True)
class World:
    """The cluster, with the Corefile that it had at first."""

    cluster: LocalCluster
    original: str
    kubeconfig: Path
    """Of the controller's ServiceAccount."""

    def apply(self, *objects: dict[str, Any]) -> None:
        """Creates objects, or changes those that are there."""
        with self.cluster.api() as api:
            for item in objects:
                api.apply(object_path(item), item)

    def delete(self, name: str = "") -> None:
        """Deletes one Ingress, or all."""
        with self.cluster.api() as api:
            api.delete(f"{INGRESSES}/{name}" if name else INGRESSES)

    def configmap(self, name: str = "coredns") -> dict[str, Any]:
        with self.cluster.api() as api:
            found: dict[str, Any] = api.get(f"{CONFIGMAPS}/{name}")
        return found

    def patch_configmap(self, patch: dict[str, Any]) -> None:
        """Changes CoreDNS's ConfigMap as somebody else would."""
        with self.cluster.api() as api:
            api.merge_patch(f"{CONFIGMAPS}/coredns", patch)

    def version(self) -> str:
        """The Corefile's resourceVersion: the same as before if nothing was written."""
        return str(self.configmap()["metadata"]["resourceVersion"])

    def write_corefile(self, text: str) -> None:
        """Changes the Corefile as an administrator would."""
        self.patch_configmap({"data": {"Corefile": text}})

    def reset(self) -> None:
        """Takes away what a test may have left."""
        self.delete()
        others = dict.fromkeys(self.configmap()["data"])
        data = {**others, "Corefile": self.original}
        self.patch_configmap({"data": data, "binaryData": None, "metadata": {"annotations": None}})

    def once(self, *flags: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`hairpin-proxy run --once` as the controller's ServiceAccount."""
        argv = [sys.executable, "-m", "hairpin_proxy", "run", "--once"]
        argv += ["--kubeconfig", str(kubeconfig or self.kubeconfig), *flags]
        return subprocess.run(argv, env={}, text=True, capture_output=True, timeout=180, check=False)

    def controller(self, *flags: str, interval: str = "0.3", kubeconfig: Path | None = None) -> Process:
        """`hairpin-proxy run` in the background, with a log file of its own; serves nothing if no flag says where."""
        argv = [sys.executable, "-m", "hairpin_proxy", "run", "--interval", interval, "--min-write-interval", "0"]
        argv += ["--metrics-address", "", "--kubeconfig", str(kubeconfig or self.kubeconfig), *flags]
        return self.cluster.start(f"controller-{next(_numbers)}", argv)

    @contextmanager
    def running(self, *flags: str) -> Iterator[Process]:
        """The same, for as long as the context lasts."""
        controller = self.controller(*flags)
        try:
            yield controller
        finally:
            controller.stop()


def unshare_mounts() -> list[str]:
    """A command that starts another in a mount namespace of its own; the test is skipped where there is none."""
    argv = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives an unprivileged user no mount namespace")
    return argv


def eventually(seen: Any, seconds: float = 30) -> None:
    """Fails if the call does not return true within some seconds."""
    assert wait_until(seen, seconds)


@contextmanager
def installed() -> Iterator[LocalCluster]:
    """A cluster in which deploy.yml is applied, and HAProxy ready."""
    with LocalCluster() as running:
        running.apply(DEPLOY)
        running.register_haproxy()
        yield running


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with installed() as running:
        yield running


@pytest.fixture(scope="session")
def _session(cluster: LocalCluster) -> World:
    return World(cluster, cluster.corefile(), cluster.service_account_kubeconfig(*ACCOUNT))


@pytest.fixture
def world(_session: World) -> Iterator[World]:
    """The cluster without Ingresses, and with the Corefile that it had at first."""
    yield _session
    _session.reset()


@pytest.fixture(scope="module")
def node(cluster: LocalCluster) -> Iterator[Path]:
    """The kubeconfig of the DaemonSet's ServiceAccount."""
    cluster.apply(DAEMONSET)
    yield cluster.service_account_kubeconfig("hairpin-proxy", NODE_ACCOUNT)
    cluster.kubectl("delete", "-f", str(DAEMONSET))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A node's hosts file."""
    path = tmp_path / "hosts"
    path.write_text(NODE)
    return path


@pytest.fixture
def own_mounts() -> list[str]:
    return unshare_mounts()


@pytest.fixture
def gateway_api(world: World) -> Iterator[None]:
    """What is not served is not watched either."""
    world.cluster.install_gateway_api()
    yield
    world.cluster.remove_gateway_api()


@pytest.fixture
def faulty(world: World) -> Iterator[FaultProxy]:
    """What stands between a controller and the API server."""
    with fault_proxy(world.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """What a test of HAProxy alone needs, without the cluster."""
    processes = Processes(tmp_path)
    try:
        yield Lab(tmp_path, processes, start_dns(processes, tmp_path), free_port("0.0.0.0"), free_port("0.0.0.0"))
    finally:
        processes.close()
