"""Which hosts reach the cluster through its own load balancer, and so need us. Pure.

A host whose public address is another one (a CDN in front, another cluster, a name that belongs to somebody else)
worked before us, and would break with us.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple

from hairpin_proxy.edit import Remark
from hairpin_proxy.hosts import base, is_wildcard
from hairpin_proxy.policy import Claim, Decision, Reason

Answers = Mapping[str, frozenset[str] | None]
"""The addresses of names, and the names that theirs are aliases of: none for a name without an address, None while they
are not known."""

_NAMED = 4
"""Addresses that one sentence names."""


class Verdict(NamedTuple):
    """What is known of one host."""

    hairpins: bool | None
    """None if it cannot be told."""

    text: str = ""
    """Why not, or why it cannot be told: the end of a sentence that starts with the host."""

    harms: bool = False
    """Whether what worked without us may break with a rule."""


def names(decision: Decision) -> set[str]:
    """What has to be looked up: hosts that have a load balancer to compare with, and load balancers with names."""
    found: set[str] = set()
    for host, claims in decision.claims.items():
        if balancers := _balancers(claims):
            found |= {name_for(host), *(each for each in balancers if not _ip(each))}
    return found


def name_for(host: str) -> str:
    """The name whose address counts: of a wildcard, one below it that hardly anybody gave a record of its own."""
    return f"hairpin-proxy-check.{base(host)}" if is_wildcard(host) else host


def judge(
    decision: Decision, answers: Answers, standing: Collection[str], *, require: bool
) -> tuple[Decision, tuple[Remark, ...]]:
    """The decision without the hosts that do not hairpin if that is required, or else with a warning of each.

    Who asks for a host counts as one: it is enough that one of their load balancers has its address. What cannot be
    told takes no rule away; it keeps a new host waiting if hairpinning is required.
    """
    verdicts = {host: verdict(host, claims, answers) for host, claims in decision.claims.items()}
    if not require:
        return decision, tuple(_remarks(decision, verdicts))
    out = {
        host: Reason("not-hairpinned", found.text, chosen=found.hairpins is None)
        for host, found in verdicts.items()
        if found.hairpins is False or (found.hairpins is None and host not in standing)
    }
    left_out = {claim: reason for host, reason in out.items() for claim in decision.claims[host]}
    claims = {host: claims for host, claims in decision.claims.items() if host not in out}
    return replace(decision, hosts=frozenset(claims), left_out={**decision.left_out, **left_out}, claims=claims), ()


def verdict(host: str, claims: Iterable[Claim], answers: Answers) -> Verdict:
    """What is known of one host that these ask for."""
    balancers = _balancers(claims)
    public = answers.get(name_for(host))
    if not balancers:
        return Verdict(None, "cannot be told to hairpin: whoever asks for it has no load balancer in its status")
    if public is None:
        return Verdict(None, "cannot be told to hairpin: its public address is not known (yet)")
    if not public and is_wildcard(host):
        return Verdict(
            None, "is none in the public DNS, where each name below it has an address of its own", harms=True
        )
    return _compared(public, {each: _addresses(each, answers) for each in balancers})


def _compared(public: frozenset[str], balancers: Answers) -> Verdict:
    """By the addresses of a host and those of each load balancer."""
    # A large load balancer's name has other addresses each time, but whoever is an alias of it is behind it.
    if public & balancers.keys() or any(public & (addresses or frozenset()) for addresses in balancers.values()):
        return Verdict(True)
    if unknown := [each for each, addresses in balancers.items() if not addresses]:
        return Verdict(None, f"cannot be told to hairpin: its load balancer {unknown[0]} has no known address (yet)")
    if not public:
        return Verdict(None, "cannot be told to hairpin: it has no public address")
    text = f"its public address {_some(_lasting(public))} is none of its load balancer {_some(balancers)}"
    return Verdict(False, f"does not hairpin: {text}", harms=True)


def _addresses(balancer: str, answers: Answers) -> frozenset[str] | None:
    ip = _ip(balancer)
    return frozenset({ip}) if ip else answers.get(balancer)


def _remarks(decision: Decision, verdicts: Mapping[str, Verdict]) -> Iterator[Remark]:
    for host, found in sorted(verdicts.items()):
        if found.harms:
            where = decision.claims[host][0].object
            yield Remark(
                f"{where}: host {host} {found.text}: it may have worked without us, and be broken by us; "
                "--only-hairpinned require leaves it out (not-hairpinned)"
            )


def _balancers(claims: Iterable[Claim]) -> list[str]:
    """The addresses and names of their load balancers, names as DNS has them."""
    return sorted({address.lower().removesuffix(".") for claim in claims for address in claim.addresses})


def _lasting(public: Collection[str]) -> Collection[str]:
    """What is the same with the next answer, as a CDN's addresses are not."""
    return [each for each in public if not _ip(each)] or public


def _some(addresses: Collection[str]) -> str:
    more = ", ..." if len(addresses) > _NAMED else ""
    return ", ".join(sorted(addresses)[:_NAMED]) + more


def _ip(text: str) -> str | None:
    """An IP address in its one spelling; None if it is a name."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None
