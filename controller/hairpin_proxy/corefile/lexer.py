r"""Splits a Corefile into tokens that know where they stand. Pure.

The grammar is that of CoreDNS's own lexer (github.com/coredns/caddy, caddyfile/lexer.go):

- Tokens are separated by white space, in the sense of Go's unicode.IsSpace. A carriage return is no separator: it is
  dropped wherever it stands outside quotes.
- A token that starts with a quote runs to the next quote, over line breaks; `\"` is the only escape. What follows
  the closing quote at once is a token of its own.
- `#` starts a comment. At the start of a token it runs to the end of the line; inside a token only to the next white
  space, so `a#b c` is the two tokens `a` and `c`.
- A byte order mark at the very start is skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hairpin_proxy.errors import OperatorError

SPACE = "\t\n\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What separates tokens, as the inside of a regular expression's character class."""

_TOKEN = re.compile(
    rf"""
      (?P<comment> \# [^\n]* )
    | " (?P<quoted> (?: [^"\\] | \\. )* ) (?P<closing> "? )
    | (?P<word> [^{SPACE}\r] [^{SPACE}]* )
    """,
    re.VERBOSE | re.DOTALL,
)


class CorefileError(OperatorError):
    """A Corefile that cannot be read, or not be edited safely."""

    def __init__(self, line: int, problem: str, file: str = "Corefile") -> None:
        super().__init__(f"{file}:{line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `text` is what CoreDNS sees; offsets count characters of the document."""

    text: str
    line: int
    """Counted from 1, where the token starts."""
    start: int
    end: int

    @property
    def last_line(self) -> int:
        """The line on which the token ends: quotes may span several."""
        return self.line + self.text.count("\n")


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a Corefile, in order.

    Raises CorefileError at a quote that is never closed: CoreDNS takes the rest of the file for the token, so that
    nothing could be added after it.
    """
    position, line = 0, 1
    start = 1 if text.startswith("\ufeff") else 0
    for match in _TOKEN.finditer(text, start):
        line += text.count("\n", position, match.start())
        position = match.start()
        if match["comment"] is not None:
            continue
        if match["word"] is not None:
            word = match["word"].partition("#")[0].replace("\r", "")
        elif match["closing"]:
            word = match["quoted"].replace('\\"', '"')
        else:
            raise CorefileError(line, "a quote is opened here and never closed")
        yield Token(word, line, match.start(), match.end())
