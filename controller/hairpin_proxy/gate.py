"""Whether hosts may be led to our Service that are not led there yet: not before somebody answers there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hairpin_proxy.edit import Remark
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import ServiceName

STARTING = 60.0
"""Seconds in which HAProxy's pods become ready that are installed together with the controller."""


@dataclass(frozen=True, slots=True)
class Gate:
    """It stands before the Service that the rules lead to."""

    kube: Kube
    service: ServiceName | None
    """None if they lead to none, and then there is nothing to wait for."""

    since: float = field(default_factory=time.monotonic)
    """When the controller started."""

    def shut(self, *, is_first: bool) -> tuple[bool, Remark | None]:
        """Whether new hosts have to wait, and what an operator should know of it.

        Where they would be the first, a Service without a ready endpoint is no surprise for some seconds.
        A Service that may not be read changes nothing. Raises KubeError for all else that can go wrong.
        """
        if not self.service:
            return False, None
        try:
            missing = self._missing(self.service, is_starting=is_first and time.monotonic() - self.since < STARTING)
        except KubeError as error:
            if error.status != 403:
                raise
            return False, Remark(f"new hosts do not wait until Service {self.service} has a ready endpoint: {error}")
        return bool(missing), missing

    def _missing(self, service: ServiceName, *, is_starting: bool) -> Remark | None:
        """What is missing; nothing if there is a ready endpoint."""
        no_host = f"no new host is led to Service {service}"
        try:
            found = self.kube.get(service.path, "Service")
        except KubeError as error:
            if error.status != 404:
                raise
            what = "it does not exist (apply deploy.yml, which has it, or name another by --destination)"
            return Remark(f"{no_host}: {what}")
        slices = self.kube.items(service.slices_path, "EndpointSliceList", labelSelector=service.slices_selector)
        try:
            # The name of such a Service is a CNAME of another, whose endpoints nobody knows here.
            if found["spec"].get("type") == "ExternalName" or any(map(_ready, slices)):
                return None
        except (AttributeError, KeyError, TypeError) as error:
            raise KubeError(f"GET {service.path}", f"the answer is no Service with EndpointSlices: {error}") from error
        if is_starting:
            return Remark(f"hosts wait until Service {service} has a ready endpoint", calm=True)
        return Remark(f"{no_host}: it has no ready endpoint (kubectl -n {service.namespace} get pods)")


def _ready(item: Mapping[str, Any]) -> bool:
    """Whether an EndpointSlice has an endpoint that is ready; one that does not tell is
    (https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/).
    """
    return any((one.get("conditions") or {}).get("ready") is not False for one in item.get("endpoints") or ())
