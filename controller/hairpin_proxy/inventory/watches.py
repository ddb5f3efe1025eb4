"""The wait between two polls, during which is watched what the last one has read."""

import math
import queue
import time
from collections.abc import Callable, Iterable
from typing import Any

from hairpin_proxy.inventory.collection import Collection, Told
from hairpin_proxy.inventory.pace import pace
from hairpin_proxy.kube import WATCH_SECONDS

_UNREAD = 1000
"""Events that wait to be taken, at the most: beyond them, the server has to wait."""


class Watches:
    """Waits; to be used by the thread that polls."""

    def __init__(self, interval: float = WATCH_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = min(math.ceil(interval), WATCH_SECONDS)
        self._clock = clock
        self._told: queue.Queue[Told] = queue.Queue(_UNREAD)
        self._begun = clock()

    def begin(self) -> None:
        """To be called when a poll begins."""
        self._begun = self._clock()

    def wait(self, collections: Iterable[Collection[Any]], seconds: float, quiet: float) -> None:
        """Returns when the next poll is due, as `pace` has it, or one of the watches has not ended in time."""
        watched = list(collections)
        paced = pace(self._begun, self._clock(), seconds, quiet)
        changed: float | None = None
        while True:
            for each in watched:
                each.begin(self._seconds, self._told)
            deadlines = [each.watch.deadline for each in watched if each.watch]
            left = min(paced.due(changed), *deadlines, math.inf) - self._clock()
            if left <= 0:
                break
            if self._take(left) and changed is None:
                changed = self._clock()
        for each in watched:
            if each.watch and each.watch.deadline <= self._clock():
                each.doubt()

    def _take(self, seconds: float) -> bool:
        """Whether the next that is told, within some seconds, changes anything."""
        try:
            told = self._told.get(timeout=seconds)
        except queue.Empty:
            return False
        return told.watch.collection.take(told)
