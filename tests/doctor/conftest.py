"""One cluster for all tests, whole again before each of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import LocalCluster
from tests.cluster.processes import Processes
from tests.doctor.ground import COREDNS, HOST, Ground, build


@pytest.fixture(scope="session")
def built() -> Iterator[Ground]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((COREDNS, 0))  # tests/doctor/in-a-network gives it
    with LocalCluster(api_only=True) as cluster:
        processes = Processes(cluster.folder)
        ground = Ground(cluster, processes)
        try:
            build(ground)
            yield ground
        finally:
            ground.stop_following()
            processes.close()


@pytest.fixture
def ground(built: Ground) -> Iterator[Ground]:
    """A good cluster: a host has its rule, and CoreDNS answers by it."""
    built.ingress(HOST)
    built.write_rules()
    yield built
    built.mend()
