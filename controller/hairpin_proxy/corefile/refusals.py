"""What CoreDNS surely refuses of a Corefile that can be read: nothing is written into it. Pure.

It would not start with such a Corefile, and at a reload goes on with the one before. Whatever depends on how CoreDNS
was built, or on files that cannot be seen, is believed.
"""

from collections.abc import Iterator, Sequence

from hairpin_proxy.corefile.blocks import Address, Block
from hairpin_proxy.corefile.lexer import CorefileError, Token
from hairpin_proxy.corefile.scope import Files, Placed, expanded, imported

_ONCE = ("kubernetes", "hosts", "cache")
"""Plugins of which there may be one in a server block (plugin.ErrOnce of github.com/coredns/coredns)."""

_ELSEWHERE = ("bind", "view")
"""What lets two blocks have one address (https://coredns.io/plugins/bind/, https://coredns.io/plugins/view/)."""


def check(blocks: Sequence[Block], files: Files) -> None:
    """Raises CorefileError for what CoreDNS refuses."""
    seen: dict[tuple[Address, bool], int] = {}
    for block in blocks:
        if block.is_snippet:
            continue
        placed = list(expanded(block, blocks, files))
        _check_plugins(placed)
        for address, key in _addresses(block, placed):
            # What a key without a port listens on is also a question of how CoreDNS is started.
            same = (address, key.text.rpartition(":")[2].rstrip(",").isdigit())
            if same in seen:
                where = f"{address.transport}://{address.zone}.:{address.port}"
                text = f"CoreDNS refuses a second server block for {where}, of which the first is on line {seen[same]}"
                raise CorefileError(key.line, text)
            seen[same] = key.line


def _check_plugins(placed: Sequence[Placed]) -> None:
    first: dict[str, str] = {}
    for each in placed:
        plugin = each.directive.words[0]
        if plugin in _ONCE and plugin in first:
            file, _, line = each.where.rpartition(":")
            text = f"CoreDNS refuses a second {plugin} in a server block, of which the first is at {first[plugin]}"
            raise CorefileError(int(line), text, file)
        first.setdefault(plugin, each.where)


def _addresses(block: Block, placed: Sequence[Placed]) -> Iterator[tuple[Address, Token]]:
    """Those that nobody else may have, each with its key; none if something may let others have them too."""
    if any(each.directive.words[0] in _ELSEWHERE or imported(each.directive) for each in placed):
        return
    for address, key in zip(block.addresses, block.keys, strict=True):
        if not any(mark in key.text for mark in ("{$", "{%")):
            yield address, key
