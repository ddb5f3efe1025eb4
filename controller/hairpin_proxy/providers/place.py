"""Where CoreDNS reads its Corefile: looked up in the cluster, or as the settings say."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.locate import AmbiguousError, Location, locate
from hairpin_proxy.names import COREDNS_NAMESPACE
from hairpin_proxy.settings import ConfigMapName

_CONFIGMAP, _KEY = ConfigMapName(COREDNS_NAMESPACE, "coredns"), "Corefile"
"""What kubeadm names them, and nearly everybody since."""

_SECONDS = 600.0
"""How long an answer is good for: where CoreDNS reads its Corefile hardly ever changes."""

_GUESS_SECONDS = 30.0
"""The same for a guess: two polls, as they come by default."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which ConfigMap and key CoreDNS reads, and what else is known of it."""

    configmap: ConfigMapName
    key: str
    location: Location | None
    """Where that is mounted; None if it could not be seen."""

    remark: str | None = None
    """What could not be found out."""

    is_doubtful: bool = False
    """Whether the lists in which it was looked for may have been empty for no reason."""


class Places:
    """Looks the place up, and again when the answer has grown old."""

    def __init__(
        self, kube: Kube, configmap: ConfigMapName | None, key: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._configmap = configmap
        self._key = key
        self._clock = clock
        self._known: Place | None = None
        self._good_until = -math.inf
        self._has_vanished = False

    def get(self) -> Place:
        """Raises KubeError if the API server cannot say now, or AmbiguousError."""
        if self._known is None or self._clock() > self._good_until:
            try:
                self._known = self._confirmed(self._look())
            except (KubeError, AmbiguousError):
                if self._known is None:
                    raise
            self._good_until = self._clock() + self._seconds(self._known)
        return self._known

    def _seconds(self, found: Place) -> float:
        """How long it is good for."""
        if self._has_vanished:
            return 0
        return _GUESS_SECONDS if found.is_doubtful else _SECONDS

    def _confirmed(self, found: Place) -> Place:
        """What was found or, if there is nothing any more for the first time, what is known."""
        self._has_vanished = found.is_doubtful and not self._has_vanished
        known = self._known if self._has_vanished and self._known and self._known.location else None
        return known or found

    def forget(self) -> None:
        """Has it looked up anew the next time."""
        self._known = None

    def _look(self) -> Place:
        namespace = self._configmap.namespace if self._configmap else COREDNS_NAMESPACE
        try:
            location = locate(namespace, self._services(namespace), self._workloads(namespace))
        except KubeError as error:
            if error.status != 403:
                raise
            return self._guess(f"it cannot be seen what CoreDNS reads: {error}")
        except AmbiguousError:
            if not self._configmap:
                raise
            return self._guess(None)
        if not location:
            guess = self._guess(f"no Service in namespace {namespace} leads to a CoreDNS that reads a ConfigMap")
            return replace(guess, is_doubtful=True)
        configmap, key = self._configmap or location.configmap, self._key or location.key
        known = location if (configmap, key) == (location.configmap, location.key) else None
        return Place(configmap, key, known)

    def _guess(self, remark: str | None) -> Place:
        configmap, key = self._configmap or _CONFIGMAP, self._key or _KEY
        if remark and not self._configmap:
            remark = (
                f"{remark}; key {key} of ConfigMap {configmap} is assumed (--configmap and --configmap-key say which)"
            )
        return Place(configmap, key, None, remark if not self._configmap else None)

    def _services(self, namespace: str) -> Iterator[Any]:
        return self._kube.items(f"/api/v1/namespaces/{namespace}/services", "ServiceList")

    def _workloads(self, namespace: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for kind in ("Deployment", "DaemonSet"):
            path = f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s"
            for item in self._kube.items(path, f"{kind}List"):
                yield kind, item
