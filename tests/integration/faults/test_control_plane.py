"""The API server or etcd is killed, starts again, or knows another state than before."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hairpin_proxy.names import NAMESPACE
from tests.cluster.cluster import LocalCluster
from tests.cluster.processes import Process
from tests.integration.conftest import ACCOUNT, CONFIGMAPS, World, eventually, ingress, installed
from tests.integration.faults.pod import pod
from tests.integration.faults.proxy import Fault, FaultProxy
from tests.integration.faults.trial import COMES, COREDNS, GOES, KEPT, Seen, Trial, controlled, foreign, rules_in

NO_ANSWER = "poll failed: .*no answer from http"
LINES, FAILURES = 4, 8
"""What goes away in the middle of a poll is named for that call and for the first one; and an API server that has just
started knows no Roles and no ServiceAccounts, and answers 403 or 401, to another call each time if it is slow."""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[LocalCluster]:
    """For what other tests would not get over."""
    with installed() as running:
        yield running


@pytest.fixture
def world(own_cluster: LocalCluster) -> Iterator[World]:
    made = World(own_cluster, own_cluster.corefile(), own_cluster.service_account_kubeconfig(*ACCOUNT))
    yield made
    made.reset()


@pytest.fixture
def trial(world: World, faulty: FaultProxy, through: Path, seen: Seen) -> Iterator[Trial]:
    """With all the calls that it makes as it is installed."""

    def start(metrics: str) -> Process:
        return world.controller("--install-namespace", NAMESPACE, "--metrics-address", metrics, kubeconfig=through)

    with controlled(world, faulty, seen, start) as running:
        running.forgets, running.lines, running.failures = True, LINES, FAILURES
        yield running
        running.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


# ---- the API server


def test_the_api_server_is_killed_and_starts_again(trial: Trial) -> None:
    with trial.recovering(NO_ANSWER):
        with trial.world.cluster.api_server_away():
            eventually(lambda: bool(trial.named(NO_ANSWER)))
        trial.change()


WHEN = {"arrives at the API server": False, "has been made and is not answered yet": True}


@pytest.mark.parametrize("made", WHEN.values(), ids=WHEN)
def test_the_api_server_is_killed_when_a_write(trial: Trial, made: bool) -> None:
    def kill() -> None:
        trial.world.cluster.stop_api_server()
        raise ConnectionAbortedError  # no answer comes

    killed = Fault("PATCH", COREDNS, then=kill, done=made, times=1)
    trial.proxy.faults.append(killed)
    trial.change()
    eventually(lambda: trial.proxy.met(killed) > 0)
    try:
        said = NO_ANSWER + ".*the next poll shows whether this was written"
        eventually(lambda: bool(trial.named(said)), 30)
        eventually(lambda: len(trial.named(" ERROR ")) > 1)
    finally:
        trial.world.cluster.start_api_server()
    with trial.recovering(said):
        pass


def test_the_api_server_starts_again_with_another_certificate_of_its_own(
    world: World, faulty: FaultProxy, tmp_path: Path, seen: Seen
) -> None:
    """With which its CA is another one too. The pod calls it itself."""
    called = pod(world, tmp_path, world.cluster.api_url)
    with controlled(world, faulty, seen, called.start) as trial:
        trial.forgets, trial.lines, trial.failures = True, LINES, FAILURES
        authority = world.cluster.renew_certificate()
        trial.change()
        said = "poll failed: .*certificate verify failed: self.signed certificate"
        eventually(lambda: bool(trial.named(said)))
        assert rules_in(world.cluster.corefile()) == {KEPT, GOES}
        with trial.recovering(said):
            called.put("ca.crt", authority)
        assert foreign(world.cluster.corefile()) == world.original
        trial.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


# ---- etcd


def test_etcd_is_killed_and_starts_again_under_a_running_api_server(trial: Trial) -> None:
    said = f"{NO_ANSWER}|poll failed: .*: 50[0-9] "
    trial.world.cluster.stop_etcd()
    try:
        eventually(lambda: bool(trial.named(said)), 40)
    finally:
        trial.world.cluster.start_etcd()
    eventually(lambda: trial.world.version() != "")
    with trial.recovering(said):
        trial.change()


OLDER = "older.example.com"


def older_state(trial: Trial, folder: Path) -> None:
    """A copy in which a host is wanted that has no rule yet, and is not wanted any more soon after."""
    trial.controller.send_signal(signal.SIGSTOP)
    trial.world.apply(ingress("older", OLDER))
    trial.world.cluster.copy_etcd(folder)
    trial.world.delete("older")
    trial.controller.send_signal(signal.SIGCONT)
    trial.allowed.add(OLDER)
    trial.change()
    trial.right_again(trial.polls())


def test_etcd_is_restored_from_an_older_state(trial: Trial, tmp_path: Path) -> None:
    older_state(trial, tmp_path / "older")
    with trial.recovering(NO_ANSWER, KEPT, GOES, OLDER):
        trial.world.cluster.restore_etcd(tmp_path / "older")
    trial.change()
    trial.right_again(trial.polls(), KEPT, OLDER, COMES)
    trial.check()


def test_etcd_is_restored_from_an_older_state_while_the_controller_is_stopped(trial: Trial, tmp_path: Path) -> None:
    """Its watch came to a good end before, and the next one would begin at a resourceVersion that is yet to come."""
    older_state(trial, tmp_path / "older")
    stopped = Fault("GET", COREDNS, then=lambda: trial.controller.send_signal(signal.SIGSTOP), times=1)
    trial.proxy.faults.append(stopped)
    eventually(lambda: trial.proxy.met(stopped) > 0)
    time.sleep(2)
    trial.world.cluster.restore_etcd(tmp_path / "older")
    trial.controller.send_signal(signal.SIGCONT)
    recovered = trial.right_again(trial.polls(), KEPT, GOES, OLDER)
    trial.check()
    trial.change()
    trial.right_again(trial.polls(), KEPT, OLDER, COMES)
    trial.check()
    trial.seen([*trial.named("no answer from http"), "none"][0], recovered)


def test_etcd_is_wiped_and_then_restored(trial: Trial, tmp_path: Path) -> None:
    cluster = trial.world.cluster
    cluster.copy_etcd(tmp_path / "older")
    cluster.restore_etcd(None)
    try:
        said = "poll failed: .*401 Unauthorized"
        eventually(lambda: bool(trial.named(said)), 40)
        with cluster.api() as api:
            names = {item["metadata"]["name"] for item in api.get(CONFIGMAPS)["items"]}
        assert "coredns" not in names
    finally:
        cluster.restore_etcd(tmp_path / "older")
    with trial.recovering(said):
        trial.change()
