"""The walk: each station in the order of the way, and what cannot be told before another is mended left out."""

from collections.abc import Callable, Iterator

from hairpin_proxy.corefile.checks import named
from hairpin_proxy.doctor import (
    arrival,
    configuration,
    gather,
    haproxy,
    leftout,
    live,
    need,
    nodes,
    rights,
    rules,
    target,
    texts,
)
from hairpin_proxy.doctor.findings import Finding, Result, found
from hairpin_proxy.doctor.gather import known
from hairpin_proxy.doctor.scene import Scene
from hairpin_proxy.doctor.seen import Unseen
from hairpin_proxy.doctor.target import Advice
from hairpin_proxy.names import HAPROXY
from hairpin_proxy.providers.place import Place
from hairpin_proxy.reconcile import left_out

Failed = set[str]
"""The checks before that have failed."""


def examine(scene: Scene) -> list[Result]:
    """All checks."""
    results: list[Result] = []
    for check, look in _STATIONS.items():
        failed = {each.check for each in results if each.failed}
        results.append(Result(check, tuple(_passed_over(scene, check) or _looked(look, scene, failed))))
    return results


def nothing_seen(problem: str) -> list[Result]:
    """All checks, where the API server cannot even be asked."""
    return [Result(check, (found(texts.CANNOT_SEE, problem=problem),)) for check in _STATIONS]


def _passed_over(scene: Scene, check: str) -> list[Finding]:
    """Why there is nothing to look at."""
    install = scene.install
    if not install.is_there and check not in _WITHOUT_US:
        return [found(texts.NOT_INSTALLED, namespace=install.namespace)]
    if install.on_nodes_only and check in _OF_CONTROLLER:
        return [found(texts.NODES_ONLY, namespace=install.namespace)]
    return []


def _looked(look: "Station", scene: Scene, failed: Failed) -> list[Finding]:
    """What one station finds; a fault of ours there must not hide what the others do."""
    try:
        return list(look(scene, failed))
    except Exception as error:
        return [found(texts.FAULT, problem=repr(error))]


def _need(scene: Scene, _failed: Failed) -> Iterator[Finding]:
    if isinstance(scene.balancers, Unseen):
        yield _unseen(scene, scene.balancers, "all Services, to see load balancers")
    else:
        yield from need.findings(scene.balancers, scene.demands, installed=scene.install.is_there)


def _rights(scene: Scene, _failed: Failed) -> Iterator[Finding]:
    if isinstance(scene.reviews, Unseen):
        account, namespace = "the controller's ServiceAccount", scene.install.namespace
        yield found(texts.REVIEW_REFUSED, account=account, problem=scene.reviews.problem, namespace=namespace)
    else:
        yield from rights.findings(scene.install.namespace, scene.reviews.account, scene.reviews.allowed)


def _coredns(scene: Scene, failed: Failed) -> Iterator[Finding]:
    place, state = scene.place, scene.state
    if isinstance(state, Unseen):
        before = _before_configuration(scene, failed)
        unseen = place if isinstance(place, Unseen) else state
        yield found(texts.FOLLOWS, check=before) if before else _unconfigured(scene, unseen)
    else:
        location = place.location if isinstance(place, Place) else None
        yield from configuration.findings(state, location, scene.restart)


def _unconfigured(scene: Scene, seen: Unseen) -> Finding:
    if seen.forbidden or seen.away:
        return _unseen(scene, seen, "CoreDNS's ConfigMap")
    return found(texts.NO_CONFIGURATION, problem=seen.problem, namespace=scene.install.namespace)


def _rules(scene: Scene, failed: Failed) -> Iterator[Finding]:
    judged = scene.judged
    if isinstance(judged, Unseen):
        before = _before_configuration(scene, failed)
        yield found(texts.FOLLOWS, check=before) if before else _unseen(scene, judged, "what asks for hosts")
        return
    install = scene.install
    around = rules.Circumstances(
        install.namespace,
        install.settings,
        scene.waits,
        gather.age(configuration.home(judged.state)),
        install.controller,
        blames_rights="rights" in failed,
    )
    if install.refused:
        yield found(texts.SETTINGS_REFUSED, problem=install.refused, namespace=install.namespace)
    yield from rules.findings(judged, around)


