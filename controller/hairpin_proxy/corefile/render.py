"""The Corefile as it should be: the one given, with exactly our rules for exactly these hosts. Pure.

Nobody else's line is parsed and printed again: ours are cut out and put in as text, so every other byte stays.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, takewhile
from typing import NamedTuple

from hairpin_proxy.corefile import packing, rules
from hairpin_proxy.corefile.blocks import Block, Directive, parse, parse_file
from hairpin_proxy.corefile.homes import homes
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.hosts import is_wildcard

Homes = Callable[[Sequence[Block], str], list[Block]]
"""Which blocks the rules for a destination belong to. Raises CorefileError if there is none."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A directive that has its lines to itself. The span covers them with their line breaks."""

    block: Block
    directive: Directive
    tagged: bool
    start: int
    end: int
    plain: bool
    """Whether it is written in its words alone, without comments among them, and on one line also without quotes."""

    hosts: frozenset[str] = frozenset()
    """Those that it is a rule for, as far as they are known."""

    leads_to: str = ""
    """Empty if it leads nowhere. What lets names pass belongs to the packed rule right behind it."""


class Behind(NamedTuple):
    """How many rules of other installs stand behind ours at the end of a block.

    They stay there: if each install put its own rules behind the others' again, they would never come to rest.
    """

    exact: int
    wildcards: int


class Reading(NamedTuple):
    """A text taken apart."""

    bare: str
    """Without any rule of ours."""

    blocks: tuple[Block, ...]
    """The same in blocks, whose lines are those of the whole text."""

    hosts: frozenset[str]
    """Those that have a rule of ours."""

    templated: frozenset[str]
    """Those of them whose rule is of the template plugin."""

    firsts: frozenset[str]
    """The first host of each packed rule; empty if there is none."""

    strangers: Mapping[str, str]
    """The rules that bear our tag and lead to none of our destinations, each with where it leads."""

    behind: tuple[Behind, ...]
    """For each block."""


@lru_cache(maxsize=2)
def read(text: str, destinations: frozenset[str]) -> Reading:
    """A Corefile taken apart.

    A tagged rule that leads to one of the destinations is ours in whatever block it stands. One without the tag is only
    where we would have written it, in a block that answers `.`; in another it is an administrator's. Raises
    CorefileError.
    """
    return _reading(text, parse(text), destinations)


@lru_cache(maxsize=4)
def read_file(text: str, destinations: frozenset[str], *, only_tagged: bool = False) -> Reading:
    """The same for a file that a server block imports; in one that others write into, only tagged rules are ours."""
    return _reading(text, [parse_file(text, "import")], destinations, only_tagged=only_tagged)


@dataclass(frozen=True, slots=True)
class Writing:
    """How rules are written."""

    destination: str
    adopted: tuple[str, ...] = ()
    """Destinations whose rules count as ours."""

    is_apex: rules.IsApex = rules.no_apex
    form: str = "auto"
    """One of packing.FORMS."""

    passing_from: int | None = packing.PASSING_FROM
    """Packed rules from which on the cluster's own names are let pass; None where rules behind ours may be for them."""

    longest: int = packing.LONGEST
    """Characters that a packed rule's expression may have."""

    @property
    def destinations(self) -> frozenset[str]:
        """Of all rules that are ours."""
        return frozenset({self.destination, *self.adopted})

    def packs(self, hosts: Collection[str], reading: Reading) -> bool:
        """Whether these hosts share rules, in a text with these rules so far."""
        return self.form == "packed" or (
            self.form == "auto" and len(hosts) > (packing.FEW if reading.firsts else packing.MOST_LINES)
        )

    def exact(self, hosts: Collection[str], reading: Reading) -> list[str]:
        """The rules for these hosts, wildcards aside, in a text with these rules so far."""
        packed = {host for host in hosts if not self.is_apex(host)} if self.packs(hosts, reading) else set[str]()
        packs = packing.packs(packed, reading.firsts, self.longest) if packed else []
        many = self.passing_from is not None and len(packs) >= self.passing_from
        passing = [rules.passing(self.destination)] if many else []
        return [
            *filter(None, passing),
            *(rules.packed(pack, self.destination) for pack in packs),
            *self.each(set(hosts) - packed),
        ]

    def each(self, hosts: Collection[str]) -> list[str]:
        """A rule for each of these hosts, as wildcards always have it."""
        return [line for host in sorted(hosts) for line in rules.lines(host, self.destination, self.is_apex)]


