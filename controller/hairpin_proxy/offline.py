"""What `run` would write, without a cluster: a Corefile and what asks for hosts are read from files."""

import codecs
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from hairpin_proxy import placement, policy, selection, suffixes
from hairpin_proxy.configuration import LIMIT, MARK, ConfigMap, Configuration, Key, Rules
from hairpin_proxy.corefile import Reading
from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.corefile.homes import NoKubernetesError, homes
from hairpin_proxy.corefile.version import CURRENT, RELOADS_IMPORTS
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.names import COREDNS_NAMESPACE
from hairpin_proxy.observe.log import one_line, quoted
from hairpin_proxy.placement import Target
from hairpin_proxy.plan import Plan
from hairpin_proxy.policy import Asked, Claim, Decision, Reason
from hairpin_proxy.reconcile import left_out
from hairpin_proxy.settings import ConfigMapName, Settings
from hairpin_proxy.sources import gateway, ingress, manifests
from hairpin_proxy.sources.manifests import Objects
from hairpin_proxy.sources.objects import tenant

STDIN = "-"

_NAME = ConfigMapName(COREDNS_NAMESPACE, "coredns")
"""Which ConfigMap the Corefile counts as: nothing that is shown has this name."""


class Rendered(NamedTuple):
    """What comes out."""

    content: bytes
    warnings: tuple[str, ...]


