"""What each trial stands on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Process
from tests.integration.conftest import World
from tests.integration.faults.pod import Authority, Front, pod
from tests.integration.faults.proxy import FaultProxy
from tests.integration.faults.trial import Seen, Trial, controlled
from tests.integration.test_import import imports
from tests.integration.test_node_local_dns import component
from tests.integration.test_node_local_dns import node as cached
from tests.integration.test_nudge import nudge, pods

__all__ = ["cached", "component", "imports", "nudge", "pods"]  # fixtures


@pytest.fixture
def through(faulty: FaultProxy, tmp_path: Path) -> Path:
    """The kubeconfig of a controller behind the proxy."""
    return faulty.kubeconfig(tmp_path)


@pytest.fixture
def seen(record_property: Any) -> Seen:
    """Keeps what was seen, for docs/reliability.md: the line of the log, and how it ended."""

    def keep(line: str, recovered: str) -> None:
        record_property("seen", line.strip())
        record_property("recovered", recovered)

    return keep


@pytest.fixture
def trial(world: World, faulty: FaultProxy, through: Path, seen: Seen) -> Iterator[Trial]:
    """With a poll each 0.3 seconds."""

    def start(metrics: str) -> Process:
        return world.controller("--metrics-address", metrics, kubeconfig=through)

    with controlled(world, faulty, seen, start) as running:
        yield running


@pytest.fixture
def front(world: World, faulty: FaultProxy, tmp_path: Path, seen: Seen) -> Front:
    authority = Authority(tmp_path, "first").make()
    faulty.refuse()
    faulty.certificate = authority.sign("server")
    faulty.listen()
    return Front(faulty, pod(world, tmp_path, faulty.url, authority.certificate.read_text()), authority, seen)
