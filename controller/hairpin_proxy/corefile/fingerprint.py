"""What CoreDNS's reload plugin says that it has read. Pure.

Its metric `coredns_reload_version_info` has the SHA-512 of the parsed Corefile in JSON (https://coredns.io/plugins/reload/,
github.com/coredns/caddy, caddyfile/parse.go): of each server block the keys, and the
tokens of each directive, whose file is named only where it is an imported one.
"""

import json
from collections.abc import Iterator
from hashlib import sha512

from hairpin_proxy.corefile.blocks import Block, parse

_MARKS = ("{$", "{%")
"""Of an environment variable, whose value only CoreDNS knows."""


def fingerprint(text: str) -> str | None:
    """The hash of a Corefile; None if what else CoreDNS reads would have to be known.

    Raises CorefileError.
    """
    blocks = parse(text)
    words = [token.text for block in blocks for each in block.directives for token in each.tokens]
    keys = [token.text for block in blocks for token in block.keys]
    if any(block.is_snippet for block in blocks) or any(mark in word for word in words + keys for mark in _MARKS):
        return None
    if "import" in words:
        return None
    parsed = [_block(block) for block in blocks]
    return sha512(_go(json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)).encode()).hexdigest()


def _block(block: Block) -> dict[str, object]:
    tokens: dict[str, list[dict[str, object]]] = {}
    for directive in block.directives:
        found = ({"File": "", "Line": token.line, "Text": token.text} for token in directive.tokens)
        tokens.setdefault(directive.words[0], []).extend(found)
    return {"Keys": list(_keys(block)), "Tokens": dict(sorted(tokens.items()))}


def _keys(block: Block) -> Iterator[str]:
    yield from (token.text.removesuffix(",") for token in block.keys)


def _go(text: str) -> str:
    """As Go's encoding/json escapes: also what HTML would take for markup."""
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
