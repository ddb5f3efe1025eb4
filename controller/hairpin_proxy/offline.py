"""What `run` would write, without a cluster: a Corefile and Ingresses are read from files."""

import codecs
import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple

from hairpin_proxy import placement, policy
from hairpin_proxy.configuration import LIMIT, ConfigMap, Configuration, Key, Rules
from hairpin_proxy.corefile import Reading
from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.corefile.homes import NoKubernetesError, homes
from hairpin_proxy.corefile.version import RELOADS_IMPORTS
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.names import COREDNS_NAMESPACE
from hairpin_proxy.placement import Target
from hairpin_proxy.plan import Plan
from hairpin_proxy.reconcile import left_out
from hairpin_proxy.settings import ConfigMapName, Settings
from hairpin_proxy.sources import ingress, manifests

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


def render(corefile: str, ingresses: str, settings: Settings, *, as_diff: bool) -> Rendered:
    """The Corefile, or the key that it imports, with rules for the hosts of these Ingresses; or how to get there.

    Both are paths of files, or STDIN. Raises OperatorError.
    """
    # Whatever is not UTF-8 comes out as it went in.
    text = _read(corefile).decode(errors="surrogateescape")
    found = manifests.ingresses(_read(ingresses), _shown(ingresses))
    decision = policy.decide((claim for item in found for claim in ingress.claims(item)), settings.destination)
    rules = Rules(settings.destination, settings.adopt_destination)
    whole = _file(_NAME, "Corefile", text)
    plan, reading = Plan(rules, lenient=True), rules.read(whole)
    target = placement.target(text, rules.destination, placement.view(text, _NAME, None), _NAME)
    state = _configuration(whole, reading, settings, target)
    key = state.imported or state.corefile
    try:
        edit = plan.edit(state, decision.hosts)
    except OperatorError as error:
        raise OperatorError(_said(str(error), state)) from error
    desired = edit.desired if edit.document == str(key) else key.text
    return Rendered(
        (_diff(key.name, key.text, desired) if as_diff else desired).encode(errors="surrogateescape"),
        (
            *([] if found else [f"{_shown(ingresses)} holds no Ingress, so there is a rule for no host"]),
            *(remark.text for remark in left_out(decision)),
            *_placed(reading, settings, target),
            *(_unanswered(reading, rules.destination) if decision.hosts else ()),
            *(_said(each.text, state) for each in (*edit.remarks, *plan.remarks(Configuration(whole), decision.hosts))),
            *_strangers(reading),
        ),
    )


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
    if settings.provider != "import":
        return Configuration(whole)
    if not target:
        raise OperatorError(
            "the Corefile imports no folder, among the plugins of each server block that the rules belong to, at which "
            "a ConfigMap of its own could be mounted; --provider corefile shows the Corefile"
        )
    # As it will be when all is done, where rules in the Corefile have no part any more.
    corefile = _file(_NAME, "Corefile", reading.bare)
    return Configuration(corefile, _file(target.configmap, target.key, ""), uses_import=True)


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
