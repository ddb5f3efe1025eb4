"""Uninstalling and cleanup against the real API server, whose authorizer and finalizers decide what works."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import Installation
from tests.cluster.processes import Process
from tests.integration.conftest import ACCOUNT, DEPLOY, World, eventually, ingress

DAEMONSET = DEPLOY.parent / "deploy-etchosts-daemonset.yml"
FINALIZER = "hairpin-proxy/corefile"
HOST = "a.example.com"
NAMES = {f"hairpin-proxy-controller-{end}" for end in ("sa", "r", "rb")}
NAMESPACES = {"hairpin-proxy", "kube-system"}
HELD = {
    "ServiceAccount hairpin-proxy",
    "Role hairpin-proxy",
    "RoleBinding hairpin-proxy",
    "Role kube-system",
    "RoleBinding kube-system",
}


@pytest.fixture
def installed(world: World) -> Iterator[World]:
    """With deploy.yml, an Ingress, and everything in place again afterwards."""
    world.apply(ingress("web", HOST))
    yield world
    for entry in found(world):
        release = ["patch", entry["kind"], entry["metadata"]["name"], "-n", entry["metadata"]["namespace"]]
        world.cluster.kubectl(*release, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    if "Terminating" in world.cluster.kubectl("get", "namespace", "hairpin-proxy", "--ignore-not-found"):
        end_the_namespace(world)
    world.cluster.apply(DEPLOY)
    world.cluster.register_haproxy()
    world.cluster.service_account_kubeconfig(*ACCOUNT)  # into the same file, for a new ServiceAccount has other tokens


def found(world: World) -> list[dict[str, Any]]:
    """Our ServiceAccount, Roles and RoleBindings."""
    listed = json.loads(world.cluster.kubectl("get", "serviceaccount,role,rolebinding", "-A", "-o", "json"))
    return [
        item
        for item in listed["items"]
        if item["metadata"]["name"] in NAMES and item["metadata"]["namespace"] in NAMESPACES
    ]


def held(world: World) -> set[str]:
    return {
        f"{item['kind']} {item['metadata']['namespace']}"
        for item in found(world)
        if FINALIZER in item["metadata"].get("finalizers", [])
    }


def end_the_namespace(world: World) -> None:
    """What the namespace controller does once a namespace is empty; the local cluster has none."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hairpin-proxy"}, "spec": {"finalizers": []}}
    path = "/api/v1/namespaces/hairpin-proxy/finalize"
    world.cluster.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))


def running(world: World, interval: str = "0.3") -> Process:
    """A controller that knows where it is installed, and has written its rule."""
    account = world.cluster.service_account_kubeconfig(*ACCOUNT)
    controller = world.controller("--install-namespace", "hairpin-proxy", interval=interval, kubeconfig=account)
    eventually(lambda: HOST in world.cluster.corefile() and "updated:" in controller.log.read_text())
    return controller


def ended(controller: Process, within: float) -> str:
    """What it said, after SIGTERM."""
    controller.send_signal(signal.SIGTERM)
    eventually(lambda: not controller.running, within)
    assert controller.exit_code == 0
    return controller.log.read_text()


def said(controller: Process) -> str:
    return controller.log.read_text()


def delete(world: World, *what: str) -> None:
    world.cluster.kubectl("delete", "--wait=false", *what)


