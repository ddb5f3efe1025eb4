"""Kubernetes Events: on objects whose hosts are left out, and on our own Deployment when writes are undone or refused.

They are seldom: each is told once an hour as long as it is so, which is how long an API server keeps it by default
(kube-apiserver --event-ttl), and only so many in a row. What goes wrong with them goes into the log, and nowhere else.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import CONTROLLER, FIELD_MANAGER
from hairpin_proxy.observe.log import Failures, quoted
from hairpin_proxy.outcome import Outcome, reasons

COMPONENT = "deploy-events.yml"
"""What gives the rights that this takes."""

_AGAIN = 3600.0
"""Seconds after which what is still so is told again."""

_SECONDS = 5.0
"""For those of one poll, which the next one waits for."""

_OF_ONE_OBJECT = (403, 404, 409, 422)
"""Statuses that tell nothing of the next notice, as of one whose namespace is being deleted."""

_BURST, _PER_SECOND = 20, 0.1
"""How many may be told at once, and how fast that is made up for."""

_LONGEST = 1024
"""Characters of a message (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/)."""

_REMEMBERED = 10_000
"""Events that are known to have been told, at most."""

_GATEWAY = "gateway.networking.k8s.io"
_GROUPS = {
    "Ingress": ("networking.k8s.io/v1",),
    "Deployment": ("apps/v1",),
    "Gateway": (f"{_GATEWAY}/v1", f"{_GATEWAY}/v1beta1"),
    "ListenerSet": (f"{_GATEWAY}/v1",),
    "HTTPRoute": (f"{_GATEWAY}/v1", f"{_GATEWAY}/v1beta1"),
    "GRPCRoute": (f"{_GATEWAY}/v1", f"{_GATEWAY}/v1alpha2"),
    "TLSRoute": (f"{_GATEWAY}/v1", f"{_GATEWAY}/v1alpha3", f"{_GATEWAY}/v1alpha2"),
}
"""In which versions of the API a kind may be, the newest first."""


class Notice(NamedTuple):
    """What is to be told."""

    object: str
    """Kind, namespace and name: `Ingress default/web`."""

    reason: str
    message: str


@dataclass(slots=True)
class Events:
    """Stands beside the loop, and writes them after each poll."""

    kube: Kube
    namespace: str | None
    """Of the install; None where there is no Deployment to tell them of."""

    clock: Callable[[], float] = time.monotonic
    _told: dict[Notice, float] = field(default_factory=dict)
    _allowance: float = _BURST
    _since: float | None = None
    _reverts: int = 0
    _failures: Failures = field(default_factory=lambda: Failures("event"))

    def poll(self, poll: Callable[[], Outcome]) -> Outcome:
        """One poll, as the function makes it."""
        try:
            outcome = poll()
        except OperatorError as error:
            self.tell(self._refused(error))
            raise
        self.tell(self._noticed(outcome))
        return outcome

    def _noticed(self, outcome: Outcome) -> Iterator[Notice]:
        if self.namespace and outcome.reverts > self._reverts:
            message = f"{outcome.edit.document}: what was written there was undone soon afterwards, by somebody else"
            yield Notice(self._deployment, "Reverted", message)
        self._reverts = outcome.reverts
        for host, (where, reason) in reasons(outcome.decision).items() if outcome.decision else ():
            if not reason.chosen:
                yield Notice(where, "HostLeftOut", f"host {quoted(host)} is left out: it {reason.text} ({reason.code})")

    def _refused(self, error: OperatorError) -> Iterator[Notice]:
        """Of a write alone: the log has all else, and a conflict is everyday."""
        answer = error if isinstance(error, KubeError) else error.__cause__
        if self.namespace and isinstance(answer, KubeError) and answer.is_refused_write:
            yield Notice(self._deployment, "WriteRefused", str(error))

    @property
    def _deployment(self) -> str:
        return f"Deployment {self.namespace}/{CONTROLLER}"

    def tell(self, notices: Iterable[Notice]) -> None:
        """Writes those that are new, as far as so many may be written now."""
        now = self.clock()
        self._replenish(now)
        for notice in notices:
            if now - self._told.get(notice, float("-inf")) < _AGAIN:
                continue
            if self._allowance < 1:
                return  # the next poll goes on
            if self.clock() - now > _SECONDS:
                return
            # Also what fails counts as told: one that cannot be written must not keep others from it.
            self._allowance -= 1
            self._told[notice] = now
            try:
                self._write(notice)
            except KubeError as error:
                self._failures.failed(f"{error}{_hint(error)}")
                if error.status not in _OF_ONE_OBJECT:
                    return
            else:
                self._failures.succeeded()

    def _replenish(self, now: float) -> None:
        gone = now - self._since if self._since is not None else 0.0
        self._allowance, self._since = min(_BURST, self._allowance + gone * _PER_SECOND), now
        if len(self._told) > _REMEMBERED:
            self._told = {notice: when for notice, when in self._told.items() if now - when < _AGAIN}

    def _write(self, notice: Notice) -> None:
        """Raises KubeError. An object that has gone meanwhile needs none."""
        found = self._find(notice.object)
        if not found:
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        namespace = found["namespace"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{FIELD_MANAGER}-", "namespace": namespace},
            "involvedObject": found,
            "type": "Warning",
            "reason": notice.reason,
            "message": notice.message[:_LONGEST],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self.kube.create(f"/api/v1/namespaces/{namespace}/events", event)

    def _find(self, name: str) -> dict[str, Any] | None:
        """A reference to an object, with the uid by which `kubectl describe` finds its events; None if it has gone."""
        kind, _, full = name.partition(" ")
        namespace, _, short = full.partition("/")
        for version in _GROUPS[kind]:
            path = f"/apis/{version}/namespaces/{namespace}/{_plural(kind)}/{short}"
            try:
                metadata = self.kube.get(path, kind)["metadata"]
            except KubeError as error:
                if error.status != 404:
                    raise
                continue
            reference = {"apiVersion": version, "kind": kind, "namespace": namespace, "name": short}
            return {**reference, "uid": metadata.get("uid"), "resourceVersion": metadata.get("resourceVersion")}
        return None


def _hint(error: KubeError) -> str:
    """Only where it helps: an admission plugin refuses by 403 too."""
    return f" (kubectl apply -f {COMPONENT} gives the rights)" if error.is_forbidden_by_rbac else ""


def _plural(kind: str) -> str:
    return "ingresses" if kind == "Ingress" else f"{kind.lower()}s"
