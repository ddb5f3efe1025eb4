"""deploy-nudge-coredns.yml's guard: even as cluster-admin, the controller may do nothing to a pod but nudge CoreDNS's.

Each request is made by the administrator too, who may do all of them. All are dry runs, or harmless, so that a guard
with a hole does no more than fail here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hairpin_proxy.coredns import ANNOTATION
from tests.cluster.cluster import ClusterError
from tests.cluster.node.node import Node
from tests.e2e.product import COREDNS, ROOT, eventually, staying

NUDGE = ROOT / "deploy-nudge-coredns.yml"
CONTROLLER = "--as=system:serviceaccount:hairpin-proxy:hairpin-proxy-controller-sa"
TRY = "--dry-run=server"
NOW = {ANNOTATION: "2026-01-31T12:34:56Z"}

ENTERS = "the controller of hairpin-proxy may not create, delete, evict or enter a pod, nor use a subresource of it"
WHICH = "the controller of hairpin-proxy may touch no pod but those of CoreDNS"
SPEC = "the controller of hairpin-proxy may not change a pod's spec"
METADATA = "of a pod's metadata (labels, finalizers, ownerReferences and the rest)"
ANNOTATIONS = "the controller of hairpin-proxy may change no annotation of a pod but hairpin-proxy/corefile-written-at"
VALUE = "the annotation hairpin-proxy/corefile-written-at is a time"

# What is patched beside the nudge itself, and why the guard refuses it.
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another image": ({"spec": {"containers": [{"name": "coredns", "image": "example.com/other"}]}}, SPEC),
    "a deadline": ({"spec": {"activeDeadlineSeconds": 1}}, SPEC),
    "a new label": ({"metadata": {"labels": {"one": "two"}}}, METADATA),
    "another label": ({"metadata": {"labels": {"k8s-app": "other"}}}, METADATA),
    "no label": ({"metadata": {"labels": {"k8s-app": None}}}, METADATA),
    "a finalizer": ({"metadata": {"finalizers": ["example.com/held"]}}, METADATA),
    "no owner": ({"metadata": {"ownerReferences": None}}, METADATA),
    "a new annotation": ({"metadata": {"annotations": NOW | {"one": "two"}}}, ANNOTATIONS),
    "another annotation": ({"metadata": {"annotations": NOW | {"note": "changed"}}}, ANNOTATIONS),
    "no annotation": ({"metadata": {"annotations": NOW | {"note": None}}}, ANNOTATIONS),
    "an empty value": ({"metadata": {"annotations": {ANNOTATION: ""}}}, VALUE),
    "a value that is no time": ({"metadata": {"annotations": {ANNOTATION: "2026-01-31T12:34:56Z\nand more"}}}, VALUE),
    "no value": ({"metadata": {"annotations": {ANNOTATION: None}}}, VALUE),
}

PODS = "/api/v1/namespaces/kube-system/pods"
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "POD", "namespace": "kube-system"}}
DEBUGGER = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "example.com/debugger"}]}}
LESS = {"spec": {"containers": [{"name": "coredns", "resources": {"requests": {"cpu": "50m"}}}]}}
# kubectl's arguments and its input; POD is to be replaced.
REQUESTS: dict[str, tuple[list[str], dict[str, Any] | None]] = {
    "create": (["run", "new", "--image=example.com/new", "--labels=k8s-app=kube-dns", TRY], None),
    "delete": (["delete", "pod", "POD", TRY], None),
    "delete all": (["delete", "--raw", f"{PODS}?dryRun=All"], None),
    "evict": (["create", "--raw", f"{PODS}/POD/eviction?dryRun=All", "-f", "-"], EVICTION),
    "exec": (["exec", "POD", "--", "/coredns", "-version"], None),
    "proxy": (["get", "--raw", f"{PODS}/POD:9153/proxy/metrics"], None),
    "debug": (["patch", "pod", "POD", "--subresource=ephemeralcontainers", TRY, "-p", json.dumps(DEBUGGER)], None),
    "resize": (["patch", "pod", "POD", "--subresource=resize", TRY, "-p", json.dumps(LESS)], None),
    "status": (["patch", "pod", "POD", "--subresource=status", TRY, "-p", '{"status": {"message": "ill"}}'], None),
}


@pytest.fixture(scope="module")
def pod(node: Node) -> Iterator[str]:
    """One of CoreDNS's, with an annotation of somebody else; guarded, while the controller may do anything."""
    name = staying(node, *COREDNS)[0]["metadata"]["name"]
    node.kubectl("-n", "kube-system", "annotate", "pod", name, "note=as it was")
    account = "--serviceaccount=hairpin-proxy:hairpin-proxy-controller-sa"
    node.apply(NUDGE)
    node.kubectl("create", "clusterrolebinding", "everything", "--clusterrole=cluster-admin", account)
    # For a moment the API server knows of neither, and refuses for another reason.
    eventually(lambda: ENTERS in refusal(node, "delete", "pod", name, TRY), 60, "the guard is not enforced")
    yield name
    node.kubectl("delete", "clusterrolebinding", "everything")
    node.kubectl("delete", "-f", str(NUDGE))
    node.kubectl("-n", "kube-system", "annotate", "pod", name, "note-")


