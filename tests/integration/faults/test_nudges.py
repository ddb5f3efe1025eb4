"""CoreDNS's pods cannot be told of a write: it is made all the same, and they read it later."""

from pathlib import Path

import pytest

from tests.integration.conftest import World, ingress
from tests.integration.faults.proxy import Fault, FaultProxy, status
from tests.integration.faults.trial import KEPT, Seen, rules_in
from tests.integration.test_nudge import nudged

FAULTS = {
    "500 for which pods there are": Fault("GET", "/pods", 500, status(500, "Reason", "etcd is away")),
    "500 for each pod": Fault("PATCH", "/pods/", 500, status(500, "Reason", "etcd is away")),
    "no answer of which pods there are": Fault("GET", "/pods", reset=True),
}


@pytest.mark.usefixtures("nudge", "pods")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_they_are_told_of_nothing(world: World, faulty: FaultProxy, through: Path, seen: Seen, fault: Fault) -> None:
    world.apply(ingress("kept", KEPT))
    faulty.faults.append(fault)
    done = world.once("--nudge-coredns", kubeconfig=through)
    said = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert (done.returncode, rules_in(world.cluster.corefile()), nudged(world)) == (0, {KEPT}, {})
    assert all("up to two minutes later, for it could not be told: " in line for line in said)
    seen(said[0], "the rules are written all the same")


@pytest.mark.usefixtures("nudge", "pods")
def test_a_pod_that_has_gone_meanwhile_need_not_know(
    world: World, faulty: FaultProxy, through: Path, seen: Seen
) -> None:
    world.apply(ingress("kept", KEPT))
    faulty.faults.append(Fault("PATCH", "/pods/coredns-a", 404, status(404, "Reason", "not found")))
    done = world.once("--nudge-coredns", kubeconfig=through)
    assert (done.returncode, rules_in(world.cluster.corefile())) == (0, {KEPT})
    assert list(nudged(world)) == ["coredns-b"]
    assert " ERROR " not in done.stderr
    seen("nothing, for nothing is missing", "right all the time")
