"""kustomization.yaml, its components and examples: built by the kustomize in kubectl, taken by a real API server."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hairpin_proxy import __version__
from hairpin_proxy.names import role, role_binding
from hairpin_proxy.settings import Settings, resolve
from tests.cluster.cluster import ClusterError, LocalCluster
from tests.cluster.install import find_command, locate
from tests.cluster.processes import clean_environment
from tests.integration.conftest import ROOT
from tests.integration.test_two_installs import NUDGE, made

KUSTOMIZE = ROOT / "kustomize"
BASE = KUSTOMIZE / "base"
COMPONENTS = KUSTOMIZE / "components"
EXAMPLES = KUSTOMIZE / "examples"
PAGE = ROOT / "docs" / "kustomize.md"
NAMES = sorted(path.parent.name for path in COMPONENTS.glob("*/kustomization.yaml"))
BUILT = sorted(str(path.parent.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("kustomization.yaml"))
ADDING = {
    "etc-hosts": "deploy-etchosts-daemonset.yml",
    "events": "deploy-events.yml",
    "network-policy": "deploy-networkpolicy.yml",
    "node-local-dns": "deploy-node-local-dns.yml",
    "nudge-coredns": "deploy-nudge-coredns.yml",
    "service-monitor": "kustomize/components/service-monitor/service-monitor.yml",
}
"""Components that add objects, and the manifest with these."""

SETTINGS = ["cluster-domain", "configmap", "gateway-api", "import-provider", "ingress-class", "target-server"]
ALL = [*ADDING, *SETTINGS, "namespace"]
"""The components in an order that works; second-install is two of them."""

VALUES = {
    "namespace": "edge",
    "cluster-domain": "k8s.example.com",
    "configmap": "rke2-coredns-rke2-coredns",
    "ingress-class": "nginx,internal",
    "target-server": "my-ingress.my-namespace.svc.k8s.example.com",
}
CONTROLLER, NODE_CONTROLLER = "hairpin-proxy-controller", "hairpin-proxy-etchosts-controller"
ACCOUNT, NODE_ACCOUNT = "hairpin-proxy-controller-sa", "hairpin-proxy-etchosts-controller-sa"

Object = dict[str, Any]
Key = tuple[str, str | None, str]
Built = dict[Key, Object]
Build = Callable[..., Built]


# ---- building


def kustomize(folder: Path) -> list[Object]:
    """What the kustomize in our kubectl makes of a folder."""
    argv = [locate("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(argv, env=clean_environment(folder), text=True, capture_output=True, check=False)
    if done.returncode:
        raise ClusterError(done.stderr)
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def keyed(objects: Iterable[Object]) -> Built:
    """By kind, namespace and name; the order of environment variables does not count."""
    found: Built = {}
    for item in objects:
        metadata = item["metadata"]
        key = (item["kind"], metadata.get("namespace"), metadata["name"])
        assert key not in found
        for container in containers(item):
            if "env" in container:
                container["env"].sort(key=lambda entry: entry["name"])
        found[key] = item
    return found


def read(*manifests: Path | str) -> Built:
    return keyed(item for path in manifests for item in yaml.safe_load_all((ROOT / path).read_text()))


def containers(item: Object) -> list[Object]:
    found: list[Object] = item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return found


def workload(built: Built, name: str) -> Object:
    """The one Deployment or DaemonSet of this name."""
    (found,) = (
        item for (kind, _, name_), item in built.items() if name_ == name and kind in ("Deployment", "DaemonSet")
    )
    return found


def variables(built: Built, name: str) -> dict[str, str]:
    """What its container has in its environment, but for what the pod's fields fill in."""
    (container,) = containers(workload(built, name))
    return {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}


def settings(built: Built, name: str = CONTROLLER) -> Settings:
    """What a controller makes of it, in its pod."""
    item = workload(built, name)
    (container,) = containers(item)
    filled_in = [entry for entry in container.get("env", []) if "valueFrom" in entry]
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    assert all(entry["valueFrom"] == {"fieldRef": field} for entry in filled_in)
    namespace = item["metadata"]["namespace"]
    return resolve({}, variables(built, name) | {entry["name"]: namespace for entry in filled_in})


