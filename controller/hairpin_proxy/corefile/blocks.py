"""Groups the tokens of a Corefile into server blocks and their directives. Pure.

The structure is that of CoreDNS's own parser (github.com/coredns/caddy, caddyfile/parse.go). What an `import` of files
brings in cannot be seen from here; the `import` itself is a directive like any other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile

from hairpin_proxy.corefile.lexer import CorefileError, Token, tokens

_KEY = re.compile(
    r"""
    (?: (?P<transport> dns | tls | quic | grpc | https3? | unix ) :// )?
    (?P<zone> .*? )
    (?: : (?P<port> [0-9]+ | \{[$%] [^}]* \} ) )?
    """,
    re.VERBOSE,
)

_PORTS = {"dns": "53", "tls": "853", "quic": "853", "grpc": "443", "https": "443", "https3": "443"}
"""What a transport listens on when its key names no port."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a key says: `[TRANSPORT://]ZONE[:PORT]`."""

    transport: str
    zone: str
    """Lower case, without the final dot: the root is the empty name."""

    port: str


@dataclass(frozen=True, slots=True)
class Directive:
    """A plugin's name, its arguments, and all of its `{ }` if it has one."""

    tokens: tuple[Token, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Name and arguments as CoreDNS sees them."""
        return tuple(token.text for token in self.tokens)

    @property
    def arguments(self) -> list[str]:
        """What stands between the name and the `{ }`."""
        return list(takewhile(lambda word: word != "{", self.words[1:]))

    @property
    def options(self) -> list[tuple[str, ...]]:
        """The words of each line in its `{ }`, be it that of the `{`; of a line with a `}` that as well."""
        lines: dict[int, list[str]] = {}
        for token in dropwhile(lambda token: token.text != "{", self.tokens):
            lines.setdefault(token.line, []).append(token.text)
        words = [tuple(line) for line in lines.values()]
        return list(filter(None, (words[0][1:], *words[1:]))) if words else []


@dataclass(frozen=True, slots=True)
class Block:
    """A server block, or a snippet: its one key stands in parentheses."""

    keys: tuple[Token, ...]
    directives: tuple[Directive, ...]
    closing: Token | None
    """The `}`; None in a file with a single server and no braces."""

    @property
    def is_snippet(self) -> bool:
        """Whether this is no server block, but something to import."""
        return _is_snippet(self.keys)

    @property
    def is_file(self) -> bool:
        """Whether this is no block at all, but what stands in a file that one imports."""
        return not self.keys

    @property
    def answers_root(self) -> bool:
        """Whether one of the keys is the zone `.`, on any port and transport."""
        return any(not address.zone for address in self.addresses)

    @property
    def addresses(self) -> list[Address]:
        """What the keys say; those of a snippet say nothing of use."""
        return [address(key.text.removesuffix(",")) for key in self.keys]


def parse(text: str) -> list[Block]:
    """The blocks of a Corefile, in order.

    Raises CorefileError for what CoreDNS refuses, and for what it accepts by accident: a last `}` that is missing, or
    one too many in a file without braces.
    """
    return _Parser(tuple(tokens(text))).blocks()


def imports(text: str) -> list[str]:
    """The argument of every `import` in a Corefile, wherever it stands. Raises CorefileError as `parse` does."""
    parser = _Parser(tuple(tokens(text)))
    parser.blocks()
    return parser.imports


def parse_file(text: str, name: str) -> Block:
    """The directives of a file that a server block imports, which has no braces of its own.

    Raises CorefileError, with the name of that file.
    """
    try:
        return _Parser(tuple(tokens(text))).file()
    except CorefileError as error:
        raise CorefileError(error.line, error.problem, name) from error


def address(key: str) -> Address:
    """What a key says, or a plugin's argument that is written like one."""
    match = _KEY.fullmatch(key)
    if not match:
        return Address("dns", key.lower(), _PORTS["dns"])
    transport = match["transport"] or "dns"
    return Address(transport, match["zone"].lower().removesuffix("."), match["port"] or _PORTS.get(transport, ""))


def _is_snippet(keys: Sequence[Token]) -> bool:
    return len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")")


class _Parser:
    def __init__(self, stream: tuple[Token, ...]) -> None:
        self.stream = stream
        self.cursor = 0
        self.imports: list[str] = []
        self.snippets: set[str] = set()

    def blocks(self) -> list[Block]:
        found: list[Block] = []
        while self.cursor < len(self.stream):
            keys = self._keys()
            if keys:
                found.append(self._block(keys))
                self._remember(keys)
        return found

    def _remember(self, keys: tuple[Token, ...]) -> None:
        if _is_snippet(keys):
            name = keys[0].text[1:-1]
            if name in self.snippets:
                raise CorefileError(keys[0].line, f"the snippet {keys[0].text} is there already")
            self.snippets.add(name)

    def file(self) -> Block:
        directives = self._directives()
        if token := self._peek():
            raise CorefileError(token.line, "a '}' that closes nothing")
        return Block((), directives, closing=None)

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
                self._import_among_keys(keys)
                continue
            self.cursor += 1
            if token.text == "}" and self._peek():
                raise CorefileError(token.line, "a '}' that closes nothing")
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
            if token.text == "{":
                raise CorefileError(token.line, "a '{' without a directive before it")
            found.append(self._import() if token.text == "import" else self._directive())
        return tuple(found)

    def _import_among_keys(self, keys: Sequence[Token]) -> None:
        """A file brings server blocks in here; what else comes, nobody can tell what it makes of the addresses."""
        directive = self._import()
        if keys or directive.words[1] in self.snippets:
            raise CorefileError(
                directive.tokens[0].line, "an import of addresses or of a snippet outside of a server block"
            )

    def _import(self) -> Directive:
        first = self.cursor
        self.cursor += 1
        while self._peek() and not self._starts_line():
            self.cursor += 1
        directive = Directive(self.stream[first : self.cursor])
        if len(directive.tokens) != 2 or not directive.words[1]:
            raise CorefileError(directive.tokens[0].line, "import takes one argument, a file or a snippet")
        self.imports.append(directive.words[1])
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
            elif token.text == "import" and self._starts_line():
                self._import()
                continue
            self.cursor += 1
        if depth:
            raise CorefileError(self.stream[first].line, f"the '{{' of {self.stream[first].text} is never closed")
        return Directive(self.stream[first : self.cursor])