def _live(scene: Scene, failed: Failed) -> Iterator[Finding]:
    if isinstance(scene.state, Unseen):
        yield found(texts.FOLLOWS, check=_before_configuration(scene, failed) or "coredns")
    elif isinstance(scene.coredns, Unseen):
        yield _unseen(scene, scene.coredns, "CoreDNS's endpoints")
    elif not scene.reached or (not scene.coredns and not scene.install.in_pod):
        yield _not_from_here(scene)
    elif not scene.coredns:
        namespace = scene.state.corefile.configmap.name.namespace
        yield found(texts.NO_COREDNS, problem="the DNS Service has no ready endpoint", namespace=namespace)
    elif "coredns" in failed and any(each.wrong for each in scene.answers):
        yield found(texts.FOLLOWS, check="coredns")
    elif _leads_nowhere(scene):
        yield found(texts.FOLLOWS, check=_why_nowhere(scene, failed))
    else:
        yield from live.findings(scene.answers, scene.text)


def _dns(scene: Scene, failed: Failed) -> Iterator[Finding]:
    if not isinstance(scene.judged, Unseen) and not failed & {"coredns", "live", "rules"} and scene.hosts:
        install = scene.install
        aim = nodes.Aim(scene.judged.owned, scene.blocks, install.namespace, scene.upstream)
        for node in scene.nodes:
            yield from nodes.findings(node, aim)
    yield from _asked_of_coredns(scene, failed)


def _asked_of_coredns(scene: Scene, failed: Failed) -> Iterator[Finding]:
    before = _before_configuration(scene, failed) or ("live" if "live" in failed else None)
    if isinstance(scene.coredns, Unseen) or isinstance(scene.judged, Unseen):
        yield found(texts.FOLLOWS, check=before) if before and before != "live" else _not_from_here(scene)
    elif before:
        yield found(texts.FOLLOWS, check=before)
    elif not scene.reached or not scene.coredns:
        yield _not_from_here(scene)
    elif not scene.hosts:
        yield found(texts.FOLLOWS, check="rules") if "rules" in failed else found(texts.NO_RULES_TO_ASK)
    elif _leads_nowhere(scene):
        why, servers = _why_nowhere(scene, failed), live.servers(scene.answers)
        nowhere = found(texts.DESTINATION_UNKNOWN, servers=servers, destination=scene.install.settings.destination)
        yield nowhere if why == "dns" else found(texts.FOLLOWS, check=why)
    else:
        hosts = live.asked_for(scene.hosts, scene.judged.owned & scene.judged.hosts)
        yield from live.answered(scene.answers, hosts, scene.install.settings.destination)


def _haproxy(scene: Scene, _failed: Failed) -> Iterator[Finding]:
    install, service = scene.install, scene.service
    if not service:
        yield found(texts.ELSEWHERE, destination=install.settings.destination)
    elif _is_gone(scene):
        yield found(texts.NO_SERVICE, service=service, hosts=_of_rules(scene))
    elif isinstance(install.service, Unseen):
        yield _unseen(scene, install.service, f"Service {service}")
    elif isinstance(scene.slices, Unseen):
        yield _unseen(scene, scene.slices, f"EndpointSlices of Service {service}")
    else:
        deployment = known(install.haproxy)
        yield from haproxy.findings(service, haproxy.pods(scene.slices), deployment)
        pods = gather.listed(
            scene.kube,
            f"/api/v1/namespaces/{service.namespace}/pods",
            "PodList",
            labelSelector=f"app={HAPROXY}",
        )
        yield from haproxy.restarts(service.namespace, [] if isinstance(pods, Unseen) else pods)
        controller = known(install.controller)
        yield from haproxy.skew(deployment, controller) if deployment and controller else ()


def _target(scene: Scene, failed: Failed) -> Iterator[Finding]:
    at = scene.target
    if isinstance(at, Unseen):
        yield _unknown_target(scene, at, failed)
        return
    help_with = _advice(scene, at.server)
    named_by_api = list(_by_api(scene, at.server, help_with))
    if named_by_api:
        yield from named_by_api
    elif not scene.reached:
        yield _not_from_here(scene)
    elif scene.target_addresses is None:
        yield found(texts.FOLLOWS, check="live")
    elif not scene.target_addresses and "rules" in failed and _is_in_another_domain(scene, at.server):
        yield found(texts.FOLLOWS, check="rules")
    elif not scene.target_addresses:
        why = "CoreDNS knows no such name"
        yield found(texts.TARGET_UNRESOLVED, target=at.server, why=why, fix=help_with)
    else:
        yield from target.findings(at, scene.tried, help_with)


def _is_in_another_domain(scene: Scene, server: str) -> bool:
    """Whether it is a Service's name in a domain that CoreDNS does not serve, which the destination's is too."""
    return bool(target.service(server)) and server.partition(".svc.")[2] not in scene.domains