def without(built: Built, name: str, *env: str) -> Built:
    """The same objects without these variables, which must be there."""
    found = copy.deepcopy(built)
    (container,) = containers(workload(found, name))
    assert set(env) <= {entry["name"] for entry in container["env"]}
    container["env"] = [entry for entry in container["env"] if entry["name"] not in env]
    if not container["env"]:
        del container["env"]
    return found


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds an overlay outside of the repository, as a user has it."""

    def build(*components: str, values: Mapping[str, str] = VALUES, **more: Any) -> Built:
        overlay = {"resources": [os.path.relpath(BASE, tmp_path)], **more}
        overlay["components"] = [os.path.relpath(COMPONENTS / name, tmp_path) for name in components]
        if values:
            literals = [f"{name}={value}" for name, value in values.items()]
            overlay["configMapGenerator"] = [{"name": "hairpin-proxy-values", "literals": literals}]
        (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
        return keyed(kustomize(tmp_path))

    return build


# ---- the files


def test_kubectl_has_the_kustomize_that_we_speak_of() -> None:
    said = subprocess.run([locate("kubectl"), "version", "--client", "-o", "json"], capture_output=True, check=True)
    found = json.loads(said.stdout)["kustomizeVersion"]
    print(f"kustomize {found}")
    assert tuple(map(int, found.removeprefix("v").split("."))) >= (5, 7, 1)


def test_the_copies_are_the_manifests() -> None:
    """`tools/kustomize-copies` makes them."""
    copies = sorted(KUSTOMIZE.rglob("deploy*.yml"))
    assert [path.name for path in copies if path.read_bytes() != (ROOT / path.name).read_bytes()] == []
    assert sorted(path.name for path in copies) == sorted(path.name for path in ROOT.glob("deploy*.yml"))
    assert not any(path.is_symlink() for path in KUSTOMIZE.rglob("*"))


def test_the_root_is_the_manifest() -> None:
    assert keyed(kustomize(ROOT)) == read("deploy.yml")
    assert list(written(ROOT)) == [
        "apiVersion",
        "kind",
        "resources",
    ]  # kubectl would warn of sortOptions at each command


def test_each_component_has_an_example() -> None:
    used = {Path(component).name for name in BUILT for component in written(EXAMPLES / name).get("components", [])}
    assert used == set(NAMES) == {*ALL, "second-install"}


def written(folder: Path) -> Object:
    found: Object = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


# ---- the page


def test_the_page_has_each_component_in_an_order_that_works_and_its_values() -> None:
    rows = re.findall(r"^\| \[`(.*)`\]\(\.\./kustomize/components/(.*)\) \| (.*?) ?\|", PAGE.read_text(), re.MULTILINE)
    assert all(name == folder for name, folder, _ in rows)
    assert [name for name, *_ in rows] == [*ALL, "second-install"]
    for name, _, values in rows:
        assert sorted(re.findall(r"`(.*?)`", values)) == sorted(taken(COMPONENTS / name))


def taken(component: Path) -> list[str]:
    """The values that a component takes."""
    text = written(component)
    paths = [each["source"]["fieldPath"] for each in text.get("replacements", [])]
    others = [value for name in text.get("components", []) for value in taken(component / name)]
    return [path.removeprefix("data.") for path in paths] + others


def test_the_page_has_each_example() -> None:
    page = PAGE.read_text()
    for name in BUILT:
        top = name.split("/")[0]
        assert top in NAMES or f"[`{top}`](../kustomize/examples/{top})" in page


def test_the_overlay_of_the_page_also_with_its_patch(build: Build, tmp_path: Path) -> None:
    overlay, patch = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    expected = build("etc-hosts", "ingress-class", "namespace", values={**VALUES, "ingress-class": "nginx"})
    text = overlay.replace("../hairpin-proxy", os.path.relpath(ROOT, tmp_path))
    (tmp_path / "kustomization.yaml").write_text(text)
    assert keyed(kustomize(tmp_path)) == expected
    (tmp_path / "kustomization.yaml").write_text(text + patch)
    patched = keyed(kustomize(tmp_path))
    assert settings(patched).allow_domain == ("example.com",)
    assert without(patched, CONTROLLER, "ALLOW_DOMAIN") == expected


def test_kustomizes_own_namespace_is_refused(build: Build) -> None:
    """Else the Role of kube-system would stand elsewhere, too."""
    with pytest.raises(ClusterError, match="namespace transformation produces ID conflict"):
        build(values={}, namespace="edge")


def test_the_guard_comes_before_the_right_that_it_guards() -> None:
    """In the two examples that have it: kubectl's own order has the right first."""
    for name in BUILT:
        kinds = [(item["kind"], item["metadata"]["name"]) for item in kustomize(EXAMPLES / name)]
        guards = [index for index, (kind, _) in enumerate(kinds) if kind.startswith("ValidatingAdmission")]
        rights = [
            index for index, (_, name) in enumerate(kinds) if name.endswith(("-nudge-coredns-r", "-nudge-coredns-rb"))
        ]
        assert (len(guards), len(rights)) == (
            (2, 2) if "components/nudge-coredns" in str(written(EXAMPLES / name)) else (0, 0)
        )
        assert sorted(guards + rights) == guards + rights


