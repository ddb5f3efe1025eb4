"""CoreDNS's pods: telling them of a new Corefile, and asking them for names."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import ServiceName

LABEL = "k8s-app=kube-dns"
"""What CoreDNS's pods bear in nearly every distribution, for the Service kube-dns selects them by it."""

ANNOTATION = "hairpin-proxy/corefile-written-at"


def nudge(kube: Kube, namespace: str) -> list[str]:
    """Touches an annotation of each pod, for kubelet then reads its ConfigMaps anew, a minute before it would else.

    Returns what went wrong.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        pods = _pods(kube, namespace)
    except KubeError as error:
        return [str(error)]
    problems = []
    for pod in pods:
        try:
            kube.merge_patch(pod, {"metadata": {"annotations": {ANNOTATION: now}}})
        except KubeError as error:
            if error.status != 404:  # A pod that has gone meanwhile need not know.
                problems.append(str(error))
    return problems


def _pods(kube: Kube, namespace: str) -> list[str]:
    """The path of each pod that is to stay."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods: list[dict[str, Any]] = list(kube.items(path, "PodList", labelSelector=LABEL))
    return [f"{path}/{pod['metadata']['name']}" for pod in pods if not pod["metadata"].get("deletionTimestamp")]


_SECONDS = 2.0
"""How long an answer may take."""


class Server(NamedTuple):
    """Where one CoreDNS answers."""

    address: str
    port: int


def servers(kube: Kube, service: ServiceName) -> list[Server]:
    """Every CoreDNS behind a Service that is not on its way out. Raises OperatorError if there is none."""
    slices = kube.items(service.slices_path, "EndpointSliceList", labelSelector=service.slices_selector)
    found = {server for item in slices for server in _servers(item)}
    if not found:
        raise OperatorError(f"Service {service} has no endpoint that could be asked")
    return sorted(found)


def agree(found: Collection[Server], name: str, like: str) -> bool:
    """Whether all of these servers answer a name as they answer another, and answer that.

    Raises OperatorError if one gives no answer.
    """
    return all((answer := _ask(server, name)) and answer == _ask(server, like) for server in found)


def _servers(item: dict[str, Any]) -> list[Server]:
    ports = [port["port"] for port in item.get("ports") or () if port.get("protocol") == "UDP" and port.get("port")]
    staying = [one for one in item.get("endpoints") or () if not (one.get("conditions") or {}).get("terminating")]
    return [Server(address, port) for one in staying for address in one["addresses"] for port in ports]


def _ask(server: Server, name: str) -> frozenset[str]:
    """The addresses of a name, IPv4 or else IPv6. Raises OperatorError without an answer."""
    # Hardly ever needed, and as large as all the rest.
    import dns.exception  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.query  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        query = dns.message.make_query(name, kind)
        try:
            answer = dns.query.udp(query, server.address, _SECONDS, server.port)
        except (dns.exception.DNSException, OSError) as error:
            raise OperatorError(f"no answer from CoreDNS at {server.address}, port {server.port}: {error}") from error
        if found := frozenset(str(record) for rrset in answer.answer if rrset.rdtype == kind for record in rrset):
            return found
    return frozenset()
