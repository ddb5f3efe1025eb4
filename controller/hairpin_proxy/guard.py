"""When a write has to wait: a mass removal, until a second list agrees; a document that is reverted, ever longer. Pure.

Times are seconds on any clock that never goes back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

MANY = 10
"""Hosts from which on the removal of more than half is a mass removal."""

LONGEST = 600.0
"""Seconds that a reverted document is left alone at most."""

SOON = 600.0
"""Rules that vanish within so many seconds of the write are reverted; after that it is an edit like any other."""


Missing = Mapping[str, float]
"""Hosts of a mass removal that still have a rule, and since when each list lacks them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which hosts stay although they are no longer asked for, and what to remember."""

    kept: frozenset[str]
    missing: Missing


def removal(
    missing: Missing, standing: Collection[str], wanted: Collection[str], now: float, interval: float
) -> Verdict:
    """Whether the hosts that stand and are no longer wanted may go.

    More than half of at least MANY may be the fault of whoever made the list, so each goes only once a second list, at
    least an interval after the first, lacks it too.
    """
    gone = frozenset(standing) - frozenset(wanted)
    if len(standing) < MANY or len(gone) * 2 <= len(standing):
        return Verdict(frozenset(), {})
    since = {host: missing.get(host, now) for host in gone}
    return Verdict(frozenset(host for host, first in since.items() if now - first < interval), since)


@dataclass(frozen=True, slots=True)
class Reverts:
    """How often the rules vanished soon after they were written, and what follows from it."""

    expected: frozenset[str] = frozenset()
    """The hosts that had a rule when we last looked or wrote."""

    written: float = float("-inf")
    undone: bool = True
    """Whether rules have vanished since that write."""

    count: int = 0
    """Reverts in a row."""

    wait_until: float = float("-inf")

    def seen(self, standing: frozenset[str], now: float, interval: float) -> "Reverts":
        """After a look. From the second revert in a row on, the next write waits, each time longer."""
        soon = now - self.written <= SOON
        if not self.expected - standing:
            return replace(self, expected=standing, count=self.count if soon or self.undone else 0)
        if self.undone:
            return replace(self, expected=standing)
        count = self.count + 1 if soon else 0
        wait = min(LONGEST, interval * 2 ** min(count - 1, 20)) if count > 1 else 0.0
        return replace(self, expected=standing, undone=True, count=count, wait_until=now + wait)

    def wrote(self, standing: frozenset[str], now: float) -> "Reverts":
        """After a write, by which these hosts have a rule."""
        return replace(self, expected=standing, written=now, undone=False)

    @property
    def milestone(self) -> int:
        """The count rounded down to a power of two, which changes ever more seldom."""
        return 1 << self.count.bit_length() >> 1

    def waits(self, now: float) -> bool:
        """Whether the document is to be left alone for now."""
        return now < self.wait_until