# ---- what each component does


@pytest.mark.parametrize("name", ADDING)
def test_what_adds_objects_adds_those_of_its_manifest(build: Build, name: str) -> None:
    env = {"events": ["EVENTS"], "node-local-dns": ["NODE_LOCAL_DNS"], "nudge-coredns": ["NUDGE_COREDNS"]}.get(name)
    built = build(name, values={})
    assert (without(built, CONTROLLER, *env) if env else built) == read("deploy.yml", ADDING[name])


def test_what_switches_on_what_it_gives_the_right_to(build: Build) -> None:
    assert settings(build("events")).events
    assert settings(build("node-local-dns")).node_local_dns == "on"
    assert settings(build("nudge-coredns")).nudge_coredns


def test_the_import_provider(build: Build) -> None:
    built = build("etc-hosts", "import-provider", values={})
    assert settings(built).provider == "import"
    assert without(built, CONTROLLER, "PROVIDER") == read("deploy.yml", ADDING["etc-hosts"])


def test_the_gateway_api(build: Build) -> None:
    built = build("etc-hosts", "gateway-api", values={})
    for name in (CONTROLLER, NODE_CONTROLLER):
        assert settings(built, name).source == ("gateway",)
        built = without(built, name, "SOURCE")
    assert built == read("deploy.yml", ADDING["etc-hosts"])
    assert settings(build("gateway-api", values={})).source == ("gateway",)


def test_the_ingress_class(build: Build) -> None:
    built = build("etc-hosts", "ingress-class")
    for name in (CONTROLLER, NODE_CONTROLLER):
        assert settings(built, name).ingress_class == ("nginx", "internal")
        built = without(built, name, "INGRESS_CLASS")
    assert built == read("deploy.yml", ADDING["etc-hosts"])


def test_the_cluster_domain(build: Build) -> None:
    """In the default TARGET_SERVER too, which HAProxy has from its image."""
    built = build("etc-hosts", "cluster-domain")
    haproxy = variables(built, "hairpin-proxy-haproxy")
    assert haproxy == {"TARGET_SERVER": "ingress-nginx-controller.ingress-nginx.svc.k8s.example.com"}
    cfg = (ROOT / "haproxy" / "haproxy.cfg").read_text()
    assert f"presetenv TARGET_SERVER {haproxy['TARGET_SERVER'].replace('k8s.example.com', 'cluster.local')}\n" in cfg
    for name in (CONTROLLER, NODE_CONTROLLER):
        found = settings(built, name)
        assert found.cluster_domain == "k8s.example.com"
        assert found.destination == "hairpin-proxy.hairpin-proxy.svc.k8s.example.com"
        built = without(built, name, "CLUSTER_DOMAIN")
    assert without(built, "hairpin-proxy-haproxy", "TARGET_SERVER") == read("deploy.yml", ADDING["etc-hosts"])


def test_the_configmap(build: Build) -> None:
    built = build("configmap")
    role = built["Role", "kube-system", "hairpin-proxy-controller-r"]
    allowed = role["rules"].pop()
    assert built == read("deploy.yml")
    assert allowed == {**role["rules"][0], "resourceNames": ["rke2-coredns-rke2-coredns"]}


