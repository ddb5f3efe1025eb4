"""Which calls the controller makes, with which settings, and whether it may. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Call
from hairpin_proxy.names import CONTROLLER, COREDNS_NAMESPACE, SERVICE_ACCOUNT, ServiceName, role, role_binding
from hairpin_proxy.settings import ConfigMapName, Settings

_RBAC = "rbac.authorization.k8s.io"
_NETWORKING = "networking.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
_CHANGES = ("get", "patch")
_ALL = ("list", "watch")

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
    return tuple(dict.fromkeys(found))


def _sources(settings: Settings) -> Iterator[Call]:
    """What hosts come from, or depend on."""
    kinds = []
    if "ingress" in settings.source:
        kinds += [(_NETWORKING, "ingresses")]
        kinds += [(_NETWORKING, "ingressclasses")] if settings.ingress_class else []
    if "gateway" in settings.source:
        kinds += [(_GATEWAY, kind) for kind in ("gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes")]
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


def findings(account: str, allowed: Allowed) -> Iterator[Finding]:
    """Of this account, by the reviews of all calls."""
    missing = [call for call, may in allowed.items() if not may]
    needed = [call for call in missing if call.verb != "watch"]
    if needed:
        yield found(texts.RIGHT_MISSING, account=account, calls=_named(needed), command=_command(needed))
    elif missing:
        yield found(texts.WATCH_MISSING, account=account, calls=_named(missing))
    else:
        yield found(texts.RIGHTS, account=account, count=len(allowed))


def _named(missing: Sequence[Call]) -> str:
    more = f", and {len(missing) - _NAMED} calls more" if len(missing) > _NAMED else ""
    return ", ".join(map(str, missing[:_NAMED])) + more


def _command(missing: Sequence[Call]) -> str:
    """Another ConfigMap is not in deploy.yml, and pods are in a component."""
    resources = {call.resource for call in missing}
    if resources == {"pods"}:
        return "kubectl apply -f deploy-nudge-coredns.yml"
    return "kubectl apply -f deploy.yml; the log of the controller has the command for a ConfigMap of another name"
