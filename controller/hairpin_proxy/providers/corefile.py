"""Rules in CoreDNS's configuration."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from hairpin_proxy import coredns
from hairpin_proxy.configuration import Configuration, Key
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.kube import Kube
from hairpin_proxy.managers import manager
from hairpin_proxy.observe.log import Failures
from hairpin_proxy.outcome import Room
from hairpin_proxy.plan import Plan
from hairpin_proxy.policy import Facts
from hairpin_proxy.providers import configmap
from hairpin_proxy.providers.reader import Reader

NOBODY = "nothing tells who undoes it; a second hairpin-proxy with other settings would not show"


@dataclass(frozen=True, slots=True)
class Corefile:
    """The provider."""

    kube: Kube
    reader: Reader
    plan: Plan
    nudge: bool = False
    """Whether CoreDNS's pods are told of a write."""

    failures: Failures = field(default_factory=lambda: Failures("nudge"))

    def __str__(self) -> str:
        return "CoreDNS's configuration"

    def read(self) -> Configuration:
        """Raises OperatorError; MissingError if there is no such ConfigMap."""
        return self.reader.read()

    def owned(self, state: Configuration) -> frozenset[str]:
        """The hosts that have a rule of ours."""
        return self.plan.owned(state)

    def facts(self, state: Configuration) -> Facts:
        """What the configuration has to do with which hosts may have a rule."""
        return self.plan.facts(state)

    def render(self, state: Configuration, hosts: Collection[str]) -> Edit:
        """The next edit. Raises OperatorError if the rules for these hosts cannot be written."""
        return self.plan.edit(state, hosts)

    def remarks(self, state: Configuration, hosts: Collection[str]) -> Iterable[Remark]:
        """What an operator should know of the configuration."""
        return self.plan.remarks(state, hosts)

    def write(self, state: Configuration, edit: Edit) -> Remark | None:
        """Writes one key, unless its ConfigMap has changed since it was read.

        Raises KubeError, with status 409 in that case. What node-local-dns reads keeps nothing else from going on, so
        why it could not be written is returned.
        """
        for corefile in state.node_corefiles:
            if str(corefile.key) == edit.document and self.reader.node_caches:
                return self.reader.node_caches.write(corefile, edit.desired)
        key = next(key for key in (state.corefile, *state.imported_keys) if str(key) == edit.document)
        configmap.write(self.kube, key.configmap, key.name, edit.desired or None)
        if self.nudge:
            self._tell(key)
        return None

    def _tell(self, key: Key) -> None:
        problems = coredns.nudge(self.kube, key.configmap.name.namespace)
        for problem in problems:
            self.failures.failed(f"CoreDNS reads {key} up to two minutes later, for it could not be told: {problem}")
        if not problems:
            self.failures.succeeded()

    def manager(self, state: Configuration, document: str) -> str:
        """Who else writes this document, for people."""
        keys = (state.corefile, *state.imported_keys, *(each.key for each in state.node_corefiles))
        found = (manager(key.configmap.item, key.name) for key in keys if str(key) == document)
        return f"{document}: {next(found, None) or NOBODY}"

    def room(self, state: Configuration) -> Room:
        """How much is used of the key that rules go into."""
        key = _key(state)
        return Room(str(key), len(key.text.encode()), key.limit)


def _key(state: Configuration) -> Key:
    """Where rules go."""
    return state.imported if state.imported and state.uses_import else state.corefile
