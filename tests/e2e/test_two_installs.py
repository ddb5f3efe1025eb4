"""Two installs on one node, the second as the page makes it: each answers its hosts, and leaves without the other."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.desk import at_a_desk
from tests.e2e.dns_watch import watch_dns
from tests.e2e.product import (
    CONTROLLER,
    DEPLOY,
    HAPROXY,
    MANIFESTS,
    NAMESPACE,
    RULE,
    TURNED,
    Product,
    cluster_ip,
    eventually,
)
from tests.e2e.readme import TWO_INSTALLS, blocks

INTERNAL = "hairpin-proxy-internal"
INTERNAL_HOST = "internal.example.com"
INTERNAL_RULE = f"rewrite name {INTERNAL_HOST} hairpin-proxy.{INTERNAL}.svc.cluster.local # Added by hairpin-proxy"
SERVER = "ingress-internal-controller"


@dataclass(frozen=True)
class Two:
    """The product, and beside it what becomes the second install."""

    product: Product
    folder: Path
    """Where the second manifest is made."""

    @property
    def node(self) -> Node:
        return self.product.node

    @property
    def manifest(self) -> Path:
        return self.folder / "deploy-internal.yml"

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return at_a_desk(self.node, f"cd {self.folder}\n{command}")

    def page(self, mark: str) -> None:
        blocks(TWO_INSTALLS)[f"two installs, {mark}"].run(self.shell)

    def is_there(self, manifest: Path) -> bool:
        """Whether any object of it is."""
        return bool(self.node.kubectl("get", "-f", str(manifest), "--ignore-not-found", "-o", "name"))

    def service(self, namespace: str) -> str:
        """The address of the install's Service."""
        return cluster_ip(self.node, namespace=namespace)

    def pods(self, namespace: str, app: str) -> dict[str, list[str]]:
        """Their names, each with its addresses."""
        path = "{range .items[*]}{.metadata.name} {.status.podIPs[*].ip}{'\\n'}{end}"
        found = self.node.kubectl("-n", namespace, "get", "pods", "-l", f"app={app}", "-o", f"jsonpath={path}")
        return {name: addresses for name, *addresses in map(str.split, found.splitlines())}

    def curl(self, host: str) -> str:
        """The whole answer that a pod gets."""
        argv = ["curl", "-sSi", "--max-time", "10", f"http://{host}/"]
        done = self.node.pod_exec("default", "deployment/my-app", argv)
        return (done.stdout + done.stderr).replace("\r", "")

    def answers(self, host: str, address: str) -> None:
        """Returns when all replicas of CoreDNS answer with this address."""
        with watch_dns(self.node, host) as watch:
            eventually(lambda: watch.addresses() == {address}, TURNED)


@pytest.fixture
def two(product: Product, tmp_path: Path) -> Iterator[Two]:
    """The second ingress class is there, and neither install."""
    shutil.copy(DEPLOY, tmp_path)
    found, node = Two(product, tmp_path), product.node
    node.apply(MANIFESTS / "internal.yml")
    node.wait_rolled_out("ingress-internal", SERVER)
    yield found
    if found.manifest.exists():
        node.kubectl("delete", "-f", str(found.manifest), "--ignore-not-found", "--timeout=120s")
    node.kubectl("delete", "-f", str(MANIFESTS / "internal.yml"), "--timeout=120s")


def without(corefile: str, destination: str) -> str:
    """The Corefile without the lines that lead there."""
    return "".join(line for line in corefile.splitlines(keepends=True) if f" {destination} " not in line)


def test_each_answers_its_own_hosts_and_leaves_without_the_other(two: Two) -> None:
    node, original = two.node, two.product.original
    two.product.install()
    two.page("the first")
    node.wait_rolled_out(NAMESPACE, CONTROLLER)
    eventually(lambda: INTERNAL_HOST not in node.corefile(), 90)
    alone = node.corefile()
    two.page("the manifest")
    two.page("the second")
    eventually(lambda: INTERNAL_RULE in node.corefile(), 90)
    both = node.corefile()
    assert without(both, f"hairpin-proxy.{INTERNAL}.svc.cluster.local") == alone
    assert [line.strip() for line in both.splitlines() if INTERNAL_HOST in line] == [INTERNAL_RULE]
    assert two.product.held == 10

    services = {HOST: two.service(NAMESPACE), INTERNAL_HOST: two.service(INTERNAL)}
    for host, address in services.items():
        two.answers(host, address)
    assert_answers(two, HOST)
    assert_answers(two, INTERNAL_HOST)

    controller = two.pods(INTERNAL, CONTROLLER)
    with watch_dns(node, INTERNAL_HOST) as watch:
        two.product.delete("-f", str(DEPLOY))
        stays = node.corefile()
        assert stays == without(both, "hairpin-proxy.hairpin-proxy.svc.cluster.local")
        assert INTERNAL_RULE in stays
        assert RULE not in stays
        assert not two.is_there(DEPLOY)
        assert two.product.held == 5
        assert_answers(two, INTERNAL_HOST)
        # By then each CoreDNS has read the Corefile.
        two.answers(HOST, node.load_balancer)
        assert_answers(two, INTERNAL_HOST)
    assert {(each.status, each.address) for each in watch.answers()} == {("NOERROR", services[INTERNAL_HOST])}
    assert node.corefile() == stays
    assert two.pods(INTERNAL, CONTROLLER) == controller
    assert "this is an uninstall" not in node.kubectl("-n", INTERNAL, "logs", f"deployment/{CONTROLLER}")

    two.page("leave")
    assert node.corefile() == original
    assert not two.is_there(two.manifest)
    assert two.product.held == 0


def assert_answers(two: Two, host: str) -> None:
    """Through its own HAProxy, with the PROXY header: its client is the pod that asks."""
    answer = two.curl(host)
    (clients,) = two.pods("default", "my-app").values()
    if host == HOST:
        assert "hello from my-app" in answer
        assert any(f"x-client-address: {client}\n" in answer.lower() for client in clients)
        return
    assert "hello from internal" in answer
    assert any(f"client: {client}\n" in answer for client in clients)
    via = re.search(r"^via: (.*)$", answer, re.MULTILINE)
    assert via
    assert any(via[1] in addresses for addresses in two.pods(INTERNAL, HAPROXY).values())
