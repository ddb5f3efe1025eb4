"""Two installs in one cluster, each with its own class and Service: neither touches what the other has."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairpin_proxy.names import COREDNS_NAMESPACE, NAMESPACE, SERVICE_ACCOUNT, destination, role, role_binding
from tests.cluster.cluster import ClusterError
from tests.cluster.processes import Process
from tests.corefiles import rule
from tests.e2e.readme import TWO_INSTALLS, blocks
from tests.integration.conftest import ACCOUNT, DEPLOY, World, eventually, ingress

NUDGE = DEPLOY.parent / "deploy-nudge-coredns.yml"
FINALIZER = "hairpin-proxy/corefile"
QUIET = 2
"""Seconds in which both poll several times."""


@dataclass(frozen=True)
class Install:
    namespace: str
    ingress_class: str

    @property
    def host(self) -> str:
        return f"{self.ingress_class}.example.com"

    @property
    def rule(self) -> str:
        """As a line."""
        return rule(self.host, destination(self.namespace))

    @property
    def held(self) -> set[tuple[str, str, str]]:
        """What has the finalizer: kind, namespace and name."""
        rights = {("Role", role(self.namespace)), ("RoleBinding", role_binding(self.namespace))}
        held = {(kind, where, name) for kind, name in rights for where in (self.namespace, COREDNS_NAMESPACE)}
        return held | {("ServiceAccount", self.namespace, SERVICE_ACCOUNT)}


FIRST, SECOND = Install(NAMESPACE, "nginx"), Install("hairpin-proxy-internal", "internal")


def made(mark: str, manifest: Path, folder: Path) -> Path:
    """What the page's command makes of a manifest."""
    for path in manifest.parent.glob("deploy*.yml"):
        shutil.copy(path, folder)
    blocks(TWO_INSTALLS)[mark].run(partial(_shell, folder))
    return folder / f"{manifest.stem}-internal.yml"


def _shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, text=True, capture_output=True, check=False)


@dataclass(frozen=True)
class Two:
    """Both installs in the cluster."""

    world: World
    manifests: dict[Install, Path]

    @property
    def corefile(self) -> str:
        return self.world.cluster.corefile()

    def corefile_of(self, *installs: Install) -> str:
        """The Corefile with the rules of these, which are written one after the other."""
        end = "\n}\n"
        assert self.world.original.endswith(end)
        return self.world.original.removesuffix(end) + "\n" + "\n".join(each.rule for each in installs) + end

    def run(self, install: Install) -> Process:
        """Its controller, once it has written its rule."""
        account = self.world.cluster.service_account_kubeconfig(install.namespace, SERVICE_ACCOUNT)
        flags = ["--install-namespace", install.namespace, "--ingress-class", install.ingress_class]
        controller = self.world.controller(*flags, kubeconfig=account)
        eventually(lambda: install.rule in self.corefile and "updated:" in controller.log.read_text())
        return controller

    def write(self, install: Install) -> None:
        """Its rule, by a controller that ends again."""
        self.run(install).send_signal(signal.SIGKILL)

    def delete(self, install: Install) -> None:
        self.world.cluster.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", str(self.manifests[install]))

    def cleanup(self, install: Install) -> subprocess.CompletedProcess[str]:
        return cleanup(self.world, install.namespace)

    @property
    def held(self) -> set[tuple[str, str, str]]:
        return {
            (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
            for item in rights(self.world)
            if FINALIZER in item["metadata"].get("finalizers", [])
        }


def cleanup(world: World, namespace: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hairpin_proxy", "cleanup", "--kubeconfig", str(world.cluster.kubeconfig)]
    argv += ["--install-namespace", namespace]
    return subprocess.run(argv, env={}, text=True, capture_output=True, timeout=100, check=False)


def rights(world: World) -> list[dict[str, Any]]:
    listed = world.cluster.kubectl("get", "serviceaccount,role,rolebinding", "-A", "-o", "json")
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return found


@pytest.fixture
def two(world: World, tmp_path: Path) -> Iterator[Two]:
    """Each with an Ingress of its class; the first install is there again afterwards, and the second is not."""
    found = Two(world, {FIRST: DEPLOY, SECOND: made("two installs, the manifest", DEPLOY, tmp_path)})
    world.cluster.apply(found.manifests[SECOND])
    world.cluster.register_haproxy(SECOND.namespace)
    for install in (FIRST, SECOND):
        world.apply(ingress(install.ingress_class, install.host, ingressClassName=install.ingress_class))
    yield found
    found.delete(SECOND)
    for kind, namespace, name in found.held:
        patch = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
        world.cluster.kubectl("patch", kind, name, "-n", namespace, *patch)
    end_deleted_namespaces(world)
    world.cluster.apply(DEPLOY)
    world.cluster.register_haproxy()
    world.cluster.service_account_kubeconfig(*ACCOUNT)  # into the same file, for a new ServiceAccount has other tokens


def end_deleted_namespaces(world: World) -> None:
    """What the namespace controller does once they are empty; the local cluster has none."""
    for item in json.loads(world.cluster.kubectl("get", "namespaces", "-o", "json"))["items"]:
        if "deletionTimestamp" in item["metadata"]:
            name = item["metadata"]["name"]
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
            path = f"/api/v1/namespaces/{name}/finalize"
            world.cluster.kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))


# ---- the manifest


def objects(manifest: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest.read_text()))


def names(manifest: Path) -> list[tuple[str, str | None, str]]:
    return [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects(manifest)]


