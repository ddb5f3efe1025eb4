"""docs/helm.md on a real node: other installs taken over, changed, and gone; and one of Helm's own."""

from __future__ import annotations

import json
import re
import subprocess
from functools import partial
from typing import Any

import pytest

from tests.cluster.cluster import INGRESS_NAMESPACE, INGRESS_SERVICE
from tests.cluster.install import HELMS
from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e import ancestor
from tests.e2e.desk import at_a_desk
from tests.e2e.dns_watch import wait_until_read, watch_dns
from tests.e2e.product import (
    CONTROLLER,
    HAPROXY,
    NAMESPACE,
    ROOT,
    RULE,
    Product,
    cluster_ip,
    eventually,
    resource_version,
)
from tests.e2e.readme import Block, Command, Shell, blocks

PAGE = blocks(ROOT / "docs" / "helm.md")
UPGRADE = f"helm upgrade hairpin-proxy charts/hairpin-proxy --namespace {NAMESPACE} --reset-then-reuse-values"
HOOK_FAILED = {
    3: "job hairpin-proxy-cleanup failed",
    4: "resource Job/hairpin-proxy/hairpin-proxy-cleanup not ready. status: Failed",
}
"""What each Helm says of it."""

HOOKS = "serviceaccount,role,rolebinding,job"


def test_the_page_has_the_marked_blocks() -> None:
    assert list(PAGE) == ["install", "upgrade", "take over", "over another version", "leave, gently", "leave, at once"]


@pytest.mark.parametrize("major", HELMS)
def test_taken_over_changed_and_gone_gently_and_back_and_gone_at_once(product: Product, major: int) -> None:
    node, desk = product.node, partial(at_a_desk, product.node, helm=major)
    product.install()
    target = cluster_ip(node, INGRESS_SERVICE, INGRESS_NAMESPACE)
    node.kubectl("-n", NAMESPACE, "set", "env", f"deployment/{HAPROXY}", f"TARGET_SERVER={target}")
    node.wait_rolled_out(NAMESPACE, HAPROXY)
    service = cluster_ip(node)
    wait_until_read(node)
    with watch_dns(node, HOST) as watch:
        written, pods = resource_version(node), pod_names(product)
        PAGE["take over"].run(desk)
        assert pod_names(product) == pods
        assert product.is_held

        PAGE["upgrade"].run(desk)
        assert product.environment(HAPROXY)["TARGET_SERVER"] == target
        assert product.environment()["POLL_INTERVAL"] == "30"
        until_it_runs, doctor = of_the_notes(desk)[:2]
        # One slow answer of DNS is a finding.
        Block((Command(until_it_runs), Command(doctor)), within=60).run(desk)
        takes_to_the_nodes_and_back(node, desk)
        assert product.is_held
        assert resource_version(node) == written
        assert {(answer.status, answer.address) for answer in watch.answers()} == {("NOERROR", service)}

        assert HOOK_FAILED[major] in refused_in_words(product, desk)

        PAGE["leave, gently"].run(desk)
        eventually(lambda: watch.addresses() == {node.load_balancer}, 30)
        answers = {(answer.status, answer.address) for answer in watch.answers()}
    assert answers == {("NOERROR", service), ("NOERROR", node.load_balancer)}
    assert_gone(product)

    PAGE["install"].run(desk)
    eventually(lambda: RULE in node.corefile(), 90)
    assert product.is_held
    PAGE["leave, at once"].run(desk)
    assert_gone(product)


@pytest.mark.parametrize("major", HELMS)
def test_v0_2_1_taken_over_and_gone(product: Product, major: int) -> None:
    node, desk = product.node, partial(at_a_desk, product.node, helm=major)
    with ancestor.ancestor(node) as before:
        wait_until_read(node)
        service = cluster_ip(node)
        with watch_dns(node, HOST) as watch:
            PAGE["over another version"].run(desk)
            PAGE["take over"].run(desk)
            for deployment in (HAPROXY, CONTROLLER):
                node.wait_rolled_out(NAMESPACE, deployment)
            eventually(lambda: RULE in node.corefile() and product.is_held, 90, "its rules are not adopted")
            wait_until_read(node)
            assert {(answer.status, answer.address) for answer in watch.answers()} == {("NOERROR", service)}
        assert product.environment(HAPROXY)["TARGET_SERVER"] == ancestor.TARGET
        limits = node.kubectl(
            *("-n", NAMESPACE, "get", "deployment", "-o"),
            "jsonpath={.items[*].spec.template.spec.containers[*].resources.limits.cpu}",
        )
        assert limits == ""  # v0.2.1 throttled both
        PAGE["leave, at once"].run(desk)
        # v0.2.1 has taken the end of the last line.
        assert_gone(Product(node, before.strip()))


def takes_to_the_nodes_and_back(node: Node, desk: Shell) -> None:
    before = node.etc_hosts()
    assert desk(f"{UPGRADE} --set etcHosts.enabled=true,etcHosts.settings.POLL_INTERVAL=1").returncode == 0
    eventually(lambda: f"{HOST} # Added by hairpin-proxy".encode() in node.etc_hosts(), 90)
    assert desk(f"{UPGRADE} --set etcHosts.enabled=false").returncode == 0
    eventually(lambda: node.etc_hosts() == before, 90, "the node's hosts file is not as before")


def refused_in_words(product: Product, desk: Shell) -> str:
    """An uninstall whose hook cannot do it: nothing is deleted, and its message is shown, in what is returned."""
    node = product.node
    source = {"configMapRef": {"name": "elsewhere", "optional": True}}
    spec: dict[str, Any] = {"containers": [{"name": "main", "envFrom": [source]}]}
    patch_controller(node, spec)
    assert desk(f"{UPGRADE} --set uninstall.gentle=true").returncode == 0
    refused = desk(f"helm uninstall hairpin-proxy --namespace {NAMESPACE} --wait")
    assert refused.returncode
    said = refused.stdout + refused.stderr
    assert "takes its environment from another object (envFrom)" in said
    assert product.is_held
    assert RULE in node.corefile()
    spec["containers"][0]["envFrom"] = None
    patch_controller(node, spec)
    release = f"hairpin-proxy --namespace {NAMESPACE}"
    revision = json.loads(desk(f"helm history {release} --max 1 --output json").stdout)[0]["revision"]
    back = desk(f"helm rollback {release} {revision}")
    assert back.returncode == 0, back.stderr
    node.wait_rolled_out(NAMESPACE, CONTROLLER)
    return said


def patch_controller(node: Node, spec: dict[str, Any]) -> None:
    patch = json.dumps({"spec": {"template": {"spec": spec}}})
    node.kubectl("-n", NAMESPACE, "patch", "deployment", CONTROLLER, "-p", patch)


def assert_gone(product: Product) -> None:
    """But for the namespace, which is not Helm's."""
    node = product.node
    node.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    assert product.is_gone
    left = node.kubectl("get", HOOKS, "-A", "-o", "name")
    assert "hairpin-proxy" not in left, left


def pod_names(product: Product) -> set[str]:
    return {pod["metadata"]["name"] for name in (CONTROLLER, HAPROXY) for pod in product.staying(name)}


def of_the_notes(desk: Shell) -> list[str]:
    """The commands in the notes of the release."""
    done: subprocess.CompletedProcess[str] = desk(f"helm get notes hairpin-proxy --namespace {NAMESPACE}")
    return re.findall(r"^    (.*)$", done.stdout, re.MULTILINE)
