"""The names that deploy.yml gives its objects, and the one that we write as. Pure.

What lives in an install's own namespace has the same name in every install. Its rights elsewhere would meet those of
another install, so they are named after the namespace; in the default one these are the names of hairpin-proxy v0.2.1.
"""

from typing import NamedTuple

NAMESPACE = "hairpin-proxy"
SERVICE = "hairpin-proxy"
CONTROLLER = "hairpin-proxy-controller"
HAPROXY = "hairpin-proxy-haproxy"
NODE_CONTROLLER = "hairpin-proxy-etchosts-controller"
SERVICE_ACCOUNT = f"{CONTROLLER}-sa"
COREDNS_NAMESPACE = "kube-system"

FIELD_MANAGER = "hairpin-proxy"
"""Who wrote a field, in `metadata.managedFields`
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers)."""


class ServiceName(NamedTuple):
    """Which Service: written `NAMESPACE/NAME`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}"

    @property
    def slices_path(self) -> str:
        """Where the API has its EndpointSlices, among those of others."""
        return f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"

    @property
    def slices_selector(self) -> str:
        """The label that tells them from those of others (KEP-752)."""
        return f"kubernetes.io/service-name={self.name}"


def service(destination: str) -> ServiceName | None:
    """The Service that a destination in normal form names, if it does (Kubernetes DNS specification §2.3.1)."""
    name, namespace, svc, *zone = (*destination.split("."), "", "")[:4]
    return ServiceName(namespace, name) if svc == "svc" and all(zone) else None


def role(namespace: str) -> str:
    """The Roles of the install in this namespace: one is there, and one in CoreDNS's namespace."""
    return f"{namespace}-controller-r"


def role_binding(namespace: str) -> str:
    """The RoleBindings of these Roles."""
    return f"{namespace}-controller-rb"


def destination(namespace: str | None = None, cluster_domain: str | None = None) -> str:
    """The name that the rules of the install in this namespace lead to, if no setting says otherwise."""
    return f"{SERVICE}.{namespace or NAMESPACE}.svc.{cluster_domain or 'cluster.local'}"
