"""What objects of all kinds have in common. Pure.

Every field may be missing or null, as the API allows. TypeError or AttributeError is raised for what no API server
would send.
"""

from collections.abc import Mapping
from typing import Any

from hairpin_proxy.policy import Reason

IGNORE_ANNOTATION = "hairpin-proxy/ignore"


def entries(value: Any) -> list[Any]:
    """The entries of a list that may be null."""
    if not isinstance(value, list | None):
        # A string, for one, would pass for a list of its letters.
        raise TypeError(f"not a list: {value!r}")
    return value or []


def mapping(thing: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A field that holds a mapping and may be null."""
    value = thing.get(field)
    if not isinstance(value, dict | None):
        raise TypeError(f"{field} is {value!r}")
    return value or {}


def name(thing: Mapping[str, Any], kind: str = "Ingress") -> str:
    """What people know it by: `Ingress default/web`, or without the namespace if a manifest leaves that to kubectl."""
    metadata = mapping(thing, "metadata")
    return f"{kind} {'/'.join(str(part) for part in (metadata.get('namespace'), metadata.get('name')) if part)}"


def namespace(thing: Mapping[str, Any]) -> str:
    """The namespace that it is in; empty if a manifest leaves that to kubectl."""
    return str(mapping(thing, "metadata").get("namespace") or "")


def ignored(thing: Mapping[str, Any]) -> Reason | None:
    """The reason why all its hosts are left out, if its owner says so."""
    if mapping(mapping(thing, "metadata"), "annotations").get(IGNORE_ANNOTATION) != "true":
        return None
    return Reason("ignored", f"is asked for by an object with annotation {IGNORE_ANNOTATION}", chosen=True)


def load_balancer(thing: Mapping[str, Any]) -> tuple[str, ...]:
    """IP addresses and names of the load balancer in an Ingress's status."""
    points = entries(mapping(mapping(thing, "status"), "loadBalancer").get("ingress"))
    found = (
        str((point or {}).get(field)) for point in points for field in ("ip", "hostname") if (point or {}).get(field)
    )
    return tuple(dict.fromkeys(found))
