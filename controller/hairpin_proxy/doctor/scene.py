"""All that is looked at, each thing when it is first needed, and once: the API server first, and then the network."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

from hairpin_proxy import hairpin
from hairpin_proxy.configuration import Configuration
from hairpin_proxy.corefile import CorefileError, checks
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.fingerprint import fingerprint
from hairpin_proxy.doctor import configuration, gather, haproxy, live, need, probes, rights, rules, target
from hairpin_proxy.doctor.arrival import Arrival
from hairpin_proxy.doctor.gather import Reviews, attempt
from hairpin_proxy.doctor.need import Balancers
from hairpin_proxy.doctor.nodes import Node
from hairpin_proxy.doctor.seen import Install, Object, Server, Unseen
from hairpin_proxy.doctor.target import Target, Tried, UnknownTargetError
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import is_address, is_wildcard
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

_USUAL = "kube-dns"
"""What the DNS Service is called, if it cannot be seen which one it is."""

_DNS_PORT = 53

_SETTINGS_BYTES = 4096

_FEW = 3
"""Pods by which is seen whether they can be reached."""

_LONGEST_INTERVAL = 20.0
"""Seconds between polls that are waited for."""

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
    def balancers(self) -> Balancers | Unseen:
        """Load balancers of ingress controllers."""
        claims = self.asked.claims if isinstance(self.asked, Asked) else ()
        wanted = {each for claim in claims for each in claim.addresses}
        at = target.service(self.target.server) if isinstance(self.target, Target) else None
        # Of tens of thousands only a few are kept.
        return attempt(lambda: need.balancers(self.kube.items("/api/v1/services", "ServiceList"), wanted, at))

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
        time.sleep(min(self.install.settings.interval, _LONGEST_INTERVAL) + _POLL_SECONDS)
        for seen in ("asked", "state", "decision"):
            self.__dict__.pop(seen, None)
        return self._judged()

    @property
    def _is_at_work(self) -> bool:
        """Whether a controller is ready, and nothing keeps it from writing."""
        controller = self.install.controller
        status = {} if isinstance(controller, Unseen) else controller.get("status") or {}
        return bool(status.get("readyReplicas") and not self.waits and not self.install.settings.dry_run)

    @property
    def waits(self) -> bool:
        """Whether new hosts have to wait, for nobody would answer them."""
        return bool(self.service) and not isinstance(self.slices, Unseen) and not haproxy.pods(self.slices)

    def _judged(self) -> rules.Judged | Unseen:
        state, decision = self.state, self.decision
        if isinstance(state, Unseen):
            return state
        if isinstance(decision, Unseen):
            return decision
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
        return [] if isinstance(self.slices, Unseen) else haproxy.endpoints(self.slices, haproxy.is_http)

    @cached_property
    def coredns(self) -> list[Server] | Unseen:
        """Each CoreDNS behind the DNS Service; none if nobody maintains its endpoints."""
        if isinstance(self.place, Unseen):
            return self.place
        location = self.place.location
        name = ServiceName(self.place.configmap.namespace, location.service if location else _USUAL)
        found = gather.slices(self.kube, name)
        return found if isinstance(found, Unseen) else haproxy.endpoints(found, haproxy.is_dns)

    @cached_property
    def nodes(self) -> list[Node]:
        """Each node-local-dns, with what it answers."""
        namespace = self.place.configmap.namespace if isinstance(self.place, Place) else COREDNS_NAMESPACE
        found = gather.listed(self.kube, f"/apis/apps/v1/namespaces/{namespace}/daemonsets", "DaemonSetList")
        caches = [] if isinstance(found, Unseen) else node_caches(namespace, found)
        return [self._node(cache) for cache in caches]

    def _node(self, cache: NodeCache) -> Node:
        node = gather.node(self.kube, cache, self._asked_on_nodes(cache))
        if not node.corefile or not isinstance(self.state, Configuration):
            return node
        corefile = replace(node.corefile, addresses=frozenset(cache.addresses))
        try:
            return node._replace(loop=self.plan.loop(self.state, corefile))
        except CorefileError as error:
            return node._replace(loop=str(error))

    def _asked_on_nodes(self, cache: NodeCache) -> tuple[live.Asked, ...]:
        servers = [Server(address, _DNS_PORT) for address in cache.addresses[:1]] if self.reached else []
        names, where = [hairpin.name_for(host) for host in self.hosts], self.install.settings.destination
        return tuple(probes.ask(server, names, where, None) for server in servers)

    @cached_property
    def upstream(self) -> str | None:
        """Where CoreDNS answers whoever does not ask node-local-dns, if that can be told."""
        if not isinstance(self.place, Place) or not self.place.location:
            return None
        names = ("kube-dns-upstream", self.place.location.service)
        services = [ServiceName(self.place.configmap.namespace, name) for name in names]
        seen = [attempt(partial(self.kube.get, each.path, "Service")) for each in services]
        addresses = [each["spec"].get("clusterIP") for each in seen if not isinstance(each, Unseen)]
        return next((str(address) for address in addresses if address not in (None, "", "None")), None)

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
            or any(probes.knows(server, name) for server in coredns[:_FEW] for name in self._own_names)
            or any(probes.get(server, HAPROXY, "/healthz")[0] == 200 for server in healths[:_FEW])
        )

    @property
    def _own_names(self) -> list[str]:
        """Of the DNS Service, as no DNS server outside of the cluster knows them."""
        place = self.place
        if isinstance(place, Unseen) or not place.location:
            return []
        return [f"{place.location.service}.{place.configmap.namespace}.svc.{domain}" for domain in self.domains]

    @cached_property
    def domains(self) -> list[str]:
        """The cluster's own: those of the Corefile, or else the one that the rules lead to."""
        served = rules.served(self.plan, self.state) if isinstance(self.state, Configuration) else []
        return served or [self.install.settings.destination.partition(".svc.")[2]]

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
                return self._told() or Unseen(str(error))
        return self._told() or seen

    @cached_property
    def target_addresses(self) -> frozenset[str] | None:
        """Of the target, as CoreDNS answers; None if none answers."""
        assert isinstance(self.target, Target)  # noqa: S101 (as above)
        name = self.target.server
        if is_address(name):
            return frozenset({name})
        servers = [] if isinstance(self.coredns, Unseen) else self.coredns
        found = (probes.addresses(server, name) for server in servers)
        return next((each for each in found if each is not None), None)

    @cached_property
    def tried(self) -> list[Tried]:
        """What the target answers on its two ports; nothing if it has no address."""
        if not self.reached or not isinstance(self.target, Target) or not self.target_addresses:
            return []
        # A host that nobody has is answered by the ingress controller itself, unless that closes the connection.
        hosts = [f"hairpin-proxy-check.{self.target.server}", *filter(None, [self.host])]
        return probes.try_target(self.target, self.target_addresses, hosts)

    @property
    def demands(self) -> bool | None:
        """Whether the target demands PROXY."""
        return next((each.demands for each in self.tried if each.demands is not None), None)

    @property
    def host(self) -> str:
        """One of the hosts, to be asked for over HTTP."""
        judged = self.judged
        wanted = judged.hosts if not isinstance(judged, Unseen) else frozenset[str]()
        names = sorted(host for host in wanted if not is_wildcard(host)) or sorted(map(hairpin.name_for, wanted))
        return names[0] if names else ""

    def arrival(self) -> Arrival:
        """What comes of a request for that host by way of the Service or, where that cannot be reached, of a pod."""
        if self.tried and not self.tried[0].connected:
            tls = self._through("https", haproxy.is_https)
            if tls and probes.handshake(tls, self.host):
                return Arrival(self.host, tls, None, handshake=True)
        through = self._through("http", haproxy.is_http) or self.haproxies[0]
        status, text = probes.get(through, self.host, "/")
        return Arrival(self.host, through, status, text if status is None else "")

    def _through(self, name: str, fits: Callable[[Object], bool]) -> Server | None:
        """Where a port of HAProxy's can be reached."""
        seen, slices = self.install.service, self.slices
        found = None if isinstance(seen, Unseen) else _of_service(seen, name)
        if found and probes.accepts(found):
            return found
        return next(iter([] if isinstance(slices, Unseen) else haproxy.endpoints(slices, fits)), None)

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
            status, text = probes.get(Server(server.address, _HEALTH_PORT), HAPROXY, "/settings", _SETTINGS_BYTES)
            if status == 200:
                return target.told(text)
        return None


def _of_service(seen: Object, name: str) -> Server | None:
    ports = {each.get("name"): each["port"] for each in seen["spec"].get("ports") or ()}
    address = seen["spec"].get("clusterIP")
    return Server(address, ports[name]) if address not in (None, "", "None") and name in ports else None