def test_the_second_manifest_has_the_same_objects_under_other_names(tmp_path: Path) -> None:
    manifest = made("two installs, the manifest", DEPLOY, tmp_path)
    assert [kind for kind, *_ in names(manifest)] == [kind for kind, *_ in names(DEPLOY)]
    assert not set(names(manifest)) & set(names(DEPLOY))
    assert SECOND.held <= set(names(manifest))
    (env,) = (
        item["spec"]["template"]["spec"]["containers"][0].get("env")
        for item in objects(manifest)
        if item["metadata"]["name"] == "hairpin-proxy-controller"
    )
    assert env[0] == {"name": "INGRESS_CLASS", "value": "internal"}


def test_the_second_nudge_has_a_guard_of_its_own(tmp_path: Path) -> None:
    manifest = made("two installs, the nudge", NUDGE, tmp_path)
    assert not set(names(manifest)) & set(names(NUDGE))
    account = "system:serviceaccount:{}:hairpin-proxy-controller-sa"
    policy, binding, _, role_binding = objects(manifest)
    (condition,) = policy["spec"]["matchConditions"]
    assert condition["expression"] == f"request.userInfo.username == '{account.format(SECOND.namespace)}'"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert [(each["namespace"], each["name"]) for each in role_binding["subjects"]] == [
        (SECOND.namespace, SERVICE_ACCOUNT)
    ]
    original = objects(NUDGE)[0]["spec"]
    assert policy["spec"]["validations"] == original["validations"]


def test_neither_may_let_go_of_what_the_other_holds(two: Two) -> None:
    """Nor make it wait for ever."""
    account = f"system:serviceaccount:{SECOND.namespace}:{SERVICE_ACCOUNT}"
    for kind, namespace, name in SECOND.held:
        may = two.world.cluster.kubectl("auth", "can-i", "patch", f"{kind}/{name}", "-n", namespace, "--as", account)
        assert may.strip() == "yes"
    for kind, namespace, name in FIRST.held:
        with pytest.raises(ClusterError, match="no"):
            two.world.cluster.kubectl("auth", "can-i", "patch", f"{kind}/{name}", "-n", namespace, "--as", account)


# ---- both at once


def test_both_write_their_own_rules_and_come_to_rest(two: Two) -> None:
    controllers = [two.run(FIRST), two.run(SECOND)]
    assert two.corefile == two.corefile_of(FIRST, SECOND)
    version = two.world.version()
    time.sleep(QUIET)
    assert two.world.version() == version
    assert two.held == FIRST.held | SECOND.held
    for controller in controllers:
        controller.send_signal(signal.SIGKILL)


def test_a_new_host_of_one_leaves_the_rules_of_the_other(two: Two) -> None:
    controllers = [two.run(FIRST), two.run(SECOND)]
    two.world.apply(ingress("more", "more.example.com", ingressClassName=FIRST.ingress_class))
    eventually(lambda: "more.example.com" in two.corefile)
    time.sleep(QUIET)
    more = rule("more.example.com", destination(FIRST.namespace))
    assert two.corefile == two.corefile_of(FIRST, SECOND).replace(FIRST.rule, f"{more}\n{FIRST.rule}")
    for controller in controllers:
        controller.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("goes", "stays"), [(FIRST, SECOND), (SECOND, FIRST)], ids=["the first", "the second"])
def test_an_uninstall_of_one_and_then_of_the_other(two: Two, goes: Install, stays: Install) -> None:
    controllers = {install: two.run(install) for install in (FIRST, SECOND)}
    two.delete(goes)
    assert "this is an uninstall" in ended(controllers[goes])
    assert two.corefile == two.corefile_of(stays)
    assert two.held == stays.held
    version = two.world.version()
    time.sleep(QUIET)
    assert two.world.version() == version
    assert controllers[stays].running
    assert "uninstall" not in controllers[stays].log.read_text()
    two.delete(stays)
    assert "this is an uninstall" in ended(controllers[stays])
    assert two.corefile == two.world.original
    assert two.held == set()


def ended(controller: Process) -> str:
    """What it said, after SIGTERM."""
    controller.send_signal(signal.SIGTERM)
    eventually(lambda: not controller.running, 20)
    assert controller.exit_code == 0
    return controller.log.read_text()


# ---- cleanup


@pytest.mark.parametrize(("goes", "stays"), [(FIRST, SECOND), (SECOND, FIRST)], ids=["the first", "the second"])
def test_cleanup_of_one_stops_and_releases_only_that(two: Two, goes: Install, stays: Install) -> None:
    two.write(FIRST)
    two.write(SECOND)
    done = two.cleanup(goes)
    assert (done.returncode, done.stderr) == (0, "")
    assert two.corefile == two.corefile_of(stays)
    assert two.held == stays.held
    assert (replicas(two, goes), replicas(two, stays)) == (0, 1)


def replicas(two: Two, install: Install) -> int:
    get = ["get", "deployment", "hairpin-proxy-controller", "-n", install.namespace, "-o", "json"]
    return int(json.loads(two.world.cluster.kubectl(*get))["spec"]["replicas"])


@pytest.mark.parametrize(("goes", "stays"), [(FIRST, SECOND), (SECOND, FIRST)], ids=["the first", "the second"])
def test_cleanup_of_one_that_was_deleted_without_a_controller(two: Two, goes: Install, stays: Install) -> None:
    """Its settings went with its Deployment."""
    two.write(FIRST)
    two.write(SECOND)
    two.delete(goes)
    done = two.cleanup(goes)
    assert (done.returncode, done.stderr) == (0, "")
    assert two.corefile == two.corefile_of(stays)
    assert two.held == stays.held


def test_cleanup_of_none_takes_nothing(two: Two) -> None:
    """As with a namespace that is spelt wrongly."""
    two.write(FIRST)
    done = cleanup(two.world, "hairpin-proxy-intern")
    assert done.returncode == 0
    assert two.corefile == two.corefile_of(FIRST)
    assert two.held == FIRST.held | SECOND.held