def refusal(node: Node, *args: str) -> str:
    """Why the controller may not; empty when it may."""
    try:
        node.kubectl("-n", "kube-system", CONTROLLER, *args)
    except ClusterError as error:
        return str(error)
    return ""


def patch(node: Node, namespace: str, pod: str, change: dict[str, Any], *more: str) -> str:
    return node.kubectl("-n", namespace, "patch", "pod", pod, TRY, "-p", json.dumps(change), *more)


def refused(why: str) -> pytest.RaisesExc[ClusterError]:
    return pytest.raises(ClusterError, match=f"'hairpin-proxy-nudge-coredns' denied request: {re.escape(why)}")


def test_the_nudge_is_allowed(node: Node, pod: str) -> None:
    assert "patched" in patch(node, "kube-system", pod, {"metadata": {"annotations": NOW}}, CONTROLLER)


@pytest.mark.parametrize(("change", "why"), CHANGES.values(), ids=CHANGES)
def test_nothing_else_may_be_changed(node: Node, pod: str, change: dict[str, Any], why: str) -> None:
    metadata = {"annotations": NOW} | change.get("metadata", {})
    whole = change | {"metadata": metadata}
    with refused(why):
        patch(node, "kube-system", pod, whole, CONTROLLER)
    assert "patched" in patch(node, "kube-system", pod, whole)


@pytest.mark.parametrize(("args", "given"), REQUESTS.values(), ids=REQUESTS)
def test_nothing_else_may_be_done(node: Node, pod: str, args: list[str], given: dict[str, Any] | None) -> None:
    request = ["-n", "kube-system", *(arg.replace("POD", pod) for arg in args)]
    stdin = json.dumps(given).replace("POD", pod) if given else None
    with refused(ENTERS):
        node.kubectl(CONTROLLER, *request, stdin=stdin)
    node.kubectl(*request, stdin=stdin)


@pytest.mark.parametrize(
    ("namespace", "labels"),
    [("kube-system", {"k8s-app": "other"}), ("kube-system", {}), ("default", {"k8s-app": "kube-dns"})],
)
def test_no_other_pod_may_be_touched(node: Node, pod: str, namespace: str, labels: dict[str, str]) -> None:
    assert pod
    other = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": namespace, "labels": labels},
        "spec": {
            "containers": [{"name": "main", "image": "hairpin-proxy-e2e:1"}],
            "schedulingGates": [{"name": "example.com/never"}],
        },
    }
    node.apply(json.dumps(other))
    try:
        with refused(WHICH):
            patch(node, namespace, "other", {"metadata": {"annotations": NOW}}, CONTROLLER)
        assert "patched" in patch(node, namespace, "other", {"metadata": {"annotations": NOW}})
    finally:
        node.kubectl("-n", namespace, "delete", "pod", "other", "--now")
