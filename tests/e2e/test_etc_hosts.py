"""The DaemonSet on a real node: what its hosts file holds, who reads it, and how it is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.cluster.install import gateway_api_crds, locate
from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.conftest import REGISTRY
from tests.e2e.desk import followed
from tests.e2e.product import DAEMONSET, DEPLOY, HAPROXY, NAMESPACE, Product, eventually

NAME = "hairpin-proxy-etchosts-controller"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}-sa"
QUIET = 13
"""Seconds without a call of the controller's: longer than the API server remembers a token (10 s)."""
PULLED = 330
"""Seconds within which kubelet tries a pull again, which it puts off by up to five minutes."""


@dataclass(frozen=True)
class EtcHosts:
    """Both manifests on a node, and the hosts file that was there before them."""

    product: Product
    original: bytes

    @property
    def node(self) -> Node:
        return self.product.node

    def install(self) -> None:
        """Returns when the lines are there. Only the poll is quicker than in the manifest."""
        self.product.install()
        slow, quick = 'value: "60"', 'value: "1"'
        manifest = DAEMONSET.read_text()
        assert slow in manifest
        self.node.apply(manifest.replace(slow, quick))
        self.kubectl("rollout", "status", f"daemonset/{NAME}", "--timeout=180s")
        eventually(self.has_lines, 90, "there are no lines in the hosts file")

    def uninstall(self) -> None:
        """The DaemonSet alone, if it is there."""
        self.node.kubectl("delete", "-f", str(DAEMONSET), "--ignore-not-found", "--timeout=60s")
        eventually(lambda: self.is_as_before() and not self.product.pods(NAME), 60, "lines or the pod are left")

    def kubectl(self, *args: str) -> str:
        return self.node.kubectl("-n", NAMESPACE, *args)

    def addresses(self) -> list[str]:
        """The Service's."""
        return self.kubectl("get", "service", "hairpin-proxy", "-o", "jsonpath={.spec.clusterIPs[*]}").split()

    def has_lines(self) -> bool:
        """Whether the file has a line for each host and address of the Service, and every other byte of before."""
        pairs = [(address, host) for host in (REGISTRY, HOST) for address in self.addresses()]
        lines = "".join(f"{address} {host} # Added by hairpin-proxy\n" for address, host in pairs)
        return self.node.etc_hosts() == self.original + lines.encode()

    def is_as_before(self) -> bool:
        return self.node.etc_hosts() == self.original

    def calls(self) -> list[dict[str, Any]]:
        """What the API server was asked by the DaemonSet's controllers since `forget_audit`."""
        return [event for event in self.node.audit() if event["user"]["username"] == ACCOUNT]

    def watches(self, pod: str) -> bool:
        """Whether this pod's controller has begun to watch its DaemonSet since `forget_audit`."""
        return any(
            asked(call)[:3] == ("watch", "apps", "daemonsets") and call["stage"] == "ResponseStarted"
            for call in self.calls()
            if pod in call["user"]["extra"]["authentication.kubernetes.io/pod-name"]
        )

    def polled(self) -> bool:
        """Whether one that has started since `forget_audit` has polled."""
        calls = self.calls()
        starts = [index for index, call in enumerate(calls) if call["stage"] == "ResponseStarted"]
        return bool(starts) and any(call["verb"] == "list" for call in calls[starts[0] :])

    def curl(self, scheme: str, *options: str) -> subprocess.CompletedProcess[str]:
        """From the node itself; says the status and who answered."""
        trust = ["--cacert", str(self.node.folder / f"{HOST}.crt")]
        say = ["-sS", "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}"]
        return self.node.run_on_node(["curl", *say, *trust, *options, f"{scheme}://{HOST}/"], check=False)

    def reached(self) -> bool:
        """Whether the node gets through by each address of the Service."""
        families = ("-4", "-6")[: len(self.addresses())]
        said = [self.curl("https", family).stdout for family in families]
        return said == [f"200 {address}" for address in self.addresses()]


@pytest.fixture(scope="module")
def hosts(node: Node) -> Iterator[EtcHosts]:
    hosts = EtcHosts(Product(node, node.corefile()), node.etc_hosts())
    yield hosts
    try:
        hosts.uninstall()
    finally:
        hosts.product.remove()


# ---- what the lines are for


def test_the_node_itself_reaches_every_host(hosts: EtcHosts) -> None:
    hosts.uninstall()
    assert hosts.curl("http").returncode == 52  # an empty reply
    assert hosts.curl("https").returncode == 35
    hosts.install()
    # kube-proxy hears of the pods a moment after the controller.
    eventually(hosts.reached, 30)
    assert hosts.curl("http").stdout in [f"200 {address}" for address in hosts.addresses()]


