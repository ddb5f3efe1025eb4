"""Which hosts may be redirected, and the reason for each one that may not. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hairpin_proxy import hosts


class Claim(NamedTuple):
    """One object asks for one host. The host is as the API gave it: untrusted, and not yet in normal form."""

    host: str
    object: str
    """Kind, namespace and name, for people: `Ingress default/web`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the claims of one poll come to."""

    hosts: frozenset[str]
    """In normal form."""

    left_out: Mapping[Claim, str]
    """The reason, as the end of a sentence that starts with the host."""


def decide(claims: Iterable[Claim], destination: str) -> Decision:
    """Sort claims into hosts to redirect and hosts left out. The destination must be in normal form."""
    allowed: set[str] = set()
    left_out: dict[Claim, str] = {}
    protected = protected_domains(destination)
    for claim in claims:
        try:
            allowed.add(_allowed(claim.host, protected))
        except ValueError as reason:
            left_out[claim] = str(reason)
    return Decision(frozenset(allowed), left_out)


def protected_domains(destination: str) -> tuple[str, ...]:
    """Domains in which nothing is ever redirected, for the cluster itself lives on them.

    The cluster's own zone is what follows `.svc.` in the destination (Kubernetes DNS specification §2.3). A pod may
    leave that out: `kubernetes.default.svc` is a name of the cluster too. Nobody has a host in `invalid` (RFC 6761
    §6.4): we tell by a name there whether CoreDNS has read a key of ours.
    """
    _, _, zone = destination.partition(".svc.")
    zones = (zone,) if zone else ()
    return (destination, *zones, "cluster.local", "svc", "pod", "in-addr.arpa", "ip6.arpa", "localhost", "invalid")


def _allowed(raw: str, protected: Iterable[str]) -> str:
    host = hosts.normal(raw)
    for domain in protected:
        if hosts.is_within(host, domain):
            raise ValueError(f"is within {domain}, which is never redirected")
    if "." not in host:
        raise ValueError("is a single label, which pods complete with their search domains")
    return host
