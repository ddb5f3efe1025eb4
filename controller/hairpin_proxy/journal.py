"""How a file is rewritten in place, so that whoever is killed at any moment leaves nothing half-written. Pure.

When SIGKILL comes, the kernel may cut a write short where a page ends. What fits into one page is written whole or not
at all; of anything longer, the new content is first put behind the old one, between two lines that say so. That is the
journal: until all of it is there, the old content stands before it, and from then on the new one stands in it.
Who else writes the whole file anew in these milliseconds keeps the journal as lines of theirs, which harms nobody.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

PAGE = 4096
"""Bytes of the smallest page that Linux has."""

_SIGN = "\n# hairpin-proxy replaces the first "
_REST = "{} bytes of this file by the {} bytes below this line (CRC-32 {:08x}):\n"
_LAST = b"\n# hairpin-proxy: so far go the new bytes\n"
_FOUND = re.compile(
    rb"\n# hairpin-proxy replaces the first (0|[1-9][0-9]{0,14}) bytes of this file "
    rb"by the (0|[1-9][0-9]{0,14}) bytes below this line \(CRC-32 ([0-9a-f]{8})\):\n"
)


class Write(NamedTuple):
    """Bytes that go to this offset."""

    offset: int
    content: bytes
    over: bool = False
    """Whether that is over the old content."""


class Cut(NamedTuple):
    """What is cut off is what is beyond `size`, if the file has exactly `expected` bytes."""

    size: int
    expected: int


class Sync(NamedTuple):
    """All until now has to be on the disk before anything else is done."""


Step = Write | Cut | Sync


@dataclass(frozen=True, slots=True)
class Journal:
    """What somebody who was killed has left."""

    old: int
    """Bytes that the file had before."""

    start: int
    """Where it begins."""

    new: bytes | None
    """What the file shall have; None if that is not all there."""

    tail: bytes
    """What somebody has added to the file since."""

    def recovered(self, content: bytes) -> bytes:
        """What the file has, or shall have."""
        found = content[: self.old] if self.new is None else self.new
        if self.tail and not self.tail.startswith(b"\n") and found[-1:] not in (b"", b"\n"):
            found += b"\n"  # which stood there when it was added
        return found + self.tail


def is_suspect(text: str) -> bool:
    """Whether it is worth while to look for a journal."""
    return _SIGN in text


def find(content: bytes, page: int = PAGE) -> Journal | None:
    """The journal in a file. It counts only at the very place where it belongs, behind nothing but line breaks."""
    for match in reversed(list(_FOUND.finditer(content))):
        old, new = int(match[1]), int(match[2])
        between = content[max(old, new) : match.start()]
        if match.start() == start(old, new, page) and not between.strip(b"\n\0"):
            end = match.end() + new
            there, tail = content[match.end() : end], content[end + len(_LAST) :]
            # Whoever was killed, or lost power, has left the last line, and not all that is before it.
            is_whole = content.startswith(_LAST, end) and zlib.crc32(there) == int(match[3], 16)
            return Journal(old, match.start(), there if is_whole else None, tail)
    return None


def recovered(content: bytes, page: int = PAGE) -> bytes:
    """What a file has, without what is left of a journal."""
    while journal := find(content, page):
        content = journal.recovered(content)
    return content


def start(old: int, new: int, page: int = PAGE) -> int:
    """Where a journal begins that is for so many bytes: both contents end before it, and so does a page."""
    return -(-max(old, new) // page) * page


def settle(content: bytes, page: int = PAGE) -> tuple[tuple[Step, ...], bytes]:
    """What makes an end to a journal, and what the file has then. One that somebody has written behind stays."""
    journal = find(content, page)
    if not journal or journal.tail:
        return (), content
    if journal.new is None:
        return (Cut(journal.old, len(content)),), content[: journal.old]
    return tuple(_put(journal.new, journal.start, len(content))), journal.new


def steps(before: bytes, after: bytes, page: int = PAGE) -> Iterator[Step]:
    """What turns the one content into the other."""
    if before == after:
        return
    if max(len(before), len(after)) <= page:
        # What the file had beyond the new content is line breaks until it is cut off, never half a line.
        padded = after.ljust(len(before), b"\n")
        yield Write(0, padded, over=True)
        yield Cut(len(after), len(padded))
        yield Sync()
        return
    begin = start(len(before), len(after), page)
    first = (_SIGN + _REST.format(len(before), len(after), zlib.crc32(after))).encode()
    last = begin + len(first) + len(after)
    # First of all, so that it is known how much of what stands before it is the old content, and then the end, so that
    # it is known what somebody has added.
    yield Write(begin, first)
    yield Write(last, _LAST)
    yield Write(len(before), b"\n" * (begin - len(before)))
    yield Write(begin + len(first), after)
    yield Sync()
    yield from _put(after, begin, last + len(_LAST))


def _put(content: bytes, begin: int, size: int) -> Iterator[Step]:
    """What brings the content of a journal to where it belongs, and takes the journal away."""
    yield Write(0, content.ljust(begin, b"\n"), over=True)
    yield Sync()
    yield Cut(len(content), size)
    yield Sync()
