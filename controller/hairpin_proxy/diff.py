"""What changed between two texts, for people. Pure."""

import difflib
from collections import Counter

from hairpin_proxy.corefile.rules import unfolded

MAX_COMPARED = 2000
"""Lines of both texts together up to which they are compared in place; that takes time in the square of it."""

MAX_LINES = 200
"""Lines that are shown; a first write for thousands of hosts would drown all else in the log."""


def changes(current: str, desired: str) -> str:
    """As `diff`, but by hosts where many share a rule, which is far too long to be compared by eye."""
    if current == desired:
        return ""
    return diff(unfolded(current), unfolded(desired)) or "the same hosts, in other rules"


def diff(current: str, desired: str) -> str:
    """From current to desired: unified, or only the lines that go and come where the texts are long.

    Empty if the texts are the same.
    """
    if current == desired:
        return ""
    before, after = current.split("\n"), desired.split("\n")
    if len(before) + len(after) <= MAX_COMPARED:
        lines = list(difflib.unified_diff(before, after, "current", "desired", lineterm=""))
    else:
        lines = [f"-{line}" for line in (Counter(before) - Counter(after)).elements()]
        lines += [f"+{line}" for line in (Counter(after) - Counter(before)).elements()]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"... and {len(lines) - MAX_LINES} lines more"]
    return "\n".join(lines)
