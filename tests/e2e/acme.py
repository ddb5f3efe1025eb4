"""An ACME HTTP-01 round as cert-manager does it: a self-check from inside the cluster, and then the server is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.cluster.node.node import Node
from tests.cluster.processes import Process
from tests.e2e.pebble import Pebble, prepare_pebble
from tests.e2e.product import MANIFESTS, eventually

FAILED_SELF_CHECK = 3


@dataclass(frozen=True)
class AcmeServer:
    """Pebble, out on the internet."""

    node: Node
    pebble: Pebble
    process: Process

    @staticmethod
    def start(node: Node) -> AcmeServer:
        pebble = prepare_pebble(node.folder, node.gateway, f"{node.resolver}:53")
        return AcmeServer(node, pebble, node.start_in_cloud("pebble", pebble.argv, pebble.env))

    @property
    def has_validated(self) -> bool:
        """Whether anybody has asked it to look at a challenge."""
        return "attempting" in self.process.log.read_text().lower()

    def round(self, self_check_seconds: int) -> tuple[int, str]:
        """The client's exit code, and what it said."""
        # With its pod, whose end would be taken for that of the next one.
        self.node.kubectl("delete", "job", "acme-client", "--ignore-not-found", "--cascade=foreground")
        data = {
            "DIRECTORY": self.pebble.directory,
            "SELF_CHECK_SECONDS": str(self_check_seconds),
            "ca.crt": self.pebble.certificate.certificate.read_text(),
        }
        metadata = {"name": "acme-client", "namespace": "default"}
        self.node.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
        self.node.apply(MANIFESTS / "acme-client.yml")
        eventually(lambda: self._exit_code() is not None, self_check_seconds + 150, "the ACME client does not end")
        return int(self._exit_code() or 0), self.node.kubectl("logs", "job/acme-client")

    def _exit_code(self) -> str | None:
        path = "jsonpath={.items[*].status.containerStatuses[*].state.terminated.exitCode}"
        return self.node.kubectl("get", "pod", "-l", "app=acme-client", "-o", path) or None
