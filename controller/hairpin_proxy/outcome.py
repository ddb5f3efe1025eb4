"""What one poll found and did, and what is counted of it. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.policy import Claim, Decision, Reason, granted

WRITTEN, UNCHANGED, WAITING, DRY_RUN = "written", "unchanged", "waiting", "dry-run"
RESULTS = (WRITTEN, UNCHANGED, WAITING, DRY_RUN)
"""What a poll that did not fail came to."""

INGRESS, GATEWAY, NOBODY = "ingress", "gateway", "none"
SOURCES = (INGRESS, GATEWAY, NOBODY)
"""Who asks for a host."""

NOT_READY, DOCUMENT = "not-ready", "document"
"""Why a host that is granted has no rule, beside the policy's reasons: nobody would answer it yet; there is no room for
it, or somebody else's line is about it."""


class Room(NamedTuple):
    """How much of a document is used."""

    document: str
    size: int
    limit: int
    """Bytes that it may have at the most, with all else that is stored beside it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one poll found and did."""

    edit: Edit
    written: bool
    remarks: tuple[Remark, ...]
    undone: bool = False
    """Whether hosts are left, for a later poll, that should go or come."""

    doubted: bool = False
    """Whether hosts are left that a second list, soon after, can tell to go: few, of an empty list."""

    waits: bool = False
    """Whether the edit was not made because such edits are reverted, the last one was just made, or it was refused."""

    rest: float = 0.0
    """Seconds until the next write may be made."""

    decision: Decision | None = None
    hosts: frozenset[str] = frozenset()
    """Those that have a rule now."""

    held: frozenset[str] = frozenset()
    """Those that are granted, and wait until somebody would answer them."""

    reverts: int = 0
    """How often what we wrote was undone soon afterwards, in all polls until now."""

    room: Room | None = None
    """In the document that rules go into; None if it has no limit."""

    @property
    def result(self) -> str:
        """One of RESULTS."""
        if self.written:
            return WRITTEN
        if self.edit.current == self.edit.desired:
            return UNCHANGED
        return WAITING if self.waits else DRY_RUN


def reasons(decision: Decision) -> Mapping[str, tuple[str, Reason]]:
    """By the hosts that nobody is granted: the object that asks for it, and why not; of several, the first.

    What is to be warned of comes before what somebody chose, or an object of no interest would hide it.
    """
    first: dict[str, tuple[str, Reason]] = {}
    for claim, reason in sorted(decision.left_out.items(), key=lambda entry: entry[1].chosen):
        if not granted(claim, decision):
            first.setdefault(claim.host, (claim.object, reason))
    return first


def by_source(decision: Decision, hosts: Collection[str]) -> Mapping[str, int]:
    """How many of the hosts each source asks for; one that several ask for counts for each of them."""
    found = Counter(dict.fromkeys(SOURCES, 0))
    for host in hosts:
        found.update({_source(claim) for claim in decision.claims.get(host, ())} or {NOBODY})
    return found


class Why(NamedTuple):
    """Why hosts have no rule, as it is counted."""

    code: str
    chosen: bool
    """Whether somebody wants it so."""


def by_reason(decision: Decision, held: Collection[str], edit: Edit) -> Mapping[Why, int]:
    """How many hosts somebody asks for that have no rule, and get none by this edit."""
    found = Counter(Why(reason.code, reason.chosen) for _, reason in reasons(decision).values())
    found[Why(NOT_READY, False)] = len(held)
    found[Why(DOCUMENT, False)] = len(decision.hosts - edit.hosts - frozenset(held))
    return found


def _source(claim: Claim) -> str:
    return INGRESS if claim.object.startswith("Ingress ") else GATEWAY
