"""docs/kustomize.md on the node: the root installs and leaves as deploy.yml does, beside a second install as well."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.desk import at_a_desk
from tests.e2e.product import CONTROLLER, MANIFESTS, NAMESPACE, ROOT, RULE, Product, cluster_ip, eventually
from tests.e2e.readme import blocks
from tests.e2e.test_two_installs import INTERNAL, INTERNAL_HOST, INTERNAL_RULE, without
from tests.nodecache import FOR, STANDARD, TAG, configmap, daemonset

PAGE = ROOT / "docs" / "kustomize.md"
EXAMPLE = ROOT / "kustomize" / "examples" / "two-installs"
EDGE = "edge"
"""The namespace in the page's commands before an uninstall."""

FOR_EDGE = f"{FOR} {TAG}".replace(f".{NAMESPACE}.", f".{EDGE}.")


@pytest.fixture
def internal(product: Product) -> Iterator[Product]:
    """With a host of the second ingress class. Nobody waits for its server: no request is led there."""
    product.node.apply(MANIFESTS / "internal.yml")
    yield product
    product.node.kubectl("delete", "-k", str(EXAMPLE / "second"), "--ignore-not-found", "--timeout=120s")
    product.node.kubectl("delete", "-f", str(MANIFESTS / "internal.yml"), "--timeout=120s")


def controllers(product: Product) -> list[str]:
    return [pod["metadata"]["name"] for pod in product.staying()]


def rules(product: Product, host: str) -> list[str]:
    return [line.strip() for line in product.node.corefile().splitlines() if host in line]


def answer(product: Product) -> str:
    """What the Service hairpin-proxy answers to a pod that asks for the host."""
    argv = ["curl", "-sS", "--max-time", "5", "-H", f"Host: {HOST}", f"http://{cluster_ip(product.node)}/"]
    return product.node.pod_exec("default", "deployment/my-app", argv).stdout


def test_the_root_installs_and_leaves_as_deploy_yml_does_also_beside_a_second_install(internal: Product) -> None:
    product, node = internal, internal.node
    page = {mark: partial(block.run, partial(at_a_desk, node)) for mark, block in blocks(PAGE).items()}
    assert list(page) == ["install", "two installs", "leave, the second", "leave"]

    page["install"]()
    eventually(lambda: RULE in node.corefile(), 90)
    eventually(lambda: "hello from my-app" in answer(product), 60)
    assert product.is_held

    page["two installs"]()
    # Each host by its class: before, the first install had both.
    eventually(lambda: (rules(product, HOST), rules(product, INTERNAL_HOST)) == ([RULE], [INTERNAL_RULE]), 90)
    both, running = node.corefile(), controllers(product)

    page["leave, the second"]()
    assert node.corefile() == without(both, f"hairpin-proxy.{INTERNAL}.svc.cluster.local")
    assert not node.kubectl("get", "-k", str(EXAMPLE / "second"), "--ignore-not-found", "-o", "name")
    assert controllers(product) == running
    assert "this is an uninstall" not in product.controller_log()
    assert product.is_held

    page["leave"]()
    assert product.is_gone
    assert product.held == 0
    assert not node.kubectl("-n", NAMESPACE, "get", f"deployment/{CONTROLLER}", "--ignore-not-found", "-o", "name")


@pytest.fixture
def node_local_dns(node: Node) -> Iterator[None]:
    """Its objects, without a pod: there is no image of it here, and the controller goes by the objects."""
    workload = daemonset()
    workload["spec"]["template"]["spec"]["nodeSelector"] = {"no": "node"}
    items = [configmap("node-local-dns", Corefile=STANDARD), workload]
    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    node.kubectl("apply", "-f", "-", stdin=both)
    yield
    node.kubectl("delete", "-f", "-", stdin=both)


@pytest.fixture
def overlay(node: Node, tmp_path: Path) -> Iterator[Path]:
    """One of a user's own, in a folder of its own. Whatever is left of its install is removed afterwards."""
    root = os.path.relpath(ROOT, tmp_path)
    names = ("etc-hosts", "node-local-dns", "namespace")
    text = {
        "resources": [f"{root}/kustomize/base"],
        "components": [f"{root}/kustomize/components/{name}" for name in names],
        "configMapGenerator": [{"name": "hairpin-proxy-values", "literals": [f"namespace={EDGE}"]}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(text))
    yield tmp_path
    node.kubectl("delete", "-k", str(tmp_path), "--ignore-not-found", "--timeout=120s")


def node_local_corefile(node: Node) -> str:
    item = node.kubectl("-n", "kube-system", "get", "configmap", "node-local-dns", "-o", "json")
    return str(json.loads(item)["data"]["Corefile"])


def before_an_uninstall(component: str) -> str:
    """The command that the page has for it."""
    (command,) = re.findall(rf"^- `{component}`, .*\n  `(.*?)`", PAGE.read_text(), re.MULTILINE)
    return str(command)


@pytest.mark.usefixtures("node_local_dns")
def test_another_namespace_has_all_of_it_and_leaves_as_the_page_says(product: Product, overlay: Path) -> None:
    node, hosts = product.node, product.node.etc_hosts()
    node.kubectl("apply", "-k", str(overlay))
    eventually(lambda: RULE.replace(f".{NAMESPACE}.", f".{EDGE}.") in node.corefile(), 120)
    node.kubectl("-n", EDGE, "rollout", "status", "daemonset", "--timeout=2m")
    line = f"{cluster_ip(node, namespace=EDGE)} {HOST} # Added by hairpin-proxy".encode()
    # By its second poll, a minute later, if HAProxy was not ready at the first one.
    eventually(lambda: line in node.etc_hosts(), 90, "the node's hosts file has no line")
    eventually(lambda: node_local_corefile(node).startswith(STANDARD) and FOR_EDGE in node_local_corefile(node), 90)

    for component in ("etc-hosts", "node-local-dns"):
        # What --wait waits for is in test_uninstall.py.
        done = at_a_desk(node, before_an_uninstall(component).replace(" --wait", ""))
        assert done.returncode == 0, done.stderr
    assert node_local_corefile(node) == STANDARD
    done = at_a_desk(node, f"kubectl delete -k {overlay} --ignore-not-found")
    assert done.returncode == 0, done.stderr
    assert node.corefile() == product.original
    eventually(lambda: node.etc_hosts() == hosts, 30, "the node's hosts file is not as before")
    assert not node.kubectl("get", "-k", str(overlay), "--ignore-not-found", "-o", "name")
