"""Which hosts may be redirected, and the reason for each one that may not. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from hairpin_proxy import hosts
from hairpin_proxy.edit import Remark

RESERVED = ("cluster.local", "svc", "pod", "in-addr.arpa", "ip6.arpa", "localhost", "invalid")
"""Domains in which nothing is ever redirected.

`kubernetes.default.svc` is a name of the cluster too, for pods may leave the rest out. Nobody has a host in `invalid`
(RFC 6761 §6.4): we tell by a name there whether CoreDNS has read a key of ours.
"""


class Reason(NamedTuple):
    """Why a host is left out."""

    code: str
    """For programs: `over-quota`."""

    text: str
    """For people: the end of a sentence that starts with the host."""

    chosen: bool = False
    """Whether it is what the operator, or whoever owns the object, asked for: nothing to be warned of."""


class Claim(NamedTuple):
    """One object asks for one host. The host is as the API gave it: untrusted, and not yet in normal form."""

    host: str
    object: str
    """Kind, namespace and name, for people: `Ingress default/web`."""

    namespace: str = ""
    addresses: tuple[str, ...] = ()
    """IP addresses and names of the load balancer that serves the object, as its status has them."""

    refusal: Reason | None = None
    """Why the source itself leaves it out."""


class Namespace(NamedTuple):
    """What a Namespace object says."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the cluster's objects ask for."""

    claims: Sequence[Claim]
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    """Those that are known; read only if a setting is about them."""

    remarks: tuple[Remark, ...] = ()

    doubts: tuple[str, ...] = ()
    """The kinds of which there are none all of a sudden, as far as one list tells."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the document that keeps the rules has to do with which hosts may be redirected."""

    standing: Collection[str] = frozenset()
    """The hosts that have a rule of ours which may stay, in normal form."""

    zones: Collection[str] = frozenset()
    """The cluster's own domains, in normal form."""

    no_wildcards: str | None = None
    """Why it can hold none but those that stand there, as the end of a sentence that starts with the host."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the claims of one poll come to."""

    hosts: frozenset[str]
    """In normal form."""

    left_out: Mapping[Claim, Reason]

    claims: Mapping[str, tuple[Claim, ...]]
    """By the hosts: who is granted them."""


def _no_suffix(name: str) -> bool:
    return "." not in name


@dataclass(frozen=True, slots=True)
class Policy:
    """What an administrator lets be redirected. All domains are in normal form."""

    destination: str
    cluster_domain: str | None = None
    """None for what can be seen: it is what follows `.svc.` in the destination (Kubernetes DNS specification §2.3), and
    CoreDNS's own zones."""

    allow: tuple[str, ...] = ()
    """Domains; without any, all."""

    deny: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    """Without any, all."""

    selects: Callable[[Mapping[str, str]], bool] | None = None
    """Whether a namespace with these labels may ask for hosts."""

    domains_annotation: str | None = None
    """The annotation of a Namespace that lists the domains in which it may ask for hosts."""

    is_public_suffix: Callable[[str], bool] = _no_suffix
    """Whether everybody may register names directly below this one, as with `co.uk` (https://publicsuffix.org/)."""


class _RefusedError(Exception):
    """Why a claim is not granted."""

    def __init__(self, code: str, text: str, *, chosen: bool = False) -> None:
        super().__init__(text)
        self.reason = Reason(code, text, chosen)


def decide(asked: Asked, policy: Policy, facts: Facts) -> Decision:
    """Sort claims into hosts to redirect and hosts left out, whatever the quota is."""
    left_out: dict[Claim, Reason] = {}
    granted: dict[str, list[Claim]] = {}
    protected = protected_domains(policy, facts.zones)
    for claim in asked.claims:
        try:
            host = _host(claim, facts)
            _check_namespace(claim, asked, policy)
            _check_safety(host, protected, policy)
            _check_domains(host, claim, asked, policy)
        except _RefusedError as refused:
            left_out[claim] = refused.reason
        else:
            granted.setdefault(host, []).append(claim)
    claims = {host: tuple(dict.fromkeys(found)) for host, found in granted.items()}
    return Decision(frozenset(claims), left_out, claims)


def within_quota(decision: Decision, quota: int | None, standing: Collection[str]) -> Decision:
    """The decision without what goes beyond a namespace's quota; to be made last, of hosts that would get a rule."""
    if quota is None:
        return decision
    over = _over(decision.claims, quota, standing)
    left_out = dict(decision.left_out)
    claims: dict[str, tuple[Claim, ...]] = {}
    for host, found in decision.claims.items():
        for claim in found:
            if host in over[claim.namespace]:
                text = f"is more than the {quota} hosts of namespace {claim.namespace}"
                left_out[claim] = Reason("over-quota", text)
            else:
                claims[host] = (*claims.get(host, ()), claim)
    return Decision(frozenset(claims), left_out, claims)


def granted(claim: Claim, decision: Decision) -> Claim | None:
    """Who is granted the host that this claim asks for, the first of them; None if nobody is."""
    try:
        return next(iter(decision.claims.get(hosts.pattern(claim.host), ())), None)
    except ValueError:
        return None


