"""The log: set up, and kept from saying a thing twice."""

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

log = logging.getLogger("hairpin_proxy")

MAX_LINE = 1000
"""Longest text, in characters, that is taken over from elsewhere into one line of the log."""

_REPEAT_AFTER = 300.0
"""A failure that lasts is said again after so many seconds, then after four times as many, and so on."""

_MAX_REMEMBERED = 100
"""Different failures in a row that are remembered, lest one that is never the same twice fill the memory."""


def configure(level: str) -> None:
    """Log to standard error, one line an entry. Only writes take more: they carry their diff."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.handlers = [handler]
    log.setLevel(level.upper())


def one_line(text: str) -> str:
    """Text from elsewhere, fit for a line of the log: white space folded, control characters out, cut to MAX_LINE."""
    return _cut("".join(char if char.isprintable() else "?" for char in " ".join(text.split())))


def quoted(text: str) -> str:
    """Text from elsewhere in quotes, with nothing changed but escapes for what is not printable; cut to MAX_LINE."""
    return _cut(repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 3] + "..."


RemarkT = TypeVar("RemarkT", bound=Hashable)


class News(Generic[RemarkT]):
    """Remembers which remarks the last poll made, to tell which ones are new."""

    def __init__(self) -> None:
        self._said: frozenset[RemarkT] = frozenset()

    def of(self, remarks: Iterable[RemarkT]) -> list[RemarkT]:
        """The remarks that the last call did not have, in order. One that went away and comes back is new again."""
        current = list(dict.fromkeys(remarks))
        fresh = [remark for remark in current if remark not in self._said]
        self._said = frozenset(current)
        return fresh


class Failures:
    """Says a failure when it begins, ever more seldom while it lasts, and its end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._polls = 0
        self._known: dict[str, _Failure] = {}

    def failed(self, message: str, fault: Exception | None = None) -> None:
        """One poll failed with this message; the traceback of a fault is shown with it the first time."""
        self._polls += 1
        now = self._clock()
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        if message not in self._known:
            self._known[message] = _Failure(now)
            log.error("poll failed: %s", message, exc_info=fault)
            return
        failure = self._known[message]
        failure.count += 1
        if now - failure.since >= failure.wait:
            failure.wait *= 4
            log.error("poll failed %d times now: %s", failure.count, message)
        else:
            log.debug("poll failed again: %s", message)

    def succeeded(self) -> None:
        """One poll did what it should."""
        if self._polls:
            log.info("poll works again, after %d that failed", self._polls)
        self._polls = 0
        self._known.clear()


@dataclass(slots=True)
class _Failure:
    """One that lasts."""

    since: float
    count: int = 1
    wait: float = _REPEAT_AFTER
    """Seconds from its beginning until it is said again."""
