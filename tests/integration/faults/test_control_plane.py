"""The API server or etcd is killed, starts again, or knows another state than before."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy.names import NAMESPACE
from tests.cluster.cluster import LocalCluster
from tests.cluster.processes import Process
from tests.integration.conftest import ACCOUNT, DEPLOY, World, eventually
from tests.integration.faults.proxy import FaultProxy
from tests.integration.faults.trial import Trial, controlled

NO_ANSWER = "poll failed: .*no answer from http"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[LocalCluster]:
    """For what other tests would not get over."""
    with LocalCluster() as running:
        running.apply(DEPLOY)
        running.register_haproxy()
        yield running


@pytest.fixture
def world(own_cluster: LocalCluster) -> Iterator[World]:
    made = World(own_cluster, own_cluster.corefile(), own_cluster.service_account_kubeconfig(*ACCOUNT))
    yield made
    made.reset()


@pytest.fixture
def trial(world: World, faulty: FaultProxy, tmp_path: Path, record_property: Any) -> Iterator[Trial]:
    """With all the calls that it makes as it is installed."""
    kubeconfig = faulty.kubeconfig(tmp_path)

    def start(metrics: str) -> Process:
        return world.controller("--install-namespace", NAMESPACE, "--metrics-address", metrics, kubeconfig=kubeconfig)

    with controlled(world, faulty, record_property, start) as running:
        running.forgets, running.lines = True, 2
        yield running
        running.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


# ---- the API server


def test_the_api_server_is_killed_and_starts_again(trial: Trial) -> None:
    cluster = trial.world.cluster
    trial.change()
    with trial.recovering(NO_ANSWER), cluster.api_server_away():
        eventually(lambda: bool(trial.named(NO_ANSWER)))


