"""Which files a home imports, where rules of ours could stand in place of the Corefile. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hairpin_proxy.corefile.blocks import Block, imports, parse
from hairpin_proxy.corefile.scope import file_imports, imported, snippets


@dataclass(frozen=True, slots=True)
class Imports:
    """The arguments of a Corefile's `import` directives, snippets aside."""

    by_homes: tuple[str, ...]
    """What every home imports among its plugins, in order: a rule there is as good as one in the home itself.

    Once only: of a rule that comes twice CoreDNS makes one directive of both lines, and refuses it.
    """

    by_others: frozenset[str]
    """What is imported by anything else, in which a rule would be out of place: at worst it stops CoreDNS."""


def imports_of(text: str, homes: Sequence[Block]) -> Imports:
    """What a Corefile with these homes imports. Raises CorefileError if it cannot be read."""
    blocks = parse(text)
    by_homes = [file_imports(block, blocks) for block in homes]
    common = [name for name in by_homes[0] if all(found.count(name) == 1 for found in by_homes)] if by_homes else []
    foreign = {name for found in by_homes for name in found if name not in common}
    foreign |= {
        name for block in blocks if block not in homes and not block.is_snippet for name in file_imports(block, blocks)
    }
    # What stands more often in the text than among the plugins of blocks stands at the top, or inside of a plugin.
    plugins = Counter(name for block in blocks for name in map(imported, block.directives) if name)
    foreign |= (Counter(imports(text)) - plugins).keys() - snippets(blocks).keys()
    return Imports(tuple(dict.fromkeys(name for name in common if name not in foreign)), frozenset(foreign))