def _unknown_target(scene: Scene, seen: Unseen, failed: Failed) -> Finding:
    """In the pod HAProxy itself is asked, if it is there."""
    if not (seen.forbidden and scene.install.in_pod):
        return found(texts.TARGET_UNKNOWN, problem=seen.problem)
    return (
        found(texts.FOLLOWS, check="haproxy") if "haproxy" in failed else _unseen(scene, seen, "HAProxy's Deployment")
    )


def _by_api(scene: Scene, server: str, help_with: Advice) -> Iterator[Finding]:
    """What is surely wrong with a target that is a Service, also where pods cannot be reached."""
    name = target.service(server)
    seen = gather.attempt(lambda: scene.kube.get(name.path, "Service")) if name else None
    if not name or seen is None:
        return
    if isinstance(seen, Unseen):
        if seen.absent:
            yield found(texts.TARGET_UNRESOLVED, target=server, why=f"there is no Service {name}", fix=help_with)
        return
    slices = gather.slices(scene.kube, name)
    if seen["spec"].get("selector") and not isinstance(slices, Unseen) and slices and not haproxy.pods(slices):
        yield found(texts.TARGET_EMPTY, target=server, fix=f"kubectl -n {name.namespace} get pods")


def _end_to_end(scene: Scene, failed: Failed) -> Iterator[Finding]:
    before = next((check for check in ("haproxy", "target") if check in failed), None)
    if before:
        yield found(texts.FOLLOWS, check=before)
    elif not scene.reached or not scene.haproxies:
        yield _not_from_here(scene)
    elif isinstance(scene.judged, Unseen):
        yield found(texts.FOLLOWS, check=_before_configuration(scene, failed) or "rules")
    elif not scene.host:
        yield found(texts.NO_HOST)
    else:
        yield from arrival.findings(scene.arrival(), scene.install.namespace)


def _hosts(scene: Scene, failed: Failed) -> Iterator[Finding]:
    if isinstance(scene.asked, Unseen):
        yield _unseen(scene, scene.asked, "what asks for hosts")
    elif isinstance(scene.decision, Unseen):
        yield found(texts.FOLLOWS, check=_before_configuration(scene, failed) or "coredns")
    else:
        yield from leftout.findings(left_out(scene.decision))


def _before_configuration(scene: Scene, failed: Failed) -> str | None:
    """The failed check because of which CoreDNS's configuration tells nothing, and what depends on it neither."""
    if "coredns" in failed:
        return "coredns"
    forbidden = isinstance(scene.state, Unseen) and scene.state.forbidden and scene.install.in_pod
    return "rights" if forbidden and "rights" in failed else None


def _unseen(scene: Scene, seen: Unseen, what: str) -> Finding:
    """Not seen because the controller has few rights, which is as it should be, or because something is wrong."""
    if seen.forbidden and scene.install.in_pod:
        return found(texts.NOT_FROM_THE_POD, what=what)
    return found(texts.CANNOT_SEE, problem=seen.problem)


def _not_from_here(scene: Scene) -> Finding:
    return found(texts.NOT_FROM_HERE, namespace=scene.install.namespace)


def _is_gone(scene: Scene) -> bool:
    return isinstance(scene.install.service, Unseen) and scene.install.service.absent


def _why_nowhere(scene: Scene, failed: Failed) -> str:
    """The check that says it."""
    return "haproxy" if _is_gone(scene) else "rules" if "rules" in failed else "dns"


def _leads_nowhere(scene: Scene) -> bool:
    """Whether no CoreDNS knows where the rules lead, so that its answers tell nothing else."""
    answers = [each for each in scene.answers if not each.mute]
    return bool(answers and scene.hosts) and not any(each.destination for each in answers)


def _of_rules(scene: Scene) -> str:
    owned = scene.judged.owned if not isinstance(scene.judged, Unseen) else frozenset[str]()
    return named(owned) if owned else "new hosts"


def _advice(scene: Scene, server: str) -> Advice:
    if isinstance(scene.balancers, Unseen):
        return Advice(scene.install.namespace)
    return target.advice(scene.install.namespace, server, scene.balancers, scene.domains[0])


_WITHOUT_US = ("need", "coredns", "hosts")
"""Checks that tell something where nothing is installed."""

_OF_CONTROLLER = ("rights", "coredns", "rules", "live", "dns")
"""Checks of what the controller keeps, which the DaemonSet does not."""

Station = Callable[[Scene, Failed], Iterator[Finding]]

_STATIONS: dict[str, Station] = {
    "need": _need,
    "rights": _rights,
    "coredns": _coredns,
    "rules": _rules,
    "live": _live,
    "dns": _dns,
    "haproxy": _haproxy,
    "target": _target,
    "end-to-end": _end_to_end,
    "hosts": _hosts,
}
