"""Our rules: whether all are there, and what keeps them from working. Pure."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hairpin_proxy.configuration import Configuration, Key
from hairpin_proxy.corefile import CorefileError, checks
from hairpin_proxy.corefile.blocks import Block
from hairpin_proxy.corefile.checks import named
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.configuration import home
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Object, Unseen
from hairpin_proxy.edit import Edit
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.managers import writers
from hairpin_proxy.names import CONTROLLER, FIELD_MANAGER
from hairpin_proxy.plan import Plan
from hairpin_proxy.settings import Settings

Check = Callable[[Sequence[Block], Sequence[Block], Collection[str], Files], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """The rules, and what should be there."""

    plan: Plan
    state: Configuration
    hosts: frozenset[str]
    """Those that may be redirected."""

    owned: frozenset[str]
    """Those that have a rule of ours."""

    edit: Edit | OperatorError
    """What would be written now, or why nothing can be."""

    @property
    def missing(self) -> frozenset[str]:
        """Hosts that should have a rule, and have none."""
        return self.edit.hosts & self.hosts - self.owned if isinstance(self.edit, Edit) else self.hosts - self.owned


class Circumstances(NamedTuple):
    """What else bears on whether rules are there."""

    namespace: str
    settings: Settings
    waits: bool
    """Whether new hosts have to wait for HAProxy."""

    age: float | None
    """Seconds since we last wrote the document; None if that cannot be seen."""

    controller: Object | Unseen
    """Its Deployment."""

    blames_rights: bool = False
    """Whether it lacks a right, which is said elsewhere, and may be why it is not ready."""


def judge(plan: Plan, state: Configuration, hosts: Collection[str]) -> Judged:
    """Of these hosts, that may be redirected. Raises CorefileError for a Corefile that cannot be read."""
    owned, wanted = plan.owned(state), frozenset(hosts)
    try:
        edit: Edit | OperatorError = plan.edit(state, wanted)
    except OperatorError as error:
        edit = error
    return Judged(plan, state, wanted, owned, edit)


def served(plan: Plan, state: Configuration) -> list[str]:
    """The domains of the cluster's own names, as the Corefile has them."""
    return sorted(zone for zone in plan.zones(state) if not zone.endswith(".arpa"))


def findings(judged: Judged, around: Circumstances) -> Iterator[Finding]:
    """What is to be said of them."""
    document = home(judged.state)
    if isinstance(judged.edit, OperatorError):
        if judged.hosts:
            yield found(texts.RULES_REFUSED, problem=judged.edit, fix=_way_out(judged, around))
    elif judged.missing:
        yield _missing(judged, document, around)
    elif judged.hosts:
        count = len(judged.owned & judged.hosts)
        yield found(texts.RULES, count=count, wanted=len(judged.hosts), document=document)
    else:
        yield found(texts.NO_HOSTS)
    yield from _controller(around)
    if stale := judged.owned - judged.hosts:
        yield found(texts.RULES_STALE, hosts=named(stale), namespace=around.namespace)
    yield from _in_the_way(judged)
    for destination in sorted(judged.state.orphans):
        yield found(
            texts.RULES_ORPHANED, document=document, destination=destination, namespace=around.namespace
        )  # fmt: skip
    for destination in sorted(judged.state.installs):
        yield found(texts.OTHER_INSTALL, destination=destination)


def _missing(judged: Judged, document: Key, around: Circumstances) -> Finding:
    hosts, gap = named(judged.missing), around.settings.min_write_interval
    if around.waits:
        return found(texts.RULES_WAIT, hosts=hosts)
    if around.blames_rights:
        return found(texts.FOLLOWS, check="rights")
    if around.settings.dry_run:
        return found(texts.DRY_RUN, hosts=hosts, namespace=around.namespace)
    if around.age is not None and around.age < gap + around.settings.interval:
        return found(texts.RULES_COME, hosts=hosts, age=around.age, gap=gap)
    when, who = max(writers(document.configmap.item, document.name), default=("", FIELD_MANAGER))
    undone = f"; {who} wrote it last, at {when}" if who not in ("", FIELD_MANAGER) else ""
    return found(texts.RULES_MISSING, hosts=hosts, document=document, writer=undone, namespace=around.namespace)


def _way_out(judged: Judged, around: Circumstances) -> str:
    """Where the Corefile serves another domain than the destination's, that domain."""
    domains = served(judged.plan, judged.state)
    _, _, ours = judged.plan.rules.destination.partition(".svc.")
    if domains and ours not in domains:
        command = f"kubectl -n {around.namespace} set env deployment/{CONTROLLER} CLUSTER_DOMAIN={domains[0]}"
        return f"give HAProxy a TARGET_SERVER in that domain too, and: {command}"
    return "mend what the message names; the next poll tries again"


def _controller(around: Circumstances) -> Iterator[Finding]:
    """Only of a Deployment that some controller looks after: on nothing else does its status tell anything."""
    item = around.controller
    if isinstance(item, Unseen):
        if item.absent:
            yield found(texts.CONTROLLER_MISSING, namespace=around.namespace)
        return
    name, status = f"{around.namespace}/{item['metadata']['name']}", item.get("status") or {}
    if item["spec"].get("replicas") == 0:
        yield found(texts.CONTROLLER_DOWN, name=name, why="is scaled to 0", namespace=around.namespace)
    elif status.get("observedGeneration") and not status.get("readyReplicas"):
        if around.blames_rights:
            yield found(texts.FOLLOWS, check="rights")
            return
        yield found(texts.CONTROLLER_DOWN, name=name, why="has no ready pod", namespace=around.namespace)


def _in_the_way(judged: Judged) -> Iterator[Finding]:
    plan, state = judged.plan, judged.state
    for remark in _of_corefile(judged, checks.answered_first, judged.hosts):
        yield found(texts.RULES_HIDDEN, remark=f"{state.corefile}: {remark}", destination=plan.rules.destination)
    for remark in _of_corefile(judged, checks.doubts, judged.hosts):
        yield found(texts.RULES_REMARK, remark=f"{state.corefile}: {remark}")
    for each in judged.edit.remarks if isinstance(judged.edit, Edit) else ():
        yield found(texts.RULES_REMARK, remark=each.text)


def _of_corefile(judged: Judged, check: Check, hosts: Collection[str]) -> list[str]:
    """What one of the checks has to say; nothing where `judge` has said already what is wrong."""
    state = judged.state
    try:
        return list(check(judged.plan.rules.read(state.corefile).blocks, judged.plan.homes(state), hosts, state.files))
    except CorefileError:
        return []
