"""A rule and the lines that say it: writing one, and telling whose a directive is. Pure.

An exact host and a wildcard have a line each, in the form of the rewrite plugin,
`rewrite [continue|stop] name [TYPE] FROM TO [answer auto]` (https://coredns.io/plugins/rewrite/); many exact hosts
share one. That takes every record type, which would hide the MX, TXT, SOA and NS records of a zone's apex: such a host
has three directives of the template plugin (https://coredns.io/plugins/template/), which answer for nothing but
addresses.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from hairpin_proxy import hosts, policy
from hairpin_proxy.corefile import packing
from hairpin_proxy.corefile.blocks import Directive
from hairpin_proxy.hosts import TAG

_MODES = {"continue", "stop"}
_TYPES = {"exact", "prefix", "suffix", "substring", "regex"}

_ADDRESS_TYPES = ("A", "AAAA", "HTTPS")
"""The record types that lead a client somewhere; HTTPS is that of RFC 9460."""

_PACKED = ("rewrite", "stop", "name", "regex")

_PACKED_LINE = re.compile(
    rf"^(?P<indent>[ \t]*){' '.join(_PACKED)} (?P<pattern>\S+) (?P<destination>\S+)\. answer auto {re.escape(TAG)}$",
    re.M,
)

_LONGEST_SHOWN = 300
"""Characters of a word, for people: more than an expression has that somebody writes."""

_TTL = 30
"""Seconds, as kubeadm has it for the Service's own records."""

IsApex = Callable[[str], bool]
"""Whether a host is the apex of a zone."""


def no_apex(_host: str) -> bool:
    """For whoever knows of no zone."""
    return False


def lines(host: str, destination: str, is_apex: IsApex) -> list[str]:
    """The rule for one host: without line breaks, and without the indent of its block.

    Each line has the tag, so that whatever takes tagged lines out, as hairpin-proxy v0.2.1 does, leaves no half of it.
    """
    if hosts.is_wildcard(host):
        return [f"rewrite name regex {_one_label_below(hosts.base(host))} {destination} answer auto {TAG}"]
    if is_apex(host):
        return [f"{line} {TAG}" for kind in _ADDRESS_TYPES for line in _template(kind, host, destination)]
    return [f"rewrite name {host} {destination} {TAG}"]


def packed(pack: tuple[str, ...], destination: str) -> str:
    """The rule for many hosts, sorted and none of them a wildcard or an apex, in the same form as `lines`."""
    return f"{' '.join(_packed_words(pack, destination))} {TAG}"


def passing(destination: str) -> str:
    """What keeps questions about the cluster's own names, most of all that pods ask, from being tried with each rule.

    It changes nothing: every TTL is within these bounds. No host of ours is ever in that domain. Empty if the
    destination tells no such domain.
    """
    words = _passing_words(destination)
    return f"{' '.join(words)} {TAG}" if words else ""


def is_wildcard(words: Sequence[str]) -> bool:
    """Whether a rule with our tag stands for many names."""
    return tuple(words[:3]) == ("rewrite", "name", "regex")


def is_packed(words: Sequence[str]) -> bool:
    """Whether a rewrite rule is of the form that many hosts share."""
    return tuple(words[:4]) == _PACKED


def lets_pass(words: Sequence[str], destination: str) -> bool:
    """Whether this is what stands before the packed rules for a destination."""
    return bool(destination) and tuple(words) == _passing_words(destination)


def is_what_we_write(directive: Directive, destination: str) -> bool:
    """Whether a directive is, comment aside, exactly what we would write for this destination.

    `kubeadm upgrade` reprints the Corefile without its comments
    (github.com/coredns/corefile-migration, migration/corefile/corefile.go).
    """
    if lets_pass(directive.words, destination):
        return True
    found, leads_to = ends(directive.words)
    return (
        leads_to == destination
        and directive.words in _forms(found, destination)
        and all(policy.is_ever_redirected(host, destination) for host in found)
    )


def shown(words: Sequence[str]) -> str:
    """A rule for people: the hosts that share one would fill a page."""
    return " ".join(word if len(word) <= _LONGEST_SHOWN else f"{word[:_LONGEST_SHOWN]}..." for word in words)


def unfolded(text: str) -> str:
    """A text with a line for each host in place of a packed rule, for people to see what a change comes to."""
    return _PACKED_LINE.sub(_unfolded, text)


def _unfolded(line: re.Match[str]) -> str:
    found = sorted(packing.names(line["pattern"]))
    return "\n".join(f"{line['indent']}packed: {host} -> {line['destination']}" for host in found) or line[0]


