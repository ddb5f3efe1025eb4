"""A rule and the line that says it: writing one, and telling whose a line is. Pure.

The form is that of the rewrite plugin, `rewrite [continue|stop] name [TYPE] FROM TO` (https://coredns.io/plugins/rewrite/).
"""

from collections.abc import Collection, Sequence

from hairpin_proxy import policy
from hairpin_proxy.corefile.blocks import Directive
from hairpin_proxy.hosts import TAG

_MODES = {"continue", "stop"}
_TYPES = {"exact", "prefix", "suffix", "substring", "regex"}


def rule(host: str, destination: str) -> str:
    """The rule for one host, in the words that hairpin-proxy v0.2.1 wrote: without an indent and a line break."""
    return f"rewrite name {host} {destination} {TAG}"


def is_ours(directive: Directive, comment: str, destinations: Collection[str]) -> bool:
    """Whether a directive bears our tag, in the comment behind it, and leads to one of our destinations."""
    return is_tagged(comment) and leads_to(directive.words) in destinations


def is_what_we_write(directive: Directive, destinations: Collection[str]) -> bool:
    """Whether a directive is, comment aside, exactly what we would write.

    `kubeadm upgrade` reprints the Corefile without its comments
    (github.com/coredns/corefile-migration, migration/corefile/corefile.go).
    """
    words = directive.words
    if len(words) != 4 or words[:2] != ("rewrite", "name") or words[3] not in destinations:
        return False
    host = words[2]
    return policy.decide([policy.Claim(host, "")], words[3]).hosts == {host}


def is_tagged(comment: str) -> bool:
    """Whether a comment ends with our tag. `comment` starts with its `#`."""
    return comment.rstrip().endswith(TAG)


def leads_to(words: Sequence[str]) -> str | None:
    """The name that a `rewrite name` directive leads to, in normal form; None for any other directive."""
    return _from_and_to(words)[1]


def host(words: Sequence[str]) -> str | None:
    """The name that a `rewrite name` directive is for, in normal form; None for any other directive."""
    return _from_and_to(words)[0]


def _from_and_to(words: Sequence[str]) -> tuple[str | None, str | None]:
    if not words or words[0] != "rewrite":
        return None, None
    rest = list(words[1:])
    if rest and rest[0] in _MODES:
        rest.pop(0)
    if not rest or rest.pop(0) != "name":
        return None, None
    if len(rest) > 2 and rest[0] in _TYPES:
        rest.pop(0)
    if len(rest) < 2:
        return None, None
    return rest[0].lower().removesuffix("."), rest[1].lower().removesuffix(".")
