"""deploy.yml against the real API server: restricted pods, rights, and applying it over v0.2.1."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from hairpin_proxy import __version__
from hairpin_proxy.observe.health import Loop
from hairpin_proxy.observe.metrics import Metrics
from hairpin_proxy.observe.observer import Observer
from hairpin_proxy.settings import Settings
from tests.corefiles import rule
from tests.integration.conftest import DEPLOY, EVERY_SOURCE, World, eventually, ingress
from tests.integration.test_import import DEPLOYMENT, KEY, custom, endpoints

SHORT = {"serviceaccount": "sa", "role": "r", "rolebinding": "rb"}
HELD = [
    ("serviceaccount", "hairpin-proxy"),
    *((kind, namespace) for kind in ("role", "rolebinding") for namespace in ("hairpin-proxy", "kube-system")),
]
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(DEPLOY.read_text()))


def found(kind: str, name: str) -> dict[str, Any]:
    return next(item for item in OBJECTS if (item["kind"], item["metadata"]["name"]) == (kind, name))


def rights(objects: list[dict[str, Any]]) -> set[tuple[str, str, str, str | None, str | None]]:
    """What the Roles among these objects allow."""
    return {
        (verb, group, resource, role["metadata"].get("namespace"), name)
        for role in objects
        if role["kind"] in ("ClusterRole", "Role")
        for allowed in role["rules"]
        for group in allowed["apiGroups"]
        for resource in allowed["resources"]
        for verb in allowed["verbs"]
        for name in allowed.get("resourceNames", [None])
    }


def deployments() -> list[dict[str, Any]]:
    return [item for item in OBJECTS if item["kind"] == "Deployment"]


def test_the_reading_order() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in OBJECTS] == [
        ("Namespace", "hairpin-proxy"),
        ("Deployment", "hairpin-proxy-haproxy"),
        ("PodDisruptionBudget", "hairpin-proxy-haproxy"),
        ("Service", "hairpin-proxy"),
        ("ServiceAccount", "hairpin-proxy-controller-sa"),
        ("ClusterRole", "hairpin-proxy-controller-cr"),
        ("ClusterRoleBinding", "hairpin-proxy-controller-crb"),
        ("Role", "hairpin-proxy-controller-r"),
        ("RoleBinding", "hairpin-proxy-controller-rb"),
        ("Role", "hairpin-proxy-controller-r"),
        ("RoleBinding", "hairpin-proxy-controller-rb"),
        ("Deployment", "hairpin-proxy-controller"),
    ]


def test_the_images_have_the_version_of_the_package() -> None:
    daemonset = yaml.safe_load_all((DEPLOY.parent / "deploy-etchosts-daemonset.yml").read_text())
    images = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
        for item in (*deployments(), *daemonset)
        if item["kind"] in ("Deployment", "DaemonSet")
    }
    assert images == {
        "hairpin-proxy-haproxy": f"hairpin-proxy-haproxy:{__version__}",
        "hairpin-proxy-controller": f"hairpin-proxy-controller:{__version__}",
        "hairpin-proxy-etchosts-controller": f"hairpin-proxy-controller:{__version__}",
    }


def test_what_kubelet_and_prometheus_ask_is_what_the_controllers_serve() -> None:
    address = Settings().metrics_address
    assert address
    daemonset = yaml.safe_load_all((DEPLOY.parent / "deploy-etchosts-daemonset.yml").read_text())
    controllers = [
        found("Deployment", "hairpin-proxy-controller"),
        *(each for each in daemonset if each["kind"] == "DaemonSet"),
    ]
    policies = list(yaml.safe_load_all((DEPLOY.parent / "deploy-networkpolicy.yml").read_text()))
    pages = Observer(Metrics(""), Loop(15)).pages()
    for controller in controllers:
        template = controller["spec"]["template"]
        (container,) = template["spec"]["containers"]
        assert container["ports"] == [{"name": "metrics", "containerPort": address.port}]
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")]
        assert probes == [{"path": path, "port": "metrics"} for path in ("/healthz", "/readyz")]
        assert {"/healthz", "/readyz", "/metrics"} == set(pages)
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(address.port)}
        assert template["metadata"]["annotations"] == annotations
        (policy,) = (each for each in policies if each["metadata"]["name"] == controller["metadata"]["name"])
        assert policy["spec"]["podSelector"] == controller["spec"]["selector"]
        ports = [{"port": address.port, "protocol": "TCP"}]
        assert policy["spec"]["ingress"] == [{"from": [{"namespaceSelector": {}}], "ports": ports}]


def test_target_server_is_left_to_the_image_and_to_the_user() -> None:
    assert "TARGET_SERVER" not in json.dumps(OBJECTS)
    dockerfile = (DEPLOY.parent / "Dockerfile.haproxy").read_text()
    assert re.search(r"TARGET_SERVER=ingress-nginx-controller\.ingress-nginx\.svc\.cluster\.local", dockerfile)


@pytest.mark.parametrize("deployment", deployments(), ids=lambda item: str(item["metadata"]["name"]))
def test_every_pod_passes_the_restricted_pod_security_standard(world: World, deployment: dict[str, Any]) -> None:
    """The API server's own admission decides; a pod that is not restricted shows that it does."""
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "restricted"}}
            for name in ("default", "hairpin-proxy-controller-sa")
        ),
    )
    spec = deployment["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "restricted"}, "spec": spec}
    create = ["create", "--dry-run=server", "-f", "-"]
    world.cluster.kubectl(*create, stdin=json.dumps(pod))
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    del spec["securityContext"]["runAsNonRoot"]
    with pytest.raises(Exception, match="violates PodSecurity"):
        world.cluster.kubectl(*create, stdin=json.dumps(pod))
    spec["securityContext"]["runAsNonRoot"] = True


def is_held(world: World, kind: str, namespace: str) -> bool:
    name = f"hairpin-proxy-controller-{SHORT[kind]}"
    return "hairpin-proxy/corefile" in world.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "yaml")


