"""Who is said to manage a ConfigMap, by its labels, annotations and field managers."""

from typing import Any

import pytest

from hairpin_proxy.managers import manager
from tests import distributions

IMPORT, NODES, HELM = "coredns-custom", "deploy-etchosts-daemonset.yml", "HelmChartConfig"


def configmap(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "kube-system", "name": "coredns", **metadata}}


def labelled(**labels: Any) -> dict[str, Any]:
    return configmap(labels=labels)


def wrote(name: Any, time: Any = "2026-01-01T00:00:00Z", key: str = "f:Corefile") -> dict[str, Any]:
    return {"manager": name, "operation": "Update", "time": time, "fieldsV1": {"f:data": {".": {}, key: {}}}}


def text(item: Any) -> str:
    return manager(item, "Corefile") or ""


@pytest.mark.parametrize(
    ("item", "who", "instead"),
    [
        (labelled(**{"kustomize.toolkit.fluxcd.io/name": "dns"}), "Flux's Kustomization dns (label ", "its source"),
        (labelled(**{"helm.toolkit.fluxcd.io/name": "dns"}), "Flux's HelmRelease dns (label ", "its source"),
        (labelled(**{"argocd.argoproj.io/instance": "dns"}), "Argo CD (label ", "its source"),
        (
            configmap(annotations={"argocd.argoproj.io/tracking-id": "dns:/ConfigMap:kube-system/coredns"}),
            "Argo CD (annotation argocd.argoproj.io/tracking-id=dns:/ConfigMap:kube-system/coredns)",
            "its source",
        ),
        (labelled(**{"resources.gardener.cloud/managed-by": "gardener"}), "Gardener (label ", IMPORT),
        (labelled(**{"gardener.cloud/role": "system-component"}), "Gardener (label ", IMPORT),
        (labelled(**{"dns.operator.openshift.io/owning-dns": "default"}), "OpenShift's DNS operator (label ", NODES),
        (configmap(managedFields=[wrote("dns-operator")]), "OpenShift's DNS operator (manager dns-operator)", NODES),
        (configmap(namespace="openshift-dns"), "OpenShift's DNS operator (namespace openshift-dns)", NODES),
        (
            labelled(**{"eks.amazonaws.com/component": "coredns"}),
            "the EKS add-on (label ",
            "configuration value corefile",
        ),
        (configmap(managedFields=[wrote("eks")]), "the EKS add-on (manager eks)", "configuration value corefile"),
        (labelled(**{"doks.digitalocean.com/managed": "true"}), "DigitalOcean (label ", IMPORT),
        (
            configmap(annotations={"objectset.rio.cattle.io/applied": "x", "objectset.rio.cattle.io/owner-name": "c"}),
            "k3s's deploy controller (annotation objectset.rio.cattle.io/owner-name=c)",
            IMPORT,
        ),
        (labelled(**{"objectset.rio.cattle.io/hash": "0"}), "k3s's deploy controller (label ", IMPORT),
        (
            labelled(**{"addonmanager.kubernetes.io/mode": "Reconcile"}),
            "the cluster's addon manager (label addonmanager.kubernetes.io/mode=Reconcile): ",
            IMPORT,
        ),
        (configmap(annotations={"meta.helm.sh/release-name": "r"}), "Helm release r (annotation ", HELM),
        (labelled(**{"app.kubernetes.io/managed-by": "Helm"}), "Helm (label ", HELM),
        (labelled(heritage="Helm"), "Helm (label heritage=Helm)", HELM),
        (labelled(**{"app.kubernetes.io/managed-by": "kops"}), "kops (label ", NODES),
        (configmap(managedFields=[wrote("kubectl-edit")]), "kubectl-edit (manager kubectl-edit)", NODES),
        (configmap(managedFields=[wrote("two words")]), "two words (manager two words)", NODES),
    ],
)
def test_manager(item: dict[str, Any], who: str, instead: str) -> None:
    assert text(item).startswith(f"it is managed by {who}")
    assert instead in text(item).partition("): ")[2]
    assert NODES in text(item)


