"""What each trial stands on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Process
from tests.integration.conftest import World
from tests.integration.faults.pod import Authority, Front, pod
from tests.integration.faults.proxy import FaultProxy, fault_proxy
from tests.integration.faults.trial import Trial, controlled


@pytest.fixture
def faulty(world: World) -> Iterator[FaultProxy]:
    with fault_proxy(world.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def trial(world: World, faulty: FaultProxy, tmp_path: Path, record_property: Any) -> Iterator[Trial]:
    """With a poll each 0.3 seconds."""

    def start(metrics: str) -> Process:
        return world.controller("--metrics-address", metrics, kubeconfig=faulty.kubeconfig(tmp_path))

    with controlled(world, faulty, record_property, start) as running:
        yield running


@pytest.fixture
def front(world: World, faulty: FaultProxy, tmp_path: Path, record_property: Any) -> Front:
    authority = Authority(tmp_path, "first").make()
    faulty.refuse()
    faulty.certificate = authority.sign("server")
    faulty.listen()
    return Front(
        faulty, pod(world, tmp_path, faulty.url, authority.certificate.read_text()), authority, record_property
    )
