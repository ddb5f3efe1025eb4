"""A file that is rewritten while its writer may be killed at any moment: all that could be left of it."""

from collections.abc import Callable, Iterator
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairpin_proxy import hostsfile
from hairpin_proxy.hostsfile import Address
from hairpin_proxy.journal import Cut, Step, Sync, Write, find, is_suspect, recovered, settle, start, steps
from tests import hostsfiles

PAGE = 256
"""Small, so that small files have many; the journal's first line fits into one."""


def states(content: bytes, made: Step) -> Iterator[bytes]:
    """What a killed writer may leave: the file before, cut short at each page's end, and after it."""
    yield content
    match made:
        case Write(offset, written):
            content = content.ljust(offset, b"\0")
            boundaries = range(start(offset + 1, 0, PAGE), offset + len(written), PAGE)
            for end in (*boundaries, offset + len(written)):
                yield content[:offset] + written[: end - offset] + content[end:]
        case Cut(size, expected):
            assert len(content) == expected
            yield content[:size]
        case Sync():
            pass


def course(before: bytes, after: bytes) -> Iterator[bytes]:
    """All that a file may be from the one content to the other, in order."""
    settling, settled = settle(before, PAGE)
    content = before
    for made in (*settling, *steps(settled, after, PAGE)):
        left = list(states(content, made))
        yield from left
        content = left[-1]


lines = st.integers(0, 120).map(lambda count: "".join(f"10.1.{n % 7}.{n} host-{n}.example.net\n" for n in range(count)))
texts = st.tuples(hostsfiles.soup, lines, hostsfiles.soup).map("".join)


def encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def rows(content: bytes) -> set[bytes]:
    """Its lines as C reads them."""
    return {row.rstrip(b"\0") for row in content.split(b"\n")}


def change(text: str, hosts: tuple[set[str], set[str]], addresses: set[Address]) -> tuple[bytes, bytes, set[bytes]]:
    """A hosts file before and after, and what is not ours in it."""
    foreign = hostsfile.remove(text)
    before, after = (hostsfile.render(foreign, some, addresses) for some in hosts)
    return encoded(before), encoded(after), rows(encoded(foreign))


@given(texts, st.tuples(hostsfiles.hosts, hostsfiles.hosts), hostsfiles.addresses)
def test_at_each_moment_it_is_the_old_or_the_new_file_with_every_line_of_others(
    text: str, hosts: tuple[set[str], set[str]], addresses: set[Address]
) -> None:
    before, after, foreign = change(text, hosts, addresses)
    content = before
    is_new = False
    for content in course(before, after):
        assert foreign <= rows(content)
        if max(len(before), len(after)) <= PAGE:
            assert content in (before, after.ljust(len(before), b"\n"), after)
            continue
        found = recovered(content, PAGE)
        assert found in (before, after)
        assert found == after or not is_new or before == after
        is_new = found == after
    assert content == after


@given(texts, st.tuples(hostsfiles.hosts, hostsfiles.hosts), hostsfiles.addresses)
def test_after_each_step_no_line_is_half_an_old_one(
    text: str, hosts: tuple[set[str], set[str]], addresses: set[Address]
) -> None:
    before, after, _ = change(text, hosts, addresses)
    content = before
    for made in steps(before, after, PAGE):
        *_, content = states(content, made)
        others = rows(content) - rows(before) - rows(after)
        assert all(row == b"" or row.startswith(b"# hairpin-proxy") for row in others)


@given(texts, st.lists(st.tuples(hostsfiles.hosts, st.integers(0, 10_000)), min_size=2), hostsfiles.addresses)
def test_whoever_is_killed_again_and_again_leaves_the_last_file_or_the_next(
    text: str, tries: list[tuple[set[str], int]], addresses: set[Address]
) -> None:
    foreign = hostsfile.remove(text + "x\n" * PAGE)
    content = encoded(foreign)
    for hosts, moment in tries:
        current, after = recovered(content, PAGE), encoded(hostsfile.render(foreign, hosts, addresses))
        possible = list(course(content, after)) or [content]
        content = possible[moment % len(possible)]
        assert recovered(content, PAGE) in (current, after)
        # However often: one journal and the padding before it, not one for each try.
        assert len(content) < 2 * len(foreign) + 20 * 200 + 3 * PAGE


