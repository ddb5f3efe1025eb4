"""hairpin-proxy on the node, as its users see it: installed, uninstalled, and whether it works."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.cluster.api import ApiError
from tests.cluster.cluster import ClusterError
from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node

ROOT = Path(__file__).parents[2]
MANIFESTS = Path(__file__).parent / "manifests"
DEPLOY = ROOT / "deploy.yml"
DAEMONSET = ROOT / "deploy-etchosts-daemonset.yml"
RULE = f"rewrite name {HOST} hairpin-proxy.hairpin-proxy.svc.cluster.local # Added by hairpin-proxy"
NAMESPACE = "hairpin-proxy"
CONTROLLER = "hairpin-proxy-controller"
HAPROXY = "hairpin-proxy-haproxy"

FINALIZER = "hairpin-proxy/corefile"

TURNED = 180
"""Seconds within which CoreDNS reads a new Corefile: the gap after our last write, and then kubelet's sync and
CoreDNS's reload, both jittered."""


NOT_TO_BE_TOLD = (ClusterError, ApiError, OSError, HTTPException, ValueError)
"""What one look may raise on a busy machine: kubectl has no answer in time, a connection ends, JSON is empty."""


def eventually(seen: Callable[[], bool], seconds: float, what: str = "") -> float:
    """Returns after how many seconds it was seen; fails if it was not, and shows the last look that failed itself."""
    start = time.monotonic()
    error: Exception | None = None
    while True:
        try:
            if seen():
                return time.monotonic() - start
        except NOT_TO_BE_TOLD as failure:
            error = failure
        if time.monotonic() - start >= seconds:
            raise AssertionError(what or "it was not to be seen") from error
        time.sleep(0.2)


COREDNS = ("-n", "kube-system", "-l", "k8s-app=kube-dns")


def staying(node: Node, *which: str) -> list[dict[str, Any]]:
    """The pods that nobody has deleted. Those of before a roll-out go on to be listed until they have ended."""
    listed = json.loads(node.kubectl("get", "pods", *which, "-o", "json"))
    return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]


def cluster_ip(node: Node, service: str = "hairpin-proxy", namespace: str = NAMESPACE) -> str:
    """A Service's address; without a name that of ours, to which the rules lead."""
    return node.kubectl("-n", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")


def resource_version(node: Node) -> str:
    """The Corefile's: it changes with every write, also with one that is taken back."""
    path = "jsonpath={.metadata.resourceVersion}"
    return node.kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", path)


@dataclass(frozen=True)
class Product:
    """The product on a node, and the Corefile that was there before it."""

    node: Node
    original: str

    def install(self) -> None:
        """Applies deploy.yml; returns when its rules are in the Corefile."""
        self.node.apply(DEPLOY)
        eventually(lambda: RULE in self.node.corefile(), 180, "there is no rule in the Corefile")
        self.node.wait_rolled_out(NAMESPACE, CONTROLLER)
        self.node.wait_rolled_out(NAMESPACE, HAPROXY)

    def remove(self) -> None:
        """Whatever state it is in, and whatever a test has applied of the DaemonSet's manifest."""
        self.node.kubectl("delete", "-f", str(DAEMONSET), "--ignore-not-found", "--timeout=90s")
        if not self.is_gone:
            self.node.kubectl("delete", "-f", str(DEPLOY), "--ignore-not-found", "--timeout=120s")

    @property
    def is_gone(self) -> bool:
        """Whether no object of deploy.yml is there, and the Corefile is as it was, byte for byte."""
        left = self.node.kubectl("get", "-f", str(DEPLOY), "--ignore-not-found", "-o", "name")
        return not left and self.node.corefile() == self.original

    @property
    def held(self) -> int:
        """How many objects have the finalizer, those of other installs as well."""
        listed = self.node.kubectl("get", "serviceaccount,role,rolebinding", "-A", "-o", "yaml")
        return listed.count(f"- {FINALIZER}")

    @property
    def is_held(self) -> bool:
        """Whether all five objects that the controller needs to restore the Corefile have its finalizer."""
        return self.held == 5

    def environment(self, deployment: str = CONTROLLER) -> dict[str, str]:
        """The settings of a Deployment's container."""
        item = json.loads(self.node.kubectl("-n", NAMESPACE, "get", "deployment", deployment, "-o", "json"))
        variables = item["spec"]["template"]["spec"]["containers"][0].get("env", [])
        return {variable["name"]: variable.get("value", "") for variable in variables}

    def controller_log(self) -> str:
        return self.node.kubectl("-n", NAMESPACE, "logs", f"deployment/{CONTROLLER}")

    def pods(self, name: str = CONTROLLER) -> list[dict[str, Any]]:
        listed = self.node.kubectl("-n", NAMESPACE, "get", "pods", "-l", f"app={name}", "-o", "json")
        found: list[dict[str, Any]] = json.loads(listed)["items"]
        return found

    def staying(self, name: str = CONTROLLER) -> list[dict[str, Any]]:
        """Those that nobody has deleted."""
        return staying(self.node, "-n", NAMESPACE, "-l", f"app={name}")

    def delete(self, *what: str) -> float:
        """`kubectl delete`; returns the seconds until it has ended by itself."""
        start = time.monotonic()
        self.node.kubectl("delete", "--timeout=120s", *what)
        return time.monotonic() - start
