"""Whether the loop turns, and whether a poll has succeeded yet."""

import time
from collections.abc import Callable
from typing import NamedTuple

LONGEST_POLL = 1800.0
"""Seconds after which a poll is stuck. Each of its lists may take some more than two minutes, and there may be eight of
them beside some twenty calls of up to three quarters of a minute: it is an ill API server that takes as long, and no
reason to be restarted."""

_LATE = 60.0
"""Seconds that a pause may take longer than it should."""


class Health(NamedTuple):
    """An answer to who asks."""

    good: bool
    why: str


class Loop:
    """What the loop does just now, as it tells; another thread asks."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """The first poll begins within the interval."""
        self._clock = clock
        self._succeeded = False
        self.pauses(interval)

    def polls(self) -> None:
        """A poll begins."""
        self._now = self._next("a poll", LONGEST_POLL)

    def pauses(self, seconds: float) -> None:
        """A pause begins, that should take no longer."""
        # One that trips over a fault begins anew.
        self._now = self._next("a pause", 2 * seconds + _LATE)

    def succeeded(self) -> None:
        """A poll succeeded."""
        self._succeeded = True

    def turns(self) -> Health:
        """Never bad because the API server is away: a poll that fails has ended."""
        what, since, deadline = self._now
        now = self._clock()
        if now <= deadline:
            return Health(True, f"ok: {what} began {now - since:.0f} s ago")
        return Health(
            False, f"stuck: {what} began {now - since:.0f} s ago, and takes {deadline - since:.0f} at the most"
        )

    def ready(self) -> Health:
        if self._succeeded:
            return Health(True, "ok: a poll has succeeded")
        return Health(False, "not ready: no poll has succeeded yet, and the log says why")

    def _next(self, what: str, seconds: float) -> "_Phase":
        now = self._clock()
        return _Phase(what, now, now + seconds)


class _Phase(NamedTuple):
    what: str
    since: float
    deadline: float