def test_the_whole_sentence() -> None:
    assert text(labelled(heritage="Helm")) == (
        "it is managed by Helm (label heritage=Helm): set the chart's values (on RKE2 by a HelmChartConfig), "
        "or use deploy-etchosts-daemonset.yml instead"
    )


HELM_LABEL = {"app.kubernetes.io/managed-by": "Helm"}


@pytest.mark.parametrize(
    ("item", "who"),
    [
        (labelled(**HELM_LABEL, **{"helm.toolkit.fluxcd.io/name": "dns"}), "Flux's"),
        (configmap(labels=HELM_LABEL, annotations={"argocd.argoproj.io/tracking-id": "dns"}), "Argo CD"),
        (configmap(labels=HELM_LABEL, annotations={"meta.helm.sh/release-name": "dns"}), "Helm release dns"),
        (configmap(labels=HELM_LABEL, managedFields=[wrote("kubectl-edit")]), "Helm"),
        (configmap(labels={"eks.amazonaws.com/component": "coredns"}, managedFields=[wrote("x")]), "the EKS add-on"),
        (labelled(**{"doks.digitalocean.com/managed": "true", "app.kubernetes.io/managed-by": "x"}), "DigitalOcean"),
    ],
)
def test_what_says_more_goes_first(item: dict[str, Any], who: str) -> None:
    assert text(item).startswith(f"it is managed by {who}")


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": None},
        {"metadata": 7},
        None,
        configmap(),
        configmap(labels=None, annotations=7, managedFields=None),
        configmap(labels=["x"], managedFields={"x": "y"}),
        configmap(managedFields=[None, 7, {}, {"manager": "x"}, {"manager": "x", "fieldsV1": {"f:data": None}}]),
        labelled(**{"addonmanager.kubernetes.io/mode": "EnsureExists", "k8s-app": "kube-dns"}),
        configmap(managedFields=[wrote("kubelet", key="f:NodeHosts")]),
        configmap(managedFields=[wrote("hairpin-proxy"), wrote(None), wrote("")]),
    ],
)
def test_nothing_tells(item: Any) -> None:
    assert manager(item, "Corefile") is None


def test_the_last_other_writer_of_the_key_counts() -> None:
    writers = [
        wrote("first", "2026-01-01T00:00:00Z"),
        wrote("second", "2026-01-02T00:00:00Z"),
        wrote("timeless", None),
        wrote("elsewhere", "2026-01-03T00:00:00Z", key="f:NodeHosts"),
        wrote("hairpin-proxy", "2026-01-04T00:00:00Z"),
    ]
    for fields in (writers, writers[::-1]):
        assert text(configmap(managedFields=fields)).startswith("it is managed by second (manager second): ")
    assert "elsewhere" in (manager(configmap(managedFields=writers), "NodeHosts") or "")


EXPECTED = {
    "aks": "the cluster's addon manager",
    "doks": "DigitalOcean",
    "eks": "the EKS add-on",
    "gardener": "Gardener",
    "helm-chart": "Helm release my-dns",
    "k3s": "k3s's deploy controller",
    "k3s-custom": "k3s's deploy controller",
    "openshift": "OpenShift's DNS operator",
    "outscale": "Helm release coredns",
    "rke2": "Helm release rke2-coredns",
}
COREFILES = {
    "helm-chart": "kube-system/my-dns-coredns",
    "lke": "kube-system/coredns-base",
    "openshift": "openshift-dns/dns-default",
    "rke2": "kube-system/rke2-coredns-rke2-coredns",
}


@pytest.mark.parametrize("name", distributions.names())
def test_distribution(name: str) -> None:
    said = text(distributions.configmap(name, COREFILES.get(name, "kube-system/coredns")))
    assert said.startswith(f"it is managed by {EXPECTED[name]} (") if name in EXPECTED else not said
