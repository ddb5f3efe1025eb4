"""What a server block comes to when its imports are followed. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hairpin_proxy.corefile.blocks import Block, Directive, parse_file

Files = Mapping[str, Mapping[str, str]]
"""The argument of an `import` -> name -> text of each file that it brings in, in CoreDNS's order."""


_IMPORTS = 10_000
"""The most that CoreDNS follows (github.com/coredns/caddy, caddyfile/parse.go)."""


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
    waiting = deque(Placed(directive, _where("Corefile", directive)) for directive in block.directives)
    seen = set[str]()
    while waiting:
        placed = waiting.popleft()
        name = imported(placed.directive) or ""
        if name not in known and name not in files:
            yield placed
        elif name not in seen:
            seen.add(name)
            waiting.extendleft(reversed(list(_brought(name, known, files))))


def options(directive: Directive, blocks: Sequence[Block], files: Files) -> Iterator[tuple[str, ...]]:
    """The lines in a directive's `{ }` with those that an `import` among them brings, its own braces aside.

    An import of what is not given stays.
    """
    known = snippets(blocks)
    waiting = deque(directive.options)
    seen = set[str]()
    while waiting:
        words = waiting.popleft()
        name = words[1] if words[0] == "import" and len(words) > 1 else ""
        if name not in known and name not in files:
            yield words
        elif name not in seen:
            seen.add(name)
            brought = [placed.directive for placed in _brought(name, known, files)]
            waiting.extendleft(reversed([line for each in brought for line in (each.words, *each.options)]))


def file_imports(block: Block, blocks: Sequence[Block]) -> list[str]:
    """Which files a block imports among its plugins, each as often as it does so by snippets that it imports."""
    known = snippets(blocks)
    waiting = deque(filter(None, map(imported, block.directives)))
    found: list[str] = []
    for _ in range(_IMPORTS):
        if not waiting:
            break
        name = waiting.popleft()
        if name in known:
            waiting.extendleft(reversed(list(filter(None, map(imported, known[name].directives)))))
        else:
            found.append(name)
    return found


def _brought(name: str, known: Mapping[str, Block], files: Files) -> Iterator[Placed]:
    if name in known:
        yield from (Placed(directive, _where("Corefile", directive)) for directive in known[name].directives)
        return
    for file, text in files[name].items():
        yield from (Placed(directive, _where(file, directive)) for directive in parse_file(text, file).directives)


def snippets(blocks: Iterable[Block]) -> dict[str, Block]:
    """The snippets of a Corefile by the names that an import gives them."""
    return {block.keys[0].text[1:-1]: block for block in blocks if block.is_snippet}


def imported(directive: Directive) -> str | None:
    """The snippet or the files that an import names; None for any other directive."""
    return directive.words[1] if directive.words[0] == "import" else None


def _where(file: str, directive: Directive) -> str:
    return f"{file}:{directive.tokens[0].line}"