class _File(Key):
    """A key whose ConfigMap nobody has seen: for people it is a file."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.name

    @property
    def limit(self) -> int:
        return LIMIT


@dataclass(frozen=True, slots=True)
class _Result:
    """What `run` would come to."""

    key: Key
    """What the rules go into, as it is."""

    desired: str
    decision: Decision
    unruled: frozenset[str]
    """Hosts that may be redirected and get no rule."""

    warnings: tuple[str, ...]


def render(corefile: str, ingresses: str, settings: Settings, *, as_diff: bool) -> Rendered:
    """The Corefile, or the key that it imports, with rules for the hosts of these objects; or how to get there.

    Both are paths of files, or STDIN. Raises OperatorError.
    """
    result = _result(corefile, ingresses, settings)
    key, desired = result.key, result.desired
    text = _diff(key.name, key.text, desired) if as_diff else desired
    return Rendered(text.encode(errors="surrogateescape"), result.warnings)


def explain(corefile: str, ingresses: str, settings: Settings) -> Rendered:
    """Each host that is left out, with the object that asks for it and the reason, a line each. Raises as `render`."""
    result = _result(corefile, ingresses, settings)
    rows = [(claim, _why(claim, reason, result.decision)) for claim, reason in result.decision.left_out.items()]
    for host in sorted(result.unruled):
        text = "no-rule: may be redirected, but gets no rule, for the reason that is said of it as a warning"
        rows += [(claim, text) for claim in result.decision.claims[host]]
    cells = sorted((_cell(claim.host), one_line(claim.object), one_line(text)) for claim, text in rows)
    widths = [max((len(row[column]) for row in cells), default=0) for column in (0, 1)]
    lines = [f"{host:{widths[0]}}  {where:{widths[1]}}  {text}\n" for host, where, text in cells]
    return Rendered("".join(lines).encode(errors="surrogateescape"), result.warnings)


def _why(claim: Claim, reason: Reason, decision: Decision) -> str:
    other = policy.granted(claim, decision)
    return f"{reason.code}: {reason.text}" + (f"; but {other.object} asks for it too, and may have it" if other else "")


def _cell(host: str) -> str:
    """A host as it is, or in quotes if it cannot be told from what stands beside it."""
    return host if host.isprintable() and host and " " not in host else quoted(host)


def _result(corefile: str, ingresses: str, settings: Settings) -> _Result:
    # Whatever is not UTF-8 comes out as it went in.
    text = _read(corefile).decode(errors="surrogateescape")
    found = manifests.objects(_read(ingresses), _shown(ingresses))
    is_public_suffix = suffixes.load()
    apexes = selection.apexes(is_public_suffix)
    rules = Rules(settings.destination, settings.adopt_destination, apexes, settings.rules)
    whole = _file(_NAME, "Corefile", text)
    plan, reading = Plan(rules, lenient=True), rules.read(whole)
    target = placement.target(text, rules.destination, placement.view(text, _NAME, None), _NAME)
    state = _configuration(whole, reading, settings, target)
    key = state.imported or state.corefile
    asked = _asked(found, settings, _shown(ingresses))
    facts = plan.facts(state)
    decision = policy.decide(asked, selection.policy(settings, is_public_suffix), facts)
    decision = policy.within_quota(decision, settings.max_hosts_per_namespace, facts.standing)
    try:
        edit = plan.edit(state, decision.hosts)
    except OperatorError as error:
        raise OperatorError(_said(str(error), state)) from error
    return _Result(
        key,
        edit.desired if edit.document == str(key) else key.text,
        decision,
        decision.hosts - edit.hosts,
        (
            *(remark.text for remark in asked.remarks),
            *(remark.text for remark in left_out(decision) if not remark.calm),
            *_placed(reading, settings, target),
            *(_unanswered(reading, rules.destination) if decision.hosts else ()),
            *(_said(each.text, state) for each in (*edit.remarks, *plan.remarks(Configuration(whole), decision.hosts))),
            *_strangers(reading),
        ),
    )


def _asked(found: Objects, settings: Settings, file: str) -> Asked:
    claims: list[Claim] = []
    try:
        namespaces = dict(map(tenant, found["Namespace"]))
        if "ingress" in settings.source:
            choice = replace(
                selection.ingresses(settings), default_classes=ingress.default_classes(found["IngressClass"])
            )
            claims += [claim for item in found["Ingress"] for claim in ingress.claims(item, choice)]
        if "gateway" in settings.source:
            claims += gateway.claims(found.__getitem__, settings.gateway_class, lambda: namespaces)
    except OperatorError as error:
        raise OperatorError(f"{file}: {error}") from error
    return Asked(claims, namespaces, (*selection.remarks(settings), *_nothing(found, settings, file)))


def _nothing(found: Objects, settings: Settings, file: str) -> Iterator[Remark]:
    wanted = [{"ingress": "Ingress", "gateway": "Gateway"}[source] for source in dict.fromkeys(settings.source)]
    if not any(found[kind] for kind in wanted):
        yield Remark(f"{file} holds no {' and no '.join(wanted)}, so there is a rule for no host")
    if not found["Namespace"] and (settings.namespace_selector or settings.domain_per_namespace_annotation):
        yield Remark(f"{file} holds no Namespace, and the settings are about labels or annotations of theirs")


def _read(path: str) -> bytes:
    try:
        with open(0 if path == STDIN else path, "rb", closefd=path != STDIN) as file:
            content = file.read()
    except OSError as error:
        raise OperatorError(f"{_shown(path)} cannot be read: {error.strerror}") from error
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        # An error is never an empty list.
        raise OperatorError(f"{_shown(path)} is empty; did the command that should fill it fail?")
    return content


def _shown(path: str) -> str:
    return "standard input" if path == STDIN else path


def _configuration(whole: Key, reading: Reading, settings: Settings, target: Target | None) -> Configuration:
    version = settings.coredns_version or CURRENT
    if settings.provider != "import":
        return Configuration(whole, version=version)
    if not target:
        raise OperatorError(
            "the Corefile imports no folder, among the plugins of each server block that the rules belong to, at which "
            "a ConfigMap of its own could be mounted; --provider corefile shows the Corefile"
        )
    # As it will be when all is done, where rules in the Corefile have no part any more.
    corefile = _file(_NAME, "Corefile", reading.bare)
    imported, files = _file(target.configmap, target.key, ""), {target.pattern: {target.key: MARK}}
    return Configuration(corefile, imported, uses_import=True, files=files, version=version)


def _file(configmap: ConfigMapName, name: str, text: str) -> Key:
    size = len(text.encode(errors="surrogateescape"))
    return _File(ConfigMap(configmap, {name: text}, resource_version="", size=size, item={}), name)


def _said(text: str, state: Configuration) -> str:
    """What is said of a key of a ConfigMap, said of a file."""
    return text.removeprefix(f"{state.corefile}: ")


def _placed(reading: Reading, settings: Settings, target: Target | None) -> Iterator[str]:
    """What differs from the cluster in where the rules stand."""
    version = settings.coredns_version
    too_old = version is not None and version < RELOADS_IMPORTS
    if not target or settings.provider == "corefile":
        return
    if settings.provider == "auto":
        if not too_old:
            yield (
                f"the Corefile imports {target.pattern}: where a ConfigMap is mounted there, `run` writes the rules "
                f"into its key {target.key} (--provider import shows it), and none into the Corefile"
            )
        return
    if too_old:
        yield (
            f"CoreDNS {version} notices no change of an imported file ({RELOADS_IMPORTS} does), so `run` writes no "
            f"{target.key}"
        )
    if reading.hosts:
        rules = counted(reading.hosts, "rule")
        yield f"the Corefile has {rules} of ours, which `run` takes out once {target.key} is seen to be at work"


def _unanswered(reading: Reading, destination: str) -> Iterator[str]:
    try:
        homes(reading.blocks, destination)
    except NoKubernetesError as error:
        yield f"{error} (`run` writes no rule there)"


def _strangers(reading: Reading) -> Iterator[str]:
    """Rules that bear our tag and lead elsewhere: whose they are, only the cluster could tell."""
    for destination in sorted(set(reading.strangers.values())):
        rules = [rule for rule, where in reading.strangers.items() if where == destination]
        yield (
            f"the Corefile has {counted(rules, 'rule')} such as `{rules[0]}` of another install of hairpin-proxy, left "
            f"alone: --adopt-destination {destination} takes over what is left of one that is gone"
        )


def _diff(name: str, before: str, after: str) -> str:
    """What `patch -p0` and `git apply -p0` take; empty if nothing changes."""
    lines = difflib.unified_diff(_lines(before), _lines(after), name if before else "/dev/null", name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """With their line breaks, of which a carriage return alone is none."""
    return re.findall(r".*\n|.+", text)
