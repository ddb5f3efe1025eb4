"""End to end: a request for one of the hosts, through the Service and HAProxy. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Server


class Arrival(NamedTuple):
    """What came back."""

    host: str
    through: Server
    status: int | None
    """HTTP's; None if none came."""

    why: str = ""
    """Why none came."""

    handshake: bool = False
    """Whether a TLS handshake came instead, where the target serves no plain HTTP."""


def findings(seen: Arrival, namespace: str) -> Iterator[Finding]:
    """By the answer. HAProxy makes none of its own, for it passes TCP on."""
    host, through, status = seen.host, seen.through, seen.status
    if seen.handshake:
        yield found(texts.ARRIVES, host=host, through=through, status="a TLS handshake")
    elif status is None:
        yield found(texts.LOST, host=host, through=through, why=seen.why, namespace=namespace)
    elif status == 400:
        yield found(texts.BAD_REQUEST, host=host, through=through, namespace=namespace)
    elif status >= 500:
        yield found(texts.ARRIVES_BADLY, host=host, through=through, status=f"HTTP status {status}")
    else:
        yield found(texts.ARRIVES, host=host, through=through, status=f"HTTP status {status}")
