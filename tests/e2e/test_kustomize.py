"""docs/kustomize.md on the node: the root installs and leaves as deploy.yml does, beside a second install as well."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.desk import at_a_desk
from tests.e2e.product import (
    CONTROLLER,
    FINALIZER,
    HOST,
    MANIFESTS,
    NAMESPACE,
    ROOT,
    RULE,
    Product,
    cluster_ip,
    eventually,
)
from tests.e2e.readme import blocks
from tests.e2e.test_two_installs import INTERNAL, INTERNAL_HOST, INTERNAL_RULE, without

PAGE = ROOT / "docs" / "kustomize.md"
EXAMPLE = ROOT / "kustomize" / "examples" / "two-installs"


@pytest.fixture
def internal(product: Product) -> Iterator[Product]:
    """With a host of the second ingress class. Nobody waits for its server: no request is led there."""
    product.node.apply(MANIFESTS / "internal.yml")
    yield product
    product.node.kubectl("delete", "-k", str(EXAMPLE / "second"), "--ignore-not-found", "--timeout=120s")
    product.node.kubectl("delete", "-f", str(MANIFESTS / "internal.yml"), "--timeout=120s")


def controllers(product: Product) -> list[str]:
    return [pod["metadata"]["name"] for pod in product.pods()]


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
    eventually(lambda: RULE in node.corefile(), 30)
    eventually(lambda: "hello from my-app" in answer(product), 30)
    assert product.is_held

    page["two installs"]()
    # Each host by its class: before, the first install had both.
    eventually(lambda: (rules(product, HOST), rules(product, INTERNAL_HOST)) == ([RULE], [INTERNAL_RULE]), 90)
    both, running = node.corefile(), controllers(product)

    page["leave, the second"]()
    assert node.corefile() == without(both, f"hairpin-proxy.{INTERNAL}.svc.cluster.local")
    assert not node.kubectl("get", "-k", str(EXAMPLE / "second"), "--ignore-not-found", "-o", "name")
    assert controllers(product) == running
    assert "uninstall" not in product.controller_log()
    assert product.is_held

    page["leave"]()
    assert product.is_gone
    assert FINALIZER not in node.kubectl("get", "serviceaccount,role,rolebinding", "-A", "-o", "yaml")
    assert not node.kubectl("-n", NAMESPACE, "get", f"deployment/{CONTROLLER}", "--ignore-not-found", "-o", "name")
