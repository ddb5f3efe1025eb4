"""The hosts of Gateways, and of the routes that attach to them (https://gateway-api.sigs.k8s.io/reference/spec/). Pure.

Every field may be missing or null. OperatorError is raised for what no API server would send.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from hairpin_proxy.hosts import base, is_wildcard, is_within
from hairpin_proxy.policy import Claim, Reason
from hairpin_proxy.sources.objects import (
    IGNORE_ANNOTATION,
    Namespaces,
    checked,
    entries,
    ignored,
    mapping,
    name,
    namespace,
)
from hairpin_proxy.sources.selectors import Selector, of

GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute")
_PARENTS = ("Gateway", "ListenerSet")

_ADDRESS_TYPES = ("IPAddress", "Hostname")

_NEEDED = ("gatewayClassName", "allowedListeners", "listeners", "parentRef", "parentRefs", "hostnames")
"""The fields of a spec that are read here; the rules of a route are the most of it."""

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

    def lets_in(self, tenant: str, owner: str, namespaces: Namespaces) -> bool:
        """Whether it does so for a namespace, in the namespace of its owner."""
        if self.allows == "Selector":
            known = namespaces().get(tenant)
            return known is not None and self.selector.matches(known.labels)
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


Parents = Mapping[Key, Parent]

Items = Callable[[str], Iterable[Mapping[str, Any]]]
"""All objects of a kind."""


def claims(items: Items, classes: Collection[str], namespaces: Namespaces) -> Iterator[Claim]:
    """What the Gateways, their ListenerSets and the routes ask for.

    Only Gateways of the given classes count, or all if none is given.
    """
    parents: dict[Key, Parent] = {}
    for item in items("Gateway"):
        with checked(item, "Gateway"):
            parent = _gateway(item, classes)
        parents[parent.key] = parent
    gateways = dict(parents)
    for item in items("ListenerSet"):
        with checked(item, "ListenerSet"):
            parent = _listener_set(item, gateways, namespaces)
        parents[parent.key] = parent
    for parent in parents.values():
        yield from _listener_claims(parent)
    for kind in ROUTES:
        for route in items(kind):
            with checked(route, kind):
                found = list(_route_claims(route, kind, parents, namespaces))
            yield from found


def needed(item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What `claims` reads of an object, and nothing else. Raises OperatorError for what no API server would send."""
    with checked(item, kind):
        metadata, spec, status = (mapping(item, field) for field in ("metadata", "spec", "status"))
        found = {field: metadata[field] for field in ("namespace", "name") if field in metadata}
        if IGNORE_ANNOTATION in (annotations := mapping(metadata, "annotations")):
            found["annotations"] = {IGNORE_ANNOTATION: annotations[IGNORE_ANNOTATION]}
        return {
            "metadata": found,
            "spec": {field: spec[field] for field in _NEEDED if field in spec},
            "status": {"addresses": entries(status.get("addresses"))} if kind == "Gateway" else {},
        }


def _gateway(item: Mapping[str, Any], classes: Collection[str]) -> Parent:
    spec = mapping(item, "spec")
    key = _key("Gateway", item)
    refusal = _ignored_parent(item, key)
    theirs = spec.get("gatewayClassName")
    if classes and theirs not in classes and not refusal:
        text = f"is asked for at a Gateway of class {theirs}, and --gateway-class is {', '.join(sorted(classes))}"
        refusal = Reason("gateway-class", text, chosen=True)
    gate = _gate(mapping(mapping(spec, "allowedListeners"), "namespaces"), "None")
    return Parent(key, tuple(_addresses(item)), _listeners(spec), refusal, gate)


def _listener_set(item: Mapping[str, Any], parents: Parents, namespaces: Namespaces) -> Parent:
    """A ListenerSet, whose listeners count as those of its Gateway, if that takes them."""
    spec = mapping(item, "spec")
    own = _key("ListenerSet", item)
    reference = _reference(mapping(spec, "parentRef"), own.namespace, ("Gateway",))
    parent = parents.get(reference.key) if reference else None
    refusal = _ignored_parent(item, own) or (parent.refusal if parent else None)
    if not refusal and not (parent and parent.gate.lets_in(own.namespace, parent.key.namespace, namespaces)):
        what = (
            f"{reference.key}, which {'does not take it' if parent else 'is not there'}" if reference else "no Gateway"
        )
        refusal = Reason("not-attached", f"is asked for at a ListenerSet of {what}")
    return Parent(own, parent.addresses if parent else (), _listeners(spec), refusal, _gate({}, "None"))


def _listener_claims(parent: Parent) -> Iterator[Claim]:
    """One for each host that a listener names."""
    for listener in parent.listeners:
        if listener.host:
            refusal = parent.refusal or _wrong_port(listener)
            yield Claim(listener.host, str(parent.key), parent.key.namespace, parent.addresses, refusal)


def _route_claims(route: Mapping[str, Any], kind: str, parents: Parents, namespaces: Namespaces) -> Iterator[Claim]:
    """One for each host of a route at each listener that it fits, or one with the reason if it fits none.

    A route without hosts asks for those of its listeners. One with parents of other APIs alone, as in a service mesh,
    asks for nothing.
    """
    spec = mapping(route, "spec")
    where, tenant = name(route, kind), namespace(route)
    named = entries(spec.get("parentRefs"))
    if named and all(map(_is_foreign, named)):
        return
    references = [reference for each in named if (reference := _reference(each, tenant, _PARENTS))]
    for host in entries(spec.get("hostnames")) or [""]:
        if not isinstance(host, str | None):
            raise TypeError(f"{where}: a host is {host!r}")
        asking = _Asking(host or "", kind, tenant)
        found = [each for one in references for each in _attached(asking, one, parents, namespaces)]
        accepted = _accepted(found)
        if refusal := ignored(route) or (_worst(found) if not accepted else None):
            accepted = {asking.host: ()}
        yield from (Claim(hit, where, tenant, addresses, refusal) for hit, addresses in accepted.items() if hit)


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
    fits: bool = True
    """Whether the listener is for this host, as far as that is known."""


