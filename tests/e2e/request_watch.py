"""A pod that asks for a host over and over, each time by a new connection, and what became of each request."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.node.node import Node
from tests.e2e.desk import begun_at_a_desk
from tests.e2e.product import eventually

LOOP = """\
echo $$ >/tmp/request-watch
while sleep 0.05; do
    echo "$(date +%s.%N) $(curl -s -o /dev/null --max-time 5 -w '%{http_code}' "http://$1/") $?"
done
"""
# It does not end with the kubectl that has begun it.
END = 'kill "$(cat /tmp/request-watch)"'


@dataclass(frozen=True)
class Request:
    """When it was begun, by the machine's clock, and how curl ended."""

    at: float
    status: str
    exit_code: int

    @property
    def failed(self) -> bool:
        return self.status != "200"


@dataclass(frozen=True)
class RequestWatch:
    log: Path

    def requests(self) -> list[Request]:
        # The last line may be half written.
        lines = (line.split() for line in self.log.read_text().split("\n")[:-1])
        return [Request(float(at), status, int(exit_code)) for at, status, exit_code in lines]

    def settle(self) -> int:
        """Returns how many requests there are when ten in a row have been answered.

        kube-proxy hears of a pod that comes or goes a moment after kubectl.
        """
        begin = len(self.requests())
        eventually(lambda: _are_answered(self.requests()[begin:][-10:]), 60, "requests go on to fail")
        return len(self.requests())

    def failed(self) -> list[Request]:
        return [request for request in self.requests() if request.failed]

    @property
    def outage(self) -> float:
        """Seconds from the first request that failed to the last one."""
        failed = self.failed()
        return failed[-1].at - failed[0].at if failed else 0.0


def _are_answered(ten: list[Request]) -> bool:
    return len(ten) == 10 and not any(request.failed for request in ten)


@contextmanager
def watch_requests(node: Node, host: str) -> Iterator[RequestWatch]:
    """Asks until the with-block ends, some ten times a second; returns when the first answer is there."""
    watch = RequestWatch(node.folder / "requests.log")
    watch.log.unlink(missing_ok=True)
    ask = shlex.join(["kubectl", "exec", "deployment/my-app", "--", "bash", "-c", LOOP, "bash", host])
    with begun_at_a_desk(node, f"exec {ask} >{watch.log}"):
        try:
            eventually(lambda: watch.log.exists() and bool(watch.requests()), 60, "no pod asks")
            yield watch
        finally:
            node.pod_exec("default", "deployment/my-app", ["bash", "-c", END])
