"""deploy-nudge-coredns.yml at work: switched on as its header says, CoreDNS is told of every write."""

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from hairpin_proxy.coredns import ANNOTATION
from tests.cluster.node.node import Node
from tests.e2e.product import (
    CONTROLLER,
    COREDNS,
    NAMESPACE,
    ROOT,
    TURNED,
    Product,
    cluster_ip,
    eventually,
    staying,
)

NUDGE = ROOT / "deploy-nudge-coredns.yml"
USER = "system:serviceaccount:hairpin-proxy:hairpin-proxy-controller-sa"
NEW = "nudged.example.com"
INGRESS = f"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: nudged
  namespace: default
spec:
  ingressClassName: nginx
  tls:
    - hosts: [{NEW}]
      secretName: my-app-tls
  rules:
    - host: {NEW}
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: my-app, port: {{number: 80}}}}}}}}]}}
"""


@pytest.fixture
def nudging(node: Node, product: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """Switched on and removed by the commands in the manifest's header, word for word."""
    monkeypatch.chdir(ROOT)
    commands = [shlex.split(line) for line in re.findall(r"^#   kubectl (.*)$", NUDGE.read_text(), re.MULTILINE)]
    on, off = commands[:2], commands[2:]
    product.install()
    try:
        for command in on:
            node.kubectl(*command)
        node.wait_rolled_out(NAMESPACE, CONTROLLER)
        yield product
    finally:
        node.kubectl("delete", "ingress", "nudged", "--ignore-not-found")
        for command in off:
            node.kubectl(*command)
        node.wait_rolled_out(NAMESPACE, CONTROLLER)
    assert not node.kubectl("get", "-f", str(NUDGE), "--ignore-not-found", "-o", "name")


def lives(node: Node) -> set[tuple[str, int]]:
    """Which pods there are, and how often each was restarted."""
    return {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in staying(node, *COREDNS)
    }


def nudged_since(node: Node, start: str) -> bool:
    """Whether the annotation of each pod is of this time or later."""
    return all(pod["metadata"].get("annotations", {}).get(ANNOTATION, "") >= start for pod in staying(node, *COREDNS))


def answers(node: Node, host: str) -> set[str]:
    """What every pod of CoreDNS answers another pod."""
    addresses = [pod["status"]["podIP"] for pod in staying(node, *COREDNS)]
    dig = ["dig", "+short", "+time=1", "+tries=1", host]
    return {node.pod_exec("default", "deployment/my-app", [*dig, f"@{ip}"]).stdout.strip() for ip in addresses}


def calls_on_pods(node: Node) -> set[tuple[str, str, str]]:
    return {
        (event["verb"], event["objectRef"]["resource"], event["objectRef"]["namespace"])
        for event in node.audit()
        if event["user"]["username"] == USER and event["objectRef"]["resource"] == "pods"
    }


def rights() -> set[tuple[str, str, str]]:
    return {
        (verb, resource, item["metadata"]["namespace"])
        for item in yaml.safe_load_all(NUDGE.read_text())
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_new_host_is_answered_and_coredns_was_told(node: Node, nudging: Product) -> None:
    before = lives(node)
    assert len(before) == 2
    node.forget_audit()
    start = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    node.apply(INGRESS)
    eventually(lambda: nudged_since(node, start), TURNED, "CoreDNS's pods are not told of the write")
    address = cluster_ip(node)
    eventually(lambda: answers(node, NEW) == {address}, TURNED, f"{NEW} does not lead to the Service")
    assert lives(node) == before
    assert calls_on_pods(node) == rights()
    assert "could not be told" not in nudging.controller_log()


def test_nothing_is_in_both_manifests() -> None:
    names = [
        {(item["kind"], item["metadata"]["name"]) for item in yaml.safe_load_all(path.read_text())}
        for path in (ROOT / "deploy.yml", NUDGE)
    ]
    assert not names[0] & names[1]


def test_the_guard_comes_before_the_right() -> None:
    kinds = [item["kind"] for item in yaml.safe_load_all(NUDGE.read_text())]
    assert kinds == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Role", "RoleBinding"]