def cleanup(world: World, *flags: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hairpin_proxy", "cleanup", "--kubeconfig", str(world.cluster.kubeconfig), *flags]
    return subprocess.run(argv, env={}, text=True, capture_output=True, timeout=100, check=False)


DELETIONS = {
    "deploy.yml": ("-f", str(DEPLOY)),
    "the Deployment": ("deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy"),
    "the Namespace": ("namespace", "hairpin-proxy"),
    "the rights": ("role/hairpin-proxy-controller-r", "rolebinding/hairpin-proxy-controller-rb", "-n", "kube-system"),
}


@pytest.mark.parametrize("what", DELETIONS.values(), ids=DELETIONS)
def test_an_uninstall_restores_the_corefile_and_leaves_nothing_held(installed: World, what: tuple[str, ...]) -> None:
    controller = running(installed, interval="60")
    delete(installed, *what)
    log = ended(controller, within=10)
    assert installed.cluster.corefile() == installed.original
    assert held(installed) == set()
    assert "this is an uninstall" in log
    assert "ERROR" not in log


def test_an_uninstall_where_there_is_no_corefile_leaves_nothing_held(installed: World) -> None:
    """As docs/distributions.md has it for GKE, where no poll ever succeeds."""
    get = ["get", "configmap", "coredns", "-n", "kube-system", "-o", "json"]
    corefile = json.loads(installed.cluster.kubectl(*get))
    delete(installed, "configmap", "coredns", "-n", "kube-system")
    try:
        account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
        controller = installed.controller("--install-namespace", "hairpin-proxy", kubeconfig=account)
        eventually(lambda: "poll failed" in said(controller))
        delete(installed, *DELETIONS["the Deployment"])
        assert "this is an uninstall" in ended(controller, within=20)
        assert held(installed) == set()
    finally:
        for field in ("resourceVersion", "uid"):
            del corefile["metadata"][field]
        installed.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(corefile))


def test_the_rights_stay_until_the_pod_is_told_to_end(installed: World) -> None:
    """A Namespace's end takes 5 seconds to begin; a process that is started anew before would lack them, and write."""
    controller = running(installed)
    delete(installed, *DELETIONS["the Namespace"])
    eventually(lambda: installed.cluster.corefile() == installed.original)
    time.sleep(5)
    assert controller.running
    assert held(installed) == HELD
    assert ended(controller, within=20).count("INFO this is an uninstall") == 1
    assert held(installed) == set()


def test_an_uninstall_after_a_dry_run_leaves_nothing_held(installed: World) -> None:
    account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
    controller = installed.controller("--dry-run", "--install-namespace", "hairpin-proxy", kubeconfig=account)
    eventually(lambda: "this is a dry run" in said(controller))
    delete(installed, *DELETIONS["the Deployment"])
    assert "this is an uninstall" in ended(controller, within=20)
    assert held(installed) == set()


def test_an_uninstall_while_the_api_server_is_away(installed: World) -> None:
    """For longer than an uninstall has to show."""
    controller = running(installed, interval="60")
    delete(installed, *DELETIONS["deploy.yml"])
    installed.cluster.stop_api_server()
    controller.send_signal(signal.SIGTERM)
    time.sleep(21)
    installed.cluster.start_api_server()
    eventually(lambda: not controller.running)
    assert installed.cluster.corefile() == installed.original
    assert held(installed) == set()


def test_no_uninstall_no_change(installed: World) -> None:
    """Scaling to 0 is how a restart looks, and a drain, and a rolling update."""
    controller = running(installed)
    with_rule = installed.version()
    installed.cluster.kubectl("scale", "deployment", "-n", "hairpin-proxy", "hairpin-proxy-controller", "--replicas=0")
    assert "this is no uninstall" in ended(controller, within=30)
    assert installed.version() == with_rule
    assert held(installed) == HELD


def test_what_is_deleted_for_another_reason_does_not_wait_for_ever(installed: World) -> None:
    controller = running(installed)
    delete(installed, "role/hairpin-proxy-controller-r", "-n", "hairpin-proxy")
    eventually(lambda: not held(installed), 40)
    eventually(lambda: "WARNING Role hairpin-proxy/hairpin-proxy-controller-r is being deleted" in said(controller))
    assert HOST in installed.cluster.corefile()
    controller.stop()
    assert not held(installed)


