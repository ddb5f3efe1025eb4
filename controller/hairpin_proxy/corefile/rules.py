"""A rule and the lines that say it: writing one, and telling whose a directive is. Pure.

An exact host and a wildcard have a line each, in the form of the rewrite plugin,
`rewrite [continue|stop] name [TYPE] FROM TO [answer auto]` (https://coredns.io/plugins/rewrite/). That takes every
record type, which would hide the MX, TXT, SOA and NS records of a zone's apex: such a host has three directives of the
template plugin (https://coredns.io/plugins/template/), which answer for nothing but addresses.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from hairpin_proxy import hosts, policy
from hairpin_proxy.corefile.blocks import Directive
from hairpin_proxy.hosts import TAG

_MODES = {"continue", "stop"}
_TYPES = {"exact", "prefix", "suffix", "substring", "regex"}

_ADDRESS_TYPES = ("A", "AAAA", "HTTPS")
"""The record types that lead a client somewhere; HTTPS is that of RFC 9460."""

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


def in_order(found: Iterable[str]) -> list[str]:
    """Hosts as their rules stand: CoreDNS takes the first rule that fits, and an exact host wins over a wildcard."""
    return sorted(found, key=lambda host: (hosts.is_wildcard(host), host))


def is_wildcard(words: Sequence[str]) -> bool:
    """Whether a rule with our tag stands for many names."""
    return tuple(words[:3]) == ("rewrite", "name", "regex")


def is_what_we_write(directive: Directive) -> bool:
    """Whether a directive is, comment aside, exactly what we would write for where it leads.

    `kubeadm upgrade` reprints the Corefile without its comments
    (github.com/coredns/corefile-migration, migration/corefile/corefile.go).
    """
    host, destination = ends(directive.words)
    return (
        directive.words in _forms(host, destination)
        and destination == destination.lower().removesuffix(".")
        and policy.is_ever_redirected(host, destination)
    )


def _forms(host: str, destination: str) -> Iterator[tuple[str, ...]]:
    """The words of the directives by which a host can have its rule."""
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


def ends(words: Sequence[str]) -> tuple[str, str]:
    """The host that a directive is for and the name that it leads to, in normal form.

    Empty for a directive that leads nowhere, and the host also for a rule that is not for exactly one, or for one
    wildcard as we write it.
    """
    if words and words[0] == "template":
        return _ends_of_template(words)
    if not words or words[0] != "rewrite":
        return "", ""
    rest = list(words[1:])
    if rest and rest[0] in _MODES:
        rest.pop(0)
    if not rest or rest.pop(0) != "name":
        return "", ""
    kind = rest.pop(0) if len(rest) > 2 and rest[0] in _TYPES else "exact"
    if len(rest) < 2:
        return "", ""
    destination = rest[1].lower().removesuffix(".")
    return _host(rest[0]) if kind == "exact" else _wildcard(rest[0]) if kind == "regex" else "", destination


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
