"""The names that deploy.yml gives its objects, and the one that we write as. Pure.

What lives in an install's own namespace has the same name in every install. Its rights elsewhere would meet those of
another install, so they are named after the namespace; in the default one these are the names of hairpin-proxy v0.2.1.
"""

NAMESPACE = "hairpin-proxy"
SERVICE = "hairpin-proxy"
CONTROLLER = "hairpin-proxy-controller"
NODE_CONTROLLER = "hairpin-proxy-etchosts-controller"
SERVICE_ACCOUNT = f"{CONTROLLER}-sa"
COREDNS_NAMESPACE = "kube-system"

FIELD_MANAGER = "hairpin-proxy"
"""Who wrote a field, in `metadata.managedFields`
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers)."""


def role(namespace: str) -> str:
    """The Roles of the install in this namespace: one is there, and one in CoreDNS's namespace."""
    return f"{namespace}-controller-r"


def role_binding(namespace: str) -> str:
    """The RoleBindings of these Roles."""
    return f"{namespace}-controller-rb"


def destination(namespace: str | None = None, cluster_domain: str | None = None) -> str:
    """The name that the rules of the install in this namespace lead to, if no setting says otherwise."""
    return f"{SERVICE}.{namespace or NAMESPACE}.svc.{cluster_domain or 'cluster.local'}"
