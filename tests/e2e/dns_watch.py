"""Asks every pod of CoreDNS for a host, over and over, and remembers each answer; and waits for what it reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hairpin_proxy.corefile.fingerprint import fingerprint
from tests.cluster.install import locate
from tests.cluster.node.node import Node
from tests.e2e.product import COREDNS, TURNED, eventually, staying

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
    servers: tuple[str, ...]

    def answers(self) -> list[Answer]:
        # The last line may be half written.
        lines = self.log.read_text().split("\n")[:-1]
        return [Answer(*line.split()) for line in lines if len(line.split()) > 1]

    def addresses(self) -> set[str]:
        """Those of each server's last answer; an empty one for a server that has not answered yet."""
        last = dict.fromkeys(self.servers, "") | {answer.server: answer.address for answer in self.answers()}
        return {*last.values()}


@contextmanager
def watch_dns(node: Node, host: str) -> Iterator[DnsWatch]:
    """Asks until the with-block ends. The questions come from the node, straight to each pod."""
    name = f"dns-of-{host}"
    # What an earlier watch was told, by pods that may be gone, is not of this one.
    (node.folder / f"{name}.log").unlink(missing_ok=True)
    servers = _addresses(node)
    loop = LOOP.format(servers=" ".join(servers), host=host, dig=locate("dig"))
    process = node.start_on_node(name, ["bash", "-c", loop])
    try:
        yield DnsWatch(process.log, tuple(servers))
    finally:
        process.stop()


def wait_until_read(node: Node) -> None:
    """Returns when each CoreDNS goes by the Corefile as it is now; kubelet, which may take a minute, is told of it.

    Not where what a test looks at is how long that takes.
    """
    # Whatever changes a pod has kubelet look at its volumes.
    node.kubectl("annotate", "pods", *COREDNS, "--overwrite", f"tests/read={time.time_ns()}")
    expected = fingerprint(node.corefile())
    assert expected
    pods = staying(node, *COREDNS)
    eventually(lambda: all(expected in _read(node, pod) for pod in pods), TURNED, "CoreDNS has not read the Corefile")


def _read(node: Node, pod: dict[str, Any]) -> str:
    """What names the Corefile that it goes by: a metric, which there is from the first reload on; before, its log."""
    metrics = ["curl", "-sS", f"http://{pod['status']['podIP']}:9153/metrics"]
    shown = node.run_on_node(metrics, check=False).stdout
    if "coredns_reload_version_info{" in shown:
        return shown
    log = node.kubectl("-n", "kube-system", "logs", pod["metadata"]["name"])
    # With a second one it is about to reload, and the old Corefile may answer still.
    return log if log.count("Running configuration") == 1 else ""


def _addresses(node: Node) -> list[str]:
    return [pod["status"]["podIP"] for pod in staying(node, *COREDNS)]
