"""CoreDNS's pods are told of a write, with the rights of deploy-nudge-coredns.yml; without them it is only later."""

from collections.abc import Iterator
from typing import Any

import pytest

from hairpin_proxy.coredns import ANNOTATION
from tests.cluster.cluster import LocalCluster
from tests.integration.conftest import ROOT, World, ingress

NUDGE = ROOT / "deploy-nudge-coredns.yml"
PODS = "/api/v1/namespaces/kube-system/pods"


@pytest.fixture
def nudge(cluster: LocalCluster) -> Iterator[None]:
    cluster.apply(NUDGE)
    yield
    cluster.kubectl("delete", "-f", str(NUDGE))


@pytest.fixture
def pods(world: World) -> Iterator[None]:
    """Two of CoreDNS, and one that is not."""
    account = {"name": "default", "namespace": "kube-system"}
    labels = {"coredns-a": "kube-dns", "coredns-b": "kube-dns", "other": "other"}
    world.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        *(pod(name, {"k8s-app": label}) for name, label in labels.items()),
    )
    yield
    world.cluster.kubectl("-n", "kube-system", "delete", "pods", *labels, "--now")


def pod(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "example.com/none"}]},
    }


def nudged(world: World) -> dict[str, str]:
    """The pods that were told, and when."""
    with world.cluster.api() as api:
        metadata = [item["metadata"] for item in api.get(PODS)["items"]]
    found = {item["name"]: item.get("annotations", {}).get(ANNOTATION) for item in metadata}
    return {name: value for name, value in found.items() if value}


@pytest.mark.usefixtures("nudge", "pods")
def test_each_pod_of_coredns_is_told_of_a_write_and_of_nothing_else(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    done = world.once()
    assert (done.returncode, nudged(world)) == (0, {})
    world.apply(ingress("web", "b.example.com"))
    done = world.once("--nudge-coredns", "--configmap", "kube-system/coredns")
    assert done.returncode == 0
    assert "WARNING" not in done.stderr
    told = nudged(world)
    assert set(told) == {"coredns-a", "coredns-b"}
    assert world.once("--nudge-coredns").returncode == 0
    assert nudged(world) == told


@pytest.mark.usefixtures("pods")
def test_without_the_right_it_is_written_all_the_same_and_said_so(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    done = world.once("--nudge-coredns")
    assert done.returncode == 0
    assert "a.example.com" in world.cluster.corefile()
    assert "could not be told" in done.stderr
    assert "403 Forbidden" in done.stderr
