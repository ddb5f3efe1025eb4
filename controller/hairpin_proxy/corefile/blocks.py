"""Groups the tokens of a Corefile into server blocks and their directives. Pure.

The structure is that of CoreDNS's own parser (github.com/coredns/caddy, caddyfile/parse.go). What an `import` of files
brings in cannot be seen from here; the `import` itself is a directive like any other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile

from hairpin_proxy.corefile.lexer import CorefileError, Token, tokens
from hairpin_proxy.hosts import is_within

_KEY = re.compile(
    r"""
    (?: (?: dns | tls | quic | grpc | https3? | unix ) :// )?
    (?P<zone> .*? )
    (?: : (?: [0-9]+ | \{[$%] [^}]* \} ) )?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Directive:
    """A plugin's name, its arguments, and all of its `{ }` if it has one."""

    tokens: tuple[Token, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Name and arguments as CoreDNS sees them."""
        return tuple(token.text for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Block:
    """A server block, or a snippet: its one key stands in parentheses."""

    keys: tuple[Token, ...]
    directives: tuple[Directive, ...]
    closing: Token | None
    """The `}`; None in a file with a single server and no braces."""

    @property
    def answers_root(self) -> bool:
        """Whether one of the keys is the zone `.`, on any port and transport."""
        return any(_zone(key.text) in ("", ".") for key in self.keys)


def parse(text: str) -> list[Block]:
    """The blocks of a Corefile, in order. Raises CorefileError for what CoreDNS refuses, and for what it accepts by
    accident: a last `}` that is missing, or one too many in a file without braces.
    """
    return _Parser(tuple(tokens(text))).blocks()


def homes(blocks: Sequence[Block], destination: str) -> list[Block]:
    """The server blocks that our rules belong to: those that answer `.` and can answer the destination.

    A rewritten query goes on in the same block, so without the `kubernetes` plugin for the destination's zone it would
    be sent upstream, and every host be NXDOMAIN (https://coredns.io/plugins/rewrite/). What cannot be seen from here, a
    zone from the environment or a plugin from an imported file, is believed. Raises CorefileError if there is none.
    """
    roots = [block for block in blocks if block.answers_root]
    if not roots:
        raise CorefileError(1, "no server block answers '.', so there is no place for a rule that holds for all pods")
    snippets = {block.keys[0].text[1:-1]: block for block in blocks if _is_snippet(block.keys)}
    answers = [(_answers(block, _expanded(block, snippets), destination), block) for block in roots]
    best = max(answer for answer, _ in answers)
    if best is Answer.NO:
        raise CorefileError(
            roots[0].keys[0].line,
            f"the server block that answers '.' has no kubernetes plugin for a zone that holds {destination}, "
            "so every rewritten name would be NXDOMAIN; is --destination in this cluster's domain?",
        )
    return [block for answer, block in answers if answer is best]


class Answer(IntEnum):
    """Whether a server block answers a name by its kubernetes plugin."""

    NO = 0
    PERHAPS = 1
    YES = 2


def _answers(block: Block, directives: Sequence[Directive], destination: str) -> Answer:
    plugins = [directive for directive in directives if directive.words[0] == "kubernetes"]
    zones = [zone for plugin in plugins for zone in _zones(plugin, block)]
    if any(zone == "" or is_within(destination, zone) for zone in zones):
        return Answer.YES
    unseen = any("{$" in zone or "{%" in zone for zone in zones)
    return Answer.PERHAPS if unseen or any(directive.words[0] == "import" for directive in directives) else Answer.NO


def _zones(kubernetes: Directive, block: Block) -> list[str]:
    """The zones of a kubernetes plugin in normal form, `.` being the empty name. Without any, they are the block's."""
    own = takewhile(lambda word: word != "{", kubernetes.words[1:])
    return [_zone(zone).lower().removesuffix(".") for zone in list(own) or [key.text for key in block.keys]]


def _expanded(block: Block, snippets: Mapping[str, Block]) -> list[Directive]:
    """A block's directives with those of the snippets that it imports; an import of files stays."""
    found: list[Directive] = []
    waiting, seen = list(block.directives), set[str]()
    while waiting:
        directive = waiting.pop(0)
        name = directive.words[1] if directive.words[0] == "import" else None
        if name is None or name not in snippets:
            found.append(directive)
        elif name not in seen:
            seen.add(name)
            waiting = [*snippets[name].directives, *waiting]
    return found


def _zone(key: str) -> str:
    """The zone of a key, without transport, port and the comma that may follow it."""
    match = _KEY.fullmatch(key.removesuffix(","))
    return match["zone"] if match else key


def _is_snippet(keys: Sequence[Token]) -> bool:
    return len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")")


class _Parser:
    def __init__(self, stream: tuple[Token, ...]) -> None:
        self.stream = stream
        self.cursor = 0

    def blocks(self) -> list[Block]:
        found: list[Block] = []
        while self.cursor < len(self.stream):
            keys = self._keys()
            if _is_snippet(keys) and keys[0].text in {key.text for block in found for key in block.keys}:
                raise CorefileError(keys[0].line, f"the snippet {keys[0].text} is there already")
            if keys:
                found.append(self._block(keys))
        return found

    def _peek(self) -> Token | None:
        return self.stream[self.cursor] if self.cursor < len(self.stream) else None

    def _starts_line(self) -> bool:
        """Whether the current token is the first on its line, which is what separates one directive from the next."""
        return self.cursor == 0 or self.stream[self.cursor - 1].last_line < self.stream[self.cursor].line

    def _keys(self) -> tuple[Token, ...]:
        """Reads addresses up to `{` or, without braces, to the end of the line. A comma at its end continues it."""
        keys: list[Token] = []
        more = False
        while (token := self._peek()) and token.text != "{":
            if keys and not more and self._starts_line():
                break
            if token.text == "import" and self._starts_line():
                self._import()
                continue
            self.cursor += 1
            if token.text:
                keys.append(token)
                more = token.text.endswith(",")
        if more:
            raise CorefileError(keys[-1].line, "another address is expected after the comma")
        if not keys and token:
            raise CorefileError(token.line, "a '{' without an address before it")
        return tuple(keys)

    def _block(self, keys: tuple[Token, ...]) -> Block:
        opening = self._peek()
        if opening is None or opening.text != "{":
            return self._block_without_braces(keys)
        self.cursor += 1
        directives = self._directives()
        closing = self._peek()
        if closing is None:
            raise CorefileError(opening.line, "the server block that is opened here is never closed")
        self.cursor += 1
        return Block(keys, directives, closing)

    def _block_without_braces(self, keys: tuple[Token, ...]) -> Block:
        directives = self._directives()
        if token := self._peek():
            raise CorefileError(token.line, "a '}' that closes nothing")
        return Block(keys, directives, closing=None)

    def _directives(self) -> tuple[Directive, ...]:
        found = []
        while (token := self._peek()) and token.text != "}":
            found.append(self._import() if token.text == "import" else self._directive())
        return tuple(found)

    def _import(self) -> Directive:
        first = self.cursor
        self.cursor += 1
        while self._peek() and not self._starts_line():
            self.cursor += 1
        directive = Directive(self.stream[first : self.cursor])
        if len(directive.tokens) != 2 or not directive.words[1]:
            raise CorefileError(directive.tokens[0].line, "import takes one argument, a file or a snippet")
        return directive

    def _directive(self) -> Directive:
        first = self.cursor
        self.cursor += 1
        depth = 0
        while token := self._peek():
            if token.text == "{":
                depth += 1
            elif depth == 0 and self._starts_line():
                break
            elif token.text == "}":
                if depth == 0:
                    raise CorefileError(token.line, "a '}' without a '{' before it")
                depth -= 1
            self.cursor += 1
        if depth:
            raise CorefileError(self.stream[first].line, f"the '{{' of {self.stream[first].text} is never closed")
        return Directive(self.stream[first : self.cursor])
