"""What the rewrite rules of others do to a query for one of our hosts. Pure.

As CoreDNS reads them (https://coredns.io/plugins/rewrite/, and its plugin/rewrite): rules are tried in order, and the
first one that matches and does not say `continue` is the last.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2

from hairpin_proxy.corefile import rules
from hairpin_proxy.corefile.scope import Placed
from hairpin_proxy.hosts import base, covers, is_wildcard

_MODES = ("continue", "stop")

_BY_NAME = {"name": 2, "ttl": 2, "rcode": 3}
"""What matches by the name that is asked for: the field, and how many arguments its rule has without a type."""

_BY_QUESTION = {"class": ("IN",), "type": ("A", "AAAA")}
"""What matches by class or type of a question, and the ones that pods ask for."""

_LABELS = ("a", "www", "api", "x1")
"""Names below a wildcard's domain, on which a rule is tried."""

_ALWAYS = ("edns0", "cname")
"""What matches every question."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One rule of somebody else."""

    where: str
    """`Corefile:12`"""

    words: tuple[str, ...]
    """Without the mode and the braces."""

    continues: bool

    @property
    def field(self) -> str:
        return self.words[0].lower() if self.words else ""

    @property
    def takes_every_name(self) -> bool:
        """Whether it matches, and may be the last rule, whatever name is asked for."""
        arguments = tuple(word.upper() for word in self.words[1:2])
        wide = self.field in _ALWAYS or any(word in _BY_QUESTION.get(self.field, ()) for word in arguments)
        return wide and not self.continues

    @property
    def renames(self) -> bool:
        """Whether it leads elsewhere what it matches; else it is about something else, and only in the way."""
        return self.field == "name"

    @property
    def leads_to(self) -> str:
        """The name that it leads to, in normal form; empty if it leads to none."""
        return rules.ends(("rewrite", *self.words))[1]

    def __str__(self) -> str:
        return f"`{rules.shown(('rewrite', *self.words))}` ({self.where})"

    def taken(self, hosts: Collection[str]) -> list[str]:
        """Those of the hosts that it answers or, by matching them as the last rule, keeps from any later one.

        Of a wildcard it may take only some names; whether it does is tried on a few. An exact rule takes none: as with
        our own, it is an exception that everybody expects.
        """
        if self.field not in _BY_NAME or (self.continues and not self.renames):
            return []
        kind, pattern = self._pattern()
        if kind == "exact":
            name = pattern.lower().removesuffix(".")
            return [name] if name in hosts else []
        matches = _MATCHES.get(kind)
        return [host for host in hosts if any(matches(f"{name}.", pattern) for name in _names(host))] if matches else []

    def taken_below(self, wildcards: Collection[str]) -> list[str]:
        """Those of the wildcards below which it takes a name."""
        kind, pattern = self._pattern() if self.renames else ("", "")
        if kind == "exact":
            return [each for each in wildcards if covers(each, pattern.lower().removesuffix("."))]
        return self.taken(wildcards) if self.renames else []

    def _pattern(self) -> tuple[str, str]:
        """The type of the match, and what is matched."""
        arguments = self.words[1:]
        if len(arguments) > _BY_NAME[self.field]:
            return arguments[0].lower(), arguments[1]
        return "exact", arguments[0] if arguments else ""


def rewrites(directives: Iterable[Placed]) -> list[Rewrite]:
    """The rewrite rules among some directives."""
    return [_rewrite(placed) for placed in directives if placed.directive.words[0] == "rewrite"]


def _rewrite(placed: Placed) -> Rewrite:
    words = [word for word in placed.directive.words[1:] if word not in "{}"]
    mode = words.pop(0).lower() if words and words[0].lower() in _MODES else "stop"
    return Rewrite(placed.where, tuple(words), mode == "continue")


def _names(host: str) -> list[str]:
    """The host, or some of those that a wildcard stands for."""
    return [f"{label}.{base(host)}" for label in _LABELS] if is_wildcard(host) else [host]


def _dotted(name: str) -> str:
    return name.lower().removesuffix(".") + "."


@cache
def _compiled(pattern: str) -> Any:
    """As Go reads it, in whose syntax RE2's own lives on (https://pkg.go.dev/regexp/syntax); None for what it refuses.

    It takes linear time: hosts come from whoever may create an Ingress, and Python's expressions can be made to stall.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def _found(name: str, pattern: str) -> bool:
    expression = _compiled(pattern)
    return expression is not None and expression.search(name) is not None


_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "prefix": lambda name, pattern: name.startswith(_dotted(pattern)),
    "suffix": lambda name, pattern: name.endswith(_dotted(pattern)),
    "substring": lambda name, pattern: _dotted(pattern) in name,
    "regex": _found,
}
