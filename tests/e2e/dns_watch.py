"""Asks every pod of CoreDNS for a host, over and over, and remembers each answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate
from tests.cluster.node.node import Node

LOOP = """\
while sleep 0.2; do
    for server in {servers}; do
        {dig} +time=2 +tries=1 +nocookie @$server {host} | awk -v server=$server '
            /status:/ {{ sub(",", "", $6); status = $6 }}
            /\\tA\\t/ {{ address = $5 }}
            END {{ print server, status, address }}'
    done
done
"""


@dataclass(frozen=True)
class Answer:
    """What one server said: its status, and the last address (none if there was none)."""

    server: str
    status: str
    address: str = ""


@dataclass(frozen=True)
class DnsWatch:
    log: Path

    def answers(self) -> list[Answer]:
        # The last line may be half written.
        lines = self.log.read_text().split("\n")[:-1]
        return [Answer(*line.split()) for line in lines if len(line.split()) > 1]

    def latest(self) -> dict[str, Answer]:
        """The last answer of each server."""
        return {answer.server: answer for answer in self.answers()}


@contextmanager
def watch_dns(node: Node, host: str, name: str = "dns-watch") -> Iterator[DnsWatch]:
    """Asks until the with-block ends. The questions come from the node, straight to each pod."""
    found = json.loads(node.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json"))
    servers = " ".join(pod["status"]["podIP"] for pod in found["items"])
    loop = LOOP.format(servers=servers, host=host, dig=locate("dig"))
    process = node.start_on_node(name, ["bash", "-c", loop])
    try:
        yield DnsWatch(process.log)
    finally:
        process.stop()
