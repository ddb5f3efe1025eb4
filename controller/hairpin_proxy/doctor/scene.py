"""All that is looked at, each thing when it is first needed, and once: the API server first, and then the network."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from hairpin_proxy import hairpin
from hairpin_proxy.configuration import Configuration
from hairpin_proxy.corefile import CorefileError, checks
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.fingerprint import fingerprint
from hairpin_proxy.corefile.homes import cluster_zones
from hairpin_proxy.doctor import configuration, gather, haproxy, live, need, probes, rights, rules, target
from hairpin_proxy.doctor.arrival import Arrival
from hairpin_proxy.doctor.gather import Reviews, attempt
from hairpin_proxy.doctor.need import Balancer
from hairpin_proxy.doctor.nodes import Node
from hairpin_proxy.doctor.seen import Install, Object, Server, Unseen
from hairpin_proxy.doctor.target import Target, Tried, UnknownTargetError
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import is_wildcard
from hairpin_proxy.kube import Kube
from hairpin_proxy.locate import NodeCache, node_caches
from hairpin_proxy.names import COREDNS_NAMESPACE, HAPROXY, ServiceName, service
from hairpin_proxy.nodecache import Writing
from hairpin_proxy.plan import Plan
from hairpin_proxy.policy import Asked, Decision, Facts
from hairpin_proxy.providers.place import Place
from hairpin_proxy.providers.reader import Reader
from hairpin_proxy.reconcile import Judged

SAMPLE = 50
"""Hosts that DNS is asked for, at most."""

_DNS_PORT = 53

_POLL_SECONDS = 3.0
"""For a poll itself, and its write."""

_HEALTH_PORT = 8404
"""Where HAProxy says what it was told (haproxy.cfg)."""


@dataclass(frozen=True)
class Scene:
    """One install, and all that lies on the way to it."""

    kube: Kube
    source: Callable[[], Asked]
    decide: Callable[[Asked, Facts], Judged]
    reader: Reader
    plan: Plan
    blocks: Writing
    """How node-local-dns's blocks are written."""

    install: Install

    # ---- what the API server says

    @cached_property
    def asked(self) -> Asked | Unseen:
        """What the cluster's objects ask for."""
        return attempt(self.source)

    @cached_property
    def balancers(self) -> list[Balancer] | Unseen:
        """Load balancers of ingress controllers."""
        found = gather.listed(self.kube, "/api/v1/services", "ServiceList")
        claims = self.asked.claims if isinstance(self.asked, Asked) else ()
        wanted = {each for claim in claims for each in claim.addresses}
        return found if isinstance(found, Unseen) else need.balancers(found, wanted)

    @cached_property
    def place(self) -> Place | Unseen:
        """Where CoreDNS reads its Corefile."""
        return attempt(self.reader.places.get)

    @cached_property
    def state(self) -> Configuration | Unseen:
        """CoreDNS's configuration."""
        return attempt(self.reader.read)

    @cached_property
    def reviews(self) -> Reviews | Unseen:
        """Which calls may be made."""
        place, state, settings = self.place, self.state, self.install.settings
        names = [place.configmap] if isinstance(place, Place) else []
        if isinstance(state, Configuration) and state.imported:
            names += [state.imported.configmap.name]
        calls = rights.calls(self.install.namespace, settings, self.service, tuple(dict.fromkeys(names)))
        return gather.reviews(self.kube, self.install, calls)

    @cached_property
    def decision(self) -> Decision | Unseen:
        """Which hosts may be redirected."""
        if isinstance(self.asked, Unseen) or isinstance(self.state, Unseen):
            return self.asked if isinstance(self.asked, Unseen) else Unseen("see [coredns]")
        return self.decide(self.asked, self.plan.facts(self.state))[0]

    @cached_property
    def judged(self) -> rules.Judged | Unseen:
        """The rules, and what should be there. Where a controller is at work, rules may just be coming."""
        judged = self._judged()
        if isinstance(judged, Unseen) or not judged.missing or not self._is_at_work:
            return judged
        time.sleep(self.install.settings.interval + _POLL_SECONDS)
        for seen in ("asked", "state", "decision"):
            self.__dict__.pop(seen, None)
        return self._judged()

    @property
    def _is_at_work(self) -> bool:
        """Whether a controller is ready, and nothing keeps it from writing."""
        controller = self.install.controller
        status = {} if isinstance(controller, Unseen) else controller.get("status") or {}
        return bool(status.get("readyReplicas") and self.haproxies and not self.install.settings.dry_run)

    def _judged(self) -> rules.Judged | Unseen:
        state, decision = self.state, self.decision
        if isinstance(state, Unseen) or isinstance(decision, Unseen):
            return state if isinstance(state, Unseen) else decision if isinstance(decision, Unseen) else Unseen("")
        return attempt(lambda: rules.judge(self.plan, state, decision.hosts))

    @property
    def service(self) -> ServiceName | None:
        """The Service that the rules lead to, if they lead to one."""
        return service(self.install.settings.destination)

    @cached_property
    def slices(self) -> list[Object] | Unseen:
        """Its EndpointSlices."""
        return gather.slices(self.kube, self.service) if self.service else []

    @property
    def haproxies(self) -> list[Server]:
        """Where HAProxy is ready."""
        return [] if isinstance(self.slices, Unseen) else haproxy.endpoints(self.slices, "http")

    @cached_property
    def coredns(self) -> list[Server] | Unseen:
        """Each CoreDNS behind the DNS Service; none if nobody maintains its endpoints."""
        if not isinstance(self.place, Place) or not self.place.location:
            return Unseen("it cannot be seen which pods are CoreDNS's")
        name = ServiceName(self.place.configmap.namespace, self.place.location.service)
        found = gather.slices(self.kube, name)
        return found if isinstance(found, Unseen) else haproxy.endpoints(found, "dns")

    @cached_property
    def nodes(self) -> list[Node]:
        """Each node-local-dns, with what it answers."""
        namespace = self.place.configmap.namespace if isinstance(self.place, Place) else COREDNS_NAMESPACE
        found = gather.listed(self.kube, f"/apis/apps/v1/namespaces/{namespace}/daemonsets", "DaemonSetList")
        caches = [] if isinstance(found, Unseen) else node_caches(namespace, found)
        return [gather.node(self.kube, cache, self._asked_on_nodes(cache)) for cache in caches]

    def _asked_on_nodes(self, cache: NodeCache) -> tuple[live.Asked, ...]:
        servers = [Server(address, _DNS_PORT) for address in cache.addresses[:1]] if self.reached else []
        names, where = [hairpin.name_for(host) for host in self.hosts], self.install.settings.destination
        return tuple(probes.ask(server, names, where, None) for server in servers)

    @property
    def upstream(self) -> str:
        """Where CoreDNS answers whoever does not ask node-local-dns."""
        seen = gather.listed(self.kube, "/api/v1/namespaces/kube-system/services", "ServiceList")
        addresses = {} if isinstance(seen, Unseen) else {
            each["metadata"]["name"]: str(each["spec"].get("clusterIP")) for each in seen
        }  # fmt: skip
        return addresses.get("kube-dns-upstream") or addresses.get("kube-dns") or "ADDRESS-OF-COREDNS"

    @property
    def restart(self) -> str:
        """CoreDNS's workload, as `kubectl rollout restart` takes it."""
        location = self.place.location if isinstance(self.place, Place) else None
        kind, _, name = location.workload.partition(" ") if location else ("Deployment", "", "kube-system/coredns")
        return f"{kind.lower()}/{name.rpartition('/')[2]}"

    # ---- what the network says

    @cached_property
    def reached(self) -> bool:
        """Whether pods can be reached from here."""
        coredns = [] if isinstance(self.coredns, Unseen) else self.coredns
        healths = [Server(server.address, _HEALTH_PORT) for server in self.haproxies]
        return (
            self.install.in_pod
            or any(probes.addresses(server, name) for server in coredns for name in self._own_names)
            or any(probes.get(server, HAPROXY, "/healthz")[0] == 200 for server in healths)
        )

    @property
    def _own_names(self) -> list[str]:
        """Of the DNS Service, as no DNS server outside of the cluster knows them."""
        place, zones = self.place, {self.install.settings.destination.partition(".svc.")[2]}
        if isinstance(place, Unseen) or not place.location:
            return []
        if isinstance(self.state, Configuration):
            zones |= cluster_zones(self.plan.rules.read(self.state.corefile).blocks, self.state.files)
        domains = sorted(zone for zone in zones if zone and not zone.endswith(".arpa"))
        return [f"{place.location.service}.{place.configmap.namespace}.svc.{domain}" for domain in domains]

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """Those with a rule that DNS is asked for: a sample of those that nothing else answers first."""
        judged = self.judged
        if isinstance(judged, Unseen) or isinstance(judged.edit, OperatorError):
            return ()
        state, standing = judged.state, sorted(judged.owned & judged.hosts)
        chosen = standing[:: max(1, len(standing) // SAMPLE)][:SAMPLE]
        try:
            blocks, homes = self.plan.rules.read(state.corefile).blocks, self.plan.homes(state)
            first = [host for host in chosen if any(checks.answered_first(blocks, homes, [host], state.files))]
        except CorefileError:
            return ()
        return tuple(host for host in chosen if host not in first)

    @cached_property
    def answers(self) -> list[live.Asked]:
        """What each CoreDNS answers."""
        servers = [] if isinstance(self.coredns, Unseen) else self.coredns
        names, where = [hairpin.name_for(host) for host in self.hosts], self.install.settings.destination
        return [probes.ask(server, names, where, self._metrics_port) for server in servers]

    @cached_property
    def text(self) -> live.Text:
        """What each CoreDNS should run."""
        state = self.state
        assert isinstance(state, Configuration)  # noqa: S101 (whoever asks for it has seen it)
        key = configuration.home(state)
        hashed = None if key is not state.corefile else fingerprint(state.corefile.text)
        namespace = state.corefile.configmap.name.namespace
        return live.Text(hashed, state.corefile.text, gather.written(state, key), namespace, self.restart)

    @cached_property
    def target(self) -> Target | Unseen:
        """What HAProxy is told to forward to."""
        seen = self.install.haproxy
        if not isinstance(seen, Unseen):
            try:
                return target.target(haproxy.environment(seen))
            except UnknownTargetError as error:
                return Unseen(str(error))
        return self._told() or seen

    @cached_property
    def target_addresses(self) -> frozenset[str] | None:
        """Of the target, as CoreDNS answers; None if none answers."""
        assert isinstance(self.target, Target)  # noqa: S101 (as above)
        name = self.target.server
        if probes.is_address(name):
            return frozenset({name})
        servers = [] if isinstance(self.coredns, Unseen) else self.coredns
        found = (probes.addresses(server, name) for server in servers)
        return next((each for each in found if each is not None), None)

    @cached_property
    def tried(self) -> Tried | None:
        """What the target answers; None if it has no address."""
        found = self.target_addresses if self.reached and isinstance(self.target, Target) else None
        return (
            probes.try_target(self.target, found, self.host or self.target.server)
            if found and isinstance(self.target, Target)
            else None
        )

    @property
    def host(self) -> str:
        """One of the hosts, to be asked for over HTTP."""
        judged = self.judged
        wanted = judged.hosts if not isinstance(judged, Unseen) else frozenset[str]()
        names = sorted(host for host in wanted if not is_wildcard(host)) or sorted(map(hairpin.name_for, wanted))
        return names[0] if names else ""

    def arrival(self) -> Arrival:
        """What comes of a request for that host by way of the Service or, where that cannot be reached, of a pod."""
        through = self.haproxies[0]
        seen = self.install.service
        if not isinstance(seen, Unseen) and (found := _of_service(seen)) and probes.accepts(found):
            through = found
        status, text = probes.get(through, self.host, "/")
        return Arrival(self.host, through, status, text if status is None else "")

    @property
    def _metrics_port(self) -> int | None:
        """Where CoreDNS has its metrics for others (https://coredns.io/plugins/metrics/)."""
        state = self.state
        if isinstance(state, Unseen):
            return None
        for block in parse(state.corefile.text):
            for directive in block.directives:
                if directive.words[0] == "prometheus" and directive.arguments:
                    where, _, port = directive.arguments[0].rpartition(":")
                    return int(port) if port.isdigit() and where in ("", "0.0.0.0", "[::]") else None  # noqa: S104
        return None

    def _told(self) -> Target | None:
        """What HAProxy itself says that it was told, for whoever may not read its Deployment."""
        for server in self.haproxies if self.reached else []:
            status, text = probes.get(Server(server.address, _HEALTH_PORT), HAPROXY, "/settings")
            if status == 200:
                return target.told(text)
        return None


def _of_service(seen: Object) -> Server | None:
    ports = {each.get("name"): each["port"] for each in seen["spec"].get("ports") or ()}
    address = seen["spec"].get("clusterIP")
    return Server(address, ports["http"]) if address not in (None, "", "None") and "http" in ports else None
