"""The Corefile as it should be: the one given, with exactly our rules for exactly these hosts. Pure.

Nobody else's line is parsed and printed again: ours are cut out and put in as text, so every other byte stays.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from hairpin_proxy.corefile import rules
from hairpin_proxy.corefile.blocks import Block, Directive, parse
from hairpin_proxy.corefile.homes import homes


@dataclass(frozen=True, slots=True)
class _Line:
    """A directive that has its line to itself. The span covers the whole line with its line break."""

    block: Block
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
    for block in reversed(homes(parse(bare), destination)):
        bare = _append(bare, block, lines)
    return bare


def remove(text: str, destination: str) -> str:
    """The Corefile without any rule of ours.

    A tagged one is ours in whatever block it stands. One without the tag is only where we would have written it, in a
    block that answers `.`; in another it is an administrator's.
    """
    kept = []
    position = 0
    for line in _whole_lines(text):
        written = line.block.answers_root and rules.is_what_we_write(line.directive, destination)
        if written or rules.is_ours(line.directive, line.comment, destination):
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


def reloads(text: str) -> bool:
    """Whether CoreDNS reads a changed Corefile by itself (https://coredns.io/plugins/reload/).

    An import counts, for what comes from elsewhere may say so.
    """
    return any(directive.words[0] in ("reload", "import") for _, directive in _directives(text))


def _whole_lines(text: str) -> Iterator[_Line]:
    """The directives of all blocks that share their line with nothing but white space and a comment."""
    for block, directive in _directives(text):
        first, last = directive.tokens[0], directive.tokens[-1]
        start = text.rfind("\n", 0, first.start) + 1
        newline = text.find("\n", first.start)
        end = newline + 1 if newline >= 0 else len(text)
        if text[start : first.start].strip() or last.last_line != first.line:
            continue
        _, mark, comment = text[last.start : end].partition("#")
        yield _Line(block, directive, mark + comment, start, end)


def _directives(text: str) -> Iterator[tuple[Block, Directive]]:
    for block in parse(text):
        for directive in block.directives:
            yield block, directive


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
