"""When the next poll is due. Pure.

Times are seconds on any clock that never goes back.
"""

from typing import NamedTuple

GATHER = 0.2
"""Seconds to wait for what else changes together with the first."""

REST = 0.5
"""Seconds without a poll, at the least, after one has ended: a burst costs few of them."""

SHARE = 4
"""Nor does a poll begin, because something has changed, before so many times what the last one took: with ten thousand
hosts it takes long, and whoever changes an Ingress all the time must not keep a CPU busy."""


class Pace(NamedTuple):
    """Between two polls."""

    regular: float
    """When the next one comes in any case."""

    soonest: float
    """Before which it does not come because something has changed."""

    def due(self, changed: float | None) -> float:
        """When the next poll is, after the first change of those since the last one."""
        return self.regular if changed is None else min(self.regular, max(changed + GATHER, self.soonest))


def pace(begun: float, ended: float, seconds: float, quiet: float) -> Pace:
    """After a poll that took from `begun` to `ended`; changes are to be of no account for `quiet` seconds."""
    return Pace(ended + seconds, ended + max(quiet, REST, SHARE * (ended - begun)))
