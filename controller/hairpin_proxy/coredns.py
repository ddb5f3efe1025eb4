"""CoreDNS's own pods: telling them of a new Corefile, and asking which one they run."""

import re
from datetime import UTC, datetime
from typing import Any

from hairpin_proxy.kube import Kube, KubeError

LABEL = "k8s-app=kube-dns"
"""What CoreDNS's pods bear in nearly every distribution, for the Service kube-dns selects them by it."""

ANNOTATION = "hairpin-proxy/corefile-written-at"

_METRICS_PORT = 9153
_CONFIGURATION = re.compile(r'^coredns_reload_version_info\{[^}]*value="([0-9a-f]+)"', re.MULTILINE)
"""The metric of the Corefile in use (https://coredns.io/plugins/reload/#metrics)."""


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


def configurations(kube: Kube, namespace: str) -> dict[str, str | None]:
    """The hash of the Corefile that each pod reloaded last, None before its first reload. Raises KubeError."""
    return {pod: _configuration(kube.text(f"{pod}:{_METRICS_PORT}/proxy/metrics")) for pod in _pods(kube, namespace)}


def _configuration(metrics: str) -> str | None:
    found = _CONFIGURATION.search(metrics)
    return found[1] if found else None


def _pods(kube: Kube, namespace: str) -> list[str]:
    """The path of each pod that is to stay."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods: list[dict[str, Any]] = list(kube.items(path, "PodList", labelSelector=LABEL))
    return [f"{path}/{pod['metadata']['name']}" for pod in pods if not pod["metadata"].get("deletionTimestamp")]
