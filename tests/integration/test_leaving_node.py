"""How a node's controller tells an uninstall from a restart, by the real API server's answers."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import ClusterError
from tests.cluster.processes import Process
from tests.hostsfiles import NODE
from tests.integration.conftest import DAEMONSET, NODE_ACCOUNT, World, eventually, ingress

HOST = "a.example.com"
NAMESPACE = "hairpin-proxy"
NAME = "hairpin-proxy-etchosts-controller"


@pytest.fixture
def controller(world: World, node: Path, path: Path) -> Iterator[Process]:
    """One that has written its line. Afterwards all of the manifest is there again."""
    world.apply(ingress("web", HOST))
    running = world.controller("--etc-hosts", str(path), "--install-namespace", NAMESPACE, kubeconfig=node)
    # A signal in the middle of the write would take it back.
    eventually(lambda: f"{path} updated:" in running.log.read_text())
    assert HOST in path.read_text()
    yield running
    running.stop()
    world.cluster.apply(DAEMONSET)


def hide_the_namespace(world: World) -> None:
    """Takes away the right to see it, and no other."""
    rule = "/rules/3"
    patch = [
        {"op": "test", "path": f"{rule}/resources", "value": ["namespaces"]},
        {"op": "remove", "path": rule},
    ]
    world.cluster.kubectl("-n", NAMESPACE, "patch", "role", f"{NAME}-r", "--type=json", "-p", json.dumps(patch))
    eventually(lambda: not sees_the_namespace(world))


def sees_the_namespace(world: World) -> bool:
    account = f"system:serviceaccount:{NAMESPACE}:{NODE_ACCOUNT}"
    try:
        world.cluster.kubectl("get", "namespace", NAMESPACE, "--as", account)
    except ClusterError:
        return False
    return True


def delete_the_daemonset(world: World) -> None:
    world.cluster.kubectl("-n", NAMESPACE, "delete", "daemonset", NAME)


def ended(controller: Process) -> str:
    """What it said, once it has ended."""
    eventually(lambda: not controller.running)
    assert controller.exit_code == 0
    return controller.log.read_text()


def test_an_uninstall_takes_the_lines_out(world: World, controller: Process, path: Path) -> None:
    delete_the_daemonset(world)
    controller.send_signal(signal.SIGTERM)
    assert f"this is an uninstall: DaemonSet {NAMESPACE}/{NAME} is gone" in ended(controller)
    assert path.read_text() == NODE


def test_a_restart_keeps_them(controller: Process, path: Path) -> None:
    controller.send_signal(signal.SIGTERM)
    assert "this is no uninstall, so the lines stay" in ended(controller)
    assert HOST in path.read_text()


def test_a_namespace_that_cannot_be_seen_any_more_may_take_the_daemonset_next(
    world: World, controller: Process, path: Path
) -> None:
    """Where a Namespace is deleted, the Role may go before the DaemonSet, and between two of our questions."""
    hide_the_namespace(world)
    controller.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert controller.running
    delete_the_daemonset(world)
    assert "this is an uninstall" in ended(controller)
    assert path.read_text() == NODE


def test_where_nothing_tells_the_lines_stay(world: World, controller: Process, path: Path) -> None:
    hide_the_namespace(world)
    controller.send_signal(signal.SIGTERM)
    log = ended(controller)
    assert "ERROR nothing tells whether this is an uninstall: GET /api/v1/namespaces/hairpin-proxy: 403" in log
    assert HOST in path.read_text()
