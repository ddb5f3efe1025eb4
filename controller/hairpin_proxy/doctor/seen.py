"""What was seen of the cluster, as the stations take it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from hairpin_proxy.settings import Settings

T = TypeVar("T")
Object = Mapping[str, Any]
"""A Kubernetes object, as the API has it."""


class Unseen(NamedTuple):
    """Why something could not be read."""

    problem: str
    status: int | None = None
    """The API server's; None if it gave no answer, or that is not why."""

    away: bool = False
    """Whether that may pass by itself: the API server gave no answer, or none that tells anything."""

    @property
    def forbidden(self) -> bool:
        """Whether it was a matter of rights."""
        return self.status == 403

    @property
    def absent(self) -> bool:
        """Whether there is no such object."""
        return self.status == 404


class Server(NamedTuple):
    """Where something answers."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Install:
    """The install that is examined."""

    namespace: str
    settings: Settings
    """The installed controller's."""

    in_pod: bool
    """Whether this runs in its pod, with its rights."""

    controller: Object | Unseen
    """Its Deployment."""

    haproxy: Object | Unseen
    """HAProxy's Deployment."""

    service: Object | Unseen
    """The Service that the rules lead to."""

    nodes: Object | Unseen
    """The DaemonSet that keeps the nodes' hosts files."""

    refused: str | None
    """Why the controller refuses its settings."""

    @property
    def on_nodes_only(self) -> bool:
        """Whether the DaemonSet is all that keeps anything."""
        controller = self.controller
        runs = not isinstance(controller, Unseen) and controller["spec"].get("replicas") != 0
        return not isinstance(self.nodes, Unseen) and not runs and not (
            isinstance(controller, Unseen) and not controller.absent
        )  # fmt: skip

    @property
    def is_there(self) -> bool:
        """Whether any part of it is, as far as can be seen."""
        parts = (self.controller, self.haproxy, self.service)
        return not all(isinstance(part, Unseen) and part.absent for part in parts)


class Call(NamedTuple):
    """One call that the controller makes, as a SubjectAccessReview asks for it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    """Empty for all, and for what has none."""
    name: str = ""
    """Empty for any."""

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {kind}{named}" + (f" in {self.namespace}" if self.namespace else "")