def test_a_running_controller_is_uninstalled_when_its_rights_are_deleted(installed: World) -> None:
    controller = running(installed)
    delete(installed, *DELETIONS["the rights"])
    eventually(lambda: not controller.running)
    assert controller.exit_code == 1
    assert installed.cluster.corefile() == installed.original
    assert held(installed) == set()


def test_kubelet_starting_it_again_then_holds_nothing(installed: World) -> None:
    """Or nobody could let it go, for the rights are gone."""
    first = running(installed)
    delete(installed, *DELETIONS["the rights"])
    eventually(lambda: not first.running)
    again = installed.controller("--install-namespace", "hairpin-proxy")
    eventually(lambda: "poll failed" in said(again))
    time.sleep(1)
    assert held(installed) == set()
    again.send_signal(signal.SIGKILL)


def test_a_lost_hold_is_taken_again(installed: World) -> None:
    """As after an uninstall that was taken back while it went on."""
    controller = running(installed)
    patch = ["--type=merge", "-p", '{"metadata":{"finalizers":["example.com/other"]}}']
    installed.cluster.kubectl("patch", "role", "hairpin-proxy-controller-r", "-n", "kube-system", *patch)
    eventually(lambda: held(installed) == HELD)
    role = next(
        item for item in found(installed) if item["kind"] == "Role" and item["metadata"]["namespace"] == "kube-system"
    )
    assert role["metadata"]["finalizers"] == ["example.com/other", FINALIZER]
    controller.stop()


def test_without_the_rights_to_look_it_polls_and_warns(installed: World) -> None:
    """As with the RBAC of v0.2.1."""
    delete(installed, "rolebinding/hairpin-proxy-controller-rb", "-n", "hairpin-proxy")
    patch = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
    installed.cluster.kubectl("patch", "rolebinding", "hairpin-proxy-controller-rb", "-n", "hairpin-proxy", *patch)
    controller = running(installed)
    eventually(lambda: "WARNING an uninstall may leave rules behind" in controller.log.read_text())
    time.sleep(1)
    said = [line.partition(" WARNING ")[2] for line in controller.log.read_text().splitlines() if " WARNING " in line]
    # The other two: no Service leads to a CoreDNS, and nobody may see whether ours has an endpoint.
    assert [warning.partition(" ")[0] for warning in said] == ["no", "new", "an"]
    assert "forbidden" in controller.log.read_text()
    controller.stop()


def test_one_patch_may_take_away_the_right_to_make_the_others(installed: World) -> None:
    """The API server authorizes all of them before the first one is made."""
    account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system"
    paths = [f"{rbac}/rolebindings/hairpin-proxy-controller-rb", f"{rbac}/roles/hairpin-proxy-controller-r"]
    delete(installed, *DELETIONS["the rights"])
    empty = [{"op": "replace", "path": "/metadata/finalizers", "value": []}]
    assert Kube(str(account), None).patch_together(dict.fromkeys(paths, empty)) == {}
    assert {f"{item['kind']} {item['metadata']['namespace']}" for item in found(installed)} == {
        entry for entry in HELD if "kube-system" not in entry
    }


class Late(Kube):
    """One whose patches go out after something else has happened."""

    def __init__(self, kubeconfig: Path, happens: Callable[[], None]) -> None:
        super().__init__(str(kubeconfig), None)
        self._happens = happens

    def patch_together(self, patches: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, KubeError]:
        self._happens()
        return super().patch_together(patches)


OURS = Installation("hairpin-proxy", "kube-system").held


def test_a_finalizer_that_the_server_adds_meanwhile_is_no_hindrance(installed: World) -> None:
    """To one of the objects: once the others are gone, so are the rights to try again."""
    account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
    role = ("role/hairpin-proxy-controller-r", "-n", "kube-system")
    delete(installed, "-f", str(DEPLOY))
    assert holds.release(Late(account, lambda: delete(installed, *role, "--cascade=foreground")), OURS) == []
    (left,) = found(installed)
    assert left["metadata"]["finalizers"] == ["foregroundDeletion"]


