"""The hosts that an Ingress (networking.k8s.io/v1) names under `spec.tls`. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from hairpin_proxy.policy import Claim


def claims(ingress: Mapping[str, Any]) -> Iterator[Claim]:
    """One claim for each entry of `spec.tls[].hosts`. Every field may be missing or null, as the API allows.

    Raises TypeError or AttributeError for what no API server would send.
    """
    where = name(ingress)
    for tls in _entries((ingress.get("spec") or {}).get("tls")):
        for host in _entries((tls or {}).get("hosts")):
            if not isinstance(host, str | None):
                raise TypeError(f"{where}: a host is {host!r}")
            yield Claim(host or "", where)


def name(ingress: Mapping[str, Any]) -> str:
    """What people know it by: `Ingress default/web`, or without the namespace if a manifest leaves that to kubectl."""
    metadata = ingress.get("metadata") or {}
    return f"Ingress {'/'.join(str(part) for part in (metadata.get('namespace'), metadata.get('name')) if part)}"


def _entries(value: Any) -> list[Any]:
    if not isinstance(value, list | None):
        # A string, for one, would pass for a list of its letters.
        raise TypeError(f"not a list: {value!r}")
    return value or []
