"""The Corefile as it should be: the one given, with exactly our rules for exactly these hosts. Pure.

Nobody else's line is parsed and printed again: ours are cut out and put in as text, so every other byte stays.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hairpin_proxy.corefile import rules
from hairpin_proxy.corefile.blocks import Block, Directive, homes, parse
from hairpin_proxy.corefile.lexer import CorefileError


@dataclass(frozen=True, slots=True)
class _Line:
    """A directive that has its line to itself. The span covers the whole line with its line break."""

    directive: Directive
    comment: str
    start: int
    end: int


def render(text: str, hosts: Collection[str], destination: str) -> str:
    """The Corefile in which exactly these hosts lead to the destination; both in normal form.

    Rules go, sorted, to the end of the server block that answers `.`, so that an administrator's own rule for the same
    name comes first and wins. Raises CorefileError if that cannot be done safely.
    """
    bare = remove(text, destination)
    if not hosts:
        return bare
    lines = [rules.line(host, destination) for host in sorted(hosts)]
    for block in reversed(homes(parse(bare))):
        bare = _append(bare, block, lines)
    return bare


def remove(text: str, destination: str) -> str:
    """The Corefile without any rule of ours, in whatever block it stands."""
    kept = []
    position = 0
    for line in _whole_lines(text):
        if rules.is_owned(line.directive, line.comment, destination):
            kept.append(text[position : line.start])
            position = line.end
    bare = "".join(kept) + text[position:]
    if position == len(text) and not text.endswith("\n"):
        # The last line of all was ours and had no line break, so the line before it ends without one again.
        return bare.removesuffix("\r\n") if bare.endswith("\r\n") else bare.removesuffix("\n")
    return bare


def strangers(text: str, destination: str) -> list[str]:
    """The rules that bear our tag and lead elsewhere: another install's, to be left alone."""
    return [
        " ".join(line.directive.words)
        for line in _whole_lines(text)
        if rules.is_tagged(line.comment) and rules.leads_to(line.directive.words) not in (destination, None)
    ]


def _whole_lines(text: str) -> Iterator[_Line]:
    """The directives of all blocks that share their line with nothing but white space and a comment."""
    for directive in (directive for block in parse(text) for directive in block.directives):
        first, last = directive.tokens[0], directive.tokens[-1]
        start = text.rfind("\n", 0, first.start) + 1
        newline = text.find("\n", first.start)
        end = newline + 1 if newline >= 0 else len(text)
        if text[start : first.start].strip() or last.last_line != first.line:
            continue
        _, mark, comment = text[last.start : end].partition("#")
        yield _Line(directive, mark + comment, start, end)


def _append(text: str, block: Block, lines: list[str]) -> str:
    """Puts lines at the end of a block, in the line breaks that the document has there."""
    if block.closing is None:
        return _append_to_end(text, lines)
    position = text.rfind("\n", 0, block.closing.start) + 1
    if text[position : block.closing.start].strip():
        raise CorefileError(block.closing.line, "the server block that answers '.' has no line of its own for its '}'")
    newline = "\r\n" if text[:position].endswith("\r\n") else "\n"
    return text[:position] + "".join(line + newline for line in lines) + text[position:]


def _append_to_end(text: str, lines: list[str]) -> str:
    newline = "\r\n" if "\r\n" in text or text.endswith("\r") else "\n"
    if text.endswith("\n"):
        return text + "".join(line + newline for line in lines)
    return text + "".join(newline + line for line in lines)
