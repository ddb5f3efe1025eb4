"""A CoreDNS as k3s has it, whose Corefile imports a ConfigMap that may not be there yet."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.dns_watch import watch_dns
from tests.e2e.product import DEPLOY, RULE, TURNED, Product, cluster_ip, eventually

CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"
KEY = "hairpin-proxy.override"
IMPORT = "    import /etc/coredns/custom/*.override\n"
MOUNT = {
    "spec": {
        "template": {
            "spec": {
                "volumes": [{"name": "custom", "configMap": {"name": "coredns-custom", "optional": True}}],
                "containers": [
                    {"name": "coredns", "volumeMounts": [{"name": "custom", "mountPath": "/etc/coredns/custom"}]}
                ],
            }
        }
    }
}


def custom(node: Node) -> dict[str, str]:
    with node.api() as api:
        found: dict[str, Any] = api.get(f"{CONFIGMAPS}/coredns-custom")
    return found.get("data") or {}


def coredns_pods(node: Node) -> list[str]:
    return node.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "name").splitlines()


@pytest.fixture
def importing(node: Node, product: Product) -> Iterator[Product]:
    """The Corefile imports, and each pod of CoreDNS mounts, what does not exist."""
    node.write_corefile(product.original.replace("    reload\n", f"    reload\n{IMPORT}"))
    node.kubectl("-n", "kube-system", "patch", "deployment", "coredns", "--patch", json.dumps(MOUNT))
    try:
        await_new_pods(node)
        found = Product(node, node.corefile())
        yield found
        found.remove()
    finally:
        node.kubectl("-n", "kube-system", "rollout", "undo", "deployment/coredns")
        node.kubectl("-n", "kube-system", "delete", "configmap", "coredns-custom", "--ignore-not-found")
        node.write_corefile(product.original)
        await_new_pods(node)


def await_new_pods(node: Node) -> None:
    node.wait_rolled_out("kube-system", "coredns")
    eventually(lambda: len(coredns_pods(node)) == 2, 90, "the old pods of CoreDNS are there still")


def test_rules_move_to_where_they_last_once_that_is_there(node: Node, importing: Product) -> None:
    importing.install()
    service = cluster_ip(node)
    with watch_dns(node, HOST) as watch:
        eventually(lambda: watch.addresses() == {service}, TURNED)
        turned = len(watch.answers())
        (command,) = set(re.findall(r"this makes it: (kubectl .*)$", importing.controller_log(), re.MULTILINE))
        node.kubectl(*shlex.split(command)[1:])
        # The first poll writes the key, and kubelet makes the files anew; only then the Corefile is cleared.
        eventually(lambda: RULE in custom(node).get(KEY, ""), 60)
        assert RULE in node.corefile()
        eventually(lambda: node.corefile() == importing.original, TURNED, importing.controller_log())
        eventually(lambda: "hairpin-proxy.invalid" not in custom(node)[KEY], 60)
        assert RULE in custom(node)[KEY]
        time.sleep(TURNED)
        assert {(answer.status, answer.address) for answer in watch.answers()[turned:]} == {("NOERROR", service)}

    importing.delete("-f", str(DEPLOY))
    assert importing.is_gone
    assert custom(node) == {}
