"""compumike/hairpin-proxy v0.2.1 on the node: its objects, with stand-ins for its images, and what it has written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.cluster.cluster import INGRESS_NAMESPACE, INGRESS_SERVICE
from tests.cluster.install import locate
from tests.cluster.node.app import HOST
from tests.cluster.node.images import E2E_IMAGE, full_name
from tests.cluster.node.node import Node
from tests.e2e.product import CONTROLLER, HAPROXY, MANIFESTS, NAMESPACE, cluster_ip

MANIFEST = MANIFESTS / "ancestor.yml"
DAEMONSET = MANIFESTS / "ancestor-etchosts-daemonset.yml"
HOSTS = ("registry.example.com", HOST)
"""Those of the Ingresses on the node, in its order."""

TARGET = "my-ingress.ingress-nginx.svc.cluster.local"
"""What a user has made the TARGET_SERVER: another Service of the same ingress controller."""

IMAGES = ("compumike/hairpin-proxy-haproxy:0.2.1", "compumike/hairpin-proxy-controller:0.2.1")
_TAG = "# Added by hairpin-proxy"


@contextmanager
def ancestor(node: Node) -> Iterator[str]:
    """It runs, has TARGET by `kubectl set env`, and its lines are in the Corefile; yields the Corefile before them.

    Whatever became of it, its objects are gone afterwards and the Corefile is that one again: v0.2.1 itself leaves its
    lines there, and never gives back the end of the last line, which it takes.
    """
    before = node.corefile()
    for name in IMAGES:
        image = full_name(name)
        node.run_on_node([locate("ctr"), "-n", "k8s.io", "images", "tag", "--force", E2E_IMAGE, image])
    with my_ingress(node):
        try:
            _install(node)
            node.write_corefile(as_rewritten(before))
            yield before
        finally:
            node.kubectl("delete", "-f", str(MANIFEST), "--ignore-not-found", "--timeout=120s")
            node.write_corefile(before)


@contextmanager
def my_ingress(node: Node) -> Iterator[None]:
    """TARGET is there."""
    kubectl = partial(node.kubectl, "-n", INGRESS_NAMESPACE)
    kubectl("expose", "service", INGRESS_SERVICE, "--name=my-ingress", "--type=ClusterIP")
    try:
        yield
    finally:
        kubectl("delete", "service", "my-ingress")


def _install(node: Node) -> None:
    node.apply(MANIFEST)
    node.kubectl("-n", NAMESPACE, "set", "env", f"deployment/{HAPROXY}", f"TARGET_SERVER={TARGET}")
    for deployment in (HAPROXY, CONTROLLER):
        node.wait_rolled_out(NAMESPACE, deployment)


@contextmanager
def etc_hosts(node: Node) -> Iterator[bytes]:
    """Its DaemonSet besides, and its line in the node's hosts file; yields the file before, and puts it back."""
    before = node.etc_hosts()
    node.apply(DAEMONSET)
    address = cluster_ip(node)
    line = f"{address}\t{' '.join(HOSTS)} {_TAG}\n"
    _write_hosts(node, before.decode().strip() + "\n" + line)
    try:
        yield before
    finally:
        node.kubectl("delete", "-f", str(DAEMONSET), "--ignore-not-found", "--timeout=60s")
        _write_hosts(node, before.decode())


def as_rewritten(corefile: str) -> str:
    """What its controller makes of a Corefile: rules first in the block of `.:53 {`, and no end of line at the end.

    Every line that ends with the comment was its own to it.
    """
    lines = [line for line in corefile.strip().split("\n") if not line.strip().endswith(_TAG)]
    (start,) = (number for number, line in enumerate(lines) if line.strip().startswith(".:53 {"))
    rules = [f"    rewrite name {host} hairpin-proxy.hairpin-proxy.svc.cluster.local {_TAG}" for host in HOSTS]
    return "\n".join([*lines[: start + 1], *rules, *lines[start + 1 :]])


def _write_hosts(node: Node, text: str) -> None:
    # In place, as it does.
    node.run_on_node(["sh", "-c", 'printf %s "$1" >/etc/hosts', "sh", text])
