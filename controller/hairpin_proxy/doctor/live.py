"""What CoreDNS really runs, and what it answers. Pure.

An edit has arrived at a CoreDNS if that answers by it, or if its reload plugin says that it has read that very text.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from hairpin_proxy.configuration import READ_SECONDS
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.checks import named
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Server

# fmt: off
_PLUGINS = frozenset((
    "acl", "any", "auto", "autopath", "azure", "bind", "bufsize", "cache", "cancel", "chaos", "clouddns",
    "debug", "dns64", "dnssec", "dnstap", "erratic", "errors", "etcd", "file", "forward", "geoip", "grpc",
    "grpc_server", "header", "health", "hosts", "https", "https3", "import", "k8s_external", "kubernetes",
    "loadbalance", "local", "log", "loop", "metadata", "minimal", "multisocket", "nomad", "nsid", "on", "pprof",
    "prometheus", "proxyproto", "quic", "ready", "refuse", "reload", "rewrite", "root", "route53",
    "secondary", "sign", "template", "timeouts", "tls", "trace", "transfer", "tsig", "view", "whoami",
))
# fmt: on
"""What the stock CoreDNS is built with (github.com/coredns/coredns, plugin.cfg)."""


class Reload(NamedTuple):
    """What the reload plugin's metrics say (https://coredns.io/plugins/reload/)."""

    failures: int
    read: str | None
    """The hash of the last text that it has read since it started, be it refused; None if there was none."""

    enabled: frozenset[str] = frozenset()
    """Plugins that it runs."""


class Asked(NamedTuple):
    """What one DNS server answered."""

    server: Server
    mute: bool
    """Whether it gave no answer at all."""

    destination: frozenset[str]
    """The addresses of our Service."""

    wrong: Mapping[str, frozenset[str]]
    """Hosts that are not led to our Service, with what they are answered."""

    reload: Reload | None = None


class Text(NamedTuple):
    """What CoreDNS should run."""

    hash: str | None
    """Its fingerprint; None if that cannot be told."""

    text: str
    age: float | None
    """Seconds since it was written; None if that cannot be seen."""

    namespace: str
    restart: str
    """CoreDNS's workload, as `kubectl rollout restart` takes it."""


def findings(asked: Sequence[Asked], text: Text) -> Iterator[Finding]:
    """Whether each of them runs this text."""
    said = [finding for one in asked for finding in _of_one(one, text)]
    said += _different(asked, text)
    yield from said or [found(texts.LIVE, servers=servers(asked))]


def answered(asked: Sequence[Asked], hosts: str, destination: str) -> Iterator[Finding]:
    """What they answer, where all of them run what they should."""
    for one in asked:
        if one.wrong:
            answer = shown(next(iter(one.wrong.values())))
            yield found(
                texts.WRONG_ANSWERS, server=one.server, hosts=named(one.wrong), answer=answer, destination=destination
            )
    if not any(one.wrong for one in asked):
        yield found(texts.ANSWERS, servers=servers(asked), hosts=hosts, destination=destination)


def servers(asked: Sequence[Asked]) -> str:
    """Where they are, for people."""
    return ", ".join(str(one.server) for one in asked)


def asked_for(hosts: Collection[str], all_hosts: Collection[str]) -> str:
    """Which hosts were asked for, for people."""
    if len(hosts) < len(all_hosts):
        return f"a sample of {len(hosts)} of the {len(all_hosts)} hosts with a rule"
    return named(hosts)


def _is_behind(one: Asked, text: Text) -> bool:
    """Whether it surely has read another text last."""
    return bool(one.reload and text.hash and one.reload.read and one.reload.read != text.hash)


def unknown_plugins(text: str) -> list[str]:
    """Directives that no stock CoreDNS knows."""
    words = {directive.words[0] for block in parse(text) for directive in block.directives}
    return sorted(words - _PLUGINS)


def _of_one(one: Asked, text: Text) -> Iterator[Finding]:
    namespace, restart = text.namespace, text.restart
    if one.mute:
        yield found(texts.MUTE, server=one.server, namespace=namespace)
        return
    failures = one.reload.failures if one.reload else 0
    has_read = bool(one.reload and text.hash and one.reload.read == text.hash)
    unknown = sorted(set(unknown_plugins(text.text)) - (one.reload.enabled if one.reload else set()))
    if failures and (has_read or not text.hash) and (one.wrong or unknown):
        why = f": no stock CoreDNS knows {', '.join(unknown)}" if unknown else ""
        yield found(texts.REFUSED, server=one.server, failures=failures, why=why, namespace=namespace)
    elif one.wrong and not has_read:
        late = text.age is not None and text.age > READ_SECONDS
        yield found(
            texts.NOT_TAKEN if late else texts.NOT_ARRIVED,
            server=one.server, age=_ago(text.age), hosts=named(one.wrong), namespace=namespace, workload=restart,
        )  # fmt: skip
    elif failures and has_read:
        yield found(texts.FAILED_BEFORE, server=one.server, failures=failures, namespace=namespace)
    elif _is_behind(one, text):
        yield found(texts.BEHIND, server=one.server, age=_ago(text.age), namespace=namespace)


def _different(asked: Sequence[Asked], text: Text) -> Iterator[Finding]:
    """Only where no answer has told more."""
    read = {one.server: one.reload.read for one in asked if one.reload and one.reload.read}
    if len(set(read.values())) > 1 and not any(one.wrong for one in asked):
        odd = [server for server, value in read.items() if value != text.hash] if text.hash else list(read)
        yield found(
            texts.DIFFERENT, servers=", ".join(map(str, odd)), namespace=text.namespace, workload=text.restart
        )  # fmt: skip


def _ago(age: float | None) -> str:
    return "before" if age is None else f"{age:.0f} seconds ago" if age < 600 else f"{age / 60:.0f} minutes ago"


def shown(answer: Collection[str]) -> str:
    """An answer, for people."""
    return ", ".join(sorted(answer)) or "no address"