def _reference(reference: Mapping[str, Any], tenant: str, kinds: Collection[str]) -> _Reference | None:
    """None if it is to something else than these kinds of ours."""
    kind = reference.get("kind") or "Gateway"
    if not _is_ours(reference) or kind not in kinds:
        return None
    key = Key(kind, str(reference.get("namespace") or tenant), str(reference.get("name")))
    return _Reference(key, str(reference.get("sectionName") or ""), _port(reference))


def _is_foreign(thing: Mapping[str, Any]) -> bool:
    """Whether a kind is of another API, and not of an experimental one of this either."""
    return not _is_ours(thing) and not str(thing.get("group")).startswith("gateway.networking.")


def _is_ours(thing: Mapping[str, Any]) -> bool:
    """Whether a kind is of the Gateway API. An empty group is not none, but Kubernetes' core."""
    return thing.get("group") in (None, GROUP)


def _port(thing: Mapping[str, Any]) -> int | None:
    port = thing.get("port")
    if isinstance(port, str) and port.isdecimal():
        port = int(port)  # In YAML every scalar is text to us.
    if not isinstance(port, int | None):
        raise TypeError(f"port is {port!r}")
    return port


def _attached(asking: _Asking, reference: _Reference, parents: Parents, namespaces: Namespaces) -> Iterator[_Found]:
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
        port = f"on port {reference.port}" if reference.port else ""
        what = " ".join(filter(None, (reference.section, port))) or "at all"
        yield _Found(asking.host, (), _not_attached(f"{reference.key} has no listener {what}"))
    for listener in named:
        hit = intersection(listener.host, _plain(asking.host))
        refusal = parent.refusal or _misfit(asking, listener, parent.key, namespaces)
        if not refusal and hit is None:
            refusal = _not_attached(f"listener {listener.name} of {parent.key} is for {listener.host}")
        yield _Found(hit or asking.host, parent.addresses, refusal or _wrong_port(listener), hit is not None)


def _accepted(found: Sequence[_Found]) -> dict[str, tuple[str, ...]]:
    """By the hosts: the addresses of all Gateways that serve them."""
    hits = dict.fromkeys(each.host for each in found if not each.refusal)
    addresses = {hit: [each.addresses for each in found if each.host == hit and not each.refusal] for hit in hits}
    return {hit: tuple(dict.fromkeys(chain.from_iterable(these))) for hit, these in addresses.items()}


def _misfit(asking: _Asking, listener: Listener, owner: Key, namespaces: Namespaces) -> Reason | None:
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


def _worst(found: Sequence[_Found]) -> Reason:
    """Why a host is at no listener: first at one that is for it, and what somebody chose before what it lacks."""
    refusals = [(not each.fits, not each.refusal.chosen, each.refusal) for each in found if each.refusal]
    if not refusals:
        return _not_attached("none of its parents is a Gateway or a ListenerSet")
    return min(refusals, key=lambda entry: entry[:2])[2]


def _ignored_parent(item: Mapping[str, Any], key: Key) -> Reason | None:
    refusal = ignored(item)
    # Those who ask at it may be others, who have no such annotation.
    return refusal and refusal._replace(text=f"is asked for at {key}, which has annotation {IGNORE_ANNOTATION}")


def _addresses(item: Mapping[str, Any]) -> dict[str, None]:
    """IP addresses and names, each once; some clouds put a name of their own there, with a type of their own."""
    points = entries(mapping(item, "status").get("addresses"))
    values = (point.get("value") for point in points if (point.get("type") or "IPAddress") in _ADDRESS_TYPES)
    return dict.fromkeys(str(value) for value in values if value)


def _key(kind: str, item: Mapping[str, Any]) -> Key:
    return Key(kind, namespace(item), str(mapping(item, "metadata").get("name") or ""))


def _listeners(spec: Mapping[str, Any]) -> tuple[Listener, ...]:
    return tuple(map(_listener, entries(spec.get("listeners"))))


def _listener(item: Mapping[str, Any]) -> Listener:
    allowed = mapping(item, "allowedRoutes")
    kinds = frozenset(_KINDS.get(str(item.get("protocol")), ()))
    if named := entries(allowed.get("kinds")):
        kinds &= {each.get("kind") for each in named if _is_ours(each)}
    gate = _gate(mapping(allowed, "namespaces"), "Same")
    return Listener(str(item.get("name") or ""), _plain(item.get("hostname") or ""), _port(item) or 0, kinds, gate)


def _plain(host: str) -> str:
    """In lower case, without a final dot. What is not ASCII stays, so that it can be refused."""
    return host.lower().removesuffix(".") if host.isascii() else host


def _gate(namespaces: Mapping[str, Any], default: str) -> Gate:
    allows = str(namespaces.get("from") or default)
    if allows == "Selector" and namespaces.get("selector") is None:
        allows = "None"  # An empty selector selects everything, but a null one nothing (LabelSelector's documentation).
    return Gate(allows, of(mapping(namespaces, "selector")))
