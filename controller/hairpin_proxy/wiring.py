"""From settings to the objects that a command needs."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from hairpin_proxy import __version__, guard, nodecache, selection, suffixes
from hairpin_proxy.configuration import Rules
from hairpin_proxy.doctor import gather
from hairpin_proxy.doctor.scene import Scene
from hairpin_proxy.events import Events
from hairpin_proxy.gate import Gate
from hairpin_proxy.inventory import Sources, Watches
from hairpin_proxy.kube import SERVICE_ACCOUNT, Kube, KubeError
from hairpin_proxy.latest import Latest
from hairpin_proxy.leaving import cleanup as leaving_cleanup
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import CommandLine, Installation, State
from hairpin_proxy.leaving.node import NodeUninstall
from hairpin_proxy.leaving.uninstall import Uninstall
from hairpin_proxy.lookups import Hairpinned, Lookups
from hairpin_proxy.names import COREDNS_NAMESPACE, NAMESPACE, service
from hairpin_proxy.observe.log import log
from hairpin_proxy.outcome import Outcome
from hairpin_proxy.plan import Plan
from hairpin_proxy.policy import Asked, Decision, Facts, decide, within_quota
from hairpin_proxy.providers import hosts_file
from hairpin_proxy.providers.corefile import Corefile
from hairpin_proxy.providers.hosts_file import HostsFile
from hairpin_proxy.providers.node_caches import NodeCaches
from hairpin_proxy.providers.place import Places
from hairpin_proxy.providers.reader import Reader
from hairpin_proxy.reconcile import Judged, Pause, Poll, Provider, Remembered, StateT
from hairpin_proxy.settings import PROBED, Settings, is_probed


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Controller:
    """What `run` does."""

    poll: Callable[[], Outcome]
    pause: Pause
    """What happens between two polls."""

    leave: Callable[[], None] = _nothing
    """To be called when the process shall end."""


def controller(settings: Settings) -> Controller:
    """The controller with these settings, ready to poll, and what is to be known of it already served.

    Raises OperatorError without credentials to call with, for settings that do not go together, and for an address that
    cannot be listened on.
    """
    if settings.once or not settings.metrics_address:
        return _controller(settings, _kube(settings))
    # With what serves, it takes memory and a tenth of a second, which is for nothing without an address.
    from hairpin_proxy.observe import observer, serving  # noqa: PLC0415

    watching = observer.watching(__version__, settings.interval)
    serving.serve(settings.metrics_address, watching.pages())
    made = _controller(settings, _kube(settings, watching.metrics.call_failed))
    return replace(made, poll=partial(watching.poll, made.poll), pause=partial(watching.pause, made.pause))


def _controller(settings: Settings, kube: Kube) -> Controller:
    namespace = None if settings.once else settings.install_namespace or kube.namespace
    _warn_of_probes(settings, kube)
    if settings.etc_hosts:
        return _on_a_node(settings, settings.etc_hosts, kube, namespace)
    corefile = _corefile(settings, kube)
    sources = _sources(settings, kube)
    poll = _poll(settings, sources, corefile, settings.min_write_interval)
    if not namespace:
        return Controller(_telling(settings, poll, kube), sources.wait)
    uninstall = Uninstall(kube, partial(_installation, settings, namespace, kube), corefile)
    # A dry run writes no rule that would have to be held, but what deploy.yml holds has to be let go.
    guarded = partial(uninstall.looking if settings.dry_run else uninstall.guarded, poll)
    return Controller(_telling(settings, guarded, kube), sources.wait, uninstall.leave)


def _warn_of_probes(settings: Settings, kube: Kube) -> None:
    """Of those that deploy.yml gives a pod, and that nobody answers."""
    if not settings.once and kube.namespace and not is_probed(settings.metrics_address):
        log.warning(
            "--metrics-address %s does not answer the probes of the manifests, which ask port %d of the pod: kubelet "
            "restarts it every minute, unless they were taken away (docs/monitoring.md, Another address, says how)",
            settings.metrics_address or "off",
            PROBED.port,
        )


def _telling(settings: Settings, poll: Callable[[], Outcome], kube: Kube) -> Callable[[], Outcome]:
    """A poll that writes Events, if that is wanted. A dry run writes nothing."""
    if not settings.events or settings.dry_run:
        return poll
    return partial(Events(kube, settings.install_namespace or kube.namespace).poll, poll)


def installed(settings: Settings) -> CommandLine:
    """How the installed controller is started. Raises OperatorError."""
    usual = Installation(settings.install_namespace or NAMESPACE, COREDNS_NAMESPACE)
    return leaving_cleanup.command_line(_kube(settings), usual.deployment)


def own_namespace(settings: Settings) -> str | None:
    """The one of the pod that this runs in; None outside of one. Raises OperatorError without credentials."""
    return _kube(settings).namespace


def located(settings: Settings) -> Settings:
    """The same with the namespace of the install that this is about. Raises OperatorError without credentials."""
    return replace(settings, install_namespace=settings.install_namespace or own_namespace(settings) or NAMESPACE)


def installed_for_doctor(settings: Settings) -> CommandLine:
    """The same; what cannot be read counts as not there. Raises OperatorError if the API server gives no answer."""
    try:
        return installed(settings)
    except KubeError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return CommandLine()


def scene(settings: Settings, refused: str | None) -> Scene:
    """What the doctor looks at: an install whose controller has these settings, or refuses its own.

    Raises OperatorError.
    """
    kube = _kube(settings)
    corefile, sources = _corefile(settings, kube), _sources(settings, kube)
    decide = _decide(replace(settings, once=True))
    install = gather.install(kube, settings.install_namespace or NAMESPACE, settings, refused)
    blocks = _blocks(settings)
    return Scene(kube, sources.read, decide, corefile.reader, corefile.plan, blocks, install)


def cleanup(settings: Settings, *, wait: bool, guessed: bool) -> Iterator[str]:
    """Takes everything of ours out of the cluster's DNS, and says each step. Raises OperatorError.

    With `guessed`, no Deployment said which ConfigMap it is.
    """
    kube = _kube(settings)
    corefile = _corefile(settings, kube)
    installation, _ = _installation(settings, settings.install_namespace or NAMESPACE, kube)
    if guessed:
        leaving_cleanup.check_the_guess(kube, installation, corefile.reader.places.get().configmap)
    return leaving_cleanup.cleanup(kube, installation, corefile, wait=wait, dry_run=settings.dry_run)


def _on_a_node(settings: Settings, path: str, kube: Kube, namespace: str | None) -> Controller:
    sources = _sources(settings, kube)
    # A write costs nobody but this node, and nothing is read anew but the file.
    poll = _poll(settings, sources, HostsFile(kube, path, hosts_file.service(settings.destination)), 0)
    if not namespace:
        return Controller(poll, sources.wait)
    uninstall = NodeUninstall(kube, kube.twin(), namespace, path)
    uninstall.watch()
    return Controller(poll, sources.wait, uninstall.leave)


def _kube(settings: Settings, failed: Callable[[int | None], None] = lambda _: None) -> Kube:
    kube = Kube(settings.kubeconfig, settings.context, SERVICE_ACCOUNT, failed)
    kube.connect()
    return kube


def _installation(settings: Settings, namespace: str, kube: Kube) -> tuple[Installation, bool]:
    """And whether that is sure: an API server that has just started may refuse what it allows a moment later.

    The Role that deploy.yml holds is where it was put: a right in another namespace may have been added to it.
    """
    usual = Installation(namespace, COREDNS_NAMESPACE)
    if not settings.configmap or settings.configmap.namespace == COREDNS_NAMESPACE:
        return usual, True
    moved = Installation(namespace, settings.configmap.namespace)
    looked = holds.look(kube, moved.rights).values()
    if any(found.held for found in looked):
        return moved, True
    return usual, not any(found.state is State.UNKNOWN for found in looked)


def _corefile(settings: Settings, kube: Kube) -> Corefile:
    places = Places(kube, settings.configmap, settings.configmap_key)
    apexes = selection.apexes(suffixes.load())
    rules = Rules(settings.destination, settings.adopt_destination, apexes, settings.rules)
    blocks = _blocks(settings)
    wanted = settings.node_local_dns == "on"
    caches = NodeCaches(kube, wanted=wanted)
    reader = Reader(kube, places, settings.provider, rules, settings.coredns_version, caches)
    return Corefile(kube, reader, Plan(rules, blocks=blocks if wanted else None), settings.nudge_coredns)


def _blocks(settings: Settings) -> nodecache.Writing:
    return nodecache.Writing(settings.destination, suffixes.load(), settings.adopt_destination)


def _poll(settings: Settings, sources: Sources, provider: Provider[StateT], gap: float) -> Callable[[], Outcome]:
    gate = Gate(sources.kube, service(settings.destination))
    decide = _decide(settings)
    return Poll(sources, decide, gate, Remembered(provider), _between_lists(settings), settings.dry_run, gap)


def _between_lists(settings: Settings) -> float:
    """Seconds after which a second list can confirm what looks like a mistake."""
    return guard.SECOND_LOOK if settings.once else settings.interval


def _sources(settings: Settings, kube: Kube) -> Sources:
    return Sources(
        kube,
        selection.ingresses(settings) if "ingress" in settings.source else None,
        frozenset(settings.gateway_class) if "gateway" in settings.source else None,
        labels=bool(settings.namespace_selector),
        annotation=settings.domain_per_namespace_annotation,
        remarks=selection.remarks(settings),
        watches=Watches(settings.interval),
        interval=_between_lists(settings),
    )


def _decide(settings: Settings) -> Callable[[Asked, Facts], Judged]:
    policy, quota = selection.policy(settings, suffixes.load()), settings.max_hosts_per_namespace
    judge = _judge(settings)
    latest_decided, latest_within = Latest(decide), Latest(within_quota)

    def decision(asked: Asked, facts: Facts) -> Judged:
        judged, remarks = judge(latest_decided(asked, policy, facts), facts.standing)
        return latest_within(judged, quota, facts.standing), remarks

    return decision


def _judge(settings: Settings) -> Callable[[Decision, Collection[str]], Judged]:
    """Of what may be redirected, what hairpins."""
    # A warning takes a poll that comes after the answer, and the controller's own is enough for all nodes.
    warns_nobody = settings.only_hairpinned == "warn" and (settings.once or settings.etc_hosts)
    if settings.only_hairpinned == "off" or warns_nobody:
        return lambda decision, _: (decision, ())
    return Hairpinned(Lookups(settings.resolver), settings.only_hairpinned == "require", once=settings.once)
