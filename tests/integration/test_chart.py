"""The Helm chart, rendered by the real Helm: beside the manifests, and on the real API server."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairpin_proxy import __version__
from hairpin_proxy.settings import ConfigMapName, DnsServer, ListenAddress, options, resolve
from tests.cluster.cluster import LocalCluster
from tests.cluster.install import HELMS, locate
from tests.cluster.processes import clean_environment
from tests.corefiles import rule
from tests.e2e.readme import Shell, blocks
from tests.integration.conftest import ACCOUNT, DEPLOY, ROOT, World
from tests.integration.test_haproxy import WRONG
from tests.integration.test_import import DEPLOYMENT, KEY, custom, in_file
from tests.integration.test_kustomize import containers, keyed, kustomize
from tests.integration.test_leaving import HELD, held
from tests.integration.test_manifests import ancestor, calls, rights
from tests.integration.test_node_local_dns import named
from tests.integration.test_two_installs import made
from tests.nodecache import STANDARD, block, configmap

CHART = ROOT / "charts" / "hairpin-proxy"
PAGE = ROOT / "docs" / "helm.md"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
HELMS_LABELS = re.compile(r"helm\.sh/chart|app\.kubernetes\.io/(name|instance|version|managed-by)")
FEATURES: dict[str, tuple[str, dict[str, str]]] = {
    "etcHosts": ("deploy-etchosts-daemonset.yml", {}),
    "events": ("deploy-events.yml", {"EVENTS": "true"}),
    "nudge": ("deploy-nudge-coredns.yml", {"NUDGE_COREDNS": "true"}),
    "nodeLocalDns": ("deploy-node-local-dns.yml", {"NODE_LOCAL_DNS": "on"}),
    "networkPolicy": ("deploy-networkpolicy.yml", {}),
    "serviceMonitor": ("kustomize/components/service-monitor/service-monitor.yml", {}),
}
"""Each with its manifest, and what its header sets."""

EVERYTHING = {name: {"enabled": True} for name in FEATURES} | {"uninstall": {"gentle": True}}
NOT_OF_A_POD = {"ONCE", "KUBECONFIG", "CONTEXT", "POD_NAMESPACE", "ETC_HOSTS"}
"""Settings that no install has to choose."""

OF_THE_COREFILE = {
    *("MIN_WRITE_INTERVAL", "PROVIDER", "CONFIGMAP", "CONFIGMAP_KEY", "RULES", "ADOPT_DESTINATION"),
    *("COREDNS_VERSION", "NUDGE_COREDNS", "NODE_LOCAL_DNS", "EVENTS"),
}
"""Settings that say nothing to a node."""

Values = dict[str, Any]
Object = dict[str, Any]
Key = tuple[str, str | None, str]


def helm(*arguments: str, values: Values | None = None, major: int = 4) -> subprocess.CompletedProcess[str]:
    """It asks no API server."""
    argv = [locate("helm", [HELMS[major]]), *arguments, *([] if values is None else ["--values", "-"])]
    environment = clean_environment(Path("/nowhere"))
    return subprocess.run(argv, input=json.dumps(values), env=environment, text=True, capture_output=True, check=False)


def rendered(
    values: Values | None = None, namespace: str = "hairpin-proxy", chart: Path = CHART, major: int = 4
) -> list[Object]:
    return [item for item in yaml.safe_load_all(_rendered(json.dumps(values or {}), namespace, chart, major)) if item]


@functools.cache
def _rendered(values: str, namespace: str, chart: Path, major: int) -> str:
    to = ("--namespace", namespace)
    done = helm("template", "some-release", str(chart), *to, values=json.loads(values), major=major)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(values: Values, namespace: str = "hairpin-proxy") -> str:
    done = helm("template", "some-release", str(CHART), "--namespace", namespace, values=values)
    assert done.returncode, "it was not refused"
    return done.stderr


def manifest(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


def by_name(objects: list[Object]) -> dict[Key, Object]:
    """Without the Namespace, Helm's own metadata, and the order of variables."""
    return keyed(without_helms_labels(item) for item in objects if item["kind"] != "Namespace")


def without_helms_labels(item: Object) -> Object:
    metadata = dict(item["metadata"])
    labels = {key: value for key, value in metadata.pop("labels", {}).items() if not HELMS_LABELS.fullmatch(key)}
    return item | {"metadata": metadata | ({"labels": labels} if labels else {})}


def container(objects: list[Object], name: str) -> Object:
    """The one of the Deployment or DaemonSet hairpin-proxy-NAME."""
    (found,) = (
        container
        for item in objects
        if item["metadata"]["name"] == f"hairpin-proxy-{name}"
        for container in containers(item)
    )
    return found


def environment(objects: list[Object], name: str) -> dict[str, str]:
    variables = container(objects, name).get("env", [])
    return {variable["name"]: variable["value"] for variable in variables if "value" in variable}


# ---- beside the manifests


def test_it_counts_as_the_package_does() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_default_rendering_is_deploy_yml() -> None:
    assert by_name(rendered()) == by_name(manifest(DEPLOY))


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_its_manifest_and_the_variable_that_switches_it_on(name: str) -> None:
    path, variables = FEATURES[name]
    objects = rendered({name: {"enabled": True}})
    found, default = by_name(objects), by_name(rendered())
    assert environment(objects, "controller") == variables
    deployment = ("Deployment", "hairpin-proxy", "hairpin-proxy-controller")
    found[deployment]["spec"]["template"]["spec"]["containers"][0]["env"] = containers(default[deployment])[0]["env"]
    assert {key: item for key, item in found.items() if key in default} == default
    assert {key: item for key, item in found.items() if key not in default} == by_name(manifest(ROOT / path))


def test_another_namespace_is_what_the_readme_makes_of_the_manifests(tmp_path: Path) -> None:
    second = by_name(rendered({"settings": {"INGRESS_CLASS": "internal"}}, "hairpin-proxy-internal"))
    assert second == by_name(manifest(made("two installs, the manifest", DEPLOY, tmp_path)))
    marks = dict.fromkeys(("events", "nodeLocalDns"), "two installs, other rights") | {
        "nudge": "two installs, the nudge"
    }
    for name, mark in marks.items():
        path = made(mark, ROOT / FEATURES[name][0], tmp_path)
        more = by_name(rendered({name: {"enabled": True}}, "hairpin-proxy-internal"))
        assert {key: item for key, item in more.items() if key not in second} == by_name(manifest(path))


