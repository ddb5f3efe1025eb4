"""Where CoreDNS reads its Corefile is looked up now and then, and an answer may be wrong."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hairpin_proxy.kube import Kube
from hairpin_proxy.providers.place import Places
from tests.doctor.ground import COREDNS_DEPLOYMENT
from tests.integration.conftest import World
from tests.integration.faults.proxy import Fault, FaultProxy

SERVICES = "/api/v1/namespaces/kube-system/services"
ELSEWHERE, USUAL = "kube-system/elsewhere", "kube-system/coredns"
AN_HOUR = 3600


@dataclass
class Looking:
    """At a cluster whose CoreDNS reads another ConfigMap than is usual."""

    proxy: FaultProxy
    places: Places
    now: float = 0.0

    def get(self, after: float = 0) -> str:
        self.now += after
        return str(self.places.get().configmap)

    def services(self) -> int:
        """How often they were listed."""
        return len([call for call in self.proxy.calls if SERVICES in call])


def no_services(times: int | None) -> Fault:
    def emptied(answer: bytes) -> bytes:
        return json.dumps({**json.loads(answer), "items": []}).encode()

    return Fault("GET", SERVICES, alter=emptied, times=times)


@pytest.fixture
def looking(world: World, faulty: FaultProxy, tmp_path: Path) -> Iterator[Looking]:
    deployment = json.loads(json.dumps(COREDNS_DEPLOYMENT))
    deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] = "elsewhere"
    world.apply(deployment)
    kube = Kube(str(faulty.kubeconfig(tmp_path)), None)
    found = Looking(faulty, Places(kube, None, None, lambda: found.now))
    assert found.get() == ELSEWHERE
    yield found
    world.cluster.kubectl("-n", "kube-system", "delete", "deployment", "coredns")


def test_a_place_that_was_found_is_not_given_up_for_one_empty_list(looking: Looking) -> None:
    looking.proxy.faults.append(no_services(1))
    assert looking.get(AN_HOUR) == ELSEWHERE
    assert looking.get(1) == ELSEWHERE
    assert looking.services() == 3
    assert looking.get(1) == ELSEWHERE
    assert looking.services() == 3


def test_it_is_given_up_when_the_next_list_says_the_same_and_found_again_two_usual_polls_later(
    looking: Looking,
) -> None:
    fault = no_services(None)
    looking.proxy.faults.append(fault)
    assert [looking.get(AN_HOUR), looking.get(1), looking.get(1)] == [ELSEWHERE, USUAL, USUAL]
    looking.proxy.faults.remove(fault)
    assert looking.get(31) == ELSEWHERE
