"""Who puts a ConfigMap back as it was, by the marks that it bears, and what to use instead. Pure."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from hairpin_proxy.names import FIELD_MANAGER

_NODES = "use deploy-etchosts-daemonset.yml instead"
_IMPORT = f"let its ConfigMap coredns-custom hold the rules (--provider import), or {_NODES}"
_GIT = f"configure the Corefile in its source, tell it to ignore that key, or {_NODES}"
_HELM = f"set the chart's values (on RKE2 by a HelmChartConfig), or {_NODES}"
_EKS = f"set the add-on's configuration value corefile, run a CoreDNS of your own, or {_NODES}"
_OPENSHIFT = f"it offers no rewrites, so {_NODES}"


class _Sign(NamedTuple):
    mark: str
    """What `_marks` yields, with `*` for any text."""
    who: str
    """`{}` stands for the mark's value."""
    instead: str


# The first that fits counts: GitOps tools install Helm charts, and a cloud's own label says more than a general one.
_SIGNS = (
    _Sign("label kustomize.toolkit.fluxcd.io/name=*", "Flux's Kustomization {}", _GIT),
    _Sign("label helm.toolkit.fluxcd.io/name=*", "Flux's HelmRelease {}", _GIT),
    _Sign("annotation argocd.argoproj.io/tracking-id=*", "Argo CD", _GIT),
    _Sign("label argocd.argoproj.io/instance=*", "Argo CD", _GIT),
    _Sign("label resources.gardener.cloud/managed-by=*", "Gardener", _IMPORT),
    _Sign("label gardener.cloud/*", "Gardener", _IMPORT),
    _Sign("label dns.operator.openshift.io/owning-dns=*", "OpenShift's DNS operator", _OPENSHIFT),
    _Sign("manager dns-operator", "OpenShift's DNS operator", _OPENSHIFT),
    _Sign("namespace openshift-dns", "OpenShift's DNS operator", _OPENSHIFT),
    _Sign("manager eks", "the EKS add-on", _EKS),
    _Sign("label eks.amazonaws.com/component=coredns", "the EKS add-on", _EKS),
    _Sign("label doks.digitalocean.com/managed=*", "DigitalOcean", _IMPORT),
    _Sign("annotation objectset.rio.cattle.io/owner-name=*", "k3s's deploy controller", _IMPORT),
    _Sign("label objectset.rio.cattle.io/hash=*", "k3s's deploy controller", _IMPORT),
    _Sign("label addonmanager.kubernetes.io/mode=Reconcile", "the cluster's addon manager", _IMPORT),
    _Sign("annotation meta.helm.sh/release-name=*", "Helm release {}", _HELM),
    _Sign("label app.kubernetes.io/managed-by=Helm", "Helm", _HELM),
    _Sign("label heritage=Helm", "Helm", _HELM),
    _Sign("label app.kubernetes.io/managed-by=*", "{}", f"configure the Corefile there, or {_NODES}"),
    _Sign("manager *", "{}", f"configure the Corefile there, or {_NODES}"),
)


def manager(configmap: Mapping[str, Any], key: str) -> str | None:
    """Who manages a ConfigMap, why we think so, and what to do, as the end of a sentence; None if nothing tells.

    A field manager counts only if it wrote the key: best asked when a write of ours has just been undone.
    """
    marks = list(_marks(configmap, key))
    for sign in _SIGNS:
        for mark in marks:
            if fnmatchcase(mark, sign.mark):
                who = sign.who.format(mark.partition("=")[2] or mark.partition(" ")[2])
                return f"it is managed by {who} ({mark}): {sign.instead}"
    return None


def _marks(configmap: Mapping[str, Any], key: str) -> Iterator[str]:
    metadata = _object(configmap, "metadata")
    for kind, marks in (("label", _object(metadata, "labels")), ("annotation", _object(metadata, "annotations"))):
        yield from (f"{kind} {name}={value}" for name, value in marks.items())
    yield f"namespace {metadata.get('namespace')}"
    # We are not who puts it back.
    others = [entry for entry in writers(configmap, key) if entry[1] != FIELD_MANAGER]
    if who := max(others, default=("", ""))[1]:
        yield f"manager {who}"


def writers(configmap: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """When and as whom this key of the data was written last, by each field manager that the object still tells."""
    entries = _object(configmap, "metadata").get("managedFields")
    return [
        (str(entry.get("time") or ""), str(entry["manager"]))
        for entry in (entries if isinstance(entries, list) else [])
        if f"f:{key}" in _object(entry, "fieldsV1", "f:data") and entry.get("manager") is not None
    ]


def _object(value: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