@pytest.mark.parametrize("before", [[], ["cluster-domain"]], ids=["alone", "after cluster-domain"])
def test_the_target_server(build: Build, before: list[str]) -> None:
    built = build(*before, "target-server")
    assert variables(built, "hairpin-proxy-haproxy") == {"TARGET_SERVER": VALUES["target-server"]}
    if not before:
        assert without(built, "hairpin-proxy-haproxy", "TARGET_SERVER") == read("deploy.yml")


def test_the_service_monitor_finds_each_port_with_metrics(build: Build) -> None:
    built = build("etc-hosts", "service-monitor", values={})
    monitor = built["ServiceMonitor", "hairpin-proxy", "hairpin-proxy"]["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    services = [
        item
        for item in built.values()
        if item["kind"] == "Service" and wanted <= item["metadata"].get("labels", {}).items()
    ]
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["metrics"]
    found = {}
    for service in services:
        assert service["spec"]["clusterIP"] == "None"
        (port,) = service["spec"]["ports"]
        assert port.keys() == {"name", "port"}
        assert port["name"] == "metrics"
        (item,) = (item for item in built.values() if selects(service, item))
        assert port["port"] in [each["containerPort"] for each in containers(item)[0]["ports"]]
        # What a Prometheus without the operator is told.
        annotations = item["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(port["port"])
        found[item["metadata"]["name"]] = port["port"]
    assert found == {CONTROLLER: 8000, NODE_CONTROLLER: 8000, "hairpin-proxy-haproxy": 8404}


def selects(service: Object, item: Object) -> bool:
    labels = item.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
    return bool(service["spec"]["selector"].items() <= labels.items())


# ---- another namespace


def renamed(name: str, namespace: str) -> str:
    """What stands outside of the namespace, and the controller's Roles inside, are named after it."""
    outside = r"controller-(cr|crb|r|rb)|etchosts-controller-(cr|crb)|events-(cr|crb)|node-local-dns-(r|rb)"
    return re.sub(rf"^hairpin-proxy-({outside}|nudge-coredns(-r|-rb)?)$", rf"{namespace}-\1", name)


def moved(value: Any, namespace: str, path: tuple[str, ...] = ()) -> Any:
    """The objects of a manifest as they have to be in another namespace, by the names alone."""
    if isinstance(value, dict):
        return {key: moved(each, namespace, (*path, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, namespace, path) for each in value]
    if path[-1:] == ("expression",):
        return value.replace(f":hairpin-proxy:{ACCOUNT}", f":{namespace}:{ACCOUNT}")
    if path[-1:] == ("namespace",):
        return namespace if value == "hairpin-proxy" else value
    if path in (("metadata", "name"), ("roleRef", "name"), ("spec", "policyName"), ("rules", "resourceNames")):
        return renamed(value, namespace)
    return value


def in_namespace(built: Built, namespace: str) -> Built:
    objects = [moved(item, namespace) for item in built.values()]
    for item in objects:
        if item["kind"] == "Namespace":
            item["metadata"]["name"] = namespace
        for allowed in item.get("rules", []):
            if allowed["resources"] == ["namespaces"] and "resourceNames" in allowed:
                assert allowed["resourceNames"] == ["hairpin-proxy"]
                allowed["resourceNames"] = [namespace]
    return keyed(objects)


@pytest.mark.parametrize(
    "namespace",
    [
        "edge",
        "hairpin-proxy",
        "hairpin-proxy-internal",
        "hairpin",
        "a-controller-r",
        "hairpin-proxy-controller-rb",
        "x-events-y-nudge-z-etchosts-0",
    ],
)
def test_everything_follows_the_namespace(build: Build, namespace: str) -> None:
    assert build(*ALL, values={**VALUES, "namespace": namespace}) == in_namespace(build(*ALL[:-1]), namespace)


def test_the_namespace_alone(build: Build) -> None:
    assert build("namespace") == in_namespace(read("deploy.yml"), "edge")


@pytest.mark.parametrize("name", [CONTROLLER, NODE_CONTROLLER])
def test_each_controller_leads_to_the_service_of_its_own_namespace(build: Build, name: str) -> None:
    built = build("etc-hosts", "namespace")
    assert settings(built, name).destination == "hairpin-proxy.edge.svc.cluster.local"


def test_the_second_install_is_what_the_readme_makes_of_the_manifest(build: Build, tmp_path: Path) -> None:
    values = {"namespace": "hairpin-proxy-internal", "ingress-class": "internal"}
    manifest = read(made("two installs, the manifest", ROOT / "deploy.yml", tmp_path))
    assert build("second-install", values=values) == manifest
    nudge = read(made("two installs, the nudge", NUDGE, tmp_path))
    built = build("nudge-coredns", "second-install", values=values)
    assert without(built, CONTROLLER, "NUDGE_COREDNS") == {**manifest, **nudge}


def test_two_installs_at_once_are_each_as_alone() -> None:
    first, second, both = (keyed(kustomize(EXAMPLES / "two-installs" / name)) for name in ("first", "second", ""))
    assert not first.keys() & second.keys()
    assert both == {**first, **second}
    assert settings(first).ingress_class == ("nginx",)
    assert settings(second).ingress_class == ("internal",)
    assert settings(second).destination == "hairpin-proxy.hairpin-proxy-internal.svc.cluster.local"
    assert variables(first, "hairpin-proxy-haproxy") == {}
    assert list(variables(second, "hairpin-proxy-haproxy")) == ["TARGET_SERVER"]


# ---- what a user may do


@pytest.mark.parametrize("component", list(VALUES))
def test_a_value_that_is_missing_is_named(build: Build, component: str) -> None:
    with pytest.raises(ClusterError, match=f"data.{component}.* is missing"):
        build(component, values={name: value for name, value in VALUES.items() if name != component})
    with pytest.raises(ClusterError, match="nothing selected by .*hairpin-proxy-values"):
        build(component, values={})


LATE = ("gateway-api", "ingress-class", "target-server")
"""Components that may come after `namespace`, too."""


@pytest.mark.parametrize("component", [*ADDING, *(name for name in SETTINGS if name not in LATE)])
@pytest.mark.parametrize("renaming", ["namespace", "second-install"])
def test_what_comes_too_late_is_refused(build: Build, renaming: str, component: str) -> None:
    """It would stand in the namespace hairpin-proxy, where the first of two installs is, or do nothing."""
    with pytest.raises(ClusterError, match="no matches for Id Deployment"):
        build(renaming, component)


@pytest.mark.parametrize("component", LATE)
def test_what_may_come_late_does_the_same_there(build: Build, component: str) -> None:
    assert build("etc-hosts", "namespace", component) == build("etc-hosts", component, "namespace")


def test_images_of_an_own_registry() -> None:
    built = keyed(kustomize(EXAMPLES / "everything"))
    images = [container["image"] for item in built.values() for container in containers(item)]
    prefix = "registry.example.com/hairpin-proxy"
    assert sorted(images) == [f"{prefix}-{name}:{__version__}" for name in ("controller", "controller", "haproxy")]


def test_from_a_git_repository(tmp_path: Path) -> None:
    """As in the overlay of somebody who has no clone."""
    git = [
        str(find_command("git")),
        "-C",
        str(tmp_path / "origin"),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
    ]
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (tmp_path / "origin").mkdir()
    subprocess.run(["cp", "-r", str(KUSTOMIZE), str(tmp_path / "origin")], check=True)
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "All"], ["tag", "v1"]):
        subprocess.run([*git, *argv], check=True, capture_output=True)
    url = f"file://{tmp_path}/origin//kustomize"
    text = {
        "resources": [f"{url}/base?ref=v1"],
        "components": [f"{url}/components/second-install?ref=v1"],
        "configMapGenerator": [{"name": "hairpin-proxy-values", "literals": ["namespace=edge", "ingress-class=a"]}],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(text))
    built = keyed(kustomize(overlay))
    assert without(built, CONTROLLER, "INGRESS_CLASS") == in_namespace(read("deploy.yml"), "edge")


