"""Telling CoreDNS's pods of a new Corefile."""

from datetime import UTC, datetime
from typing import Any

from hairpin_proxy.kube import Kube, KubeError

LABEL = "k8s-app=kube-dns"
"""What CoreDNS's pods bear in nearly every distribution, for the Service kube-dns selects them by it."""

ANNOTATION = "hairpin-proxy/corefile-written-at"


def nudge(kube: Kube, namespace: str) -> list[str]:
    """Touches an annotation of each pod, for kubelet then reads its ConfigMaps anew, a minute before it would else.

    Returns what went wrong.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        pods = _pods(kube, namespace)
    except KubeError as error:
        return [str(error)]
    problems = []
    for pod in pods:
        try:
            kube.merge_patch(pod, {"metadata": {"annotations": {ANNOTATION: now}}})
        except KubeError as error:
            if error.status != 404:  # A pod that has gone meanwhile need not know.
                problems.append(str(error))
    return problems


def _pods(kube: Kube, namespace: str) -> list[str]:
    """The path of each pod that is to stay."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods: list[dict[str, Any]] = list(kube.items(path, "PodList", labelSelector=LABEL))
    return [f"{path}/{pod['metadata']['name']}" for pod in pods if not pod["metadata"].get("deletionTimestamp")]
