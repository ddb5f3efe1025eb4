"""Leaving the cluster in every way there is, and not leaving it when the controller is only restarted.

`make e2e` does each once, `make e2e-long` ten times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
import yaml

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.desk import at_a_desk, begun_at_a_desk, followed
from tests.e2e.dns_watch import watch_dns
from tests.e2e.product import CONTROLLER, DEPLOY, NAMESPACE, RULE, Product, eventually, resource_version
from tests.e2e.readme import UNINSTALL, blocks

QUIET = 16
"""Seconds without a call of the controller's: longer than the API server remembers a token (10 s)."""

THE_CONTROLLER = f"deployment/{CONTROLLER}"


def assert_clean(product: Product, log: str) -> None:
    assert product.is_gone, log
    assert "this is an uninstall" in log
    # A poll may fail between the loss of a right and the signal; the way out may not.
    assert "stay behind" not in log
    assert "still be held" not in log


pytestmark = pytest.mark.repeated

# ---- uninstalls


def test_one_delete_of_a_running_install(product: Product) -> None:
    product.install()
    with followed(product.node, THE_CONTROLLER) as log:
        blocks(UNINSTALL)["leave, at once"].run(partial(at_a_desk, product.node))
        assert_clean(product, log())


def test_a_delete_long_after_the_last_call(product: Product, report: Callable[..., None]) -> None:
    product.install()
    env = ["set", "env", f"deployment/{CONTROLLER}", "POLL_INTERVAL=120"]
    product.node.kubectl("-n", NAMESPACE, *env)
    product.node.wait_rolled_out(NAMESPACE, CONTROLLER)
    time.sleep(QUIET)
    with followed(product.node, THE_CONTROLLER) as log:
        report("one delete, long after the last call", product.delete("-f", str(DEPLOY)))
        assert_clean(product, log())


def test_deletes_in_reverse_order(product: Product, report: Callable[..., None]) -> None:
    """As Helm and GitOps tools do it, each with its own wait."""
    product.install()
    with followed(product.node, THE_CONTROLLER) as log:
        start = time.monotonic()
        for item in reversed(list(yaml.safe_load_all(DEPLOY.read_text()))):
            namespace = ["-n", item["metadata"]["namespace"]] if "namespace" in item["metadata"] else []
            product.delete(item["kind"], item["metadata"]["name"], *namespace)
        report("deletes in reverse order", time.monotonic() - start)
        assert_clean(product, log())


def test_the_namespace_alone(product: Product, report: Callable[..., None]) -> None:
    product.install()
    with followed(product.node, THE_CONTROLLER) as log:
        report("delete of the Namespace alone", product.delete("namespace", NAMESPACE))
        said = log()
    assert product.node.corefile() == product.original, said
    assert "this is an uninstall: Namespace hairpin-proxy is being deleted" in said


def test_an_install_in_the_middle_of_an_uninstall(product: Product, report: Callable[..., None]) -> None:
    """Whatever kubectl says of it: once both are through, an install is whole, and can be uninstalled."""
    product.install()
    node = product.node
    with begun_at_a_desk(node, "kubectl delete -f deploy.yml") as deleting:
        time.sleep(0.7)
        node.kubectl("apply", "-f", str(DEPLOY), check=False)
        said = deleting.communicate(timeout=300)
    assert deleting.returncode == 0, said
    product.install()
    eventually(lambda: product.is_held, 60, "the finalizers did not come back")
    with followed(node, THE_CONTROLLER) as log:
        report("one delete, after an install in the middle of an uninstall", product.delete("-f", str(DEPLOY)))
        assert_clean(product, log())


def test_the_controller_away_and_back_at_once(product: Product) -> None:
    """The gentle way, taken back half way: rules and finalizers are there in the end."""
    product.install()
    product.delete("deployment", CONTROLLER, "-n", NAMESPACE, "--wait=false")
    product.install()
    time.sleep(20)
    eventually(lambda: RULE in product.node.corefile() and product.is_held, 60, "the rules did not come back")
    assert product.delete("-f", str(DEPLOY)) < 100
    assert product.is_gone


def test_without_a_controller(product: Product, report: Callable[..., None]) -> None:
    product.install()
    node = product.node
    node.kubectl("-n", NAMESPACE, "scale", f"deployment/{CONTROLLER}", "--replicas=0")
    eventually(lambda: not product.pods(), 60)
    with begun_at_a_desk(node, "kubectl delete -f deploy.yml") as waits:
        time.sleep(10)
        assert waits.poll() is None
        assert RULE in node.corefile()
        start = time.monotonic()
        with watch_dns(node, HOST) as watch:
            blocks(UNINSTALL)["leave, without a controller"].run(partial(at_a_desk, node))
            report("cleanup --wait", time.monotonic() - start)
            asked = len(watch.answers())
            # Those that were under way, and then each server's.
            eventually(lambda: len(watch.answers()) >= asked + 2 * len(watch.servers), 60, "nobody asks")
            assert watch.addresses() == {node.load_balancer}
        said = waits.communicate(timeout=120)
    assert waits.returncode == 0, said
    assert product.is_gone


def test_cleanup_of_a_running_install(product: Product, report: Callable[..., None]) -> None:
    product.install()
    start = time.monotonic()
    done = at_a_desk(product.node, "hairpin-proxy cleanup")
    report("cleanup of a running install", time.monotonic() - start)
    assert done.returncode == 0, done.stderr
    assert product.node.corefile() == product.original
    assert not product.is_held
    report("the delete after it", product.delete("-f", str(DEPLOY)))
    assert product.is_gone


# ---- no uninstall


RESTARTS = {
    "rollout restart": ["-n", NAMESPACE, "rollout", "restart", f"deployment/{CONTROLLER}"],
    "another setting": ["-n", NAMESPACE, "set", "env", f"deployment/{CONTROLLER}", "LOG_LEVEL=debug"],
    "delete of the pod": ["-n", NAMESPACE, "delete", "pod", "-l", f"app={CONTROLLER}", "--wait=false"],
    "drain": ["drain", "--all", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--disable-eviction"],
}


@pytest.mark.parametrize("command", RESTARTS.values(), ids=RESTARTS)
def test_a_restart_never_takes_a_rule_out(product: Product, command: list[str]) -> None:
    product.install()
    node, before = product.node, resource_version(product.node)
    old = product.pods()[0]["metadata"]["name"]
    if command[0] == "drain":
        command = ["drain", node_name(node), *command[2:], "--pod-selector", f"app={CONTROLLER}"]
    try:
        node.kubectl(*command)
    finally:
        node.kubectl("uncordon", node_name(node))
    eventually(lambda: ready_pods(product) - {old} != set() and len(product.pods()) == 1, 120, "no new pod")
    time.sleep(3)
    assert resource_version(node) == before
    assert product.is_held


def ready_pods(product: Product) -> set[str]:
    return {
        pod["metadata"]["name"]
        for pod in product.pods()
        if any(status["ready"] for status in pod["status"].get("containerStatuses", []))
    }


def node_name(node: Node) -> str:
    return node.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
