"""The doctor on a real node: in the controller's pod, and on an administrator's machine that reaches no pod."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cluster.node.node import Node
from tests.e2e.desk import at_a_desk
from tests.e2e.product import HAPROXY, NAMESPACE, TURNED, Product, eventually

IN_THE_POD = ["hairpin-proxy", "doctor", "--output", "json"]
NETWORK = {"live", "dns", "end-to-end"}


def statuses(said: str) -> dict[str, str]:
    return {entry["check"]: entry["status"] for entry in json.loads(said)}


def in_the_pod(node: Node) -> dict[str, str]:
    return statuses(node.pod_exec(NAMESPACE, "deployment/hairpin-proxy-controller", IN_THE_POD).stdout)


def from_a_desk(node: Node) -> dict[str, str]:
    return statuses(at_a_desk(node, "hairpin-proxy doctor --output json").stdout)


def failed(seen: dict[str, str]) -> set[str]:
    return {check for check, status in seen.items() if status not in ("ok", "skipped")}


def is_content(seen: dict[str, str], skipped: set[str]) -> bool:
    """Whether it skips these and finds all else in order."""
    others = {check: status for check, status in seen.items() if status != "ok"}
    print(others)
    return others == dict.fromkeys(skipped, "skipped")


def finds(doctor: Callable[[Node], dict[str, str]], node: Node, check: str) -> None:
    """Waits until it finds this one alone: the API server hears of what was done a moment later."""
    eventually(lambda: failed(doctor(node)) == {check}, 60, f"it finds something else than {check}")


@contextmanager
def set_env(node: Node, deployment: str, variable: str, value: str) -> Iterator[None]:
    words = ("-n", NAMESPACE, "set", "env", f"deployment/{deployment}")
    node.kubectl(*words, f"{variable}={value}")
    try:
        yield
    finally:
        node.kubectl(*words, f"{variable}-")
        node.wait_rolled_out(NAMESPACE, deployment)


def test_on_a_real_node(product: Product) -> None:
    node = product.node
    product.install()
    eventually(lambda: is_content(in_the_pod(node), {"need"}), TURNED, "the doctor is not content")
    # One slow answer is a finding.
    eventually(lambda: is_content(from_a_desk(node), {*NETWORK, "target"}), 60, "the doctor at a desk is not content")

    with set_env(node, HAPROXY, "TARGET_SERVER", "nothing.here.svc.cluster.local"):
        node.wait_rolled_out(NAMESPACE, HAPROXY)
        finds(from_a_desk, node, "target")
        finds(in_the_pod, node, "target")

    node.kubectl("-n", NAMESPACE, "scale", f"deployment/{HAPROXY}", "--replicas=0")
    finds(from_a_desk, node, "haproxy")
    finds(in_the_pod, node, "haproxy")
    node.kubectl("-n", NAMESPACE, "scale", f"deployment/{HAPROXY}", "--replicas=2")
    node.wait_rolled_out(NAMESPACE, HAPROXY)

    node.kubectl("delete", "clusterrolebinding", "hairpin-proxy-controller-crb")
    finds(from_a_desk, node, "rights")
    assert "rights" in failed(in_the_pod(node))
