"""The Corefile as it should be: the one given, with exactly our rules for exactly these hosts. Pure.

Nobody else's line is parsed and printed again: ours are cut out and put in as text, so every other byte stays.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from hairpin_proxy.corefile import rules
from hairpin_proxy.corefile.blocks import Block, Directive, parse, parse_file
from hairpin_proxy.corefile.homes import homes

Homes = Callable[[Sequence[Block], str], list[Block]]
"""Which blocks the rules for a destination belong to. Raises CorefileError if there is none."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A directive that has its line to itself. The span covers the whole line with its line break."""

    block: Block
    directive: Directive
    comment: str
    start: int
    end: int
    plain: bool
    """Whether it is written in its words alone, without quotes and comments among them."""


class Reading(NamedTuple):
    """A text taken apart."""

    bare: str
    """Without any rule of ours."""

    blocks: tuple[Block, ...]
    """The same in blocks, whose lines are those of the whole text."""

    hosts: frozenset[str]
    """Those that have a rule of ours."""

    strangers: Mapping[str, str]
    """The rules that bear our tag and lead to none of our destinations, each with where it leads."""

    behind: tuple[int, ...]
    """How many of those stand behind ours at the end of each block, where they stay: if each install put its own rules
    behind the others' again, they would never come to rest."""


@lru_cache(maxsize=4)
def read(text: str, destinations: frozenset[str]) -> Reading:
    """A Corefile taken apart.

    A tagged rule that leads to one of the destinations is ours in whatever block it stands. One without the tag is only
    where we would have written it, in a block that answers `.`; in another it is an administrator's. Raises
    CorefileError.
    """
    return _reading(text, parse(text), destinations)


@lru_cache(maxsize=4)
def read_file(text: str, destinations: frozenset[str]) -> Reading:
    """The same for a file that a server block imports."""
    return _reading(text, [parse_file(text, "import")], destinations)


def render(
    text: str, hosts: Collection[str], destination: str, adopted: Collection[str] = (), homes: Homes = homes
) -> str:
    """The Corefile in which exactly these hosts lead to the destination; both in normal form.

    Rules go, sorted, to the end of the server block that answers `.`, so that an administrator's own rule for the same
    name comes first and wins. Rules that lead to an adopted destination count as ours. Raises CorefileError if that
    cannot be done safely.
    """
    reading = read(text, frozenset({destination, *adopted}))
    bare = reading.bare
    if not hosts:
        return bare
    lines = [f"    {rules.rule(host, destination)}" for host in sorted(hosts)]
    blocks = parse(bare)
    for block in reversed(homes(blocks, destination)):
        bare = _insert(bare, _place(bare, block, reading.behind[blocks.index(block)]), lines)
    return bare


def render_file(text: str, hosts: Collection[str], destination: str, adopted: Collection[str] = ()) -> str:
    """The same for a file that a server block imports. One without any rule is empty if nobody wrote anything else."""
    reading = read_file(text, frozenset({destination, *adopted}))
    lines = [rules.rule(host, destination) for host in sorted(hosts)]
    place = _place(reading.bare, parse_file(reading.bare, "import"), reading.behind[0])
    return _insert(reading.bare, place, lines)


def remove(text: str, destination: str, adopted: Collection[str] = ()) -> str:
    """The Corefile without any rule of ours."""
    return read(text, frozenset({destination, *adopted})).bare


def _reading(text: str, blocks: Sequence[Block], destinations: frozenset[str]) -> Reading:
    kept: list[str] = []
    hosts: set[str] = set()
    ours: set[int] = set()
    strangers: dict[str, str] = {}
    position = 0
    lines = [list(_whole_lines(text, block)) for block in blocks]
    for line in chain.from_iterable(lines):
        host, leads_to = rules.ends(line.directive.words)
        if _is_ours(line, leads_to, destinations):
            hosts |= {host} if host else set()
            ours.add(line.directive.tokens[0].start)
            kept.append(text[position : line.start])
            position = line.end
        elif leads_to and rules.is_tagged(line.comment) and leads_to not in destinations:
            strangers[" ".join(line.directive.words)] = leads_to
    bare = "".join(kept) + text[position:]
    if position == len(text) and not text.endswith("\n") and not bare.endswith(("\n\n", "\n\r\n")):
        # The last line of all was ours and had no line break, so the line before it ends without one again; never so
        # after an empty line, for behind that we write none.
        bare = bare.removesuffix("\r\n") if bare.endswith("\r\n") else bare.removesuffix("\n")
    foreign = (
        replace(block, directives=tuple(each for each in block.directives if each.tokens[0].start not in ours))
        for block in blocks
    )
    behind = tuple(_behind(text, found, block, ours) for found, block in zip(lines, blocks, strict=True))
    return Reading(bare, tuple(foreign), frozenset(hosts), strangers, behind)


def _is_ours(line: _Line, leads_to: str, destinations: frozenset[str]) -> bool:
    if leads_to not in destinations:
        return False
    at_home = line.block.is_file or line.block.answers_root
    return rules.is_tagged(line.comment) or (at_home and line.plain and rules.is_what_we_write(line.directive))


def _whole_lines(text: str, block: Block) -> Iterator[_Line]:
    """The directives of a block that share their line with nothing but white space and a comment."""
    for directive in block.directives:
        first, last = directive.tokens[0], directive.tokens[-1]
        start = text.rfind("\n", 0, first.start) + 1
        newline = text.find("\n", first.start)
        end = newline + 1 if newline >= 0 else len(text)
        if text[start : first.start].strip() or last.last_line != first.line:
            continue
        _, mark, comment = text[last.start : end].partition("#")
        plain = tuple(text[first.start : last.end].partition("#")[0].split()) == directive.words
        yield _Line(block, directive, mark + comment, start, end, plain)


def _behind(text: str, lines: Sequence[_Line], block: Block, ours: Collection[int]) -> int:
    """How many rules of other installs stand between ours and the end of a block, with nothing else among them."""
    position = _end(text, block)
    for count, line in enumerate(reversed(lines)):
        if line.end != position:
            break
        if line.directive.tokens[0].start in ours:
            return count
        if not rules.is_tagged(line.comment):
            break
        position = line.start
    return 0


def _end(text: str, block: Block) -> int:
    """Where a line is added to a block."""
    # A directive ends with its line, so the brace that closes a block with directives is the first on its own.
    return text.rfind("\n", 0, block.closing.start) + 1 if block.closing else len(text)


def _place(text: str, block: Block, behind: int) -> int:
    """Where our rules go: to the end of a block, but for rules of other installs that stood behind ours."""
    lines = list(_whole_lines(text, block))
    return lines[-behind].start if behind else _end(text, block)


def _insert(text: str, position: int, lines: list[str]) -> str:
    """Puts lines at the beginning of a line or the end of the text, in the line breaks that the document has there."""
    before, after = text[:position], text[position:]
    if before and not before.endswith("\n"):
        newline = "\r\n" if "\r\n" in text or text.endswith("\r") else "\n"
        return before + "".join(newline + line for line in lines)
    newline = "\r\n" if before.endswith("\r\n") else "\n"
    return before + "".join(line + newline for line in lines) + after
