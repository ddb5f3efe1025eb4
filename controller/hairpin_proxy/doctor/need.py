"""Whether this cluster needs us: by the load balancers of its ingress controllers. Pure.

kube-proxy short-cuts an address in a Service's status if its ipMode is VIP or not given, and never a host name
(KEP-1860, https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-ip-mode).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Object
from hairpin_proxy.names import SERVICE, ServiceName

_PORTS = (80, 443)

_WORDS = ("ingress", "traefik", "contour", "envoy", "gateway", "kong")
"""What an ingress controller's Service is called."""


class Balancer(NamedTuple):
    """A Service of type LoadBalancer that may lead to an ingress controller."""

    name: ServiceName
    address: str
    """Of the Service itself, within the cluster."""

    ingress: tuple[Object, ...]
    """Its load balancer, as its status has it."""

    ports: tuple[int, ...]

    external: tuple[str, ...] = ()
    """Addresses that kube-proxy always short-cuts."""

    @property
    def public(self) -> frozenset[str]:
        """Addresses and host names of its load balancer."""
        found_all = {str(one[key]) for one in self.ingress for key in ("ip", "hostname") if one.get(key)}
        return frozenset(found_all | set(self.external))

    @property
    def short_cut(self) -> list[str]:
        """Its addresses that kube-proxy short-cuts."""
        own = [str(one["ip"]) for one in self.ingress if one.get("ip") and one.get("ipMode", "VIP") == "VIP"]
        return [*own, *self.external]


class Balancers(NamedTuple):
    """Those that were found."""

    seen: tuple[Balancer, ...]
    surely: bool
    """Whether they are ingress controllers', by an address in an Ingress's status, by being the target, or by name."""


def balancers(services: Iterable[Object], wanted: Collection[str], target: ServiceName | None = None) -> Balancers:
    """Those that serve web traffic; of these, if there are any, the ones with a wanted address, or the target."""
    found_all = [each for each in map(_balancer, services) if each]
    serving = [each for each in found_all if each.public & set(wanted)]
    serving = serving or [each for each in found_all if each.name == target]
    serving = serving or [each for each in found_all if any(word in each.name.name for word in _WORDS)]
    return Balancers(tuple(serving or found_all), bool(serving))


def findings(those: Balancers, demands: bool | None, *, installed: bool = True) -> Iterator[Finding]:
    """`demands` says whether the controller behind them demands PROXY; None if nobody has tried."""
    addressed = [each for each in those.seen if each.public]
    short_cut = [each for each in addressed if each.short_cut]
    if not addressed:
        yield found(texts.NO_BALANCER)
    elif not short_cut:
        text = texts.NOT_NEEDED if those.surely else texts.PERHAPS_NOT_NEEDED
        fix = "kubectl delete -f deploy.yml" if installed else "do not install it"
        yield found(text, service=addressed[0].name, why=_why(addressed[0]), fix=fix)
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
    external = tuple(spec.get("externalIPs") or ())
    if not (spec.get("type") == "LoadBalancer" or external) or not ports or name.name == SERVICE:
        return None
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return Balancer(name, str(spec.get("clusterIP") or ""), tuple(ingress), ports, external)
