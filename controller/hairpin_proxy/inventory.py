"""What the cluster holds now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from hairpin_proxy.edit import Remark
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.policy import Asked, Claim, Namespace
from hairpin_proxy.sources import gateway, ingress
from hairpin_proxy.sources.objects import tenant

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


@dataclass(frozen=True, slots=True)
class Sources:
    """The source of hosts: all objects of all namespaces, listed anew each time."""

    kube: Kube
    ingresses: ingress.Choice | None
    """None for no Ingresses."""

    gateway_classes: frozenset[str] | None
    """None for no Gateways; without any, all."""

    labels: bool = False
    """Whether the labels of namespaces count."""

    annotation: str | None = None
    """The one annotation of namespaces that counts."""

    remarks: tuple[Remark, ...] = ()
    """What an operator should know of this choice of sources."""

    def read(self) -> Asked:
        """Raises KubeError, and whatever was read before is worth nothing then: an error is never an empty list.

        Raises OperatorError if an object is none that an API server would send.
        """
        gateways = _GatewayApi(self.kube)
        namespaces = cache(self._namespaces)
        claims = list(self._ingresses())
        if self.gateway_classes is not None:
            claims += gateway.claims(gateways.items, self.gateway_classes, namespaces)
        known = namespaces() if self.labels or self.annotation else {}
        return Asked(claims, known, (*self.remarks, *gateways.remarks()))

    def _ingresses(self) -> Iterator[Claim]:
        if not self.ingresses:
            return
        choice = self.ingresses
        if choice.classes:
            classes = self.kube.items(f"{_NETWORKING}/ingressclasses", "IngressClassList")
            choice = replace(choice, default_classes=ingress.default_classes(classes))
        for item in self.kube.items(f"{_NETWORKING}/ingresses", "IngressList"):
            yield from ingress.claims(item, choice)

    def _namespaces(self) -> dict[str, Namespace]:
        found = map(tenant, self.kube.items(_NAMESPACES, "NamespaceList"))
        return {name: known._replace(annotations=self._annotation(known)) for name, known in found}

    def _annotation(self, namespace: Namespace) -> dict[str, str]:
        """The one that counts: others may be large."""
        return {name: text for name, text in namespace.annotations.items() if name == self.annotation}


@dataclass(slots=True)
class _GatewayApi:
    """What one poll sees of it. Its kinds come with a release, or not at all."""

    kube: Kube
    missing: list[str] = field(default_factory=list)

    def items(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """All objects of a kind, in the newest version that is served."""
        for version in _VERSIONS[kind]:
            some = False
            try:
                for item in self.kube.items(f"/apis/{gateway.GROUP}/{version}/{kind.lower()}s", f"{kind}List"):
                    some = True
                    yield item
            except KubeError as error:
                if error.status != 404 or some:
                    raise
            else:
                return
        self.missing.append(kind)

    def remarks(self) -> Iterator[Remark]:
        """What is not there, once all was gone through."""
        if "Gateway" in self.missing:
            yield Remark("the API server knows no Gateways: the Gateway API's CRDs are not installed")
        elif self.missing:
            kinds = ", ".join(f"{kind}s" for kind in self.missing)
            yield Remark(f"the API server knows no {kinds} (the Gateway API's CRDs that are installed)", calm=True)
