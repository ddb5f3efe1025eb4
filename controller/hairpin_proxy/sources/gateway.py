"""The hosts of Gateways, and of the routes that attach to them (https://gateway-api.sigs.k8s.io/reference/spec/). Pure.

Every field may be missing or null. TypeError or AttributeError is raised for what no API server would send.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hairpin_proxy.hosts import base, is_wildcard, is_within
from hairpin_proxy.policy import Claim, Namespace, Reason
from hairpin_proxy.sources.objects import entries, ignored, mapping, name, namespace
from hairpin_proxy.sources.selectors import Selector, of

GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute")
_PARENTS = ("Gateway", "ListenerSet")

_PORTS = (80, 443)
"""What our HAProxy listens on, and forwards to."""

_KINDS = {"HTTP": ("HTTPRoute", "GRPCRoute"), "HTTPS": ("HTTPRoute", "GRPCRoute"), "TLS": ("TLSRoute",)}
"""By a listener's protocol: the routes that know hosts, of those that it takes if it does not say which."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Which namespaces may attach something."""

    allows: str
    """All, Same, Selector or None."""

    selector: Selector

    def lets_in(self, tenant: str, owner: str, namespaces: Mapping[str, Namespace]) -> bool:
        """Whether it does so for a namespace, by what is known of all, in the namespace of its owner."""
        if self.allows == "Selector":
            return tenant in namespaces and self.selector.matches(namespaces[tenant].labels)
        return self.allows == "All" or (self.allows == "Same" and tenant == owner)


@dataclass(frozen=True, slots=True)
class Listener:
    """What is of use of one."""

    name: str
    host: str
    """In lower case; empty for all."""

    port: int
    kinds: frozenset[str]
    gate: Gate


