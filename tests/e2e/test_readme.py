"""README.md from its first step to the way out, as one reader would go through it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.node.app import HOST, start_app
from tests.cluster.node.node import Node
from tests.e2e.acme import FAILED_SELF_CHECK, AcmeServer
from tests.e2e.desk import at_a_desk
from tests.e2e.dns_watch import watch_dns
from tests.e2e.product import TURNED, Product, cluster_ip, eventually
from tests.e2e.readme import README, TWO_INSTALLS, UNINSTALL, blocks

MARKS = {
    README: [
        "0",
        "1",
        "2",
        "3",
        "doctor, from the pod",
        "doctor, from a desk",
        "4",
        "4, on a node",
        "leave, the nodes",
        "leave, gently",
        "leave, at once",
    ],
    TWO_INSTALLS: [
        "two installs, the first",
        "two installs, the manifest",
        "two installs, the second",
        "two installs, leave",
        "two installs, the nudge",
        "two installs, other rights",
    ],
    UNINSTALL: [
        "leave, the nodes",
        "leave, gently",
        "leave, at once",
        "leave, without a controller",
    ],
}


def on_a_node(node: Node, command: str) -> subprocess.CompletedProcess[str]:
    return node.run_on_node(["bash", "-c", command], check=False)


def in_a_pod(node: Node, *argv: str) -> str:
    return node.pod_exec("default", "deployment/my-app", argv).stdout


@pytest.mark.parametrize("page", MARKS, ids=lambda page: page.name)
def test_a_page_has_the_marked_blocks_in_this_order(page: Path) -> None:
    assert list(blocks(page)) == MARKS[page]


@pytest.fixture
def acme(node: Node) -> Iterator[AcmeServer]:
    server = AcmeServer.start(node)
    yield server
    server.process.stop()
    # Its certificate has taken the place of the app's own, which other tests trust.
    start_app(node, "my-app", HOST)


def test_from_the_empty_reply_to_a_certificate_and_out_again(product: Product, acme: AcmeServer) -> None:
    node, page, hosts = product.node, blocks(), product.node.etc_hosts()
    desk, host = partial(at_a_desk, node), partial(on_a_node, node)

    # CoreDNS may still go by the rules of an earlier test.
    everywhere(node, node.load_balancer)
    page["0"].run(desk)
    exit_code, said = acme.round(self_check_seconds=10)
    assert exit_code == FAILED_SELF_CHECK, said
    assert not acme.has_validated

    page["1"].run(desk)
    page["2"].run(desk)
    service = cluster_ip(node)
    page["3"].run(desk, example="10.96.10.20", real=service)
    everywhere(node, service)
    https = in_a_pod(node, "curl", "-sSik", f"https://{HOST}/")
    own = node.kubectl("get", "pod", "-l", "app=my-app", "-o", "jsonpath={.items[0].status.podIPs[*].ip}").split()
    assert "HTTP/1.1 200" in https
    assert any(f"x-client-address: {address}\n" in https.lower().replace("\r", "") for address in own)

    page["doctor, from the pod"].run(desk)
    page["doctor, from a desk"].run(desk)

    exit_code, said = acme.round(self_check_seconds=60)
    assert (exit_code, "issued: CN=subdomain.example.com" in said) == (0, True), said
    assert acme.has_validated

    page["4"].run(desk)
    page["4, on a node"].run(host, example="10.96.10.20", real=service)
    assert f"{service} {HOST} # Added by hairpin-proxy".encode() in node.etc_hosts()

    page["leave, the nodes"].run(desk)
    eventually(lambda: node.etc_hosts() == hosts, 30, "the node's hosts file is not as before")
    with watch_dns(node, HOST) as watch:
        page["leave, gently"].run(desk)
        eventually(lambda: watch.addresses() == {node.load_balancer}, 30)
    assert {answer.status for answer in watch.answers()} == {"NOERROR"}
    assert product.is_gone


def everywhere(node: Node, address: str) -> None:
    """Returns when all replicas of CoreDNS answer with this; they turn one after the other."""
    with watch_dns(node, HOST) as watch:
        eventually(
            lambda: watch.addresses() == {address},
            TURNED,
            f"CoreDNS does not answer with {address}",
        )