def _packed_words(pack: Iterable[str], destination: str) -> tuple[str, ...]:
    return (*_PACKED, packing.pattern(tuple(pack)), f"{destination}.", "answer", "auto")


def _passing_words(destination: str) -> tuple[str, ...]:
    """Of the destination's domain (Kubernetes DNS specification §2.3); none if it tells no such domain."""
    _, _, domain = destination.partition(".svc.")
    return ("rewrite", "stop", "ttl", "suffix", f".{domain}.", "0-4294967295") if domain else ()


def _forms(found: frozenset[str], destination: str) -> Iterator[tuple[str, ...]]:
    """The words of the directives by which these hosts can have their rule."""
    if found and not any(map(hosts.is_wildcard, found)):
        yield _packed_words(sorted(found), destination)
    if len(found) == 1:
        yield from _forms_of_one(next(iter(found)), destination)


def _forms_of_one(host: str, destination: str) -> Iterator[tuple[str, ...]]:
    if hosts.is_wildcard(host):
        yield ("rewrite", "name", "regex", _one_label_below(hosts.base(host)), destination, "answer", "auto")
        return
    yield ("rewrite", "name", host, destination)
    for kind in _ADDRESS_TYPES:
        yield _template_words(kind, host, destination)


def _one_label_below(domain: str) -> str:
    """Never one that begins with `_`: those are no hosts, and cert-manager looks for its `_acme-challenge` there."""
    return r"^[^._][^.]*\." + _exactly(domain).removeprefix("^")


def _template(kind: str, host: str, destination: str) -> list[str]:
    """Answers for one record type. Names below the host and other types go on to the next plugin."""
    return [
        f"template IN {kind} {host} {{",
        f"    match {_exactly(host)}",
        f'    answer "{_answer(destination)}"',
        "    fallthrough",
        "}",
    ]


def _template_words(kind: str, host: str, destination: str) -> tuple[str, ...]:
    head = ("template", "IN", kind, host, "{", "match", _exactly(host))
    return (*head, "answer", _answer(destination), "fallthrough", "}")


def _exactly(host: str) -> str:
    return "^" + host.replace(".", r"\.") + r"\.$"


def _answer(destination: str) -> str:
    return f"{{{{ .Name }}}} {_TTL} IN CNAME {destination}."


def is_tagged(comment: str) -> bool:
    """Whether a comment ends with our tag. `comment` starts with its `#`."""
    return comment.rstrip().endswith(TAG)


def ends(words: Sequence[str]) -> tuple[frozenset[str], str]:
    """The hosts that a directive is for and the name that it leads to, in normal form.

    Empty for a directive that leads nowhere; and no hosts for a rule that is for others than one, or one wildcard or
    several hosts as we write them.
    """
    if words and words[0] == "template":
        host, destination = _ends_of_template(words)
        return frozenset(filter(None, [host])), destination
    if not words or words[0] != "rewrite":
        return frozenset(), ""
    rest = list(words[1:])
    if rest and rest[0] in _MODES:
        rest.pop(0)
    if not rest or rest.pop(0) != "name":
        return frozenset(), ""
    kind = rest.pop(0) if len(rest) > 2 and rest[0] in _TYPES else "exact"
    if len(rest) < 2:
        return frozenset(), ""
    destination = rest[1].lower().removesuffix(".")
    if kind == "regex" and (several := packing.names(rest[0])):
        return several, destination
    host = _host(rest[0]) if kind == "exact" else _wildcard(rest[0]) if kind == "regex" else ""
    return frozenset(filter(None, [host])), destination


def _ends_of_template(words: Sequence[str]) -> tuple[str, str]:
    """Only of one that is, but for white space and comments, as we write it."""
    if len(words) != 11:
        return "", ""
    host, destination = words[3], words[8].rpartition(" ")[2].removesuffix(".")
    ours = words[2] in _ADDRESS_TYPES and tuple(words) == _template_words(words[2], host, destination)
    return (host, destination) if ours and _host(host) == host else ("", "")


def _wildcard(pattern: str) -> str:
    start = r"^[^._][^.]*\."
    if not pattern.startswith(start):
        return ""
    domain = pattern.removeprefix(start).removesuffix(r"\.$").replace(r"\.", ".")
    return f"*.{domain}" if _host(domain) == domain and _one_label_below(domain) == pattern else ""


def _host(name: str) -> str:
    try:
        return hosts.normal(name)
    except ValueError:
        return ""
