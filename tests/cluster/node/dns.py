"""The cluster's DNS on the node: as kubeadm installs it, or as another distribution does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tests.cluster.cluster import ClusterError
from tests.cluster.node.images import COREDNS_IMAGE, ROOT
from tests.cluster.node.network import CLUSTER_DNS

KUBEADM = "kubeadm"
DISTRIBUTIONS = ROOT / "tests" / "distributions"
ACCOUNT = "coredns"

Object = dict[str, Any]


def distributions() -> list[str]:
    """Those whose CoreDNS can be had on the node: one Deployment, in kube-system."""
    return sorted(folder.name for folder in DISTRIBUTIONS.iterdir() if folder.is_dir() and _is_plain(folder))


def dns_objects(like: str = KUBEADM) -> list[Object]:
    """What `kubectl apply` takes. Raises ClusterError where there is no such distribution."""
    ours = _load(Path(__file__).parent / "coredns.yml")
    if like == KUBEADM:
        return ours
    if like not in distributions():
        raise ClusterError(f"no CoreDNS like that of {like!r} can be had here; there are {', '.join(distributions())}")
    rights = [item for item in ours if item["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")]
    return [*rights, *map(_on_our_node, _objects(DISTRIBUTIONS / like))]


def deployment_of(objects: list[Object]) -> str:
    """The name of CoreDNS's Deployment among them."""
    return next(str(item["metadata"]["name"]) for item in objects if item["kind"] == "Deployment")


def _objects(folder: Path) -> list[Object]:
    path = folder / "objects.yml"
    return _load(path) if path.exists() else []


def _load(path: Path) -> list[Object]:
    # Not at the top: `make cluster-down` has to work where the virtual environment is gone.
    import yaml  # noqa: PLC0415

    return list(yaml.safe_load_all(path.read_text()))


def _is_plain(folder: Path) -> bool:
    kinds = [item["kind"] for item in _objects(folder)]
    return kinds.count("Deployment") == 1 and set(kinds) <= {"ConfigMap", "Service", "Deployment"}


def _on_our_node(given: Object) -> Object:
    item = copy.deepcopy(given)
    if item["kind"] == "Service":
        item["spec"]["clusterIP"] = CLUSTER_DNS
        item["spec"].pop("clusterIPs", None)
    if item["kind"] == "Deployment":
        pod = item["spec"]["template"]["spec"]
        pod |= {"serviceAccountName": ACCOUNT, "dnsPolicy": "Default"}
        for container in pod["containers"]:
            container |= {"image": COREDNS_IMAGE, "imagePullPolicy": "IfNotPresent"}
    return item