def test_kubelet_pulls_an_image_from_a_registry_behind_the_load_balancer(hosts: EtcHosts) -> None:
    hosts.uninstall()
    node, image = hosts.node, f"{REGISTRY}/hello:1"
    push(node, image)
    trust = f"/etc/containerd/certs.d/{REGISTRY}/ca.crt"
    node.run_on_node(["install", "-D", str(node.folder / f"{REGISTRY}.crt"), trust])
    node.apply(json.dumps(pod("hello", image)))
    try:
        eventually(lambda: "failed to pull" in container(node, "hello"), 90, "the pull does not fail")
        hosts.install()
        eventually(lambda: "startedAt" in container(node, "hello"), PULLED, "the image was not pulled")
    finally:
        node.kubectl("delete", "pod", "hello", "--now")


def push(node: Node, image: str) -> None:
    """Pushes an image with one small program in it, from outside of the cluster."""
    folder = node.folder / "hello"
    (folder / "trust").mkdir(parents=True)
    shutil.copy(node.folder / f"{REGISTRY}.crt", folder / "trust" / "ca.crt")
    shutil.copy(locate("pause"), folder / "pause")
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY pause /\nENTRYPOINT ["/pause"]\n')
    store = ["--storage-driver", "vfs", "--root", str(folder / "store"), "--runroot", str(folder / "run")]
    buildah = [locate("buildah"), *store]
    node.run_in_cloud([*buildah, "build", "--isolation", "chroot", "--tag", image, str(folder)])
    node.run_in_cloud([*buildah, "push", "--cert-dir", str(folder / "trust"), image])


def pod(name: str, image: str) -> dict[str, Any]:
    container = {"name": "main", "image": image, "imagePullPolicy": "Always"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


def container(node: Node, pod: str) -> str:
    """The state of the pod's container."""
    return node.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].state}")


# ---- the lines follow the Service


def test_the_lines_follow_a_service_with_another_address(hosts: EtcHosts) -> None:
    hosts.install()
    before = hosts.addresses()
    hosts.kubectl("delete", "service", "hairpin-proxy")
    hosts.node.apply(DEPLOY)
    assert hosts.addresses() != before
    eventually(hosts.has_lines, 60)
    eventually(hosts.reached, 30)


def test_a_service_of_both_families_gives_each_host_two_lines(hosts: EtcHosts) -> None:
    """As the node has both, so has the Service; and HAProxy listens on both."""
    hosts.install()
    assert len(hosts.addresses()) == 2
    eventually(hosts.has_lines, 60)
    eventually(hosts.reached, 30)


# ---- a restart is no uninstall

KILL = "kill -9 $(grep -lz ^ETC_HOSTS= /proc/[0-9]*/environ | cut -d/ -f3)"
RESTARTS: dict[str, Callable[[EtcHosts], object]] = {
    "rollout restart": lambda hosts: hosts.kubectl("rollout", "restart", f"daemonset/{NAME}"),
    "delete of the pod": lambda hosts: hosts.kubectl("delete", "pod", "-l", f"app={NAME}"),
    "kill": lambda hosts: hosts.node.run_on_node(["sh", "-c", KILL]),
}


@pytest.mark.parametrize("restart", RESTARTS.values(), ids=RESTARTS)
def test_a_restart_never_touches_the_file(hosts: EtcHosts, restart: Callable[[EtcHosts], object]) -> None:
    hosts.install()
    hosts.node.forget_audit()
    with sampled(hosts.node) as states:
        restart(hosts)
        eventually(hosts.polled, 120, "no controller has started")
    assert len(states) == 1
    assert hosts.has_lines()


