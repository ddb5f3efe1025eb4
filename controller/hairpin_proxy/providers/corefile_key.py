"""The Corefile in one key of a ConfigMap."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hairpin_proxy import coredns, corefile
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.observe.log import log
from hairpin_proxy.settings import ConfigMapName

CONFIGMAP_LIMIT = 1024 * 1024
"""Bytes that all values of a ConfigMap may have together (https://kubernetes.io/docs/concepts/configuration/configmap/)."""


class MissingError(OperatorError):
    """There is no such ConfigMap."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text as it was read."""

    text: str
    resource_version: str
    """What the API server calls this state of the object; a write made from it fails once there is a newer one."""

    limit: int
    """The most bytes that the text may have."""


@dataclass(frozen=True, slots=True)
class CorefileKey:
    """The Corefile in one key of a ConfigMap."""

    kube: Kube
    configmap: ConfigMapName
    key: str
    destination: str
    nudge: bool = False
    """Whether CoreDNS's pods are told of a write."""

    def __str__(self) -> str:
        return f"key {self.key} of ConfigMap {self.configmap}"

    def read(self) -> Document:
        """Raises KubeError, MissingError, or OperatorError if the ConfigMap has no such key."""
        try:
            answer = self.kube.get(self._path(), "ConfigMap")
        except KubeError as error:
            if error.status == 404:
                raise MissingError(f"{error} (--configmap names the ConfigMap that CoreDNS reads)") from error
            raise
        try:
            return self._document(answer)
        except (AttributeError, TypeError, ValueError) as error:
            raise KubeError(f"GET {self._path()}", f"the answer is no ConfigMap: {error}") from error

    def render(self, current: Document, hosts: Collection[str]) -> str:
        """Raises OperatorError if the document cannot take these hosts."""
        try:
            return corefile.render_within(current.text, hosts, self.destination, current.limit)
        except OperatorError as error:
            raise OperatorError(f"{self}: {error}") from error

    def remarks(self, current: Document, hosts: Collection[str]) -> list[str]:
        """What an operator should know of the document, each said once."""
        return [
            f"{self}: {rule!r} was added by another install of hairpin-proxy and is left alone"
            for rule in corefile.strangers(current.text, self.destination)
        ]

    def write(self, current: Document, text: str) -> None:
        """Replaces this key and nothing else, unless the object has changed since `current` was read.

        Raises KubeError, with status 409 in that case.
        """
        patch = {"metadata": {"resourceVersion": current.resource_version}, "data": {self.key: text}}
        try:
            self.kube.merge_patch(self._path(), patch)
        except KubeError as error:
            if error.status is None or error.status >= 500:
                raise OperatorError(f"{error} (the next poll shows whether this was written)") from error
            raise
        if self.nudge:
            for problem in coredns.nudge(self.kube, self.configmap.namespace):
                log.warning("CoreDNS reads %s up to two minutes later, for it could not be told: %s", self, problem)

    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.configmap.namespace}/configmaps/{self.configmap.name}"

    def _document(self, answer: Mapping[str, Any]) -> Document:
        data: dict[str, str] = answer.get("data") or {}
        text = data.get(self.key)
        if not isinstance(text, str):
            keys = ", ".join(sorted(data)) or "none"
            raise OperatorError(
                f"ConfigMap {self.configmap} has no key {self.key} with text (its keys: {keys}); "
                "--configmap-key names the one with the Corefile"
            )
        version = answer["metadata"].get("resourceVersion")
        if not version:
            # A patch without it would overwrite whatever is there.
            raise KubeError(f"GET {self._path()}", "the answer has no metadata.resourceVersion")
        values = [value.encode() for value in data.values()]
        values += [base64.b64decode(value, validate=True) for value in (answer.get("binaryData") or {}).values()]
        others = sum(map(len, values)) - len(text.encode())
        return Document(text, version, CONFIGMAP_LIMIT - others)
