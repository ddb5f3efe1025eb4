"""When a write has to wait: a mass removal, until a second list agrees; a document that is reverted, ever longer. Pure.

Times are seconds on any clock that never goes back.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

MANY = 10
"""Hosts from which on the removal of more than half is a mass removal."""

LONGEST = 600.0
"""Seconds that a reverted document is left alone at most."""

SOON = 600.0
"""Rules that vanish within so many seconds of the write are reverted; after that it is an edit like any other."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A mass removal that one list asked for."""

    hosts: frozenset[str] = frozenset()
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which hosts stay although they are no longer asked for, and what to remember."""

    kept: frozenset[str]
    pending: Removal


def removal(
    pending: Removal, standing: Collection[str], wanted: Collection[str], now: float, interval: float
) -> Verdict:
    """Whether the hosts that stand and are no longer wanted may go.

    More than half of at least MANY may be the fault of whoever made the list, so they go only once a second list, at
    least an interval after the first, lacks them too.
    """
    gone = frozenset(standing) - frozenset(wanted)
    if len(standing) < MANY or len(gone) * 2 <= len(standing):
        return Verdict(frozenset(), Removal())
    if not pending.hosts:
        return Verdict(gone, Removal(gone, now))
    if now - pending.since < interval:
        return Verdict(gone, pending)
    return Verdict(gone - pending.hosts, pending)


@dataclass(frozen=True, slots=True)
class Reverts:
    """How often the rules vanished soon after they were written, and what follows from it."""

    expected: frozenset[str] = frozenset()
    """The hosts that had a rule when we last looked or wrote."""

    written: float = float("-inf")
    count: int = 0
    wait_until: float = float("-inf")

    def seen(self, standing: frozenset[str], now: float, interval: float) -> "Reverts":
        """After a look. From the second revert in a row on, the next write waits, each time longer."""
        vanished = self.expected - standing
        soon = now - self.written <= SOON
        if not vanished:
            return replace(self, expected=standing, count=self.count if soon else 0)
        count = self.count + 1 if soon else 0
        wait = min(LONGEST, interval * 2 ** min(count - 1, 20)) if count > 1 else 0.0
        return replace(self, expected=standing, count=count, wait_until=now + wait)

    def wrote(self, standing: frozenset[str], now: float) -> "Reverts":
        """After a write, by which these hosts have a rule."""
        return replace(self, expected=standing, written=now)

    def waits(self, now: float) -> bool:
        """Whether the document is to be left alone for now."""
        return now < self.wait_until
