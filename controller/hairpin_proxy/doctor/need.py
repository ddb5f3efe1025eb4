"""Whether this cluster needs us: by the load balancers of its ingress controllers. Pure.

kube-proxy short-cuts an address in a Service's status if its ipMode is VIP or not given, and never a host name
(KEP-1860, https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-ip-mode).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Object
from hairpin_proxy.names import SERVICE, ServiceName

_PORTS = (80, 443)


class Balancer(NamedTuple):
    """A Service of type LoadBalancer that may lead to an ingress controller."""

    name: ServiceName
    address: str
    """Of the Service itself, within the cluster."""

    ingress: tuple[Object, ...]
    """Its load balancer, as its status has it."""

    ports: tuple[int, ...]

    @property
    def public(self) -> frozenset[str]:
        """Addresses and host names of its load balancer."""
        return frozenset(str(one[key]) for one in self.ingress for key in ("ip", "hostname") if one.get(key))

    @property
    def short_cut(self) -> list[str]:
        """Its addresses that kube-proxy short-cuts."""
        return [str(one["ip"]) for one in self.ingress if one.get("ip") and one.get("ipMode", "VIP") == "VIP"]


def balancers(services: Collection[Object], wanted: Collection[str]) -> list[Balancer]:
    """Those that serve web traffic; of these, if there are any, the ones that have one of the wanted addresses."""
    found_all = [each for each in map(_balancer, services) if each]
    serving = [each for each in found_all if each.public & set(wanted)]
    return serving or found_all


def findings(seen: Sequence[Balancer], demands: bool | None) -> Iterator[Finding]:
    """`demands` says whether the controller behind them demands PROXY; None if nobody has tried."""
    addressed = [each for each in seen if each.public]
    short_cut = [each for each in addressed if each.short_cut]
    if not addressed:
        yield found(texts.NO_BALANCER)
    elif not short_cut:
        yield found(texts.NOT_NEEDED, service=addressed[0].name, why=_why(addressed[0]))
    else:
        yield found(texts.NEEDED, service=short_cut[0].name, address=short_cut[0].short_cut[0])
        if demands is False:
            yield found(texts.DEMANDS_NOTHING, service=short_cut[0].name)
        elif demands:
            yield found(texts.DEMANDS)


def _why(balancer: Balancer) -> str:
    modes = [f"{one['ip']} with ipMode: Proxy" for one in balancer.ingress if one.get("ip")]
    names = [f"the host name {one['hostname']} and no address" for one in balancer.ingress if one.get("hostname")]
    return (modes or names)[0]


def _balancer(service: Object) -> Balancer | None:
    spec, metadata = service.get("spec") or {}, service["metadata"]
    name = ServiceName(metadata["namespace"], metadata["name"])
    ports = tuple(port["port"] for port in spec.get("ports") or () if port["port"] in _PORTS)
    if spec.get("type") != "LoadBalancer" or not ports or name.name == SERVICE:
        return None
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return Balancer(name, str(spec.get("clusterIP") or ""), tuple(ingress), ports)
