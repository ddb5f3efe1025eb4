"""When a write has to wait: a removal for a list that may be wrong, until a second one agrees; a document that is
reverted, ever longer; and each one for a while after the last. Pure.

Times are seconds on any clock that never goes back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

MANY = 10
"""Hosts from which on the removal of more than half is a mass removal."""

SECOND_LOOK = 2.0
"""Seconds until a second list is asked for by whoever polls only once."""

LONGEST = 600.0
"""Seconds that a reverted document is left alone at most."""

RECENT = 600.0
"""An edit that has to be made again within so many seconds was undone by somebody."""

FEW = 8
"""Polls within which it has to be undone, to make the next one wait: who does it seldom is best answered at once."""

Missing = Mapping[str, float]
"""Hosts that still have a rule although a list lacks them, and since when each one does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which hosts stay although they are no longer asked for, and what to remember."""

    kept: frozenset[str]
    missing: Missing


def is_mass(standing: Collection[str], gone: Collection[str]) -> bool:
    """Whether so many of the hosts that have a rule go at once that it may be the fault of whoever made the list."""
    return len(standing) >= MANY and len(gone) * 2 > len(standing)


def removal(missing: Missing, gone: Collection[str], now: float, interval: float, *, is_doubtful: bool) -> Verdict:
    """Whether the hosts that have a rule and are no longer wanted may go.

    After a list that is doubtful each goes only once a second list, at least an interval after the first, lacks it too.
    """
    held = gone if is_doubtful else missing.keys() & gone
    since = {host: missing.get(host, now) for host in held}
    return Verdict(frozenset(host for host, first in since.items() if now - first < interval), since)


def second_list(missing: Missing, now: float, interval: float) -> float:
    """The time after which a list has to be made to be the second one for hosts that may go now; -inf without any.

    What events have made of the first one is no second: the same mistake may have led to them.
    """
    due = (first + interval for first in missing.values() if now - first >= interval)
    return max(due, default=float("-inf"))


def rest(written: float, now: float, gap: float) -> float:
    """Seconds until the next write, after the last one: each costs CoreDNS its cache, however many are asked for."""
    return max(0.0, written + gap - now)


class Text(NamedTuple):
    """What a document should hold: its name, and the hash of the text."""

    document: str
    content: int


@dataclass(frozen=True, slots=True)
class Reverts:
    """How often what we wrote was undone soon afterwards, and what follows from it."""

    written: Mapping[str, tuple[Text, float]] = field(default_factory=dict)
    """By document, the last text that we wrote, and when."""

    hosts: frozenset[str] = frozenset()
    """Those that had a rule after our last write."""

    counted: bool = False
    """Whether what was undone is counted, and nothing has been written since."""

    count: int = 0
    """Reverts in a row."""

    rewritten: float = float("-inf")
    """When the last one that was counted was made up for."""

    wait_until: float = float("-inf")
    seen: int = 0
    """Reverts until now, in a row or not."""

    document: str = ""
    """What was undone, and has to wait: others go on."""

    def wants(self, text: Text | None, standing: Collection[str], now: float, interval: float) -> "Reverts":
        """After a look, by which these hosts have a rule, and this is to be written now, or nothing.

        What we wrote was undone by somebody if it has to be written again, or a host has vanished that had a rule then.
        From the second time in a row on, the next write has to wait.
        """
        if text is None:
            lately = any(now - when <= RECENT for _, when in self.written.values())
            return replace(self, count=self.count if lately else 0)
        last, when = self.written.get(text.document, (None, self._latest))
        is_undone = text == last or not self.hosts.issubset(standing)
        if self.counted or not is_undone or now - when > RECENT:
            return self
        since = now - self.rewritten
        count = self.count + 1 if since <= RECENT else 1
        soon = count > 1 and since <= FEW * interval
        wait = min(LONGEST, interval * 2 ** min(count - 1, 20)) if soon else 0.0
        return replace(
            self, counted=True, count=count, wait_until=now + wait, document=text.document, seen=self.seen + 1
        )

    def wrote(self, text: Text, hosts: frozenset[str], now: float) -> "Reverts":
        """After this was written, and these hosts have a rule."""
        rewritten = now if self.counted else self.rewritten
        written = {**self.written, text.document: (text, now)}
        return replace(self, written=written, hosts=hosts, counted=False, rewritten=rewritten)

    @property
    def _latest(self) -> float:
        return max((when for _, when in self.written.values()), default=float("-inf"))

    @property
    def milestone(self) -> int:
        """The count rounded down to a power of two, which changes ever more seldom."""
        return 1 << self.count.bit_length() >> 1

    def waits(self, now: float, document: str) -> bool:
        """Whether this document is to be left alone for now."""
        return now < self.wait_until and document == self.document