class Busy(Kube):
    """One whose server has no time for an object at first."""

    def __init__(self, kubeconfig: Path, path: str) -> None:
        super().__init__(str(kubeconfig), None)
        self.refuses = [path]

    def get(self, path: str, kind: str, *, optional: bool = False) -> Mapping[str, Any]:
        if path in self.refuses:
            self.refuses.remove(path)
            raise KubeError(f"GET {path}", "503 Service Unavailable", 503)
        return super().get(path, kind, optional=optional)


def test_one_that_cannot_be_seen_for_a_moment_is_waited_for(installed: World) -> None:
    account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
    delete(installed, "-f", str(DEPLOY))
    kube = Busy(account, OURS[-1].path)
    assert holds.release(kube, OURS) == []
    assert not kube.refuses
    assert found(installed) == []


@pytest.fixture
def elsewhere(installed: World) -> Iterator[str]:
    """The namespace of a CoreDNS for which the rights of deploy.yml were moved there."""
    namespace = "dns"
    rights = [
        {**item, "metadata": {**item["metadata"], "namespace": namespace}}
        for item in yaml.safe_load_all(DEPLOY.read_text())
        if item["metadata"].get("namespace") == "kube-system"
    ]
    data = {"Corefile": installed.original}
    configmap = {"kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": namespace}, "data": data}
    installed.cluster.kubectl("create", "namespace", namespace)
    installed.apply({"apiVersion": "v1", **configmap}, *rights)
    yield namespace
    for kind in ("role", "rolebinding"):
        release = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
        for name in installed.cluster.kubectl("get", kind, "-n", namespace, "-o", "name").split():
            installed.cluster.kubectl("patch", name, "-n", namespace, *release)
    delete(installed, "namespace", namespace)


def test_where_the_rights_are_is_asked_again_until_the_server_answers(installed: World, elsewhere: str) -> None:
    account = installed.cluster.service_account_kubeconfig(*ACCOUNT)
    installed.cluster.stop_api_server()
    flags = ("--configmap", f"{elsewhere}/coredns", "--install-namespace", "hairpin-proxy")
    controller = installed.controller(*flags, kubeconfig=account)
    eventually(lambda: "poll failed" in said(controller))
    installed.cluster.start_api_server()
    get = ("-n", elsewhere, "get", "configmap,role,rolebinding", "-o", "yaml")
    eventually(lambda: HOST in installed.cluster.kubectl(*get))
    delete(installed, *DELETIONS["the Deployment"])
    ended(controller, within=30)
    left = installed.cluster.kubectl(*get)
    assert HOST not in left
    assert FINALIZER not in left


def test_a_watch_tells_of_the_end_after_the_rights_are_gone(installed: World) -> None:
    """What a node's controller relies on: its manifest takes the DaemonSet and the right to see it away in one go."""
    installed.cluster.apply(DAEMONSET)
    account = installed.cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-etchosts-controller-sa")
    path = "/apis/apps/v1/namespaces/hairpin-proxy/daemonsets"
    name = "metadata.name=hairpin-proxy-etchosts-controller"
    events = Kube(str(account), None).watch(path, "0", fieldSelector=name)
    assert next(events)[0] == "ADDED"
    delete(installed, "-f", str(DAEMONSET))
    assert "DELETED" in (kind for kind, _ in events)


def test_a_watch_that_the_server_refuses_is_an_error(installed: World) -> None:
    account = Kube(str(installed.kubeconfig), None)
    with pytest.raises(KubeError, match="GET .*daemonsets.*: 403 Forbidden"):
        next(account.watch("/apis/apps/v1/namespaces/hairpin-proxy/daemonsets", "0"))


# ---- cleanup