@pytest.fixture
def coredns(world: World) -> Iterator[None]:
    """A Deployment and an address of it, so that CoreDNS is found and can be asked."""
    slices = endpoints(world.cluster.dns_ports.dns)
    world.apply(DEPLOYMENT)
    # An address of loopback is none that the API takes for an endpoint, so it is stored behind its back.
    world.cluster.etcd_put("/registry/endpointslices/kube-system/kube-dns", json.dumps(slices).encode())
    yield
    for item in (DEPLOYMENT, slices, custom()):
        kind, name = item["kind"].lower(), item["metadata"]["name"]
        world.cluster.kubectl("-n", "kube-system", "delete", kind, name, "--ignore-not-found")


def calls(
    world: World, account: str = "hairpin-proxy-controller-sa"
) -> set[tuple[str, str, str, str | None, str | None]]:
    """What a ServiceAccount has asked, as the API server's audit log has it: a Service by name in any namespace."""
    user = f"system:serviceaccount:hairpin-proxy:{account}"
    return {
        (
            event["verb"],
            reference.get("apiGroup", ""),
            reference["resource"],
            None if reference["resource"] == "services" and "name" in reference else reference["namespace"],
            reference.get("name"),
        )
        for event in world.cluster.audit()
        if event["user"]["username"] == user
        for reference in [{"namespace": None, **event["objectRef"]}]
    }


@pytest.mark.usefixtures("coredns", "gateway_api")
def test_the_rights_are_exactly_the_calls_that_are_made(world: World) -> None:
    """Over a whole life, by the audit log.

    It looks everywhere for hosts, writes a rule into the Corefile, beside one of another install, holds what lost its
    finalizer, moves that into an imported key, which CoreDNS is asked for, and is uninstalled.
    """
    lines = f"    import custom/*.override\n{rule('b.example.com', 'hairpin-proxy.other.svc.cluster.local')}\n"
    corefile = world.original.replace("    errors\n", f"    errors\n{lines}")
    world.write_corefile(corefile)
    world.apply(ingress("web", "a.example.com", ingressClassName="nginx"))
    world.cluster.forget_audit()
    controller = world.controller("--install-namespace", "hairpin-proxy", *EVERY_SOURCE)
    eventually(lambda: "updated:" in controller.log.read_text())
    assert rule("a.example.com") in world.cluster.corefile()
    for kind, namespace in HELD:
        patch = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
        world.cluster.kubectl("patch", kind, f"hairpin-proxy-controller-{SHORT[kind]}", "-n", namespace, *patch)
    eventually(lambda: all(is_held(world, *item) for item in HELD))
    world.apply(custom())
    eventually(lambda: ("list", "discovery.k8s.io", "endpointslices", "kube-system", None) in calls(world))
    assert "a.example.com" in world.configmap("coredns-custom")["data"][KEY]
    world.cluster.kubectl("delete", "deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy")
    controller.signal_stop()
    eventually(lambda: not controller.running, 40)
    world.cluster.apply(DEPLOY)
    assert world.cluster.corefile() == corefile
    assert not world.configmap("coredns-custom").get("data")
    assert calls(world) == rights(OBJECTS)


def ancestor(name: str, **pod: Any) -> dict[str, Any]:
    """A Deployment as v0.2.1 made it: one replica, the default strategy, a container named main."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "hairpin-proxy", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": f"compumike/{name}:0.2.1",
                            "resources": {"limits": {"cpu": "50m", "memory": "100Mi"}},
                        }
                    ],
                    **pod,
                },
            },
        },
    }


ENV = {"hairpin-proxy-haproxy": ["TARGET_SERVER"], "hairpin-proxy-controller": ["POD_NAMESPACE"]}


def test_applying_over_v0_2_1_upgrades_it_and_keeps_what_the_user_set(world: World) -> None:
    kubectl = world.cluster.kubectl
    kubectl("delete", "deployment", "--all", "-n", "hairpin-proxy")
    security = {"runAsUser": 405, "runAsGroup": 65533}
    theirs = [
        ancestor("hairpin-proxy-haproxy"),
        ancestor(
            "hairpin-proxy-controller", securityContext=security, serviceAccountName="hairpin-proxy-controller-sa"
        ),
    ]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": theirs}))
    own = "my-nginx.ingress.svc.cluster.local"
    kubectl("set", "env", "deployment/hairpin-proxy-haproxy", "-n", "hairpin-proxy", f"TARGET_SERVER={own}")
    world.cluster.apply(DEPLOY)
    for deployment in deployments():
        name = deployment["metadata"]["name"]
        now = json.loads(kubectl("get", "deployment", name, "-n", "hairpin-proxy", "-o", "json"))["spec"]
        container = now["template"]["spec"]["containers"][0]
        ours = deployment["spec"]["template"]["spec"]
        assert container["image"] == f"{name}:{__version__}"
        assert container["resources"] == ours["containers"][0]["resources"]
        assert now["template"]["spec"]["securityContext"] == ours["securityContext"]
        assert [entry["name"] for entry in container["env"]] == ENV[name]
        assert {"name": "TARGET_SERVER", "value": own} in container["env"] or "haproxy" not in name
    assert now["strategy"] == {"type": "Recreate"}
    kubectl("set", "env", "deployment/hairpin-proxy-haproxy", "-n", "hairpin-proxy", "TARGET_SERVER-")
