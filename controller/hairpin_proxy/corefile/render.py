"""The Corefile as it should be: the one given, with exactly our rules for exactly these hosts. Pure.

Nobody else's line is parsed and printed again: ours are cut out and put in as text, so every other byte stays.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

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


def render(
    text: str, hosts: Collection[str], destination: str, adopted: Collection[str] = (), homes: Homes = homes
) -> str:
    """The Corefile in which exactly these hosts lead to the destination; both in normal form.

    Rules go, sorted, to the end of the server block that answers `.`, so that an administrator's own rule for the same
    name comes first and wins. Rules that lead to an adopted destination count as ours. Raises CorefileError if that
    cannot be done safely.
    """
    bare = remove(text, destination, adopted)
    if not hosts:
        return bare
    lines = [f"    {rules.rule(host, destination)}" for host in sorted(hosts)]
    for block in reversed(homes(parse(bare), destination)):
        bare = _append(bare, block, lines)
    return bare


def render_file(text: str, hosts: Collection[str], destination: str, adopted: Collection[str] = ()) -> str:
    """The same for a file that a server block imports. One without any rule is empty if nobody wrote anything else."""
    bare = remove_from_file(text, destination, adopted)
    lines = [rules.rule(host, destination) for host in sorted(hosts)]
    return _append_to_end(bare, lines) if bare else "".join(f"{line}\n" for line in lines)


def remove(text: str, destination: str, adopted: Collection[str] = ()) -> str:
    """The Corefile without any rule of ours.

    A tagged one is ours in whatever block it stands. One without the tag is only where we would have written it, in a
    block that answers `.`; in another it is an administrator's.
    """
    return _without(text, _owned(text, parse(text), {destination, *adopted}))


def remove_from_file(text: str, destination: str, adopted: Collection[str] = ()) -> str:
    """The same for a file that a server block imports."""
    return _without(text, _owned(text, _file(text), {destination, *adopted}))


def owned(text: str, destination: str, adopted: Collection[str] = ()) -> frozenset[str]:
    """The hosts that have a rule of ours in a Corefile."""
    return _hosts(_owned(text, parse(text), {destination, *adopted}))


def owned_in_file(text: str, destination: str, adopted: Collection[str] = ()) -> frozenset[str]:
    """The same for a file that a server block imports."""
    return _hosts(_owned(text, _file(text), {destination, *adopted}))


def strangers(text: str, destination: str, adopted: Collection[str] = ()) -> dict[str, str]:
    """The rules that bear our tag and lead to none of our destinations, each with where it leads."""
    ours = {None, destination, *adopted}
    found = [line for line in _whole_lines(text, parse(text)) if rules.is_tagged(line.comment)]
    leading = [(line, rules.leads_to(line.directive.words)) for line in found]
    return {" ".join(line.directive.words): where for line, where in leading if where and where not in ours}


def _file(text: str) -> list[Block]:
    return [parse_file(text, "import")]


def _hosts(lines: Iterator[_Line]) -> frozenset[str]:
    return frozenset(host for line in lines if (host := rules.host(line.directive.words)))


def _owned(text: str, blocks: Sequence[Block], destinations: Collection[str]) -> Iterator[_Line]:
    for line in _whole_lines(text, blocks):
        at_home = line.block.is_file or line.block.answers_root
        if (at_home and rules.is_what_we_write(line.directive, destinations)) or rules.is_ours(
            line.directive, line.comment, destinations
        ):
            yield line


def _without(text: str, lines: Iterator[_Line]) -> str:
    kept = []
    position = 0
    for line in lines:
        kept.append(text[position : line.start])
        position = line.end
    bare = "".join(kept) + text[position:]
    if position == len(text) and not text.endswith("\n"):
        # The last line of all was ours and had no line break, so the line before it ends without one again.
        return bare.removesuffix("\r\n") if bare.endswith("\r\n") else bare.removesuffix("\n")
    return bare


def _whole_lines(text: str, blocks: Sequence[Block]) -> Iterator[_Line]:
    """The directives of all blocks that share their line with nothing but white space and a comment."""
    for block in blocks:
        for directive in block.directives:
            first, last = directive.tokens[0], directive.tokens[-1]
            start = text.rfind("\n", 0, first.start) + 1
            newline = text.find("\n", first.start)
            end = newline + 1 if newline >= 0 else len(text)
            if text[start : first.start].strip() or last.last_line != first.line:
                continue
            _, mark, comment = text[last.start : end].partition("#")
            yield _Line(block, directive, mark + comment, start, end)


def _append(text: str, block: Block, lines: list[str]) -> str:
    """Puts lines at the end of a block, in the line breaks that the document has there."""
    if block.closing is None:
        return _append_to_end(text, lines)
    # A directive ends with its line, so the brace that closes a block with directives is the first on its own.
    position = text.rfind("\n", 0, block.closing.start) + 1
    newline = "\r\n" if text[:position].endswith("\r\n") else "\n"
    return text[:position] + "".join(line + newline for line in lines) + text[position:]


def _append_to_end(text: str, lines: list[str]) -> str:
    newline = "\r\n" if "\r\n" in text or text.endswith("\r") else "\n"
    if text.endswith("\n"):
        return text + "".join(line + newline for line in lines)
    return text + "".join(newline + line for line in lines)