def render(text: str, hosts: Collection[str], writing: Writing, homes: Homes = homes) -> str:
    """The Corefile in which exactly these hosts, in normal form, lead to the destination.

    Rules go to the end of the server block that answers `.`, so that an administrator's own rule for the same name
    comes first and wins. Raises CorefileError if that cannot be done safely.
    """
    reading = read(text, writing.destinations)
    bare = reading.bare
    if not hosts:
        return bare
    # Of an error, the line counts in the whole text.
    chosen = [reading.blocks.index(block) for block in homes(reading.blocks, writing.destination)]
    for number in chosen:
        _check_end(text, reading.blocks[number])
    blocks, lines = parse(bare), _Lines.of(hosts, writing, reading, "    ")
    for number in reversed(chosen):
        bare = _put(bare, blocks[number], reading.behind[number], lines)
    return bare


def render_file(text: str, hosts: Collection[str], writing: Writing) -> str:
    """The same for a file that a server block imports. One without any rule is empty if nobody wrote anything else."""
    reading = read_file(text, writing.destinations)
    block = parse_file(reading.bare, "import")
    return _put(reading.bare, block, reading.behind[0], _Lines.of(hosts, writing, reading, ""))


def _reading(text: str, blocks: Sequence[Block], destinations: frozenset[str], *, only_tagged: bool = False) -> Reading:
    kept: list[str] = []
    hosts: set[str] = set()
    templated: set[str] = set()
    firsts: set[str] = set()
    ours: set[int] = set()
    strangers: dict[str, str] = {}
    position = 0
    lines = [_whole_lines(text, block) for block in blocks]
    for line in chain.from_iterable(lines):
        words = line.directive.words
        if _is_ours(line, destinations) and (line.tagged or not only_tagged):
            hosts |= line.hosts
            templated |= line.hosts if words[0] == "template" else set()
            firsts |= {min(line.hosts)} if rules.is_packed(words) and line.hosts else set()
            ours.add(line.directive.tokens[0].start)
            kept.append(text[position : line.start])
            position = line.end
        elif line.leads_to and line.tagged and line.leads_to not in destinations:
            strangers[rules.shown(words)] = line.leads_to
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
    return Reading(bare, tuple(foreign), frozenset(hosts), frozenset(templated), frozenset(firsts), strangers, behind)


def _is_ours(line: _Line, destinations: frozenset[str]) -> bool:
    if not line.leads_to:
        # What lets names pass and stands alone would belong to the next packed rule that is put behind it.
        return line.tagged and any(rules.lets_pass(line.directive.words, each) for each in destinations)
    if line.leads_to not in destinations:
        return False
    at_home = line.block.is_file or line.block.answers_root
    return line.tagged or (at_home and _is_as_written(line))


def _is_as_written(line: _Line) -> bool:
    return line.plain and rules.is_what_we_write(line.directive, line.leads_to)


def _whole_lines(text: str, block: Block) -> list[_Line]:
    """What `_all_lines` finds, with what each is a rule for."""
    found: list[_Line] = []
    for line in reversed(list(_all_lines(text, block))):
        hosts, leads_to = rules.ends(line.directive.words)
        behind = found[-1] if found and found[-1].start == line.end else None
        if behind and rules.lets_pass(line.directive.words, behind.leads_to) and _shows_whose(behind, line):
            leads_to = behind.leads_to
        found.append(replace(line, hosts=hosts, leads_to=leads_to))
    return found[::-1]


def _shows_whose(rule: _Line, passing: _Line) -> bool:
    """Whether a rule is a packed one of an install's, and what lets names pass before it was written along with it."""
    words = rule.directive.words
    return rules.is_packed(words) and rule.tagged is passing.tagged and (rule.tagged or _is_as_written(rule))


def _all_lines(text: str, block: Block) -> Iterator[_Line]:
    """The directives of a block that share their lines with nothing but white space and comments.

    Those of several lines only if they are of the template plugin: no other one is ever ours.
    """
    for directive in block.directives:
        first, last = directive.tokens[0], directive.tokens[-1]
        is_long = last.last_line != first.line
        start = text.rfind("\n", 0, first.start) + 1
        newline = text.find("\n", last.end if is_long else first.start)
        end = newline + 1 if newline >= 0 else len(text)
        if text[start : first.start].strip() or (is_long and first.text != "template"):
            continue
        if is_long:
            comments = _comments(text, directive, end)
            tagged, plain = bool(comments) and all(map(rules.is_tagged, comments)), not comments
        else:
            _, mark, comment = text[last.start : end].partition("#")
            tagged = rules.is_tagged(mark + comment)
            plain = tuple(text[first.start : last.end].partition("#")[0].split()) == directive.words
        yield _Line(block, directive, tagged, start, end, plain)


