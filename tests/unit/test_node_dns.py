"""What `make cluster LIKE=...` makes of a distribution's CoreDNS."""

import pytest
import yaml

from tests.cluster.cluster import ClusterError
from tests.cluster.node.dns import DISTRIBUTIONS, deployment_of, distributions, dns_objects
from tests.cluster.node.images import COREDNS_IMAGE


@pytest.mark.parametrize("name", [name for name in distributions() if name != "kubeadm"])
def test_it_reads_the_distributions_own_configuration_with_our_binary(name: str) -> None:
    given = list(yaml.safe_load_all((DISTRIBUTIONS / name / "objects.yml").read_text()))
    objects = dns_objects(name)
    assert [item for item in objects if item["kind"] == "ConfigMap"] == [
        item for item in given if item["kind"] == "ConfigMap"
    ]
    (service,) = (item for item in objects if item["kind"] == "Service")
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    (workload,) = (item for item in objects if item["kind"] == "Deployment")
    assert deployment_of(objects) == workload["metadata"]["name"]
    pod = workload["spec"]["template"]["spec"]
    assert {container["image"] for container in pod["containers"]} == {COREDNS_IMAGE}
    accounts = [item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"]
    assert accounts == [pod["serviceAccountName"]]


def test_what_cannot_run_there_is_refused_by_name() -> None:
    with pytest.raises(ClusterError, match=r"like that of 'openshift' can be had here; there are aks, "):
        dns_objects("openshift")


def test_without_a_name_it_is_kubeadms() -> None:
    assert deployment_of(dns_objects()) == "coredns"