# ---- by the real API server


@pytest.fixture(scope="module")
def server() -> Iterator[LocalCluster]:
    """One that knows ServiceMonitors, and has the namespaces that the examples stand in."""
    with LocalCluster(api_only=True) as running:
        running.install_service_monitors()
        for namespace in ("hairpin-proxy", "hairpin-proxy-internal", "edge"):
            running.kubectl("create", "namespace", namespace)
        yield running


@pytest.mark.parametrize("name", BUILT)
def test_the_api_server_takes_each_example(server: LocalCluster, name: str) -> None:
    said = server.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(EXAMPLES / name))
    assert {line[-len(" (server dry run)") :] for line in said.splitlines()} == {" (server dry run)"}


def test_the_rights_of_a_renamed_install_are_its_own(server: LocalCluster) -> None:
    """By the API server's own authorizer."""
    server.kubectl("apply", "-k", str(EXAMPLES / "everything"))
    allowed = {
        Right(ACCOUNT, "get", "/namespaces/edge", "edge"),
        Right(ACCOUNT, "list", "discovery.k8s.io/endpointslices/", "edge"),
        Right(ACCOUNT, "get", "apps/deployments/hairpin-proxy-controller", "edge"),
        Right(ACCOUNT, "patch", f"/serviceaccounts/{ACCOUNT}", "edge"),
        Right(ACCOUNT, "patch", "/configmaps/coredns", "kube-system"),
        Right(ACCOUNT, "patch", "/configmaps/my-coredns", "kube-system"),
        Right(ACCOUNT, "patch", "/configmaps/node-local-dns", "kube-system"),
        Right(ACCOUNT, "patch", "/pods/coredns", "kube-system"),
        Right(ACCOUNT, "list", "networking.k8s.io/ingresses/", "default"),
        Right(ACCOUNT, "get", "/services/hairpin-proxy", "default"),
        Right(ACCOUNT, "create", "/events/", "default"),
        *held("edge"),
        Right(NODE_ACCOUNT, "watch", f"apps/daemonsets/{NODE_CONTROLLER}", "edge"),
        Right(NODE_ACCOUNT, "get", "/services/hairpin-proxy", "edge"),
        Right(NODE_ACCOUNT, "get", "/namespaces/edge", "edge"),
        Right(NODE_ACCOUNT, "list", "networking.k8s.io/ingresses/", "default"),
    }
    refused = {
        *held("hairpin-proxy"),
        Right(ACCOUNT, "get", "/namespaces/hairpin-proxy", "edge"),
        Right(NODE_ACCOUNT, "get", "/namespaces/hairpin-proxy", "edge"),
    }
    assert {right for right in allowed | refused if right.is_given(server)} == allowed


