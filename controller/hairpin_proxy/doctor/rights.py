"""Which calls the controller makes, with which settings, and whether it may. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Call
from hairpin_proxy.names import CONTROLLER, COREDNS_NAMESPACE, SERVICE_ACCOUNT, ServiceName, role, role_binding
from hairpin_proxy.settings import ConfigMapName, Settings

_RBAC = "rbac.authorization.k8s.io"
_NETWORKING = "networking.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
_ROUTES = ("gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes")
_NODE_LOCAL_DNS = "node-local-dns"
_CHANGES = ("get", "patch")
_ALL = ("list", "watch")

_IN_THE_MANIFESTS = ("coredns", "coredns-custom", "node-local-dns")

_NAMED = 3
"""Calls that one sentence names."""


def calls(
    namespace: str, settings: Settings, service: ServiceName | None, configmaps: tuple[ConfigMapName, ...]
) -> tuple[Call, ...]:
    """Those of the install in this namespace, whose rules lead to this Service and stand in these ConfigMaps."""
    found = [*_sources(settings), *_own(namespace), *_haproxy(service), *_coredns(namespace, configmaps)]
    coredns = configmaps[0].namespace if configmaps else COREDNS_NAMESPACE
    if settings.nudge_coredns:
        found += [Call(verb, "", "pods", coredns) for verb in ("list", "patch")]
    if settings.events:
        found += _events(settings)
    if settings.node_local_dns == "on":
        found += [Call(verb, "", "configmaps", coredns, _NODE_LOCAL_DNS) for verb in _CHANGES]
    return tuple(dict.fromkeys(found))


def _events(settings: Settings) -> Iterator[Call]:
    yield Call("create", "", "events")
    if "ingress" in settings.source:
        yield Call("get", _NETWORKING, "ingresses")
    if "gateway" in settings.source:
        yield from (Call("get", _GATEWAY, kind) for kind in _ROUTES)


def _sources(settings: Settings) -> Iterator[Call]:
    """What hosts come from, or depend on."""
    kinds = []
    if "ingress" in settings.source:
        kinds += [(_NETWORKING, "ingresses")]
        kinds += [(_NETWORKING, "ingressclasses")] if settings.ingress_class else []
    if "gateway" in settings.source:
        kinds += [(_GATEWAY, kind) for kind in _ROUTES]
    if "gateway" in settings.source or settings.namespace_selector or settings.domain_per_namespace_annotation:
        kinds += [("", "namespaces")]
    yield from (Call(verb, group, resource) for group, resource in kinds for verb in _ALL)


def _own(namespace: str) -> Iterator[Call]:
    """What tells an uninstall, and what is let go of then."""
    yield Call("get", "", "namespaces", namespace, namespace)
    yield Call("get", "apps", "deployments", namespace, CONTROLLER)
    yield from (Call(verb, "", "serviceaccounts", namespace, SERVICE_ACCOUNT) for verb in _CHANGES)
    yield from _held(namespace, namespace)


def _held(namespace: str, where: str) -> Iterator[Call]:
    names = (("roles", role(namespace)), ("rolebindings", role_binding(namespace)))
    yield from (Call(verb, _RBAC, resource, where, name) for resource, name in names for verb in _CHANGES)


def _haproxy(service: ServiceName | None) -> Iterator[Call]:
    """Whether anybody answers where new hosts are to be led."""
    if service:
        yield Call("get", "", "services", service.namespace, service.name)
        yield Call("list", "discovery.k8s.io", "endpointslices", service.namespace)


def _coredns(namespace: str, configmaps: tuple[ConfigMapName, ...]) -> Iterator[Call]:
    where = configmaps[0].namespace if configmaps else COREDNS_NAMESPACE
    yield from (Call(verb, "", "configmaps", each.namespace, each.name) for each in configmaps for verb in _CHANGES)
    yield Call("list", "", "services", where)
    yield from (Call("list", "apps", resource, where) for resource in ("deployments", "daemonsets"))
    yield Call("list", "discovery.k8s.io", "endpointslices", where)
    yield from _held(namespace, where)


Allowed = Mapping[Call, bool]
"""Whether each call may be made."""


def findings(namespace: str, account: str, allowed: Allowed) -> Iterator[Finding]:
    """Of this account, by the reviews of all calls."""
    missing = [call for call, may in allowed.items() if not may]
    needed = [call for call in missing if call.verb != "watch"]
    if needed:
        yield found(texts.RIGHT_MISSING, account=account, calls=_named(needed), command=_command(namespace, needed))
    elif missing:
        yield found(texts.WATCH_MISSING, account=account, calls=_named(missing))
    else:
        yield found(texts.RIGHTS, account=account, count=len(allowed))


def _named(missing: Sequence[Call]) -> str:
    more = f", and {len(missing) - _NAMED} calls more" if len(missing) > _NAMED else ""
    return ", ".join(map(str, missing[:_NAMED])) + more


def _by_namespace(calls: Sequence[Call]) -> dict[str, list[str]]:
    return {each.namespace: sorted({call.name for call in calls if call.namespace == each.namespace}) for each in calls}


def _grant(namespace: str, where: str, names: Sequence[str]) -> str:
    """As docs/distributions.md has it."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": list(names), "verbs": list(_CHANGES)}
    patch = json.dumps([{"op": "add", "path": "/rules/-", "value": rule}], separators=(",", ":"))
    return f"kubectl -n {where} patch role {role(namespace)} --type json -p '{patch}'"


def _command(namespace: str, missing: Sequence[Call]) -> str:
    """Another ConfigMap is not in deploy.yml."""
    files = dict.fromkeys(map(_file, missing))
    command = " && ".join(f"kubectl apply -f {file}" for file in files)
    others = [call for call in missing if call.resource == "configmaps" and call.name not in _IN_THE_MANIFESTS]
    if not others:
        return command
    return "; ".join(_grant(namespace, name, names) for name, names in _by_namespace(others).items())


def _file(call: Call) -> str:
    """The manifest that gives it."""
    if call.resource == "pods":
        return "deploy-nudge-coredns.yml"
    if call.name == _NODE_LOCAL_DNS:
        return "deploy-node-local-dns.yml"
    is_of_events = call.resource == "events" or (call.verb == "get" and call.group in (_NETWORKING, _GATEWAY))
    return "deploy-events.yml" if is_of_events else "deploy.yml"