COMPONENTS = {
    "etcHosts": "etc-hosts",
    "events": "events",
    "nudge": "nudge-coredns",
    "nodeLocalDns": "node-local-dns",
    "networkPolicy": "network-policy",
    "serviceMonitor": "service-monitor",
}
"""The component of kustomize that does the same."""


@pytest.mark.parametrize("namespace", ["hairpin-proxy", "edge", "hairpin-proxy-controller", "x-events-y"])
def test_everything_at_once_is_what_kustomize_makes(tmp_path: Path, namespace: str) -> None:
    target = "my-ingress.my-namespace.svc.k8s.example.com"
    settings = {"INGRESS_CLASS": ["nginx", "internal"], "CLUSTER_DOMAIN": "k8s.example.com", "PROVIDER": "import"}
    features: Values = {name: {"enabled": True} for name in COMPONENTS}
    ours = by_name(rendered(features | {"settings": settings, "haproxy": {"targetServer": target}}, namespace))

    last = ("cluster-domain", "import-provider", "ingress-class", "target-server", "namespace")
    shutil.copytree(ROOT / "kustomize", tmp_path / "kustomize")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    literals = [
        *("cluster-domain=k8s.example.com", "ingress-class=nginx,internal"),
        *(f"target-server={target}", f"namespace={namespace}"),
    ]
    text = {
        "resources": ["../kustomize/base"],
        "components": [f"../kustomize/components/{name}" for name in (*COMPONENTS.values(), *last)],
        "configMapGenerator": [{"name": "hairpin-proxy-values", "literals": literals}],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(text))
    assert ours == by_name(kustomize(overlay))


def test_nothing_of_two_installs_has_the_same_name() -> None:
    first, second = (by_name(rendered(EVERYTHING, namespace)) for namespace in ("hairpin-proxy", "second"))
    assert not first.keys() & second.keys()
    assert len(first) == len(second)


def test_a_new_version_of_the_chart_alone_restarts_no_pod(tmp_path: Path) -> None:
    newer = tmp_path / "chart"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(re.sub("^version: .*", "version: 99.0.0", text, flags=re.MULTILINE))
    before, after = (rendered(EVERYTHING, chart=chart) for chart in (CHART, newer))
    assert before != after
    templates = [[item["spec"].get("template") for item in objects if "spec" in item] for objects in (before, after)]
    assert templates[0] == templates[1]


def test_each_pod_has_no_label_of_helms() -> None:
    for item in rendered(EVERYTHING):
        if containers(item):
            labels = item["spec"]["template"]["metadata"]["labels"]
            assert labels == {"app": item["metadata"]["name"]}
            assert item["spec"].get("selector", {"matchLabels": labels})["matchLabels"] == labels


# ---- values

USUAL: list[Values] = [{}, EVERYTHING, *({name: {"enabled": True}} for name in FEATURES)]


@pytest.mark.parametrize("values", USUAL, ids=str)
def test_helm_3_renders_the_same(values: Values) -> None:
    assert rendered(values, major=3) == rendered(values)


