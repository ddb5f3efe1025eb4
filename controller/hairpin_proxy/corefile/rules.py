"""A rule and the line that says it: writing one, and telling whose a line is. Pure.

The form is that of the rewrite plugin, `rewrite [continue|stop] name [TYPE] FROM TO` (https://coredns.io/plugins/rewrite/).
"""

from collections.abc import Sequence

from hairpin_proxy import hosts, policy
from hairpin_proxy.corefile.blocks import Directive
from hairpin_proxy.hosts import TAG

_MODES = {"continue", "stop"}
_TYPES = {"exact", "prefix", "suffix", "substring", "regex"}


def rule(host: str, destination: str) -> str:
    """The rule for one host, in the words that hairpin-proxy v0.2.1 wrote: without an indent and a line break."""
    return f"rewrite name {host} {destination} {TAG}"


def is_what_we_write(directive: Directive) -> bool:
    """Whether a directive is, comment aside, exactly what we would write for where it leads.

    `kubeadm upgrade` reprints the Corefile without its comments
    (github.com/coredns/corefile-migration, migration/corefile/corefile.go).
    """
    words = directive.words
    if len(words) != 4 or words[:2] != ("rewrite", "name"):
        return False
    host, destination = words[2:]
    return destination == destination.lower().removesuffix(".") and policy.decide(
        [policy.Claim(host, "")], destination
    ).hosts == {host}


def is_tagged(comment: str) -> bool:
    """Whether a comment ends with our tag. `comment` starts with its `#`."""
    return comment.rstrip().endswith(TAG)


def ends(words: Sequence[str]) -> tuple[str, str]:
    """The host that a `rewrite name` directive is for and the name that it leads to, in normal form.

    Empty for any other directive, and the host also for a rule that is not for exactly one.
    """
    if not words or words[0] != "rewrite":
        return "", ""
    rest = list(words[1:])
    if rest and rest[0] in _MODES:
        rest.pop(0)
    if not rest or rest.pop(0) != "name":
        return "", ""
    exact = len(rest) <= 2 or rest[0] not in _TYPES or rest[0] == "exact"
    if len(rest) > 2 and rest[0] in _TYPES:
        rest.pop(0)
    if len(rest) < 2:
        return "", ""
    return _host(rest[0]) if exact else "", rest[1].lower().removesuffix(".")


def _host(name: str) -> str:
    try:
        return hosts.normal(name)
    except ValueError:
        return ""
