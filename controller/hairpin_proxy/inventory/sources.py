"""What the cluster's objects ask for: which kinds are looked at, and what is kept of their objects."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from typing import Any

from hairpin_proxy.edit import Remark
from hairpin_proxy.inventory.collection import Collection, Resource
from hairpin_proxy.inventory.shelf import Shelf
from hairpin_proxy.inventory.watches import Watches
from hairpin_proxy.kube import Kube
from hairpin_proxy.policy import Asked, Claim, Namespace
from hairpin_proxy.sources import gateway, ingress
from hairpin_proxy.sources.objects import tenant

_NETWORKING = "/apis/networking.k8s.io/v1"
_INGRESSES = Resource(f"{_NETWORKING}/ingresses", "Ingress")
_INGRESS_CLASSES = Resource(f"{_NETWORKING}/ingressclasses", "IngressClass")
_NAMESPACES = Resource("/api/v1/namespaces", "Namespace")

_VERSIONS = {
    "Gateway": ("v1", "v1beta1"),
    "ListenerSet": ("v1",),
    "HTTPRoute": ("v1", "v1beta1"),
    "GRPCRoute": ("v1", "v1alpha2"),
    "TLSRoute": ("v1", "v1alpha3", "v1alpha2"),
}
"""Of the Gateway API, by kinds, the newest first: what its releases since 1.0 serve."""


@dataclass(slots=True)
class Sources:
    """The source of hosts: all objects of all namespaces."""

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

    watches: Watches = field(default_factory=Watches)

    _shelf: Shelf = field(init=False)
    _last: Asked | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._shelf = Shelf(self.kube)

    def read(self, not_before: float = -math.inf) -> Asked:
        """What all objects ask for. What was listed before that time is listed anew.

        Raises KubeError, and whatever was read before is worth nothing then: an error is never an empty list.
        Raises OperatorError if an object is none that an API server would send.
        """
        self.watches.begin()
        self._shelf.not_before = not_before
        if not self._last or self._shelf.has_changed():
            self._last = None  # whatever goes wrong now
            with self._shelf.anew():
                self._last = self._asked()
        missing, doubts = tuple(self._unwatched()), tuple(self._shelf.doubts())
        if not missing and not doubts:
            return self._last
        return replace(self._last, remarks=(*self._last.remarks, *missing), doubts=doubts)

    def wait(self, seconds: float, quiet: float) -> None:
        """Until the next poll is due: for some seconds, or less if something changes that the last one has read.

        For the first `quiet` seconds it does not matter what changes.
        """
        self.watches.wait(self._shelf.collections(), seconds, quiet)

    def _asked(self) -> Asked:
        gateways, namespaces = _GatewayApi(self._shelf), cache(self._namespaces)
        claims = [claim for found in self._ingresses() for claim in found]
        if self.gateway_classes is not None:
            claims += gateway.claims(gateways.items, self.gateway_classes, namespaces)
        known = namespaces() if self.labels or self.annotation else {}
        return Asked(claims, known, (*self.remarks, *gateways.remarks()))

    def _ingresses(self) -> Collection[tuple[Claim, ...]] | tuple[()]:
        if not self.ingresses:
            return ()
        choice = self.ingresses
        if choice.classes:
            classes = self._shelf.get(_INGRESS_CLASSES, _default_class)
            choice = replace(choice, default_classes=frozenset(filter(None, classes)))
        return self._shelf.get(_INGRESSES, partial(_claims, choice=choice), choice)

    def _namespaces(self) -> dict[str, Namespace]:
        return dict(self._shelf.get(_NAMESPACES, partial(_tenant, annotation=self.annotation)))

    def _unwatched(self) -> Iterator[Remark]:
        for each in self._shelf.collections():
            if each.problem:
                yield Remark(
                    "what changes shows only with the next poll, and each one lists all objects anew, for they cannot "
                    f"be watched: {each.problem}"
                )


@dataclass(slots=True)
class _GatewayApi:
    """What one poll sees of it. Its kinds come with a release, or not at all."""

    shelf: Shelf
    missing: list[str] = field(default_factory=list)

    def items(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """What is needed of all objects of a kind, in the newest version that is served."""
        for version in _VERSIONS[kind]:
            resource = Resource(f"/apis/{gateway.GROUP}/{version}/{kind.lower()}s", kind)
            found = self.shelf.find(resource, partial(_needed, kind=kind))
            if found is not None:
                return map(json.loads, found)
        self.missing.append(kind)
        return iter(())

    def remarks(self) -> Iterator[Remark]:
        """What is not there, once all was gone through."""
        if "Gateway" in self.missing:
            yield Remark("the API server knows no Gateways: the Gateway API's CRDs are not installed")
        elif self.missing:
            kinds = ", ".join(f"{kind}s" for kind in self.missing)
            yield Remark(f"the API server knows no {kinds} (the Gateway API's CRDs that are installed)", calm=True)


def _claims(item: Mapping[str, Any], choice: ingress.Choice) -> tuple[Claim, ...]:
    """What an Ingress asks for; what many of them have in common is in memory once."""
    return tuple(
        claim._replace(
            namespace=_shared(claim.namespace), addresses=_shared(claim.addresses), refusal=_shared(claim.refusal)
        )
        for claim in ingress.claims(item, choice)
    )


def _default_class(item: Mapping[str, Any]) -> str:
    """Its name if Ingresses are of this class which name none, and else nothing."""
    return next(iter(ingress.default_classes([item])), "")


def _tenant(item: Mapping[str, Any], annotation: str | None) -> tuple[str, Namespace]:
    """With the one annotation that counts: others may be large."""
    name, found = tenant(item)
    return name, found._replace(annotations={key: text for key, text in found.annotations.items() if key == annotation})


def _needed(item: Mapping[str, Any], kind: str) -> str:
    """As text, which takes a fifth of the memory, and is read only when something has changed."""
    return json.dumps(gateway.needed(item, kind), separators=(",", ":"))


@lru_cache(maxsize=4096)
def _shared(value: Any) -> Any:
    """An equal value that was seen before, if there is any."""
    return value
