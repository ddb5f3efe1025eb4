"""Which objects deploy.yml makes, and what their states say about an uninstall. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hairpin_proxy.names import CONTROLLER, NODE_CONTROLLER, SERVICE_ACCOUNT, role, role_binding

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


class State(Enum):
    """How an object is found."""

    PRESENT = "is there"
    DELETING = "is being deleted"
    GONE = "is gone"
    UNKNOWN = "cannot be seen"


GOING = (State.DELETING, State.GONE)


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its kind, its name for people, and where the API has it."""

    kind: str
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """How the installed controller is started."""

    flags: tuple[str, ...] = ()
    """What follows the command `run`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    """Variables whose value stands in another object."""

    known: bool = False
    """Whether there is a Deployment at all."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An install in this namespace."""

    namespace: str
    coredns: str
    """The namespace of CoreDNS, where the controller may write."""

    @property
    def deployment(self) -> Thing:
        """The controller itself."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{CONTROLLER}"
        return Thing("Deployment", f"{self.namespace}/{CONTROLLER}", path)

    @property
    def own_namespace(self) -> Thing:
        """The one that the controller runs in."""
        return namespace(self.namespace)

    @property
    def runs_it(self) -> tuple[Thing, Thing]:
        """Without which kubelet ends the controller, and nothing starts it again."""
        return (self.deployment, self.own_namespace)

    @property
    def rights(self) -> tuple[Thing, Thing]:
        """The Role and the RoleBinding by which the controller may edit the Corefile."""
        return self._rights(self.coredns)

    @property
    def held(self) -> tuple[Thing, ...]:
        """What deploy.yml gives our finalizer: all that the controller needs to restore the Corefile.

        The ServiceAccount is one of them, because the API server refuses the token of one that is gone.
        """
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{SERVICE_ACCOUNT}"
        account = Thing("ServiceAccount", f"{self.namespace}/{SERVICE_ACCOUNT}", path)
        return (account, *dict.fromkeys((*self._rights(self.namespace), *self.rights)))

    @property
    def everything(self) -> tuple[Thing, ...]:
        """All objects whose state says something about an uninstall."""
        return (self.own_namespace, self.deployment, *self.held)

    def sign_of_uninstall(self, states: Mapping[Thing, State]) -> str | None:
        """Why this is an uninstall, for people; None if nothing says so.

        The controller's own Deployment or Namespace is enough, for nothing would run it again. Its rights count only
        together, for either alone may be replaced by an upgrade.
        """
        for thing in self.runs_it:
            if states[thing] in GOING:
                return f"{thing} {states[thing].value}"
        if all(states[thing] in GOING for thing in self.rights):
            return " and ".join(f"{thing} {states[thing].value}" for thing in self.rights)
        return None

    def _rights(self, where: str) -> tuple[Thing, Thing]:
        path, ours, binding = f"{_RBAC}/namespaces/{where}", role(self.namespace), role_binding(self.namespace)
        return (
            Thing("Role", f"{where}/{ours}", f"{path}/roles/{ours}"),
            Thing("RoleBinding", f"{where}/{binding}", f"{path}/rolebindings/{binding}"),
        )


def namespace(name: str) -> Thing:
    """What everything of one install but its rights in CoreDNS's namespace lives in."""
    return Thing("Namespace", name, f"/api/v1/namespaces/{name}")


def daemonset(in_namespace: str) -> Thing:
    """What runs the nodes' controllers."""
    path = f"/apis/apps/v1/namespaces/{in_namespace}/daemonsets/{NODE_CONTROLLER}"
    return Thing("DaemonSet", f"{in_namespace}/{NODE_CONTROLLER}", path)
