"""The hosts that an Ingress (networking.k8s.io/v1) names under `spec.tls` and `spec.rules`. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hairpin_proxy.policy import Claim, Reason
from hairpin_proxy.sources.objects import checked, entries, ignored, mapping, name, namespace

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
"""Both of https://kubernetes.io/docs/reference/labels-annotations-taints/."""

HOSTS_FROM = ("tls", "rules", "all")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which hosts of which Ingresses."""

    hosts_from: str = "tls"
    """One of HOSTS_FROM."""

    classes: frozenset[str] = frozenset()
    """Without any, all."""

    default_classes: frozenset[str] = frozenset()
    """The IngressClasses that Ingresses of no class have."""


def claims(ingress: Mapping[str, Any], choice: Choice) -> Iterator[Claim]:
    """One claim for each host, those that are left out with the reason. Every field may be missing or null.

    Raises OperatorError for what no API server would send.
    """
    with checked(ingress, "Ingress"):
        where, tenant = name(ingress, "Ingress"), namespace(ingress)
        refusal = _refusal(ingress, choice)
        addresses = _load_balancer(ingress)
        hosts = _hosts(ingress, where)
    chosen = [host for field, found in hosts.items() if choice.hosts_from in (field, "all") for host in found]
    for host in chosen:
        yield Claim(host, where, tenant, addresses, refusal)
    for field, found in hosts.items():
        text = f"stands only under spec.{field}, and --hosts-from is {choice.hosts_from}"
        for host in sorted(set(found).difference(chosen)):
            yield Claim(host, where, tenant, addresses, refusal or Reason("hosts-from", text, chosen=True))


def default_classes(ingress_classes: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names of those IngressClasses that Ingresses have which name none. Raises OperatorError."""
    return frozenset(name for each in ingress_classes if (name := _default_class(each)))


def _default_class(ingress_class: Mapping[str, Any]) -> str | None:
    with checked(ingress_class, "IngressClass"):
        metadata = mapping(ingress_class, "metadata")
        is_default = mapping(metadata, "annotations").get(_DEFAULT_CLASS_ANNOTATION) == "true"
        return str(metadata.get("name")) if is_default else None


def _hosts(ingress: Mapping[str, Any], where: str) -> dict[str, list[str]]:
    """By the field of the spec."""
    spec = mapping(ingress, "spec")
    tls = [host for entry in entries(spec.get("tls")) for host in entries((entry or {}).get("hosts"))]
    # A rule without a host is one for every host.
    rules = [rule["host"] for rule in entries(spec.get("rules")) if (rule or {}).get("host")]
    for host in (*tls, *rules):
        if not isinstance(host, str | None):
            raise TypeError(f"{where}: a host is {host!r}")
    return {"tls": [host or "" for host in tls], "rules": rules}


def _refusal(ingress: Mapping[str, Any], choice: Choice) -> Reason | None:
    if ignored(ingress):
        return ignored(ingress)
    if not choice.classes:
        return None
    annotations = mapping(mapping(ingress, "metadata"), "annotations")
    # The API's documentation of ingressClassName gives precedence to the annotation.
    named = annotations.get(_CLASS_ANNOTATION) or mapping(ingress, "spec").get("ingressClassName")
    if {named} & choice.classes or (not named and choice.default_classes & choice.classes):
        return None
    theirs = f"class {named}" if named else "no class"
    text = f"is asked for by an Ingress of {theirs}, and --ingress-class is {', '.join(sorted(choice.classes))}"
    return Reason("ingress-class", text, chosen=True)


def _load_balancer(thing: Mapping[str, Any]) -> tuple[str, ...]:
    """IP addresses and names of the load balancer in its status."""
    points = entries(mapping(mapping(thing, "status"), "loadBalancer").get("ingress"))
    found = (
        str((point or {}).get(field)) for point in points for field in ("ip", "hostname") if (point or {}).get(field)
    )
    return tuple(dict.fromkeys(found))
