"""The log: set up, and kept from saying a thing twice."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from hairpin_proxy.edit import Remark

log = logging.getLogger("hairpin_proxy")

MAX_LINE = 1000
"""Longest text, in characters, that is taken over from elsewhere into one line of the log."""

_REPEAT_AFTER = 300.0
"""A failure that lasts is said again after so many seconds, then after four times as many, and so on."""

_MAX_REMEMBERED = 100
"""Different failures in a row that are remembered, lest one that is never the same twice fill the memory."""


def configure(level: str, form: str = "text") -> None:
    """Log to standard error, one line an entry. As text, only writes take more: they carry their diff."""
    handler = logging.StreamHandler()
    log.setLevel(level.upper())
    if form == "text":
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.handlers = [handler]
        return
    handler.setFormatter(_Json())
    # What libraries warn of goes the same way, for whoever reads JSON takes no other line.
    logging.getLogger().handlers, log.handlers = [handler], []
    logging.captureWarnings(True)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def one_line(text: str) -> str:
    """Text from elsewhere, fit for a line of the log: white space folded, control characters out, cut to MAX_LINE."""
    return _cut("".join(char if char.isprintable() else "?" for char in " ".join(text.split())))


def quoted(text: str) -> str:
    """Text from elsewhere in quotes, with nothing changed but escapes for what is not printable; cut to MAX_LINE."""
    return _cut(repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE else text[: MAX_LINE - 3] + "..."


class News:
    """Remembers which remarks the last poll made, to tell what is to be said of those of this one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[Remark, _Lasting] = {}

    def of(self, remarks: Iterable[Remark]) -> list[Remark]:
        """Those that the last call did not have, in order: one that went away and comes back is new again.

        Of severe ones also those that last, at growing intervals, and those that have ended.
        """
        now = self._clock()
        before, current = self._said, list(dict.fromkeys(remarks))
        since = {_about(remark): lasting for remark, lasting in before.items()}
        self._said = {remark: since.get(_about(remark)) or _Lasting(now) for remark in current}
        said = [remark for remark in current if remark not in before]
        lasting = [remark for remark in current if remark in before and remark.severe]
        said += [_again(remark, "still so") for remark in lasting if self._said[remark].is_due(now)]
        there = set(map(_about, current))
        said += [_again(remark, "no longer so") for remark in before if remark.severe and _about(remark) not in there]
        return said


def _about(remark: Remark) -> str:
    return remark.about or remark.text


def _again(remark: Remark, how: str) -> Remark:
    return remark._replace(text=f"{how}: {remark.text}")


class Failures:
    """Says a failure when it begins, ever more seldom while it lasts, and its end."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Of what is tried again and again."""
        self._what = what
        self._clock = clock
        self._in_a_row = 0
        self._known: dict[str, _Lasting] = {}

    def failed(self, message: str, fault: Exception | None = None) -> None:
        """It failed once with this message; the traceback of a fault is shown with it the first time."""
        self._in_a_row += 1
        now = self._clock()
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        if message not in self._known:
            self._known[message] = _Lasting(now)
            log.error("%s failed: %s", self._what, message, exc_info=fault)
            return
        failure = self._known[message]
        failure.count += 1
        if failure.is_due(now):
            log.error("%s failed %d times now: %s", self._what, failure.count, message)
        else:
            log.debug("%s failed again: %s", self._what, message)

    def succeeded(self) -> None:
        """It did what it should."""
        if self._in_a_row:
            log.info("%s works again, after %d that failed", self._what, self._in_a_row)
        self._in_a_row = 0
        self._known.clear()


@dataclass(slots=True)
class _Lasting:
    """What is said when it begins, and ever more seldom while it lasts."""

    since: float
    count: int = 1
    wait: float = _REPEAT_AFTER
    """Seconds from its beginning until it is said again."""

    def is_due(self, now: float) -> bool:
        """Whether it is to be said again, which is to be asked once."""
        due = now - self.since >= self.wait
        self.wait *= 4 if due else 1
        return due
