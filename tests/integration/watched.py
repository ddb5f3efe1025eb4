"""What a running controller serves of itself."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.processes import Process, free_port
from tests.integration.conftest import World


@dataclass(frozen=True)
class Watched:
    """Where it serves that."""

    process: Process
    port: int

    def get(self, path: str, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, str]:
        """The status and the body."""
        connection = http.client.HTTPConnection(host, self.port, timeout=5)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def samples(self) -> dict[str, float]:
        """By `name{label}`, without our prefix."""
        _, text = self.get("/metrics")
        return {
            sample.name.removeprefix("hairpin_proxy_")
            + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def counted(self, name: str) -> float:
        """0 for what there is none of."""
        return self.samples().get(name, 0)

    def probes(self) -> tuple[int, int]:
        """What kubelet's get: the status of /healthz and of /readyz."""
        return self.get("/healthz")[0], self.get("/readyz")[0]


@contextmanager
def watched(world: World, *flags: str, host: str = "", kubeconfig: Path | None = None) -> Iterator[Watched]:
    """A controller that serves it on a port of its own, and without a host on all addresses."""
    port = free_port("0.0.0.0")
    process = world.controller("--metrics-address", f"{host}:{port}", *flags, kubeconfig=kubeconfig)
    found = Watched(process, port)
    process.wait_ready(lambda: found.get("/healthz")[0] == 200)
    try:
        yield found
    finally:
        process.stop()