class Key(NamedTuple):
    """What a route names as its parent."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Parent:
    """A Gateway or a ListenerSet."""

    key: Key
    addresses: tuple[str, ...]
    listeners: tuple[Listener, ...]
    refusal: Reason | None
    """Why none of its hosts counts."""

    gate: Gate
    """Which ListenerSets it takes."""

    @property
    def needs_namespaces(self) -> bool:
        """Whether what attaches depends on the labels of a namespace."""
        return any(gate.allows == "Selector" for gate in (self.gate, *(each.gate for each in self.listeners)))


Parents = Mapping[Key, Parent]


def gateway(item: Mapping[str, Any], classes: Collection[str]) -> Parent:
    """A Gateway; only those of the given classes count, or all if none is given."""
    spec = mapping(item, "spec")
    refusal = ignored(item)
    theirs = spec.get("gatewayClassName")
    if classes and theirs not in classes and not refusal:
        text = f"is asked for at a Gateway of class {theirs}, and --gateway-class is {', '.join(sorted(classes))}"
        refusal = Reason("gateway-class", text, chosen=True)
    values = ((address or {}).get("value") for address in entries(mapping(item, "status").get("addresses")))
    addresses = tuple(dict.fromkeys(str(value) for value in values if value))
    gate = _gate(mapping(mapping(spec, "allowedListeners"), "namespaces"), "None")
    return Parent(_key("Gateway", item), addresses, _listeners(spec), refusal, gate)


def listener_set(item: Mapping[str, Any], parents: Parents, namespaces: Mapping[str, Namespace]) -> Parent:
    """A ListenerSet, whose listeners count as those of its Gateway, if that takes them."""
    spec = mapping(item, "spec")
    own = _key("ListenerSet", item)
    reference = mapping(spec, "parentRef")
    key = Key("Gateway", str(reference.get("namespace") or own.namespace), str(reference.get("name")))
    parent = parents.get(key)
    refusal = ignored(item) or (parent.refusal if parent else None)
    if not parent or not parent.gate.lets_in(own.namespace, key.namespace, namespaces):
        text = (
            f"is asked for at a ListenerSet that {key} does not take" if parent else f"is at {key}, which is not there"
        )
        refusal = refusal or Reason("not-attached", text)
    return Parent(own, parent.addresses if parent else (), _listeners(spec), refusal, _gate({}, "None"))


def claims(parent: Parent) -> Iterator[Claim]:
    """One for each host that a listener names."""
    for listener in parent.listeners:
        if listener.host:
            refusal = parent.refusal or _wrong_port(listener)
            yield Claim(listener.host, str(parent.key), parent.key.namespace, parent.addresses, refusal)


def route_claims(
    route: Mapping[str, Any], kind: str, parents: Parents, namespaces: Mapping[str, Namespace]
) -> Iterator[Claim]:
    """One for each host of a route at each listener that it fits, or one with the reason if it fits none.

    A route without hosts takes those of its listeners, for which these ask. One that attaches to none of our kinds of
    parents, as in a service mesh, asks for nothing.
    """
    spec = mapping(route, "spec")
    references = [reference for each in entries(spec.get("parentRefs")) if (reference := _reference(each, route))]
    where, tenant = name(route, kind), namespace(route)
    for host in entries(spec.get("hostnames")) if references else ():
        found = [
            each for one in references for each in _attached(_Asking(host, kind, tenant), one, parents, namespaces)
        ]
        accepted = {hit: addresses for hit, addresses, refusal in found if not refusal}
        if ignored(route) or not accepted:
            refusal = ignored(route) or min((each.refusal for each in found if each.refusal), key=_rank)
            yield Claim(str(host or ""), where, tenant, (), refusal)
        else:
            yield from (Claim(hit, where, tenant, addresses) for hit, addresses in accepted.items())


def intersection(listener: str, route: str) -> str | None:
    """The hosts that both stand for, in lower case; None if there is none.

    A wildcard is a suffix here: `*.example.com` also matches `foo.test.example.com` (the specification of
    HTTPRouteSpec.hostnames).
    """
    for wide, narrow in ((listener, route), (route, listener)):
        if not wide or wide == narrow:
            return narrow
        if is_wildcard(wide) and base(narrow) != base(wide) and is_within(base(narrow), base(wide)):
            return narrow
    return None


class _Reference(NamedTuple):
    """What a parentRef says."""

    key: Key
    section: str
    port: int | None


class _Asking(NamedTuple):
    """One host of a route."""

    host: str
    kind: str
    namespace: str


class _Found(NamedTuple):
    """A host at one listener, with the addresses of its Gateway, or why it is none there."""

    host: str
    addresses: tuple[str, ...]
    refusal: Reason | None


def _reference(reference: Mapping[str, Any], route: Mapping[str, Any]) -> _Reference | None:
    kind = reference.get("kind") or "Gateway"
    if (reference.get("group") or GROUP) != GROUP or kind not in _PARENTS:
        return None
    key = Key(kind, str(reference.get("namespace") or namespace(route)), str(reference.get("name")))
    return _Reference(key, reference.get("sectionName") or "", reference.get("port"))


def _attached(
    asking: _Asking, reference: _Reference, parents: Parents, namespaces: Mapping[str, Namespace]
) -> Iterator[_Found]:
    """What one host of a route comes to at each listener that a parentRef names; at least one."""
    parent = parents.get(reference.key)
    if not parent:
        yield _Found(asking.host, (), _not_attached(f"{reference.key} is not there"))
        return
    named = [
        listener
        for listener in parent.listeners
        if reference.section in ("", listener.name) and reference.port in (None, listener.port)
    ]
    if not named:
        what = reference.section or f"for port {reference.port}" if reference.section or reference.port else "at all"
        yield _Found(asking.host, (), _not_attached(f"{reference.key} has no listener {what}"))
    for listener in named:
        hit = intersection(listener.host, asking.host.lower().removesuffix("."))
        refusal = parent.refusal or _misfit(asking, listener, parent.key, namespaces)
        if not refusal and hit is None:
            refusal = _not_attached(f"listener {listener.name} of {parent.key} is for {listener.host}")
        yield _Found(hit or asking.host, parent.addresses, refusal or _wrong_port(listener))


def _misfit(asking: _Asking, listener: Listener, owner: Key, namespaces: Mapping[str, Namespace]) -> Reason | None:
    if asking.kind not in listener.kinds:
        return _not_attached(f"listener {listener.name} of {owner} takes no {asking.kind}")
    if not listener.gate.lets_in(asking.namespace, owner.namespace, namespaces):
        return _not_attached(f"listener {listener.name} of {owner} takes nothing from namespace {asking.namespace}")
    return None


def _not_attached(text: str) -> Reason:
    return Reason("not-attached", f"is asked for by a route that is attached to no listener for it: {text}")


def _wrong_port(listener: Listener) -> Reason | None:
    if listener.port in _PORTS:
        return None
    text = f"is asked for at listener {listener.name} on port {listener.port}, and only 80 and 443 are forwarded"
    return Reason("port", text, chosen=True)


def _rank(refusal: Reason) -> tuple[bool, Reason]:
    """What somebody chose tells more than what does not fit."""
    return not refusal.chosen, refusal


def _key(kind: str, item: Mapping[str, Any]) -> Key:
    return Key(kind, namespace(item), str(mapping(item, "metadata").get("name") or ""))


def _listeners(spec: Mapping[str, Any]) -> tuple[Listener, ...]:
    return tuple(map(_listener, entries(spec.get("listeners"))))


def _listener(item: Mapping[str, Any]) -> Listener:
    allowed = mapping(item, "allowedRoutes")
    kinds = frozenset(_KINDS.get(str(item.get("protocol")), ()))
    if named := entries(allowed.get("kinds")):
        kinds &= {each.get("kind") for each in named if (each.get("group") or GROUP) == GROUP}
    host = str(item.get("hostname") or "").lower().removesuffix(".")
    port = int(item.get("port") or 0)
    return Listener(str(item.get("name") or ""), host, port, kinds, _gate(mapping(allowed, "namespaces"), "Same"))


def _gate(namespaces: Mapping[str, Any], default: str) -> Gate:
    return Gate(str(namespaces.get("from") or default), of(mapping(namespaces, "selector")))
