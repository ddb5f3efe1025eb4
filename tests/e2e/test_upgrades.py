"""Upgrades on the node, by the commands of docs/upgrading.md: from v0.2.1, from our first version, and back to that."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hairpin_proxy import __version__
from tests.cluster.node.app import HOST
from tests.cluster.node.earlier import FIRST
from tests.cluster.node.node import Node
from tests.e2e import ancestor
from tests.e2e.desk import at_a_desk
from tests.e2e.dns_watch import Answer, DnsWatch, wait_until_read, watch_dns
from tests.e2e.product import CONTROLLER, DEPLOY, HAPROXY, NAMESPACE, ROOT, RULE, Product, cluster_ip, eventually
from tests.e2e.readme import blocks
from tests.e2e.request_watch import RequestWatch, watch_requests

PAGE = ROOT / "docs/upgrading.md"
EXAMPLE = "my-ingress.my-namespace.svc.cluster.local"
MARKS = [
    "settings",
    "v0.2.1, no connection refused",
    "v0.2.1, apply",
    "v0.2.1, apply on the server's side",
    "v0.2.1, the nodes",
    "ours, apply",
    "back, apply",
    "back, release",
    "back to v0.2.1, apply",
]


def test_the_page_has_the_marked_blocks_in_this_order() -> None:
    assert list(blocks(PAGE)) == MARKS


def test_the_page_names_the_commit_of_our_first_version() -> None:
    assert re.findall(r"`git show (\w+):deploy.yml`", PAGE.read_text()) == [FIRST.commit[:7]]


@dataclass(frozen=True)
class Watched:
    """What pods saw of an upgrade."""

    dns: DnsWatch
    requests: RequestWatch
    service: str
    """The address that our Service had when it began."""

    def assert_dns_was_right(self) -> None:
        assert len(self.dns.servers) == 2
        assert set(self.dns.answers()) == {Answer(server, "NOERROR", self.service) for server in self.dns.servers}


@contextmanager
def watched(node: Node) -> Iterator[Watched]:
    """Begins when each CoreDNS leads the host to our Service."""
    wait_until_read(node)
    address = cluster_ip(node)
    with watch_dns(node, HOST) as dns, watch_requests(node, HOST) as requests:
        yield Watched(dns, requests, address)


def run(node: Node, mark: str, folder: Path = ROOT) -> None:
    def shell(command: str) -> subprocess.CompletedProcess[str]:
        return at_a_desk(node, f"cd {folder}\n{command}")

    blocks(PAGE)[mark].run(shell, example=EXAMPLE, real=ancestor.TARGET)


def images(product: Product) -> set[str]:
    pods = [pod for name in (HAPROXY, CONTROLLER) for pod in product.staying(name)]
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


def versions(version: str) -> set[str]:
    return {f"{name}:{version}" for name in (HAPROXY, CONTROLLER)}


def at_the_end(corefile: str) -> str:
    """A Corefile of one block, with a rule of ours for each host as the last lines of that block."""
    body, brace, rest = corefile.rpartition("}")
    return body + "".join(f"    {RULE.replace(HOST, host)}\n" for host in ancestor.HOSTS) + brace + rest


# ---- from v0.2.1


@pytest.fixture
def from_v0_2_1(product: Product) -> Iterator[Product]:
    """v0.2.1 is installed, with what its users may have set; the product has the Corefile that an uninstall leaves."""
    with ancestor.ancestor(product.node) as before:
        product.node.kubectl("-n", NAMESPACE, "set", "env", f"deployment/{CONTROLLER}", "POLL_INTERVAL=5")
        run(product.node, "settings")
        yield Product(product.node, before.strip())


def test_from_v0_2_1_step_by_step(from_v0_2_1: Product, report: Callable[[str, float], None]) -> None:
    """No request is refused but by the restart of the old HAProxy, which ends before the nodes know."""
    product, node = from_v0_2_1, from_v0_2_1.node
    with ancestor.etc_hosts(node) as hosts:
        with watched(node) as seen:
            run(node, "v0.2.1, no connection refused")
            eventually(lambda: len(product.pods(HAPROXY)) == 1, 60, "the old HAProxy does not end")
            done = seen.requests.settle()
            run(node, "v0.2.1, apply")
            run(node, "v0.2.1, the nodes")
            assert_adopted(product)
            wait_until_read(node)
            seen.requests.settle()
        seen.assert_dns_was_right()
        assert not any(request.failed for request in seen.requests.requests()[done:])
        report("requests refused by the restart of v0.2.1", seen.requests.outage)
        # How long is up to v0.2.1 and the machine.
        assert seen.requests.outage < 20
        get = ["-n", NAMESPACE, "get", "service", "hairpin-proxy", "-o", "jsonpath={.spec.clusterIPs[*]}"]
        pairs = [(address, host) for host in ancestor.HOSTS for address in node.kubectl(*get).split()]
        lines = "".join(f"{address} {host} # Added by hairpin-proxy\n" for address, host in pairs)
        # By its second poll, a minute later, if HAProxy was not ready at the first one.
        eventually(lambda: node.etc_hosts() == hosts + lines.encode(), 150, "the node's hosts file has other lines")
    product.delete("-f", str(DEPLOY))
    assert product.is_gone


def test_from_v0_2_1_on_the_servers_side(from_v0_2_1: Product, report: Callable[[str, float], None]) -> None:
    """Without the step that spares the requests: they are refused until a pod of ours is ready, and no longer."""
    product, node = from_v0_2_1, from_v0_2_1.node
    with watched(node) as seen:
        run(node, "v0.2.1, apply on the server's side")
        done = seen.requests.settle()
        assert_adopted(product)
        seen.requests.settle()
    seen.assert_dns_was_right()
    report("requests refused in an upgrade from v0.2.1", seen.requests.outage)
    assert not any(request.failed for request in seen.requests.requests()[done:])
    product.delete("-f", str(DEPLOY))
    assert product.is_gone


def test_to_v0_2_1_and_back_again(from_v0_2_1: Product, tmp_path: Path) -> None:
    """Whoever only tried this version is where they were."""
    product, node = from_v0_2_1, from_v0_2_1.node
    (tmp_path / "deploy-0.2.1.yml").write_text(ancestor.MANIFEST.read_text())
    with watched(node) as seen:
        run(node, "v0.2.1, apply")
        assert_adopted(product)
        run(node, "back to v0.2.1, apply", tmp_path)
        run(node, "back, release")
        node.write_corefile(ancestor.as_rewritten(node.corefile()))
        assert images(product) == set(ancestor.IMAGES)
        assert product.environment(HAPROXY)["TARGET_SERVER"] == ancestor.TARGET
        wait_until_read(node)
        seen.requests.settle()
    seen.assert_dns_was_right()
    assert node.corefile() == ancestor.as_rewritten(product.original)
    product.delete("-f", str(ancestor.MANIFEST))
    assert node.kubectl("get", "-f", str(DEPLOY), "--ignore-not-found", "-o", "name") == ""


def assert_adopted(product: Product) -> None:
    """All is of this version, with the settings of before, and the rules are where ours are."""
    node = product.node
    eventually(lambda: node.corefile() == at_the_end(product.original), 60, "the rules are not at their place")
    assert product.is_held
    assert images(product) == versions(__version__)
    assert product.environment(HAPROXY)["TARGET_SERVER"] == ancestor.TARGET
    assert product.environment()["POLL_INTERVAL"] == "5"


# ---- from our first version, and back


@pytest.fixture
def first(product: Product, tmp_path: Path) -> Iterator[Path]:
    """Version 0.3.0 is installed, with settings; the folder with its manifest."""
    if FIRST.missing:
        pytest.skip(FIRST.missing)
    node = product.node
    node.add_version(FIRST)
    manifest = tmp_path / f"deploy-{FIRST.version}.yml"
    manifest.write_text((FIRST.sources(node.folder) / "deploy.yml").read_text())
    with ancestor.my_ingress(node):
        try:
            node.apply(manifest)
            set_env = partial(node.kubectl, "-n", NAMESPACE, "set", "env")
            set_env(f"deployment/{HAPROXY}", f"TARGET_SERVER={ancestor.TARGET}")
            set_env(f"deployment/{CONTROLLER}", "POLL_INTERVAL=5")
            eventually(lambda: node.corefile() == at_the_end(product.original), 120, "version 0.3.0 writes no rules")
            node.wait_rolled_out(NAMESPACE, HAPROXY)
            yield tmp_path
        finally:
            product.remove()
            # Version 0.3.0 leaves its rules behind.
            node.write_corefile(product.original)


def test_from_our_first_version_and_back_and_again(product: Product, first: Path) -> None:
    """No request is lost on any of the ways, and the Corefile not even written."""
    node = product.node
    with watched(node) as seen:
        run(node, "settings")
        run(node, "ours, apply")
        assert images(product) == versions(__version__)
        assert product.is_held
        assert product.environment(HAPROXY)["TARGET_SERVER"] == ancestor.TARGET
        assert product.environment()["POLL_INTERVAL"] == "5"

        run(node, "back, apply", first)
        run(node, "back, release")
        assert images(product) == versions(FIRST.version)
        assert product.environment(HAPROXY)["TARGET_SERVER"] == ancestor.TARGET
        assert product.environment() == {}
        assert product.held == 0

        run(node, "ours, apply")
        assert product.is_held
        assert node.corefile() == at_the_end(product.original)
    seen.assert_dns_was_right()
    assert seen.requests.failed() == []
    product.delete("-f", str(DEPLOY))
    assert product.is_gone