@contextmanager
def sampled(node: Node) -> Iterator[set[tuple[int, bytes]]]:
    """All states of the hosts file during the with-block: when it was written, and what was in it."""
    path = node.hosts_file
    states: set[tuple[int, bytes]] = set()
    end = threading.Event()

    def sample() -> None:
        while not end.wait(0.005):
            states.add((path.stat().st_mtime_ns, path.read_bytes()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield states
    finally:
        end.set()
        thread.join()


# ---- uninstalls


def test_an_uninstall_leaves_the_file_as_it_was_and_deploy_yml_alone(hosts: EtcHosts) -> None:
    hosts.install()
    pod = as_shipped(hosts)
    time.sleep(QUIET)
    before = identities(hosts.node)
    with followed(hosts.node, pod) as log:
        hosts.product.delete("-f", str(DAEMONSET))
        assert_left(hosts, log())
    assert identities(hosts.node) == before
    assert hosts.product.is_held


OTHERS = {
    "both manifests": ("-f", str(DAEMONSET), "-f", str(DEPLOY)),
    "deploy.yml": ("-f", str(DEPLOY)),
    "the Namespace": ("namespace", NAMESPACE),
}


@pytest.mark.parametrize("what", OTHERS.values(), ids=OTHERS)
def test_so_does_one_that_takes_deploy_yml_along(hosts: EtcHosts, what: tuple[str, ...]) -> None:
    hosts.install()
    with followed(hosts.node, as_shipped(hosts)) as log:
        hosts.product.delete(*what)
        assert_left(hosts, log())
    assert hosts.node.corefile() == hosts.product.original


def as_shipped(hosts: EtcHosts) -> str:
    """With the manifest's own poll: a new pod, which is returned, awaits its first one, and the lines are of before."""
    old = names(hosts)
    hosts.node.forget_audit()
    hosts.node.apply(DAEMONSET)
    eventually(lambda: len(names(hosts) - old) == len(names(hosts)) == 1, 120, "the pod is not replaced")
    (pod,) = names(hosts)
    eventually(lambda: hosts.watches(pod), 120, "it does not watch its DaemonSet")
    assert hosts.has_lines()
    return pod


def assert_left(hosts: EtcHosts, log: str) -> None:
    assert hosts.is_as_before(), log
    assert "this is an uninstall" in log


def identities(node: Node) -> str:
    """Which objects of deploy.yml there are, and which versions of what they shall be."""
    shown = "jsonpath={range .items[*]}{.kind} {.metadata.uid} {.metadata.generation}{.metadata.finalizers}\n{end}"
    return node.kubectl("get", "-f", str(DEPLOY), "-o", shown)


# ---- the node's own life


def test_a_replaced_file_gets_its_lines_by_a_restart(hosts: EtcHosts) -> None:
    hosts.install()
    replace = "grep -v hairpin-proxy /etc/hosts >/etc/new; cat /etc/new; mv /etc/new /etc/hosts"
    assert hosts.node.run_on_node(["sh", "-c", replace]).stdout.encode() == hosts.original
    eventually(hosts.has_lines, 60, "the new file has no lines")
    # kubelet says so a moment after the new container has started.
    eventually(lambda: last_exit_code(hosts) == 1, 30, "no restart is to be seen")
    assert "was replaced by another file" in hosts.kubectl("logs", f"daemonset/{NAME}", "--previous")


def last_exit_code(hosts: EtcHosts) -> int | None:
    (status,) = hosts.product.pods(NAME)[0]["status"]["containerStatuses"]
    ended = status["lastState"].get("terminated")
    return ended and int(ended["exitCode"])


EVERY_SOURCE = (
    "SOURCE=ingress,gateway",
    "INGRESS_CLASS=nginx",
    "NAMESPACE_SELECTOR=kubernetes.io/metadata.name=default",
)
"""With which everything is listed that hosts can come from, or depend on."""


@pytest.fixture
def gateway_api(hosts: EtcHosts) -> Iterator[None]:
    """What is not served is not watched either."""
    definitions = ["-f", str(gateway_api_crds() / "standard")]
    hosts.node.kubectl("apply", "--server-side", "--force-conflicts", *definitions)
    hosts.node.kubectl("wait", "--for=condition=Established", "--timeout=60s", *definitions)
    yield
    hosts.node.kubectl("delete", "--ignore-not-found", *definitions)


@pytest.mark.usefixtures("gateway_api")
def test_the_rights_are_exactly_the_calls_that_are_made(hosts: EtcHosts) -> None:
    """From an install over an update of its settings to an uninstall, in the API server's audit log."""
    rights = {
        (verb, group, resource, name)
        for role in yaml.safe_load_all(DAEMONSET.read_text())
        for rule in role.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [None])
    }
    watches = {right for right in rights if right[0] == "watch"}
    hosts.uninstall()
    hosts.node.forget_audit()
    hosts.install()
    hosts.kubectl("set", "env", f"daemonset/{NAME}", *EVERY_SOURCE)
    hosts.kubectl("rollout", "status", f"daemonset/{NAME}", "--timeout=180s")
    eventually(lambda: watches <= {asked(call) for call in hosts.calls()}, 60, "it does not watch all that it lists")
    hosts.uninstall()
    assert {asked(call) for call in hosts.calls()} == rights


def asked(call: dict[str, Any]) -> tuple[str, str, str, str | None]:
    reference = call["objectRef"]
    return call["verb"], reference.get("apiGroup", ""), reference["resource"], reference.get("name")


def test_it_stays_on_a_node_that_everything_else_must_leave(hosts: EtcHosts) -> None:
    hosts.install()
    node = hosts.node
    (before,) = names(hosts)
    node.kubectl("taint", "nodes", "--all", "made-up:NoSchedule", "made-up:NoExecute")
    try:
        eventually(lambda: not running(hosts, HAPROXY), 60, "the taint does nothing")
        assert names(hosts) == {before}
        hosts.node.forget_audit()
        hosts.kubectl("delete", "pod", before)
        eventually(hosts.polled, 120, "no pod of the DaemonSet was scheduled")
    finally:
        node.kubectl("taint", "nodes", "--all", "made-up-")
        for namespace in ("kube-system", "ingress-nginx", "default", NAMESPACE):
            node.kubectl("-n", namespace, "rollout", "status", "deployment", "--timeout=120s")


def names(hosts: EtcHosts) -> set[str]:
    """The DaemonSet's pods that run, and are to stay."""
    return {pod["metadata"]["name"] for pod in running(hosts, NAME)}


def running(hosts: EtcHosts, name: str) -> list[dict[str, Any]]:
    return [pod for pod in hosts.product.staying(name) if pod["status"].get("phase") == "Running"]