def test_cleanup_does_all_of_it_when_no_controller_is_there(installed: World) -> None:
    assert installed.once().returncode == 0
    delete(installed, "-f", str(DEPLOY))
    assert held(installed) == HELD
    done = cleanup(installed)
    assert (done.returncode, done.stderr) == (0, "")
    assert installed.cluster.corefile() == installed.original
    assert {item["kind"] for item in found(installed)} == set()


def test_cleanup_stops_the_controller_and_can_be_run_again(installed: World) -> None:
    assert installed.once().returncode == 0
    for rule in (f"-    rewrite name {HOST} ", "has no rule of hairpin-proxy"):
        done = cleanup(installed)
        assert done.returncode == 0
        assert rule in done.stdout
    deployment = json.loads(
        installed.cluster.kubectl("get", "deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy", "-o", "json")
    )
    assert deployment["spec"]["replicas"] == 0
    assert held(installed) == set()


def test_cleanup_with_dry_run_changes_nothing(installed: World) -> None:
    assert installed.once().returncode == 0
    before = installed.version(), held(installed)
    done = cleanup(installed, "--dry-run")
    assert done.returncode == 0
    assert f"-    rewrite name {HOST} " in done.stdout
    assert "Deployment hairpin-proxy/hairpin-proxy-controller would be scaled to 0" in done.stdout
    assert (installed.version(), held(installed)) == before


def test_cleanup_works_on_what_the_installed_controller_works_on(installed: World) -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own", "namespace": "kube-system"}}
    installed.apply({**own, "data": {"Corefile": installed.original}})
    admin = installed.cluster.kubeconfig
    assert installed.once("--configmap", "kube-system/own", kubeconfig=admin).returncode == 0
    env = ["set", "env", "deployment/hairpin-proxy-controller", "-n", "hairpin-proxy"]
    installed.cluster.kubectl(*env, "CONFIGMAP=kube-system/own")
    try:
        done = cleanup(installed)
    finally:
        installed.cluster.kubectl(*env, "CONFIGMAP-")
    assert done.returncode == 0
    assert installed.configmap("own")["data"]["Corefile"] == installed.original


def test_cleanup_without_a_deployment_goes_by_the_role(installed: World) -> None:
    """The settings went with the Deployment, so the default may be wrong."""
    rule = '[{"op": "replace", "path": "/rules/0/resourceNames", "value": ["coredns-custom"]}]'
    role = ["role", "hairpin-proxy-controller-r", "-n", "kube-system"]
    installed.cluster.kubectl("patch", *role, "--type=json", "-p", rule)
    delete(installed, "-f", str(DEPLOY))
    refused = cleanup(installed)
    assert refused.returncode == 1
    assert "coredns-custom; say by --configmap which one" in refused.stderr
    assert held(installed) == HELD
    assert cleanup(installed, "--configmap", "kube-system/coredns").returncode == 0
    assert held(installed) == set()


def test_cleanup_does_not_guess_a_setting_that_stands_elsewhere(installed: World) -> None:
    patch = {"name": "CONFIGMAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "configmap"}}}
    operation = [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [patch]}]
    target = ["deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy", "--type=json", "-p"]
    installed.cluster.kubectl("patch", *target, json.dumps(operation))
    try:
        refused, done = cleanup(installed, "--dry-run"), cleanup(installed, "--configmap", "kube-system/coredns")
    finally:
        installed.cluster.kubectl(
            "set", "env", "deployment/hairpin-proxy-controller", "-n", "hairpin-proxy", "CONFIGMAP-"
        )
    assert refused.returncode == 1
    assert "takes CONFIGMAP from another object; give it as --configmap" in refused.stderr
    assert done.returncode == 0


def test_cleanup_says_what_the_server_said(installed: World, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hairpin_proxy", "cleanup", "--kubeconfig", str(installed.kubeconfig)]
    refused = subprocess.run(argv, env={}, text=True, capture_output=True, timeout=180, check=False)
    assert refused.returncode == 1
    assert "forbidden" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
