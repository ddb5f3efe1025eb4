"""Many hosts on the node: CoreDNS's version is seen, their rules are packed, and a new one is written at once."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.product import CONTROLLER, DEPLOY, NAMESPACE, RULE, TURNED, Product, cluster_ip, eventually

MANY = [f"shop-{number}.example.com" for number in range(300)]
LATE = "late.example.com"
PACKED = "rewrite stop name regex ^"


def ingress(name: str, *hosts: str) -> dict[str, Any]:
    backend = {"service": {"name": "my-app", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ingressClassName": "nginx", "defaultBackend": backend, "tls": [{"hosts": list(hosts)}]},
    }


def address(node: Node, host: str) -> str:
    """What a pod is told."""
    code = f"import socket; print(socket.gethostbyname({host!r}))"
    return node.kubectl("exec", "deployment/my-app", "--", "python3", "-c", code, check=False).strip()


def test_hosts_are_packed_and_lead_pods_to_us(node: Node, product: Product) -> None:
    product.install()
    # So that what follows within seconds is not by a poll.
    node.kubectl("-n", NAMESPACE, "set", "env", f"deployment/{CONTROLLER}", "POLL_INTERVAL=120")
    node.wait_rolled_out(NAMESPACE, CONTROLLER)
    service = cluster_ip(node)
    node.apply(json.dumps(ingress("many", *MANY)))
    try:
        eventually(lambda: PACKED in node.corefile(), 90)
        assert RULE not in node.corefile()
        assert node.corefile().count("hairpin-proxy.hairpin-proxy.svc") == 1
        asked = (MANY[-1], HOST, MANY[0], MANY[150])
        eventually(lambda: {address(node, host) for host in asked} == {service}, TURNED, "not all lead to us")
        assert address(node, "shop-300.example.com") != service

        time.sleep(30)  # the gap after the last write
        before = node.corefile()
        node.apply(json.dumps(ingress("late", LATE)))
        taken = eventually(lambda: node.corefile() != before, 30, "a new host has to wait for the next poll")
        print(f"a new host was written within {taken:.1f} s")
        eventually(lambda: f"packed: {LATE} -> " in product.controller_log(), 30, "the log does not say so")
    finally:
        node.kubectl("delete", "ingress", "many", "late", "--ignore-not-found")
    product.delete("-f", str(DEPLOY))
    assert product.is_gone