def protected_domains(policy: Policy, zones: Collection[str] = ()) -> tuple[str, ...]:
    """Domains in which nothing is ever redirected, for the cluster itself lives on them."""
    _, _, zone = policy.destination.partition(".svc.")
    own = (policy.destination, policy.cluster_domain, zone, *sorted(zones))
    return (*dict.fromkeys(domain for domain in own if domain), *RESERVED)


def is_ever_redirected(host: str, destination: str) -> bool:
    """Whether there is an install that would lead this host there."""
    policy = Policy(destination)
    try:
        normal = hosts.pattern(host)
        _check_safety(normal, protected_domains(policy), policy)
    except (ValueError, _RefusedError):
        return False
    return host == normal


def is_apex(host: str, is_public_suffix: Callable[[str], bool]) -> bool:
    """Whether a host is a domain that somebody registered, and so has records of other types (MX, TXT, SOA, NS).

    That a deeper name is the apex of a zone of its own cannot be told by the name.
    """
    return is_public_suffix(host.partition(".")[2]) and not hosts.is_wildcard(host)


def _host(claim: Claim, facts: Facts) -> str:
    if claim.refusal:
        raise _RefusedError(*claim.refusal[:2], chosen=claim.refusal.chosen)
    try:
        host = hosts.pattern(claim.host)
    except ValueError as reason:
        raise _RefusedError("invalid-name", str(reason)) from reason
    if facts.no_wildcards and hosts.is_wildcard(host) and host not in facts.standing:
        raise _RefusedError("wildcard", facts.no_wildcards)
    return host


def _check_namespace(claim: Claim, asked: Asked, policy: Policy) -> None:
    name = claim.namespace
    if policy.namespaces and name not in policy.namespaces:
        raise _RefusedError(
            "namespace", f"is asked for in namespace {name}, which --namespace does not name", chosen=True
        )
    if policy.selects and not (name in asked.namespaces and policy.selects(asked.namespaces[name].labels)):
        text = f"is asked for in namespace {name}, whose labels --namespace-selector does not select"
        raise _RefusedError("namespace", text, chosen=True)


def _endangered(host: str, protected: tuple[str, ...]) -> str | None:
    """The protected domain in which the host is, or that a wildcard would cover."""
    if not hosts.is_wildcard(host) and not host.endswith(protected):
        return None  # as nearly all of ten thousand
    name = hosts.base(host)
    for domain in protected:
        if hosts.is_within(name, domain) or hosts.covers(host, domain):
            return domain
    return None


def _check_safety(host: str, protected: tuple[str, ...], policy: Policy) -> None:
    if domain := _endangered(host, protected):
        is_in = "is within" if hosts.is_within(hosts.base(host), domain) else "covers"
        raise _RefusedError("protected", f"{is_in} {domain}, which is never redirected")
    name = hosts.base(host)
    if not hosts.is_wildcard(host):
        if "." not in host:
            raise _RefusedError("protected", "is a single label, which pods complete with their search domains")
    elif "." not in name or policy.is_public_suffix(name):
        raise _RefusedError("public-suffix", f"covers names of everybody below the public suffix {name}")


def _check_domains(host: str, claim: Claim, asked: Asked, policy: Policy) -> None:
    if domain := _endangered(host, policy.deny):
        raise _RefusedError("denied-domain", f"is denied, for it is within or covers {domain} (--deny-domain)")
    if policy.allow and not _is_within_any(host, policy.allow):
        raise _RefusedError("not-allowed-domain", "is in none of the domains that --allow-domain names")
    if policy.domains_annotation:
        theirs = asked.namespaces.get(claim.namespace, Namespace({}, {})).annotations.get(policy.domains_annotation, "")
        if not _is_within_any(host, _domains(theirs)):
            text = f"is in none of the domains that annotation {policy.domains_annotation} gives to namespace "
            raise _RefusedError("not-allowed-domain", f"{text}{claim.namespace} ({theirs or 'none'})")


def _is_within_any(host: str, domains: Iterable[str]) -> bool:
    return any(hosts.is_within(hosts.base(host), domain) for domain in domains)


def _domains(text: str) -> Iterator[str]:
    """Those that an annotation lists, separated by commas or white space; what is none gives nothing."""
    for name in text.replace(",", " ").split():
        with suppress(ValueError):
            yield hosts.normal(name)


def _over(claims: Mapping[str, Collection[Claim]], quota: int, standing: Collection[str]) -> Mapping[str, set[str]]:
    """By namespace, what is too much: those that have a rule already stay, and then the first by name.

    What another namespace asks for as well counts last, for it may well have its rule without this one.
    """
    asked: defaultdict[str, list[str]] = defaultdict(list)
    owners = {host: {claim.namespace for claim in found} for host, found in claims.items()}
    for host, namespaces in owners.items():
        for namespace in namespaces:
            asked[namespace].append(host)
    return {
        namespace: set(sorted(names, key=lambda host: (host not in standing, len(owners[host]) > 1, host))[quota:])
        for namespace, names in asked.items()
    }
