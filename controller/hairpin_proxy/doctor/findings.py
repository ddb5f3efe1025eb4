"""What a station found, and what all stations come to. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

PAGE = "docs/troubleshooting.md"
"""Where each text has a heading of its own."""


class Status(StrEnum):
    """How a check ended; the worst first."""

    FAIL = "fail"
    UNKNOWN = "unknown"
    """It could not be looked at, though it should."""
    WARN = "warn"
    SKIPPED = "skipped"
    """Not looked at, for a reason that is no fault."""
    OK = "ok"


class Text(NamedTuple):
    """What can be said, with names of values in braces."""

    check: str
    """Which one says it; empty for several."""

    title: str
    """Of its part of the page."""

    status: Status
    message: str
    """What was seen, and of which object."""

    fix: str = ""
    """What to do; empty where nothing is to be done."""

    more: str = ""
    """What the page says besides."""

    @property
    def anchor(self) -> str:
        """What a link ends in, as Markdown's readers make it of the title."""
        return "".join(char for char in self.title.lower().replace(" ", "-") if char.isalnum() or char in "-_")


class Finding(NamedTuple):
    """What one station says of one thing."""

    status: Status
    message: str
    fix: str
    link: str


def found(text: Text, **values: object) -> Finding:
    """The text with these values."""
    fix = text.fix.format(**values)
    return Finding(text.status, text.message.format(**values), fix, f"{PAGE}#{text.anchor}" if fix else "")


class Result(NamedTuple):
    """What one check came to."""

    check: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of its findings."""
        return min((finding.status for finding in self.findings), key=list(Status).index)

    @property
    def failed(self) -> bool:
        """Whether what comes behind it on the way cannot work."""
        return self.status is Status.FAIL


OK, FAILED, UNKNOWN = 0, 1, 2
"""Exit codes."""


def exit_code(results: Iterable[Result]) -> int:
    """By the worst of all."""
    statuses = {result.status for result in results}
    return FAILED if Status.FAIL in statuses else UNKNOWN if Status.UNKNOWN in statuses else OK
