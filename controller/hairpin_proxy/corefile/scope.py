"""What a server block comes to when its imports are followed. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hairpin_proxy.corefile.blocks import Block, Directive, parse_file

Files = Mapping[str, Mapping[str, str]]
"""The argument of an `import` -> name -> text of each file that it brings in, in CoreDNS's order."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A directive, and where it stands: `Corefile:12`."""

    directive: Directive
    where: str


def expanded(block: Block, blocks: Sequence[Block], files: Files) -> Iterator[Placed]:
    """A block's directives with those of the snippets and files that it imports, in the order that CoreDNS has them.

    An import of what is not given stays. Raises CorefileError for a file that cannot be read.
    """
    known = snippets(blocks)
    waiting = [Placed(directive, _where("Corefile", directive)) for directive in block.directives]
    seen = set[str]()
    while waiting:
        placed = waiting.pop(0)
        name = imported(placed.directive) or ""
        if name in known:
            found = [Placed(directive, _where("Corefile", directive)) for directive in known[name].directives]
        elif name in files:
            found = [
                Placed(directive, _where(file, directive))
                for file, text in files[name].items()
                for directive in parse_file(text, file).directives
            ]
        else:
            yield placed
            continue
        if name not in seen:
            seen.add(name)
            waiting = [*found, *waiting]


def snippets(blocks: Iterable[Block]) -> dict[str, Block]:
    """The snippets of a Corefile by the names that an import gives them."""
    return {block.keys[0].text[1:-1]: block for block in blocks if block.is_snippet}


def imported(directive: Directive) -> str | None:
    """The snippet or the files that an import names; None for any other directive."""
    return directive.words[1] if directive.words[0] == "import" else None


def _where(file: str, directive: Directive) -> str:
    return f"{file}:{directive.tokens[0].line}"
