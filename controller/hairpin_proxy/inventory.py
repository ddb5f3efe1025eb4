"""What the cluster holds now."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hairpin_proxy.edit import Remark
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.policy import Asked, Claim, Namespace
from hairpin_proxy.sources import gateway, ingress
from hairpin_proxy.sources.gateway import Key, Parent, Parents
from hairpin_proxy.sources.objects import mapping

_NETWORKING = "/apis/networking.k8s.io/v1"
_NAMESPACES = "/api/v1/namespaces"

_VERSIONS = {
    "Gateway": ("v1", "v1beta1"),
    "ListenerSet": ("v1",),
    "HTTPRoute": ("v1", "v1beta1"),
    "GRPCRoute": ("v1", "v1alpha2"),
    "TLSRoute": ("v1", "v1alpha3", "v1alpha2"),
}
"""Of the Gateway API, by kinds, the newest first: what its releases since 1.0 serve."""

Namespaces = Mapping[str, Namespace]


@dataclass(frozen=True, slots=True)
class Sources:
    """The source of hosts: all objects of all namespaces, listed anew each time."""

    kube: Kube
    destination: str
    ingresses: ingress.Choice | None
    """None for no Ingresses."""

    gateway_classes: frozenset[str] | None
    """None for no Gateways; without any, all."""

    labels: bool = False
    """Whether the labels of namespaces count."""

    annotation: str | None = None
    """The one annotation of namespaces that counts."""

    def read(self) -> Asked:
        """Raises KubeError, and whatever was read before is worth nothing then: an error is never an empty list."""
        api = _GatewayApi(self.kube)
        served = None if self.gateway_classes is None else api.gateways(self.gateway_classes)
        namespaces: Namespaces = {}
        if self.labels or self.annotation or (served and served.needs_namespaces):
            namespaces = dict(self._namespaces())
        claims = (*self._ingresses(), *(api.claims(served, namespaces) if served else ()))
        return Asked(claims, namespaces, (*self._of_both(), *api.remarks()))

    def _ingresses(self) -> Iterator[Claim]:
        if not self.ingresses:
            return
        choice = self.ingresses
        if choice.classes:
            choice = replace(choice, default_classes=frozenset(self._default_classes()))
        path = f"{_NETWORKING}/ingresses"
        for item in self.kube.items(path, "IngressList"):
            with _checked(path, "Ingress"):
                yield from ingress.claims(item, choice)

    def _default_classes(self) -> Iterator[str]:
        path = f"{_NETWORKING}/ingressclasses"
        for item in self.kube.items(path, "IngressClassList"):
            with _checked(path, "IngressClass"):
                if ingress.is_default_class(item):
                    yield str(mapping(item, "metadata").get("name"))

    def _namespaces(self) -> Iterator[tuple[str, Namespace]]:
        for item in self.kube.items(_NAMESPACES, "NamespaceList"):
            with _checked(_NAMESPACES, "Namespace"):
                metadata = mapping(item, "metadata")
                annotations = mapping(metadata, "annotations")
                only = {key: value for key, value in annotations.items() if key == self.annotation}
                yield str(metadata.get("name")), Namespace(mapping(metadata, "labels"), only)

    def _of_both(self) -> Iterator[Remark]:
        if self.ingresses and self.gateway_classes is not None:
            yield Remark(
                f"hosts of Ingresses and of Gateways are all led to {self.destination}, whose HAProxy has one target; "
                "if different programs serve them, each needs an install of its own (README, Two installs)"
            )


@contextmanager
def _checked(path: str, kind: str) -> Iterator[None]:
    """Says of a list that it holds what cannot be."""
    try:
        yield
    except (TypeError, AttributeError) as error:
        raise KubeError(f"GET {path}", f"the answer holds what is no {kind}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Served:
    """The Gateways, and the ListenerSets that may belong to them."""

    gateways: Parents
    sets: Sequence[Mapping[str, Any]]

    @property
    def needs_namespaces(self) -> bool:
        """Whether what attaches may depend on the labels of a namespace."""
        return bool(self.sets) or any(parent.needs_namespaces for parent in self.gateways.values())


@dataclass(slots=True)
class _GatewayApi:
    """What one poll sees of it. Its kinds come with a release, or not at all."""

    kube: Kube
    missing: list[str] = field(default_factory=list)

    def gateways(self, classes: frozenset[str]) -> _Served:
        """What routes can attach to."""
        found: dict[Key, Parent] = {}
        for path, item in self._items("Gateway"):
            with _checked(path, "Gateway"):
                parent = gateway.gateway(item, classes)
                found[parent.key] = parent
        return _Served(found, [item for _, item in self._items("ListenerSet")])

    def claims(self, served: _Served, namespaces: Namespaces) -> Iterator[Claim]:
        """What the Gateways, their ListenerSets and the routes ask for."""
        with _checked(f"/apis/{gateway.GROUP}/v1/listenersets", "ListenerSet"):
            sets = [gateway.listener_set(item, served.gateways, namespaces) for item in served.sets]
        parents: Parents = {**served.gateways, **{each.key: each for each in sets}}
        for parent in parents.values():
            yield from gateway.claims(parent)
        for kind in gateway.ROUTES:
            for path, route in self._items(kind):
                with _checked(path, kind):
                    yield from gateway.route_claims(route, kind, parents, namespaces)

    def remarks(self) -> Iterator[Remark]:
        """What is not there, once all was gone through."""
        if "Gateway" in self.missing:
            yield Remark("the API server knows no Gateways: the Gateway API's CRDs are not installed")
        elif self.missing:
            kinds = ", ".join(f"{kind}s" for kind in self.missing)
            yield Remark(f"the API server knows no {kinds} (the Gateway API's CRDs that are installed)", calm=True)

    def _items(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each with the path of its list, in the newest version that is served."""
        for version in _VERSIONS[kind]:
            path = f"/apis/{gateway.GROUP}/{version}/{kind.lower()}s"
            some = False
            try:
                for item in self.kube.items(path, f"{kind}List"):
                    some = True
                    yield path, item
            except KubeError as error:
                if error.status != 404 or some:
                    raise
            else:
                return
        self.missing.append(kind)
