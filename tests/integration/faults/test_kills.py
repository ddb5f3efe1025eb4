"""SIGKILL and SIGSTOP at every call that a controller makes, from what it reads to what it writes."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from hairpin_proxy.names import NAMESPACE
from tests.cluster.processes import Process
from tests.integration.conftest import World, eventually
from tests.integration.faults.proxy import Fault, FaultProxy
from tests.integration.faults.trial import COREDNS, POLLS, Seen, Trial, controlled, foreign

OWN = f"/api/v1/namespaces/{NAMESPACE}"
EDIT = "# an edit by hand\n"


class Step(NamedTuple):
    """A call of a poll."""

    method: str
    path: str
    at_start: bool = False
    """Whether only the first poll makes it."""
    at_change: bool = False
    """Whether only a poll makes it in which hosts come."""


STEPS = {
    "its namespace is read": Step("GET", f"{OWN} "),
    "its Deployment is read": Step("GET", "/deployments/hairpin-proxy-controller"),
    "its ServiceAccount is read": Step("GET", "/serviceaccounts/"),
    "its Role is read": Step("GET", f"{NAMESPACE}/roles/"),
    "its RoleBinding is read": Step("GET", f"{NAMESPACE}/rolebindings/"),
    "its Role in kube-system is read": Step("GET", "kube-system/roles/"),
    "its RoleBinding in kube-system is read": Step("GET", "kube-system/rolebindings/"),
    "all Ingresses are listed": Step("GET", "/ingresses?limit", at_start=True),
    "the Deployments of kube-system are listed": Step("GET", "/deployments?limit", at_start=True),
    "the DaemonSets of kube-system are listed": Step("GET", "/daemonsets?limit", at_start=True),
    "the Services of kube-system are listed": Step("GET", "kube-system/services?limit", at_start=True),
    "the Corefile is read": Step("GET", COREDNS),
    "the Service of HAProxy is read": Step("GET", f"{OWN}/services/", at_change=True),
    "the EndpointSlices of HAProxy are listed": Step("GET", "/endpointslices?", at_change=True),
    "the Corefile is written": Step("PATCH", COREDNS, at_change=True),
    "Ingresses are watched": Step("GET", "/ingresses?watch=true"),
}
MOMENTS = {"before the server sees it": False, "after the server has answered": True}
every_step = pytest.mark.parametrize("step", [step for step in STEPS if step != "Ingresses are watched"])
every_moment = pytest.mark.parametrize("answered", MOMENTS.values(), ids=MOMENTS)


@pytest.fixture
def trial(world: World, faulty: FaultProxy, through: Path, seen: Seen) -> Iterator[Trial]:
    """With all the calls that it makes as it is installed."""

    def start(metrics: str) -> Process:
        return world.controller("--install-namespace", NAMESPACE, "--metrics-address", metrics, kubeconfig=through)

    with controlled(world, faulty, seen, start) as running:
        yield running
        running.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


def met(trial: Trial, step: Step, then: Callable[[], None], *, answered: bool) -> None:
    """Lets other hosts be wanted, and does this when the call comes that is to bring or to write them."""
    fault = Fault(step.method, step.path, then=then, done=answered, times=1)
    if step.at_start:
        trial.controller.send_signal(signal.SIGKILL)
        trial.change()
        trial.proxy.faults.append(fault)
        trial.start_again()
    elif step.at_change:
        trial.proxy.faults.append(fault)
        trial.change()
    else:
        trial.change()
        trial.proxy.faults.append(fault)
    eventually(lambda: trial.proxy.met(fault) > 0)


def kill(trial: Trial, *, answered: bool) -> None:
    trial.controller.send_signal(signal.SIGKILL)
    if not answered:
        raise ConnectionAbortedError  # the call goes no further


@every_moment
@every_step
def test_killed_when(trial: Trial, step: str, answered: bool) -> None:
    met(trial, STEPS[step], partial(kill, trial, answered=answered), answered=answered)
    eventually(lambda: not trial.controller.running)
    assert trial.controller.exit_code == -signal.SIGKILL
    trial.check_writes()
    trial.start_again()
    eventually(trial.is_served)
    recovered = trial.right_again(0)
    trial.check()
    assert not [line for line in trial.warned() if " ERROR " in line], trial.log
    assert "hairpin-proxy 0." in trial.named(" starts: ")[0]
    trial.seen("none, for it was killed; the next one says that hairpin-proxy starts", f"started again, {recovered}")


def polls_begun(proxy: FaultProxy) -> int:
    return proxy.calls.count(f"GET {OWN}")


def stop_and_edit(trial: Trial, begun: list[int]) -> None:
    """Somebody changes the Corefile while it cannot see it."""
    trial.controller.send_signal(signal.SIGSTOP)
    begun.append(polls_begun(trial.proxy))
    trial.world.write_corefile(trial.world.cluster.corefile() + EDIT)


ALWAYS_LATE = {"the Service of HAProxy is read", "the EndpointSlices of HAProxy are listed"}


def is_late(step: str, *, answered: bool) -> bool | None:
    """Whether an edit at this step comes between read and write; None where it depends on what is written."""
    if step == "the Corefile is written":
        return not answered
    if step == "the Corefile is read" and answered:
        return None
    return step in ALWAYS_LATE


@every_moment
@every_step
def test_stopped_while_somebody_edits_the_corefile_when(trial: Trial, step: str, answered: bool) -> None:
    begun: list[int] = []
    met(trial, STEPS[step], partial(stop_and_edit, trial, begun), answered=answered)
    eventually(lambda: bool(begun) and EDIT in trial.world.cluster.corefile())
    time.sleep(0.5)
    trial.controller.send_signal(signal.SIGCONT)
    trial.right_again(trial.polls())
    polls = max(1, polls_begun(trial.proxy) - begun[0])
    trial.check()
    assert foreign(trial.world.cluster.corefile()) == trial.world.original + EDIT
    conflicts = trial.named(" ERROR poll failed: PATCH .* 409 Conflict: .* has been modified")
    late = is_late(step, answered=answered)
    assert late is None or len(conflicts) == late, trial.log
    assert [line for line in trial.warned() if " ERROR " in line] == conflicts
    assert polls <= POLLS
    line = conflicts[0] if conflicts else "none, for it goes on where it was, and the edit stays"
    trial.seen(line, f"right again within {POLLS} polls")


def test_stopped_for_longer_than_a_call_and_a_watch_may_last(trial: Trial) -> None:
    stopped = Fault("GET", COREDNS, then=lambda: trial.controller.send_signal(signal.SIGSTOP), times=1)
    trial.proxy.faults.append(stopped)
    eventually(lambda: trial.proxy.met(stopped) > 0)
    trial.change()
    time.sleep(12)
    trial.controller.send_signal(signal.SIGCONT)
    recovered = trial.right_again(trial.polls())
    trial.check()
    assert not [line for line in trial.warned() if " ERROR " in line], trial.log
    trial.seen("none, for it goes on where it was", recovered)


def test_every_call_is_one_of_the_steps(trial: Trial) -> None:
    """What is added to a poll is to be tried as well."""
    trial.change()
    trial.right_again(trial.polls())
    unknown = {call for call in trial.proxy.calls if not any(_is(call, step) for step in STEPS.values())}
    assert unknown == set()


def _is(call: str, step: Step) -> bool:
    return call.startswith(f"{step.method} ") and step.path in f"{call} "