@pytest.mark.parametrize("major", HELMS)
@pytest.mark.parametrize("values", USUAL, ids=str)
def test_lint_says_nothing(values: Values, major: int) -> None:
    done = helm("lint", "--strict", str(CHART), values=values, major=major)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^\[(?!INFO).*", done.stdout, re.MULTILINE) == []


def resolved(node: Any) -> dict[str, Any]:
    """A part of the schema, with what it refers to in its place."""
    while "$ref" in node:
        target: Any = SCHEMA
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return dict(node)


OPEN = ("podLabels",)
"""What takes any key but some."""


def unlike(node: dict[str, Any], values: Values, path: str = "") -> Iterator[str]:
    """Where schema and values.yaml do not have the same keys, or others are taken."""
    properties = node.get("properties", {})
    if not properties or path.endswith(OPEN):
        return
    if node.get("additionalProperties") is not False:
        yield f"{path} takes unknown keys"
    if path.endswith(("ettings", "resources")):
        return
    if found := properties.keys() ^ values.keys():
        yield f"{path}: {found}"
    for name in properties.keys() & values.keys():
        if isinstance(values[name], dict):
            yield from unlike(resolved(properties[name]), values[name], f"{path}.{name}")


OF_A_PARENT = ("global", "enabled")
"""What only a chart that depends on this one gives."""


def test_the_schema_knows_the_values_and_no_others() -> None:
    ours = {key: each for key, each in SCHEMA["properties"].items() if key not in OF_A_PARENT}
    assert list(unlike(SCHEMA | {"properties": ours}, VALUES)) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_another_chart_may_depend_on_it_by_a_condition(tmp_path: Path, enabled: bool) -> None:
    shutil.copytree(CHART, tmp_path / "charts" / "hairpin-proxy")
    dependency = {"name": "hairpin-proxy", "version": __version__, "condition": "hairpin-proxy.enabled"}
    parent = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(json.dumps(parent))
    values = {"global": {"domain": "example.com"}, "hairpin-proxy": {"enabled": enabled}}
    objects = rendered(values, chart=tmp_path)
    assert by_name(objects) == (by_name(rendered()) if enabled else {})


def test_it_is_not_switched_off_by_itself() -> None:
    assert "at '/enabled': value must be true" in refusal({"enabled": False})


def offered(definition: str) -> set[str]:
    return set(resolved(SCHEMA["definitions"][definition])["properties"])


def test_every_setting_that_belongs_into_a_pod_is_offered() -> None:
    settings = {option.env for option in options()}
    assert settings >= NOT_OF_A_POD | OF_THE_COREFILE
    assert offered("settings") == settings - NOT_OF_A_POD
    assert offered("nodeSettings") == settings - NOT_OF_A_POD - OF_THE_COREFILE


def test_every_variable_of_haproxy_is_offered() -> None:
    page = (ROOT / "docs" / "data-plane.md").read_text()
    table = {
        name for row in re.findall(r"^\| (`[A-Z_`, ]+`) \|", page, re.MULTILINE) for name in re.findall("[A-Z_]+", row)
    }
    assert offered("haproxySettings") == table - {"TARGET_SERVER"}
    assert len(table) > 10


GIVEN: list[tuple[str, Any, Any]] = [
    ("POLL_INTERVAL", 30, 30.0),
    ("POLL_INTERVAL", "0.5", 0.5),
    ("MIN_WRITE_INTERVAL", 0, 0.0),
    ("DRY_RUN", True, True),
    ("DRY_RUN", "false", False),
    ("SOURCE", ["ingress", "gateway"], ("ingress", "gateway")),
    ("SOURCE", "gateway", ("gateway",)),
    ("HOSTS_FROM", "all", "all"),
    ("INGRESS_CLASS", ["nginx", "internal"], ("nginx", "internal")),
    ("GATEWAY_CLASS", "istio", ("istio",)),
    ("NAMESPACE", "a b", ("a", "b")),
    ("NAMESPACE_SELECTOR", "team in (a,b),!internal", "team in (a,b),!internal"),
    ("ALLOW_DOMAIN", ["example.com", "example.org"], ("example.com", "example.org")),
    ("DENY_DOMAIN", "corp.example.com", ("corp.example.com",)),
    ("MAX_HOSTS_PER_NAMESPACE", 1_000_000, 1_000_000),
    ("DOMAIN_PER_NAMESPACE_ANNOTATION", "example.com/hosts", "example.com/hosts"),
    ("ONLY_HAIRPINNED", "require", "require"),
    ("ONLY_HAIRPINNED", False, "off"),
    ("RESOLVER", "[2001:db8::53]:53", DnsServer("2001:db8::53", 53)),
    ("CLUSTER_DOMAIN", "k8s.example", "k8s.example"),
    ("PROVIDER", "import", "import"),
    ("CONFIGMAP", "kube-system/coredns", ConfigMapName("kube-system", "coredns")),
    ("CONFIGMAP_KEY", "Corefile", "Corefile"),
    ("RULES", "packed", "packed"),
    ("DESTINATION", "a.b.svc.cluster.local", "a.b.svc.cluster.local"),
    ("ADOPT_DESTINATION", ["old.b.svc.cluster.local"], ("old.b.svc.cluster.local",)),
    ("COREDNS_VERSION", "1.11.3", (1, 11, 3)),
    ("NUDGE_COREDNS", True, True),
    ("NODE_LOCAL_DNS", True, "on"),
    ("EVENTS", "yes", True),
    ("METRICS_ADDRESS", False, None),
    ("METRICS_ADDRESS", ":9000", ListenAddress("", 9000)),
    ("LOG_LEVEL", "debug", "debug"),
    ("LOG_FORMAT", "json", "json"),
]
"""What somebody writes as a setting, and what the controller makes of the variable that comes of it."""


@pytest.mark.parametrize(("name", "given", "meant"), GIVEN, ids=str)
def test_the_controller_understands_a_setting(name: str, given: Any, meant: Any) -> None:
    (option,) = (option for option in options() if option.env == name)
    objects = rendered({"settings": {name: given}, "etcHosts": {"enabled": True}})
    assert getattr(resolve({}, environment(objects, "controller")), option.name) == meant
    on_a_node = getattr(resolve({}, environment(objects, "etchosts-controller")), option.name)
    default = getattr(resolve({}, {"POLL_INTERVAL": "60"}), option.name)
    assert on_a_node == (default if name in OF_THE_COREFILE | {"POLL_INTERVAL"} else meant)


def test_an_example_of_every_setting_was_given() -> None:
    assert {name for name, _, _ in GIVEN} == offered("settings")


def test_a_setting_of_one_controller_wins_and_null_takes_it_back() -> None:
    objects = rendered(
        {
            "settings": {"LOG_LEVEL": "debug", "INGRESS_CLASS": "nginx", "LOG_FORMAT": "json"},
            "controller": {"settings": {"LOG_LEVEL": "error", "INGRESS_CLASS": None}},
            "etcHosts": {"enabled": True, "settings": {"LOG_FORMAT": "text", "POLL_INTERVAL": None}},
            "events": {"enabled": True},
        }
    )
    assert environment(objects, "controller") == {"EVENTS": "true", "LOG_FORMAT": "json", "LOG_LEVEL": "error"}
    assert environment(objects, "etchosts-controller") == {
        "ETC_HOSTS": "/node/etc/hosts",
        "INGRESS_CLASS": "nginx",
        "LOG_FORMAT": "text",
        "LOG_LEVEL": "debug",
    }


def test_what_a_feature_switches_on_can_be_switched_off_before_its_right_goes() -> None:
    objects = rendered({"nodeLocalDns": {"enabled": True}, "controller": {"settings": {"NODE_LOCAL_DNS": False}}})
    assert environment(objects, "controller") == {"NODE_LOCAL_DNS": "off"}
    assert ("Role", "kube-system", "hairpin-proxy-node-local-dns-r") in by_name(objects)


def test_haproxy_is_told_its_target_and_its_settings() -> None:
    binds = {"HTTP_BIND": "192.0.2.1:80,0.0.0.0:8080", "HTTPS_BIND": ":8443,:::8443", "HEALTH_BIND": "[::]:8404"}
    settings = {"PROXY_PROTOCOL": False, "MAXCONN": 1_000_000, "TIMEOUT_IDLE": "30m"} | binds
    objects = rendered({"haproxy": {"targetServer": "traefik.ingress.svc.cluster.local", "settings": settings}})
    assert environment(objects, "haproxy") == {
        "TARGET_SERVER": "traefik.ingress.svc.cluster.local",
        "PROXY_PROTOCOL": "off",
        "MAXCONN": "1000000",
        "TIMEOUT_IDLE": "30m",
        **binds,
    }


REFUSED: list[tuple[Values, str]] = [
    ({"image": {"repository": "x"}}, "additional properties 'repository' not allowed"),
    ({"replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    ({"settings": {"INGRES_CLASS": "nginx"}}, "additional properties 'INGRES_CLASS' not allowed"),
    ({"settings": {"ONCE": True}}, "additional properties 'ONCE' not allowed"),
    ({"etcHosts": {"settings": {"PROVIDER": "import"}}}, "additional properties 'PROVIDER' not allowed"),
    ({"haproxy": {"settings": {"TARGET_SERVER": "a.b"}}}, "additional properties 'TARGET_SERVER' not allowed"),
    ({"settings": {"PROVIDER": "configmap"}}, "value must be one of 'auto', 'corefile', 'import'"),
    ({"settings": {"ONLY_HAIRPINNED": True}}, "value must be one of 'off', 'warn', 'require'"),
    ({"settings": {"SOURCE": "ingresses"}}, "'ingresses' does not match pattern"),
    ({"settings": {"SOURCE": ["gateways"]}}, "value must be one of 'ingress', 'gateway'"),
    ({"settings": {"ALLOW_DOMAIN": []}}, "minItems: got 0, want 1"),
    ({"settings": {"ALLOW_DOMAIN": ""}}, "'' does not match pattern"),
    ({"settings": {"POLL_INTERVAL": 0}}, "minimum: got 0, want 0.1"),
    ({"settings": {"POLL_INTERVAL": "15s"}}, "'15s' does not match pattern"),
    ({"settings": {"MAX_HOSTS_PER_NAMESPACE": 1.5}}, "got number, want null or integer or string"),
    ({"settings": {"METRICS_ADDRESS": "8000"}}, "'8000' does not match pattern"),
    ({"settings": {"METRICS_ADDRESS": True}}, "'not' failed"),
    ({"settings": {"METRICS_ADDRESS": ":0"}}, "':0' does not match pattern"),
    ({"settings": {"METRICS_ADDRESS": ":0011"}}, "':0011' does not match pattern"),  # 9 to YAML
    ({"haproxy": {"settings": {"PROXY_PROTOCOL": "v3"}}}, "value must be one of 'v1', 'v2', 'off'"),
    # The Service and the probe ask the usual ports.
    ({"haproxy": {"settings": {"HEALTH_BIND": ":9404"}}}, "':9404' does not match pattern"),
    ({"haproxy": {"settings": {"HTTPS_BIND": ":443"}}}, "':443' does not match pattern"),
    ({"haproxy": {"targetServer": "https://ingress"}}, "does not match pattern"),
    ({"haproxy": {"replicas": "2"}}, "got string, want integer"),
    ({"haproxy": {"podLabels": {"app": "x"}}}, "'not' failed"),
    ({"image": {"digests": {"controller": "sha256:1"}}}, "'sha256:1' does not match pattern"),
    ({"image": {"registry": "https://registry.example.com"}}, "does not match pattern"),
    ({"image": {"tag": "1.0 # ours"}}, "does not match pattern"),
    ({"image": {"pullPolicy": "Sometimes"}}, "value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ({"coredns": {"configMaps": []}}, "minItems: got 0, want 1"),
    ({"coredns": {"configMaps": "coredns"}}, "got string, want array"),
    ({"uninstall": {"gentle": "yes"}}, "got string, want boolean"),
    ({"serviceMonitor": {"interval": "often"}}, "'often' does not match pattern"),
    ({"serviceMonitor": {"interval": "1s1m"}}, "'1s1m' does not match pattern"),
    ({"coredns": {"namespace": "dns"}}, "set settings.CONFIGMAP, for example to dns/coredns"),
    ({"settings": {"CONFIGMAP": "kube-system/rke2"}}, "add rke2 to coredns.configMaps"),
    ({"settings": {"CONFIGMAP": "dns/coredns"}}, "set coredns.namespace to dns"),
]


@pytest.mark.parametrize(("values", "said"), REFUSED, ids=str)
def test_a_wrong_value_is_refused_in_words(values: Values, said: str) -> None:
    assert said in refusal(values)


@pytest.mark.parametrize(("variable", "value"), [each for each in WRONG if each != ("TARGET_SERVER", "")])
def test_what_haproxys_container_would_refuse_is_refused_before(variable: str, value: str) -> None:
    given: Any = json.loads(value) if re.fullmatch("-?(0|[1-9][0-9]*)", value) else value
    values = {"targetServer": given} if variable == "TARGET_SERVER" else {"settings": {variable: given}}
    assert f"/haproxy/{next(iter(values))}" in refusal({"haproxy": values})


EMPTY: list[Values] = [
    {"settings": None},
    {"image": {"registry": None, "tag": None, "digests": None, "pullSecrets": None}},
    {
        "controller": dict.fromkeys(
            ("settings", "podLabels", "podAnnotations", "nodeSelector", "tolerations", "affinity")
        )
    },
    {"haproxy": dict.fromkeys(("targetServer", "settings", "podLabels", "podAnnotations", "nodeSelector", "affinity"))},
    {"events": {"enabled": None}, "serviceMonitor": {"interval": None, "labels": None}},
]
"""What is left of a part of a values file when every line below its key is a comment."""


@pytest.mark.parametrize("values", EMPTY, ids=str)
def test_what_is_left_empty_is_as_if_it_were_not_there(values: Values) -> None:
    assert by_name(rendered(values)) == by_name(rendered())


NEEDED = [
    ("coredns", "configMaps"),
    ("nodeLocalDns", "configMaps"),
    ("coredns", "namespace"),
    *((name,) for name in VALUES if name != "settings"),
]
"""Empty lists of names would be a right to every object there is."""


@pytest.mark.parametrize("path", NEEDED, ids=".".join)
def test_what_cannot_be_left_empty_is_refused_by_its_name(path: tuple[str, ...]) -> None:
    values: Any = None
    for name in reversed(path):
        values = {name: values}
    assert f"missing property '{path[-1]}'" in refusal(values)


def test_corednss_own_namespace_is_refused() -> None:
    assert "needs a namespace of its own, and kube-system is CoreDNS's" in refusal({}, "kube-system")


def test_the_corefile_of_another_namespace() -> None:
    values = {
        "settings": {"CONFIGMAP": "dns/corefile"},
        "coredns": {"namespace": "dns", "configMaps": ["corefile"]},
        "nudge": {"enabled": True},
    }
    objects = by_name(rendered(values))
    assert not {key for key in objects if key[1] == "kube-system"}
    role = objects["Role", "dns", "hairpin-proxy-controller-r"]
    assert role["rules"][0]["resourceNames"] == ["corefile"]
    assert "kube-system" not in json.dumps(list(objects.values()))


def test_where_the_images_are() -> None:
    values = {"registry": "registry.example.com/tools/", "tag": "1.2.3", "pullSecrets": [{"name": "login"}]}
    objects = rendered(EVERYTHING | {"image": values})
    pods = [item["spec"]["template"]["spec"] for item in objects if containers(item)]
    assert len(pods) == 4
    for pod in pods:
        assert re.fullmatch(
            r"registry\.example\.com/tools/hairpin-proxy-(controller|haproxy):1\.2\.3", pod["containers"][0]["image"]
        )
        assert pod["imagePullSecrets"] == [{"name": "login"}]


@pytest.mark.parametrize("registry", ["registry.example.com:5000", "registry.example.com/a/b_c/", "[2001:db8::1]:5000"])
def test_a_registry_may_have_a_port_a_path_and_any_address(registry: str) -> None:
    image = container(rendered({"image": {"registry": registry}}), "haproxy")["image"]
    assert image == f"{registry.rstrip('/')}/hairpin-proxy-haproxy:{__version__}"


def test_a_label_for_prometheus_wins_over_helms() -> None:
    labels = {"release": "prometheus", "app.kubernetes.io/instance": "prometheus"}
    objects = rendered({"serviceMonitor": {"enabled": True, "labels": labels}})
    (monitor,) = (item for item in objects if item["kind"] == "ServiceMonitor")
    assert labels.items() <= monitor["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["app.kubernetes.io/name"] == "hairpin-proxy"


def test_a_digest_counts() -> None:
    digests = {name: f"sha256:{digit * 64}" for name, digit in (("controller", "1"), ("haproxy", "2"))}
    objects = rendered(EVERYTHING | {"image": {"digests": digests}})
    found = {container["image"] for item in objects for container in containers(item)}
    assert found == {f"hairpin-proxy-{name}:{__version__}@{digest}" for name, digest in digests.items()}


PLACED: Values = {
    "podLabels": {"team": "dns"},
    "podAnnotations": {"example.com/note": "x"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "system-cluster-critical",
    "resources": {"limits": {"memory": "2Gi"}},
    "podSecurityContext": {"runAsUser": None},
}


@pytest.mark.parametrize("component", ["controller", "haproxy", "etcHosts"])
def test_where_and_how_a_pod_runs(component: str) -> None:
    objects = by_name(
        rendered(
            {"etcHosts": {"enabled": True}, component: PLACED | {"enabled": True}}
            if component == "etcHosts"
            else {component: PLACED}
        )
    )
    name = {"controller": "controller", "haproxy": "haproxy", "etcHosts": "etchosts-controller"}[component]
    (template,) = (
        item["spec"]["template"]
        for key, item in objects.items()
        if key[2] == f"hairpin-proxy-{name}" and containers(item)
    )
    assert template["metadata"]["labels"] == {"team": "dns", "app": f"hairpin-proxy-{name}"}
    assert template["metadata"]["annotations"].keys() == {
        "example.com/note",
        "prometheus.io/scrape",
        "prometheus.io/port",
    }
    pod = template["spec"]
    assert pod["nodeSelector"]["pool"] == "system"
    assert {field: pod[field] for field in ("tolerations", "affinity", "priorityClassName")} == {
        field: PLACED[field] for field in ("tolerations", "affinity", "priorityClassName")
    }
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "10m", "memory": "64Mi"},
        "limits": {"memory": "2Gi"},
    }
    assert "runAsUser" not in pod["securityContext"]
    assert "runAsGroup" in pod["securityContext"]


@pytest.mark.parametrize(
    ("address", "port"),
    [
        *((":9000", 9000), ("0.0.0.0:9000", 9000), ("[::]:9000", 9000), ("[2001:db8::1]:9000", 9000)),
        *(("127.0.0.1:9000", None), ("[::1]:9000", None), ("[0:0:0:0:0:0:0:1]:9000", None), ("localhost:9000", None)),
        *(("off", None), (False, None)),
    ],
)
def test_probes_and_ports_follow_the_metrics_address(address: str | bool, port: int | None) -> None:
    objects = rendered(EVERYTHING | {"settings": {"METRICS_ADDRESS": address}})
    for name in ("controller", "etchosts-controller"):
        found = container(objects, name)
        assert [each["containerPort"] for each in found.get("ports", [])] == ([port] if port else [])
        assert ("livenessProbe" in found, "readinessProbe" in found) == (bool(port), bool(port))
        (policy,) = (
            item
            for item in objects
            if (item["kind"], item["metadata"]["name"]) == ("NetworkPolicy", f"hairpin-proxy-{name}")
        )
        allowed = [each["port"] for rule in policy["spec"].get("ingress", []) for each in rule["ports"]]
        assert allowed == ([port] if port else [])
    annotations = [
        item["spec"]["template"]["metadata"].get("annotations", {}).get("prometheus.io/port")
        for item in objects
        if item["metadata"]["name"].endswith("controller") and containers(item)
    ]
    assert annotations == [str(port) if port else None] * 2


# ---- the API server


def applied_for_a_try(world: World, objects: list[Object]) -> str:
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    return world.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(items))


@pytest.fixture(scope="module")
def monitors(cluster: LocalCluster) -> Iterator[None]:
    """The API server knows ServiceMonitors."""
    cluster.install_service_monitors()
    yield
    cluster.kubectl("delete", "customresourcedefinition", "servicemonitors.monitoring.coreos.com")


@pytest.mark.usefixtures("monitors")
@pytest.mark.parametrize("name", [*FEATURES, "default", "everything"])
def test_the_api_server_takes_what_is_rendered(world: World, name: str) -> None:
    values = {"default": {}, "everything": EVERYTHING | {"controller": PLACED, "haproxy": PLACED}}
    assert "deployment.apps/hairpin-proxy-haproxy" in applied_for_a_try(
        world, rendered(values.get(name, {name: {"enabled": True}}))
    )


@pytest.mark.usefixtures("monitors")
@pytest.mark.parametrize(
    ("release", "namespace"),
    [("123", "123"), ("true", "true"), ("1.5", "a"), ("r" * 53, "n" * 63)],
    ids=["numbers", "a boolean", "a float", "long"],
)
def test_any_name_of_a_release_and_of_a_namespace_will_do(world: World, release: str, namespace: str) -> None:
    done = helm("template", release, str(CHART), "--namespace", namespace, values=EVERYTHING)
    assert done.returncode == 0, done.stderr
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    assert {item["metadata"]["labels"]["app.kubernetes.io/instance"] for item in objects} == {release}
    world.cluster.kubectl("create", "namespace", namespace)
    try:
        assert "deployment.apps/hairpin-proxy-haproxy" in applied_for_a_try(world, objects)
    finally:
        world.cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize("build", ["+abc.1", f"-rc.1+{'a' * 37}---b"])
def test_any_version_of_the_chart_will_do(world: World, tmp_path: Path, build: str) -> None:
    ours = tmp_path / "chart"
    shutil.copytree(CHART, ours)
    text = (ours / "Chart.yaml").read_text()
    (ours / "Chart.yaml").write_text(re.sub(r"ersion: [0-9].*", f"ersion: {__version__}{build}", text))
    objects = rendered({"image": {"tag": "1"}}, chart=ours)
    assert "deployment.apps/hairpin-proxy-haproxy" in applied_for_a_try(world, objects)
    value = f"hairpin-proxy-{__version__}{build}".replace("+", "_")
    label = objects[0]["metadata"]["labels"]["helm.sh/chart"]
    assert label == (value if len(value) <= 63 else value[: value.rindex("a") + 1])


def test_the_api_server_looks_closely(world: World) -> None:
    objects = rendered()
    container(objects, "haproxy")["imagePulPolicy"] = "Never"
    with pytest.raises(Exception, match="imagePulPolicy"):
        applied_for_a_try(world, objects)


# ---- a gentle uninstall

HOOKS = {
    "helm.sh/hook": "pre-delete",
    "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
}


def hooks(values: Values | None = None) -> list[Object]:
    return [
        item
        for item in rendered({"uninstall": {"gentle": True}} | (values or {}))
        if HOOKS.items() <= item["metadata"].get("annotations", {}).items()
    ]


def test_there_is_a_hook_only_if_it_is_wanted() -> None:
    gentle = rendered({"uninstall": {"gentle": True}})
    assert len(gentle) == len(hooks()) + len(rendered())
    assert all("annotations" not in item["metadata"] for item in rendered())


def test_what_is_rendered_for_kubectl_has_no_hook() -> None:
    """With one, kubectl would make the Job at once, which takes the rules out of a running install."""
    (command,) = blocks(PAGE)["over another version"].commands
    flags = command.text.partition("charts/hairpin-proxy")[2].partition("|")[0].split()
    done = helm("template", "some-release", str(CHART), *flags, values={"uninstall": {"gentle": True}})
    assert by_name([item for item in yaml.safe_load_all(done.stdout) if item]) == by_name(rendered())


def test_the_hook_comes_after_its_rights() -> None:
    order = sorted(hooks(), key=lambda item: int(item["metadata"]["annotations"].get("helm.sh/hook-weight", "0")))
    assert [item["kind"] for item in order] == [
        *("ServiceAccount", "Role", "Role", "RoleBinding", "RoleBinding", "Job"),
    ]


def test_the_hooks_pod_is_placed_and_labelled_as_the_controllers() -> None:
    """Where a policy demands a label, or each pod without one gets a proxy beside it, no Job would end."""
    (job,) = (item for item in hooks({"controller": PLACED}) if item["kind"] == "Job")
    template = job["spec"]["template"]
    assert template["metadata"] == {
        "labels": {"app": "hairpin-proxy-cleanup"} | PLACED["podLabels"],
        "annotations": PLACED["podAnnotations"],
    }
    for field in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert template["spec"][field] == PLACED[field]


def test_the_hooks_pod_passes_the_restricted_pod_security_standard(world: World) -> None:
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "hairpin-proxy-cleanup", "namespace": "restricted"},
        },
    )
    (job,) = (item for item in hooks() if item["kind"] == "Job")
    metadata = {"name": "pod", "namespace": "restricted"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": job["spec"]["template"]["spec"]}
    create = ["create", "--dry-run=server", "-f", "-"]
    assert "pod/pod created" in world.cluster.kubectl(*create, stdin=json.dumps(pod))
    del pod["spec"]["securityContext"]["seccompProfile"]
    with pytest.raises(Exception, match="violates PodSecurity"):
        world.cluster.kubectl(*create, stdin=json.dumps(pod))


NODE_CACHES = ("node-local-dns", "nodelocaldns")


@pytest.fixture
def before(world: World) -> Iterator[str]:
    """A cluster with a rule of ours in each document that the hook's rights name; the Corefile without them."""
    corefile = world.original.replace("    errors\n", "    errors\n    import custom/*.override\n")
    last = corefile.rindex("}")
    world.write_corefile(f"{corefile[:last]}{rule('a.example.com')}\n{corefile[last:]}")
    caches = [configmap(name, Corefile=STANDARD + block("example.com")) for name in NODE_CACHES]
    world.apply(DEPLOYMENT, custom(**{KEY: in_file("b.example.com")}), *map(named, NODE_CACHES), *caches)
    world.cluster.apply(DEPLOY)
    yield corefile
    kinds = [("deployment", "coredns"), ("configmap", "coredns-custom")]
    kinds += [(kind, name) for kind in ("daemonset", "configmap") for name in NODE_CACHES]
    world.cluster.kubectl("-n", "kube-system", "delete", *(f"{kind}/{name}" for kind, name in kinds))
    world.cluster.apply(DEPLOY)
    world.cluster.kubectl("-n", "hairpin-proxy", "scale", "deployment", "hairpin-proxy-controller", "--replicas=1")


@pytest.mark.parametrize("on_nodes", [False, True])
def test_the_hooks_rights_are_exactly_the_calls_of_cleanup(world: World, before: str, on_nodes: bool) -> None:
    objects = [item for item in hooks({"nodeLocalDns": {"enabled": on_nodes}}) if item["kind"] != "Job"]
    world.cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubeconfig = world.cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-cleanup")
    (job,) = (item for item in hooks() if item["kind"] == "Job")
    arguments = [each for each in containers(job)[0]["args"] if each != "--wait"]  # it would only sleep
    assert len(arguments) == 3
    assert held(world) == HELD
    world.cluster.forget_audit()
    argv = [sys.executable, "-m", "hairpin_proxy", *arguments, "--kubeconfig", str(kubeconfig)]
    done = subprocess.run(argv, env={}, text=True, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.cluster.corefile() == before
    assert not world.configmap("coredns-custom").get("data")
    assert held(world) == set()
    texts = {world.configmap(name)["data"]["Corefile"] for name in NODE_CACHES}
    assert texts == ({STANDARD} if on_nodes else {STANDARD + block("example.com")})
    refused = {("get", "", "configmaps", "kube-system", name) for name in NODE_CACHES}
    assert calls(world, "hairpin-proxy-cleanup") - (set() if on_nodes else refused) == rights(objects)
    world.cluster.kubectl("delete", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


# ---- the page, and an install of another kind

SHAPELESS = {"settings", "resources", "labels", *PLACED} - {"tolerations", "priorityClassName"}
"""Maps that are one value to their reader."""


def leaves(values: Values, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and name not in SHAPELESS:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def rows(first: str) -> list[list[str]]:
    """Of the page's table whose first column is called so."""
    table = PAGE.read_text().partition(f"| {first} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def test_the_page_has_every_value_and_its_default() -> None:
    values = dict(leaves(VALUES))
    found = [(name, default) for names, default, _ in rows("value") for name in re.findall("`([^`]*)`", names)]
    assert sorted(name for name, _ in found) == sorted(values)
    shown = {name: yaml.safe_load(default.strip("`")) for name, default in found if default.startswith("`")}
    assert shown == {name: values[name] for name in shown}
    assert {name.partition(".")[2] for name in values.keys() - shown.keys()} == {
        *("resources", "nodeSelector", "tolerations", "podSecurityContext"),
    }


@pytest.mark.parametrize("row", rows("to"), ids=lambda row: row[0])
def test_the_examples_of_the_page_are_taken(row: list[str]) -> None:
    flags = row[1].strip("`")
    line = f"'{locate('helm')}' template some-release '{CHART}' --namespace hairpin-proxy {flags}"
    done = subprocess.run(["bash", "-c", line], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert by_name([item for item in yaml.safe_load_all(done.stdout) if item]) != by_name(rendered())


def test_every_value_is_explained_where_it_stands() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    together = {"podAnnotations", "tolerations", "affinity", "priorityClassName"}  # each below one that is explained
    sections = {"enabled", "uninstall", "settings", "resources"}
    for number, line in enumerate(lines):
        if (key := re.match(r" {0,2}(\w+):", line)) and key[1] not in together | sections:
            assert lines[number - 1].lstrip().startswith("#"), line


@pytest.fixture
def released(world: World) -> Iterator[World]:
    """A cluster in which a test may leave a release of the chart."""
    yield world
    kubectl = world.cluster.kubectl
    kubectl("-n", "hairpin-proxy", "delete", "secret", "-l", "owner=helm")
    kubectl("-n", "hairpin-proxy", "delete", "deployment", "--all")
    world.cluster.apply(DEPLOY)
    world.cluster.service_account_kubeconfig(*ACCOUNT)  # into the same file, for a new ServiceAccount has other tokens


@pytest.fixture(params=HELMS, ids="Helm {}".format)
def shell(world: World, request: pytest.FixtureRequest) -> Shell:
    """One in the repository's folder, with each helm and kubectl."""
    environment = clean_environment(world.cluster.folder) | {"KUBECONFIG": str(world.cluster.kubeconfig)}
    folders = [str(Path(path).parent) for path in (locate("helm", [HELMS[request.param]]), locate("kubectl"))]
    environment["PATH"] = ":".join([*folders, environment["PATH"]])

    def run(command: str) -> subprocess.CompletedProcess[str]:
        argv = ["bash", "-c", command]
        return subprocess.run(argv, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)

    return run


def live(world: World) -> dict[str, Object]:
    listed = json.loads(world.cluster.kubectl("-n", "hairpin-proxy", "get", "deployments", "-o", "json"))
    return {item["metadata"]["name"]: item for item in listed["items"]}


RUN_ON_A_NODE = re.compile("sleep|.* (rollout status|exec) ")


@pytest.mark.usefixtures("released")
def test_the_notes_have_commands_that_are_taken(shell: Shell) -> None:
    blocks(PAGE)["take over"].run(shell)
    notes = shell("helm get notes hairpin-proxy --namespace hairpin-proxy").stdout
    commands = re.findall(r"^    (.*)$", notes, re.MULTILINE)
    assert [command.split()[0] for command in commands] == [*["kubectl"] * 4, "sleep", "helm"]
    for command in commands:
        if not RUN_ON_A_NODE.match(command):  # that is for tests/e2e/test_helm.py
            dry = "--dry-run=server" if command.startswith("kubectl") else "--dry-run"
            done = shell(f"{command} {dry}")
            assert done.returncode == 0, done.stderr
            assert done.stdout


@pytest.mark.parametrize(
    ("flag", "said", "unsaid"),
    [
        ("", "set env deployment/hairpin-proxy-haproxy TARGET_SERVER=", "Connections go to traefik"),
        ("--set haproxy.targetServer=traefik.web.svc.cluster.local", "Connections go to traefik", "set env"),
        ("--set uninstall.gentle=true", "It takes some three minutes", "sleep 150"),
        (
            "--set etcHosts.enabled=true",
            "delete daemonset hairpin-proxy-etchosts-controller\n    kubectl",
            "some three",
        ),
        ("--set etcHosts.enabled=true,uninstall.gentle=true", "hosts-controller\n    helm -n somewhere", "sleep 150"),
        ("--set etcHosts.enabled=true", "rollout status daemonset --timeout=2m\n", "It takes some three minutes"),
        ("--set uninstall.gentle=true", "To leave:\n\n    helm", "daemonset"),
        ("--set nodeLocalDns.enabled=true", "uninstall gently", "It takes some three minutes"),
        ("--set nodeLocalDns.enabled=true,uninstall.gentle=true", "It takes some three minutes", "uninstall gently"),
    ],
)
def test_the_notes_go_by_the_values(shell: Shell, flag: str, said: str, unsaid: str) -> None:
    done = shell(f"helm install a charts/hairpin-proxy --dry-run=client --namespace somewhere {flag}")
    _, _, notes = done.stdout.partition("NOTES:")
    assert said in notes
    assert unsaid not in notes
    assert "kubectl -n somewhere exec deployment/hairpin-proxy-controller -- hairpin-proxy doctor\n" in notes
    assert "helm -n somewhere uninstall a --wait\n" in notes


def specs(objects: dict[str, Object]) -> dict[str, Any]:
    """What a pod is restarted for, and more."""
    return {name: item["spec"] for name, item in objects.items()}


def test_taking_over_deploy_yml_restarts_nothing_and_keeps_a_target(released: World, shell: Shell) -> None:
    target = ["deployment/hairpin-proxy-haproxy", "TARGET_SERVER=traefik.ingress.svc.cluster.local"]
    released.cluster.kubectl("-n", "hairpin-proxy", "set", "env", *target)
    before = live(released)
    blocks(PAGE)["take over"].run(shell)
    after = live(released)
    assert specs(before) == specs(after)
    assert containers(after["hairpin-proxy-haproxy"])[0]["env"][0]["name"] == "TARGET_SERVER"
    assert after["hairpin-proxy-haproxy"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert held(released) == HELD


def taken_over(shell: Shell, flags: str = "") -> subprocess.CompletedProcess[str]:
    """By the page's command, with more flags."""
    (command,) = blocks(PAGE)["take over"].commands
    return shell(f"{command.text.strip()} {flags}")


def test_a_target_that_is_not_the_one_that_somebody_has_set(released: World, shell: Shell) -> None:
    deployment = "deployment/hairpin-proxy-haproxy"
    released.cluster.kubectl("-n", "hairpin-proxy", "set", "env", deployment, "TARGET_SERVER=set.web.svc.cluster.local")
    given = "given.web.svc.cluster.local"
    done = taken_over(shell, f"--set haproxy.targetServer={given}")
    if shell("helm version --short").stdout.startswith("v3"):
        assert done.returncode == 0, done.stderr
    else:
        assert "Apply failed with 1 conflict" in done.stderr
        assert 'env[name="TARGET_SERVER"].value' in done.stderr
        to = f"hairpin-proxy charts/hairpin-proxy --namespace hairpin-proxy --set haproxy.targetServer={given}"
        done = shell(f"helm upgrade {to} --force-conflicts")
        assert done.returncode == 0, done.stderr
    assert environment(list(live(released).values()), "haproxy") == {"TARGET_SERVER": given}


@pytest.mark.usefixtures("monitors")
def test_taking_over_every_manifest_is_no_conflict(released: World, shell: Shell) -> None:
    paths = [str(ROOT / path) for path, _ in FEATURES.values()]
    for path in paths:
        released.cluster.kubectl("apply", "-f", path)
    done = taken_over(shell, " ".join(f"--set {name}.enabled=true" for name in FEATURES))
    for path in paths:
        released.cluster.kubectl("delete", "-f", path, "--wait=false")
    assert done.returncode == 0, done.stderr


def test_an_uninstall_has_to_end_before_an_install(released: World, shell: Shell) -> None:
    """Helm would patch what is being deleted, say that all is well, and the controller would lose its rights."""
    account = ("-n", "hairpin-proxy", "serviceaccount", "hairpin-proxy-controller-sa")
    released.cluster.kubectl("delete", *account, "--wait=false")
    refused = taken_over(shell)
    assert "hairpin-proxy is still being uninstalled from hairpin-proxy: try again" in refused.stderr
    assert refused.returncode == 1
    released.cluster.kubectl("patch", *account, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    done = taken_over(shell)
    assert done.returncode == 0, done.stderr
    assert held(released) == HELD


def test_taking_over_v0_2_1_leaves_nothing_of_it_but_a_target(released: World, shell: Shell) -> None:
    kubectl = released.cluster.kubectl
    kubectl("-n", "hairpin-proxy", "delete", "deployment", "--all")
    names = ("hairpin-proxy-haproxy", "hairpin-proxy-controller")
    pod = {"securityContext": {"runAsUser": 405, "runAsGroup": 65533}}
    theirs = {"apiVersion": "v1", "kind": "List", "items": [ancestor(name, **pod) for name in names]}
    kubectl("apply", "-f", "-", stdin=json.dumps(theirs))
    target = {"name": "TARGET_SERVER", "value": "traefik.ingress.svc.cluster.local"}
    kubectl("-n", "hairpin-proxy", "set", "env", f"deployment/{names[0]}", "=".join(target.values()))

    blocks(PAGE)["over another version"].run(shell)
    before = specs(live(released))
    blocks(PAGE)["take over"].run(shell)
    after = live(released)
    assert specs(after) == before
    for name in names:
        ours = container(rendered(), name.removeprefix("hairpin-proxy-"))
        (found,) = containers(after[name])
        assert (found["image"], found["resources"]) == (ours["image"], ours["resources"])
    assert containers(after[names[0]])[0]["env"] == [target]
    assert after[names[1]]["spec"]["strategy"] == {"type": "Recreate"}
