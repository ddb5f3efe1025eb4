"""The log: set up, and kept from saying a thing twice."""

import logging
from collections.abc import Iterable

log = logging.getLogger("hairpin_proxy")

MAX_LINE = 1000
"""Longest text, in characters, that is taken over from elsewhere into one line of the log."""

_REPEAT_AFTER = 4
"""A failure that lasts is said again after this many polls, then after four times as many, and so on."""

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


class News:
    """Remembers which remarks the last poll made, to tell which ones are new."""

    def __init__(self) -> None:
        self._said: frozenset[str] = frozenset()

    def of(self, remarks: Iterable[str]) -> list[str]:
        """The remarks that the last call did not have, in order. One that went away and comes back is new again."""
        current = list(dict.fromkeys(remarks))
        fresh = [remark for remark in current if remark not in self._said]
        self._said = frozenset(current)
        return fresh


class Failures:
    """Says a failure when it begins, ever more seldom while it lasts, and its end."""

    def __init__(self) -> None:
        self._polls = 0
        self._counts: dict[str, int] = {}

    def failed(self, message: str, fault: Exception | None = None) -> None:
        """One poll failed with this message; the traceback of a fault is shown with it the first time."""
        self._polls += 1
        if len(self._counts) >= _MAX_REMEMBERED:
            self._counts.clear()
        count = self._counts[message] = self._counts.get(message, 0) + 1
        if count == 1:
            log.error("poll failed: %s", message, exc_info=fault)
        elif _is_power(count, _REPEAT_AFTER):
            log.error("poll failed %d times now: %s", count, message)
        else:
            log.debug("poll failed again: %s", message)

    def succeeded(self) -> None:
        """One poll did what it should."""
        if self._polls:
            log.info("poll works again, after %d that failed", self._polls)
        self._polls = 0
        self._counts.clear()


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1