class Right(NamedTuple):
    """What an account of the namespace `edge` may do, or may not."""

    account: str
    verb: str
    what: str
    """GROUP/RESOURCE/NAME; a name that is empty is any."""

    where: str

    def is_given(self, server: LocalCluster) -> bool:
        group, resource, name = self.what.split("/")
        attributes = {"verb": self.verb, "group": group, "resource": resource, "name": name, "namespace": self.where}
        spec = {"user": f"system:serviceaccount:edge:{self.account}", "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        with server.api() as api:
            answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"]["allowed"])


def held(namespace: str) -> set[Right]:
    """What the controller of the install in this namespace releases."""
    kinds = [("roles", role(namespace)), ("rolebindings", role_binding(namespace))]
    return {
        Right(ACCOUNT, "patch", f"rbac.authorization.k8s.io/{kind}/{name}", where)
        for kind, name in kinds
        for where in ("edge", "kube-system")
    }


def test_applying_the_root_changes_nothing_that_the_manifest_made(server: LocalCluster) -> None:
    """So either can follow the other."""
    server.apply(ROOT / "deploy.yml")
    before = stored(server)
    server.kubectl("apply", "-k", str(ROOT))
    assert stored(server) == before
    server.apply(ROOT / "deploy.yml")
    assert stored(server) == before


def stored(server: LocalCluster) -> list[Object]:
    """The objects of deploy.yml, with what kubectl remembers of its last apply, and without who wrote them when."""
    items: list[Object] = json.loads(server.kubectl("get", "-f", str(ROOT / "deploy.yml"), "-o", "json"))["items"]
    for item in items:
        del item["metadata"]["resourceVersion"]
    return items
