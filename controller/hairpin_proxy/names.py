"""The names that deploy.yml gives its objects, and the one that we write as. Pure."""

NAMESPACE = "hairpin-proxy"
CONTROLLER = "hairpin-proxy-controller"
NODE_CONTROLLER = "hairpin-proxy-etchosts-controller"
SERVICE_ACCOUNT, ROLE, ROLE_BINDING = f"{CONTROLLER}-sa", f"{CONTROLLER}-r", f"{CONTROLLER}-rb"
COREDNS_NAMESPACE = "kube-system"

FIELD_MANAGER = "hairpin-proxy"
"""Who wrote a field, in `metadata.managedFields`
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers)."""
