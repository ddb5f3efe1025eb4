"""`auto` on a real API server, with the objects of ten distributions and the ServiceAccount of deploy.yml."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import distributions
from tests.cluster.cluster import LocalCluster
from tests.distributions.golden import HOSTS, configuration, located, rendered
from tests.fuzz.judge import Judge
from tests.integration.conftest import ACCOUNT, DEPLOY, INGRESSES, ingress, object_path

SHOWN = ["aks", "eks", "gardener", "helm-chart", "k3s", "k3s-custom", "kubespray", "lke", "openshift", "rke2"]
"""One of each kind; tests/unit/test_distributions.py has all of them."""

ELSEWHERE = {"openshift": ["--configmap", "openshift-dns/dns-default"]}
"""What `auto` cannot find: CoreDNS in another namespace."""


class Bare:
    """An API server with nothing but deploy.yml in it."""

    def __init__(self, cluster: LocalCluster, kubeconfig: Path) -> None:
        self.cluster = cluster
        self._kubeconfig = kubeconfig

    def run(self, *flags: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "hairpin_proxy", "run", "--once", "--kubeconfig", str(self._kubeconfig), *flags]
        return subprocess.run(argv, env={}, text=True, capture_output=True, timeout=180, check=False)

    def shell(self, command: str) -> None:
        """A command of kubectl's that a log shows, as an administrator pastes it."""
        for line in command.split(" && "):
            self.cluster.kubectl(*shlex.split(line)[1:])

    def configmaps(self, namespace: str) -> dict[str, dict[str, str]]:
        """The data of all ConfigMaps."""
        with self.cluster.api() as api:
            found = api.get(f"/api/v1/namespaces/{namespace}/configmaps")["items"]
        return {item["metadata"]["name"]: item.get("data") or {} for item in found}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalCluster]:
    with LocalCluster(api_only=True) as cluster:
        cluster.kubectl("create", "namespace", "openshift-dns")
        yield cluster


@pytest.fixture
def bare(running: LocalCluster) -> Iterator[Bare]:
    running.apply(DEPLOY)
    running.register_haproxy()
    yield Bare(running, running.service_account_kubeconfig(*ACCOUNT))
    with running.api() as api:
        api.delete(INGRESSES)


def laid_out(cluster: LocalCluster, name: str) -> list[str]:
    """Creates a distribution's objects, and returns their paths."""
    items: list[dict[str, Any]] = distributions.objects(name, cluster_ips=False)
    items = [item for item in items if item["kind"] != "Namespace"]
    with cluster.api() as api:
        for item in items:
            api.apply(object_path(item), item)
    return [object_path(item) for item in items]


@pytest.mark.parametrize("name", SHOWN)
def test_rules_go_where_the_distribution_keeps_them(bare: Bare, name: str) -> None:
    paths = laid_out(bare.cluster, name)
    place = located(name).configmap
    try:
        before = bare.configmaps(place.namespace)
        with bare.cluster.api() as api:
            item = ingress("web", *HOSTS)
            api.apply(object_path(item), item)
        done = bare.run(*ELSEWHERE.get(name, []))
        if place.name not in ("coredns", "coredns-custom"):
            assert done.returncode == 1
            _, _, command = done.stderr.partition("for this object): ")
            bare.shell(command.splitlines()[0])
            done = bare.run(*ELSEWHERE.get(name, []))
        assert done.returncode == 0, done.stderr
        key, text = rendered(name)
        after = bare.configmaps(place.namespace)
        changed = {
            (configmap, entry): value
            for configmap, data in after.items()
            for entry, value in data.items()
            if before[configmap].get(entry) != value
        }
        owner = place.name if key == located(name).key else "coredns-custom"
        assert changed == {(owner, key): text}

        with bare.cluster.api() as api:
            api.delete(f"{INGRESSES}/web")
        assert bare.run(*ELSEWHERE.get(name, [])).returncode == 0
        assert bare.configmaps(place.namespace) == before
    finally:
        with bare.cluster.api() as api:
            for path in paths:
                api.delete(path)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


def relative(path: str) -> str:
    """Where a file stands beside the Corefile, for a CoreDNS that has no /etc/coredns."""
    return path.replace("/etc/coredns/", "").replace("/custom/", "custom/")


@pytest.mark.parametrize("name", distributions.names())
def test_coredns_itself_accepts_what_each_distribution_becomes(judge: Judge, name: str) -> None:
    state, place = configuration(name), located(name)
    data = {key.configmap.name.name: dict(key.configmap.data) for key in (state.corefile, state.imported) if key}
    key, text = rendered(name)
    (data["coredns-custom"] if state.uses_import else data[place.configmap.name])[key] = text
    files = {
        relative(f"{mount.folder}/{key}"): value
        for mount in place.mounts
        if mount.configmap != place.configmap.name
        for key, value in data.get(mount.configmap, {}).items()
    }
    (verdict,) = judge.judge([relative(data[place.configmap.name][place.key])], files)
    assert verdict.accepted, (verdict.error, verdict.refused)
    rules = [token["text"] for block in verdict.blocks for token in block["directives"].get("rewrite", [])]
    assert set(rules) >= HOSTS