@given(texts, st.tuples(hostsfiles.hosts, hostsfiles.hosts), hostsfiles.addresses, st.integers(0, 10_000))
def test_what_somebody_adds_to_what_was_left_stays(
    text: str, hosts: tuple[set[str], set[str]], addresses: set[Address], moment: int
) -> None:
    before, after, foreign = change(text + "\n" + "x\n" * PAGE, hosts, addresses)
    added = b"10.9.9.9 added\n"
    # From the moment on in which the end of the journal is known.
    left = [content for content in course(before, after) if content.endswith(END)] or [after]
    content = left[moment % len(left)]
    found = recovered(content + added, PAGE)
    assert found == recovered(content, PAGE) + added
    for state in course(content + added, before + added):
        assert recovered(state, PAGE) in (found, before + added)
        assert {*foreign, added.strip()} <= rows(state)


END = b"\n# hairpin-proxy: so far go the new bytes\n"


@pytest.mark.parametrize(("end", "between"), [(b"", b"\n"), (b"\n", b"")])
@pytest.mark.parametrize("is_whole", [False, True])
def test_what_was_added_is_a_line_of_its_own(end: bytes, between: bytes, is_whole: bool) -> None:
    old, new = OLD + b"::1 x" + end, NEW + b"::1 x" + end
    *_, content = (state for state in journalled(old, new) if (recovered(state) == new) is is_whole)
    assert content.endswith(END)
    assert recovered(content + b"::1 y\n") == (new if is_whole else old) + between + b"::1 y\n"


OLD, NEW = b"10.0.0.1 old\n" * 400, b"10.0.0.2 new\n" * 300


def journalled(old: bytes = OLD, new: bytes = NEW) -> Iterator[bytes]:
    """All states until the journal is there, and the old content still before it."""
    content = old
    for made in takewhile(lambda made: made != Sync(), steps(old, new)):
        for state in states(content, made):
            yield state
        content = state


def whole() -> bytes:
    *_, last = journalled()
    return last


def test_what_it_looks_like() -> None:
    text = whole().decode()
    assert is_suspect(text)
    assert (
        text[5200 : 8192 + 130]
        .strip("\n")
        .startswith(
            "# hairpin-proxy replaces the first 5200 bytes of this file by the 3900 bytes below this line (CRC-32 "
        )
    )
    assert text.endswith("\n10.0.0.2 new\n\n# hairpin-proxy: so far go the new bytes\n")
    assert hostsfile.recovered(text) == NEW.decode()
    assert hostsfile.owned(text) == set()
    assert hostsfile.taken(text).keys() == {"new"}
    assert hostsfile.remove(text) == hostsfile.render(text, set(), []) == NEW.decode()


NOT_OURS: dict[str, Callable[[bytes], bytes]] = {
    "a line break before it": lambda content: b"\n" + content,
    "a byte less before it": lambda content: content[1:],
    "a line between": lambda content: content[:6000] + b"#" + content[6001:],
    "another number": lambda content: content.replace(b"first 5200 bytes", b"first 5201234 bytes"),
    "a number with a zero before it": lambda content: content.replace(b"first 5200 bytes", b"first 05200 bytes"),
    "no check sum": lambda content: content.replace(b"(CRC-32 ", b"(CRC-33 "),
    "not at the beginning of a line": lambda content: content.replace(
        b"\n# hairpin-proxy rep", b"# # hairpin-proxy rep"
    ),
}


@pytest.mark.parametrize("changed", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_none(changed: Callable[[bytes], bytes]) -> None:
    content = changed(whole())
    assert content != whole()
    assert find(content) is None
    assert recovered(content) == content


@pytest.mark.parametrize("lost", [b"10.0.0.2 new\n\n#", b"so far go"], ids=["the last host", "the last line"])
def test_what_the_disk_has_lost_is_not_taken_for_the_new_file(lost: bytes) -> None:
    """As after a loss of power, which may keep the last page and not the one before it."""
    content = whole()
    position = content.rindex(lost)
    torn = content[:position] + b"\0" * len(lost) + content[position + len(lost) :]
    assert recovered(torn) == OLD


@given(hostsfiles.files)
def test_a_file_without_one_stays(text: str) -> None:
    assert hostsfile.recovered(text) == text
    assert recovered(encoded(text)) == encoded(text)
