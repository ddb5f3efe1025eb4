"""CoreDNS's configuration as data: its Corefile, and the key of ours that the Corefile may import. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from hairpin_proxy.corefile import CorefileError, Reading, Writing, read, read_file
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.corefile.version import ANSWER_AUTO, CURRENT, Version
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import is_within
from hairpin_proxy.settings import ConfigMapName

LIMIT = 1024 * 1024
"""Bytes that all values of a ConfigMap may have together (https://kubernetes.io/docs/concepts/configuration/configmap/)."""

READ_SECONDS = 150
"""kubelet syncs a ConfigMap within 90 s (syncFrequency 60 s, jittered), CoreDNS reloads within 45 (30, jittered)."""

_CANARIES = "hairpin-proxy.invalid"
"""Nobody else has a name there (RFC 6761 §6.4)."""


def canary(hosts: Collection[str]) -> str:
    """Has a rule in the imported key for as long as the Corefile has rules too.

    Once DNS answers it, the key is at work, and not one of before with other hosts.
    """
    return f"import-{sha256(' '.join(sorted(hosts)).encode()).hexdigest()[:16]}.{_CANARIES}"


def is_canary(host: str) -> bool:
    """Whether this is one."""
    return is_within(host, _CANARIES)


MARK = "hairpin-proxy"
"""A directive that stands in `Configuration.files` where our rules stand in the imported key, or would."""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap as it was read."""

    name: ConfigMapName
    data: Mapping[str, str]
    resource_version: str
    """What the API server calls this state of the object; a write made from it fails once there is a newer one."""

    size: int
    """Bytes of all values."""

    item: Mapping[str, Any]
    """The whole object."""

    def text(self, key: str) -> str:
        """Raises OperatorError if there is no such key."""
        if key not in self.data:
            keys = ", ".join(sorted(self.data)) or "none"
            raise OperatorError(
                f"ConfigMap {self.name} has no key {key} with text (its keys: {keys}); "
                "--configmap-key names the one with the Corefile"
            )
        return self.data[key]

    def limit(self, key: str) -> int:
        """The most bytes that this key may have."""
        return LIMIT - self.size + len(self.data.get(key, "").encode())


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a ConfigMap, as it was read."""

    configmap: ConfigMap
    name: str

    def __str__(self) -> str:
        return f"key {self.name} of ConfigMap {self.configmap.name}"

    @property
    def text(self) -> str:
        """Empty if there is no such key."""
        return self.configmap.data.get(self.name, "")

    @property
    def limit(self) -> int:
        """The most bytes that it may have."""
        return self.configmap.limit(self.name)


@dataclass(frozen=True, slots=True)
class Rules(Writing):
    """Which rules are ours, and how they are written."""

    def read(self, corefile: Key) -> Reading:
        """A Corefile taken apart. Raises CorefileError."""
        return read(corefile.text, self.destinations)

    def read_import(self, imported: Key | None) -> Reading:
        """The same for the imported key, if there is any. Raises OperatorError, which names it."""
        return self._read_file(imported, only_tagged=False)

    def read_others(self, key: Key) -> Reading:
        """The same for a key that others write: `kubeadm upgrade` takes no tags away there."""
        return self._read_file(key, only_tagged=True)

    def _read_file(self, key: Key | None, *, only_tagged: bool) -> Reading:
        try:
            return read_file(key.text if key else "", self.destinations, only_tagged=only_tagged)
        except CorefileError as error:
            raise OperatorError(f"{key}: {error}") from error


@dataclass(frozen=True, slots=True)
class NodeCorefile:
    """What node-local-dns reads."""

    key: Key
    stub_domains: frozenset[str]
    """Zones for which it has blocks that stand elsewhere."""

    addresses: frozenset[str] = frozenset()
    """Where pods ask it, as far as its DaemonSet says so."""

    nameservers: frozenset[str] = frozenset()
    """The DNS servers of the nodes, as far as they are known."""

    waits: bool = False
    """Whether a write was refused a short while ago, so that none is to be tried."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was read."""

    corefile: Key
    imported: Key | None = None
    """The key of ours, be it there already or not; None if there can be none."""

    uses_import: bool = False
    """Whether rules belong into that key."""

    live: bool = False
    """Whether the imported key was seen to be at work."""

    files: Files = field(default_factory=dict)
    """What the Corefile imports, with MARK in place of our rules."""

    leftovers: tuple[Key, ...] = ()
    """Other keys that may be imported and have tagged rules of ours: of before, or of an adopted install."""

    node_corefiles: tuple[NodeCorefile, ...] = ()
    """Those in front of CoreDNS that may get blocks of ours, or have some."""

    addresses: frozenset[str] = frozenset()
    """Of CoreDNS's Service, if they are known."""

    installs: frozenset[str] = frozenset()
    """Where rules with our tag lead that are another install's."""

    orphans: frozenset[str] = frozenset()
    """Where rules with our tag lead that CoreDNS cannot answer."""

    version: Version | None = CURRENT
    """CoreDNS's, if it is known."""

    problem: str | None = None
    """Why no rule can be written."""

    remarks: tuple[Remark, ...] = ()

    strangers: tuple[Remark, ...] = ()
    """What is to be said of installs and orphans."""

    @property
    def answers_auto(self) -> bool | None:
        """Whether CoreDNS takes `answer auto`, and knows HTTPS records; None if its version is not known."""
        return self.version >= ANSWER_AUTO if self.version else None

    @property
    def imported_keys(self) -> tuple[Key, ...]:
        """All that may hold rules of ours, beside the Corefile."""
        return (*((self.imported,) if self.imported else ()), *self.leftovers)