def _comments(text: str, directive: Directive, end: int) -> list[str]:
    """All that stands between and after the tokens of a directive, and is not white space."""
    edges = [*directive.tokens[1:], None]
    gaps = (
        text[token.end : after.start if after else end] for token, after in zip(directive.tokens, edges, strict=True)
    )
    return [line.strip() for gap in gaps for line in gap.split("\n") if line.strip()]


def _behind(text: str, lines: Sequence[_Line], block: Block, ours: Collection[int]) -> Behind:
    """Counts those that stand between ours and the end of a block, with nothing else among them."""
    strangers, found = 0, dict[bool, int]()
    for line in _run(text, lines, block):
        if line.directive.tokens[0].start in ours:
            found.setdefault(rules.is_wildcard(line.directive.words), strangers)
        elif _is_another_installs(line):
            strangers += 1
        else:
            break
    return Behind(found.get(False, 0), found.get(True, 0))


def _is_another_installs(line: _Line) -> bool:
    """Whether a line that is not ours is a rule of another install, and not just a line that has our tag."""
    return line.tagged and bool(line.leads_to)


def _run(text: str, lines: Sequence[_Line], block: Block) -> Iterator[_Line]:
    """The lines at the end of a block that have nothing between them, the last one first."""
    position = _end(text, block)
    for line in reversed(lines):
        if line.end != position:
            return
        yield line
        position = line.start


def _check_end(text: str, block: Block) -> None:
    """Raises CorefileError where a line that is added to a block would not be in it."""
    closing = block.closing
    if closing and text[text.rfind("\n", 0, closing.start) + 1 : closing.start].strip():
        raise CorefileError(
            closing.line, "the '}' of the server block has no line to itself, so no rule can go before it"
        )
    if not closing and any(key.text == "}" for key in block.keys):
        raise CorefileError(block.keys[0].line, "a '}' stands among the addresses of a server block without braces")


def _end(text: str, block: Block) -> int:
    """Where a line is added to a block."""
    # A directive ends with its line, so the brace that closes a block with directives is the first on its own.
    return text.rfind("\n", 0, block.closing.start) + 1 if block.closing else len(text)


class _Lines(NamedTuple):
    """Our rules, with an indent."""

    exact: list[str]
    wildcards: list[str]

    @classmethod
    def of(cls, hosts: Collection[str], writing: Writing, reading: Reading, indent: str) -> "_Lines":
        wildcards = set(filter(is_wildcard, hosts))
        groups = (writing.exact(set(hosts) - wildcards, reading), writing.each(wildcards))
        return cls(*([indent + line for line in group] for group in groups))


def _put(text: str, block: Block, behind: Behind, lines: _Lines) -> str:
    """Our rules go to the end of a block, but for rules of other installs that stood behind ours.

    Exact hosts stand before all wildcards, another install's among them: CoreDNS takes the first rule that fits.
    """
    strangers = list(takewhile(_is_another_installs, _run(text, _whole_lines(text, block), block)))
    topmost = max((n for n, line in enumerate(strangers, 1) if rules.is_wildcard(line.directive.words)), default=0)
    counts = (max(behind.exact, behind.wildcards, topmost), behind.wildcards)
    exact, wildcards = (strangers[count - 1].start if count else _end(text, block) for count in counts)
    if exact == wildcards:
        return _insert(text, exact, [*lines.exact, *lines.wildcards])
    return _insert(_insert(text, wildcards, lines.wildcards), exact, lines.exact)


def _insert(text: str, position: int, lines: list[str]) -> str:
    """Puts lines at the beginning of a line or the end of the text, in the line breaks that the document has there."""
    before, after = text[:position], text[position:]
    if before and not before.endswith("\n"):
        newline = "\r\n" if "\r\n" in text or text.endswith("\r") else "\n"
        return before + "".join(newline + line for line in lines)
    newline = "\r\n" if before.endswith("\r\n") else "\n"
    return before + "".join(line + newline for line in lines) + after
