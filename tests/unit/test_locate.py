"""Which Corefile the DNS Service leads to, in every shape of the objects, and what its imports read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from hairpin_proxy.corefile.version import Version, version
from hairpin_proxy.locate import (
    AmbiguousError,
    ImportTarget,
    Location,
    Mount,
    files_of,
    image_version,
    import_target,
    locate,
)
from hairpin_proxy.settings import ConfigMapName
from tests import distributions

COREFILE = {"name": "conf", "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}}
CUSTOM = {"name": "custom", "configMap": {"name": "coredns-custom", "optional": True}}
CONF = ["-conf", "/etc/coredns/Corefile"]
OWN = Mount("/etc/coredns", "coredns", {"Corefile": "Corefile"}, optional=False, updates=True)
FOLDER = Mount("/etc/coredns/custom", "coredns-custom", None, optional=True, updates=True)


def service(name: str = "kube-dns", selects: Any = "coredns", port: Any = 53, **more: Any) -> dict[str, Any]:
    ports = [{"port": 9153, "protocol": "TCP"}, {"port": port, "protocol": "UDP"}]
    spec = {"selector": {"app": selects}, "ports": ports}
    return {"metadata": {"name": name, "labels": more.pop("labels", {})}, "spec": {**spec, **more}}


def at(path: str, name: str = "conf", **more: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **more}


def container(**more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "i", "args": CONF, "volumeMounts": [at("/etc/coredns")], **more}


def workload(*containers: Any, name: str = "coredns", volumes: Any = (COREFILE,), **spec: Any) -> dict[str, Any]:
    pod = {"containers": list(containers) or [container()], "volumes": list(volumes)}
    template = {"metadata": {"labels": {"app": "coredns", "pod": "yes"}}, "spec": pod}
    return {"metadata": {"name": name}, "spec": {"template": template, **spec}}


def found(*workloads: Any, services: Any = None) -> Location | None:
    return locate("dns", services or [service()], [("Deployment", item) for item in workloads])


def read(*workloads: Any) -> Location:
    location = found(*workloads)
    assert location
    return location


def place(*workloads: Any, services: Any = None) -> str | None:
    location = found(*workloads, services=services)
    return f"{location.configmap.name}:{location.key}" if location else None


def of(configmap: str, **more: Any) -> dict[str, Any]:
    """A workload that reads another ConfigMap."""
    return workload(volumes=[{"name": "conf", "configMap": {"name": configmap}}], **{"name": configmap, **more})


def test_everything_that_is_known() -> None:
    image = "registry.example.com/coredns/coredns:v1.11.3"
    mounts = [at("/etc/coredns"), at("/etc/coredns/custom", "custom"), at("/tmp", "scratch")]
    pod = workload(container(image=image, volumeMounts=mounts), volumes=[COREFILE, CUSTOM, {"name": "scratch"}])
    assert locate("dns", [service()], [("DaemonSet", pod)]) == Location(
        workload="DaemonSet dns/coredns",
        service="kube-dns",
        configmap=ConfigMapName("dns", "coredns"),
        key="Corefile",
        folder="/etc/coredns",
        mounts=(OWN, FOLDER),
        version=Version(1, 11, 3),
        updates=True,
    )


# The distributions, as their objects were read.


def custom(*suffixes: str, name: str = "coredns-custom") -> list[ImportTarget]:
    return [ImportTarget(name, f"hairpin-proxy{suffix}", optional=True) for suffix in suffixes]


class Expected(NamedTuple):
    version: Version | None
    targets: Sequence[ImportTarget] = ()
    """Of all its imports, within server blocks or not."""
    workload: str = "Deployment kube-system/coredns"
    service: str = "kube-dns"
    configmap: str = "kube-system/coredns"


RKE2 = "rke2-coredns-rke2-coredns"
EXPECTED = {
    "aks": Expected(Version(1, 9, 4), custom(".override", ".server")),
    "doks": Expected(Version(1, 12, 1), custom(".override", ".server")),
    "eks": Expected(Version(1, 11, 4)),
    "gardener": Expected(Version(1, 12, 4), custom(".override", ".server")),
    "helm-chart": Expected(
        Version(1, 9, 4), (), "Deployment kube-system/my-dns-coredns", "my-dns-coredns", "kube-system/my-dns-coredns"
    ),
    "issue-11": Expected(Version(1, 6, 7), custom("Corefile", name="coredns-extra-configs")),
    "k3s": Expected(Version(1, 11, 3), custom(".override", ".server")),
    "k3s-custom": Expected(Version(1, 11, 3), custom(".override", ".server")),
    "kops": Expected(Version(1, 9, 3)),
    "kubeadm": Expected(Version(1, 12, 1)),
    "kubeadm-upgraded": Expected(Version(1, 12, 1)),
    "kubespray": Expected(Version(1, 8, 0), service="coredns"),
    "lke": Expected(Version(1, 11, 3), custom(".include", ".server"), configmap="kube-system/coredns-base"),
    "microk8s": Expected(Version(1, 10, 1)),
    "minikube": Expected(Version(1, 14, 6)),
    "oke": Expected(Version(1, 12, 0), custom(".override", ".server")),
    "openshift": Expected(None, (), "DaemonSet openshift-dns/dns-default", "dns-default", "openshift-dns/dns-default"),
    "outscale": Expected(Version(1, 12, 0), custom(".include", ".server")),
    "ovh": Expected(Version(1, 11, 1), custom(".include", ".server")),
    "rke1": Expected(Version(1, 9, 4)),
    "rke2": Expected(Version(1, 10, 1), (), f"Deployment kube-system/{RKE2}", RKE2, f"kube-system/{RKE2}"),
    "selectel": Expected(Version(1, 11, 3), custom(".custom")),
    "talos": Expected(Version(1, 9, 3)),
    "v0.2.1": Expected(Version(1, 7, 0)),
    "vcluster": Expected(Version(1, 8, 4), custom(".server")),
}


@pytest.mark.parametrize("name", distributions.names())
def test_distribution(name: str) -> None:
    expected = EXPECTED[name]
    namespace = expected.configmap.partition("/")[0]
    here = [item for item in distributions.objects(name) if item["metadata"].get("namespace") == namespace]
    services = [item for item in here if item["kind"] == "Service"]
    workloads = [(item["kind"], item) for item in here if item["kind"] in ("Deployment", "DaemonSet")]
    location = locate(namespace, services, workloads)
    assert location
    text = distributions.configmap(name, str(location.configmap))["data"]["Corefile"]
    patterns = re.findall(r"^ *import (\S+)", text, re.MULTILINE)
    targets = [import_target(location.folder, location.mounts, pattern, "hairpin-proxy") for pattern in patterns]
    assert targets == list(expected.targets)
    assert (location.version, location.workload, location.service) == expected[:1] + expected[2:4]
    assert (str(location.configmap), location.key, location.updates) == (expected.configmap, "Corefile", True)


# Which Service.


@pytest.mark.parametrize(
    "services",
    [
        [service("a", "other"), service("kube-dns"), service("b", "other")],
        [service("a", "other"), service("z", labels={"k8s-app": "kube-dns"})],
        [service("b", "other"), service("a")],
        [service("kube-dns", "no workload"), service("a")],
        [service("kube-dns", "other", selector={}), service("a")],
        [service("kube-dns", "other", selector=None), service("a")],
        [service("kube-dns", "other", port=5353), service("a")],
        [service("kube-dns", "other", ports=[{"port": 53, "protocol": "SCTP"}]), service("a")],
        [service("kube-dns", "other", ports=None), service("a")],
        [service("kube-dns", selector={"app": "coredns", "pod": "no"}), service("a")],
        [service("a", ports=[{"port": 53}])],
        [service("a", ports=[{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "SCTP"}])],
        [None, "x", {"metadata": None, "spec": 7}, service("a")],
    ],
)
def test_the_service_that_leads_to_it(services: Any) -> None:
    other = of("other")
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert place(other, workload(), services=services) == "coredns:Corefile"


def test_kube_dns_goes_before_one_that_bears_its_label() -> None:
    services = [service("a", labels={"k8s-app": "kube-dns"}), service("kube-dns")]
    location = found(workload(), services=services)
    assert location
    assert location.service == "kube-dns"


@pytest.mark.parametrize("services", [[service(selects="other")], [service(port=5353)], [{}], [None]])
def test_no_service_leads_to_it(services: Any) -> None:
    assert found(workload(), services=services) is None


# Which workload.


def test_several_corefiles_are_ambiguous() -> None:
    with pytest.raises(AmbiguousError) as error:
        found(of("one"), of("two"))
    assert str(error.value) == (
        "the DNS Service dns/kube-dns leads to several Corefiles: Deployment dns/one reads dns/one, key Corefile; "
        "Deployment dns/two reads dns/two, key Corefile: name one of them with --configmap and --configmap-key"
    )


def test_several_keys_are_ambiguous() -> None:
    other = workload(container(args=["-conf", "/etc/coredns/Other"]), volumes=[{**CUSTOM, "name": "conf"}])
    with pytest.raises(AmbiguousError):
        found(workload(volumes=[{**CUSTOM, "name": "conf"}]), other)


@pytest.mark.parametrize("containers", [("a:1.2.3", "coredns:1.8.0"), ("coredns:1.8.0", "coredns:1.9.0")])
def test_of_several_that_read_one_corefile_the_oldest_counts(containers: tuple[str, str]) -> None:
    oldest = image_version(containers[0]) if "coredns" in containers[0] else None
    for images in (containers, containers[::-1]):
        assert read(*(workload(container(image=image)) for image in images)).version == oldest


def test_asleep_counts_only_alone() -> None:
    asleep = of("old", replicas=0)
    assert place(asleep, of("new", replicas=1)) == "new:Corefile"
    assert place(asleep, of("new", replicas=None)) == "new:Corefile"
    assert place(asleep, of("new")) == "new:Corefile"
    assert place(asleep) == "old:Corefile"
    with pytest.raises(AmbiguousError):
        found(asleep, of("older", replicas=0))


def test_asleep_counts_before_another_service() -> None:
    other = of("other")
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert place(of("old", replicas=0), other, services=[service("z", "other"), service()]) == "old:Corefile"


@pytest.mark.parametrize("name", ["node-local-dns", "nodelocaldns"])
def test_a_cache_on_the_node_is_not_it(name: str) -> None:
    labelled, template = of("cache"), of("cache")
    labelled["metadata"]["labels"] = {"k8s-app": name}
    template["spec"]["template"]["metadata"]["labels"]["k8s-app"] = name
    image = workload(container(image="registry.example.com/dns/k8s-dns-node-cache:1.25.0"))
    flags = [workload(container(args=[*flag, *CONF])) for flag in (["-localip", "169.254.20.10"], ["--localip=1"])]
    for cache in (labelled, template, image, *flags):
        assert found(cache) is None
        assert place(cache, of("coredns")) == "coredns:Corefile"


# Which file.


@pytest.mark.parametrize(
    "words",
    [
        {"args": CONF},
        {"args": ["-dns.port=53", "-conf=/etc/coredns/Corefile"]},
        {"args": ["--conf", "/etc/coredns/Corefile", "-quiet"]},
        {"args": ["--conf=/etc/coredns/Corefile"]},
        {"args": ["-conf", "/etc/other", *CONF]},
        {"args": ["-conf", "/etc//coredns/../coredns/./Corefile"]},
        {"args": ["-conf", "//etc/coredns/Corefile"]},
        {"args": ["-conf", "Corefile"], "workingDir": "/etc/coredns"},
        {"args": ["-conf", "etc/coredns/Corefile"]},
        {"args": ["-conf", "../etc/coredns/Corefile"]},
        {"args": None, "command": ["/coredns", *CONF]},
        {"args": CONF, "command": ["/coredns", "-conf", "/etc/other"]},
        {"args": ["exec /coredns -conf /etc/coredns/Corefile"], "command": ["sh", "-c"]},
        {"args": [7, None, *CONF], "command": "x"},
        {"args": [], "image": "coredns/coredns:1.9.0", "workingDir": "/etc/coredns"},
        {"args": [], "command": ["/coredns"], "workingDir": "/etc/coredns"},
        {"args": [], "name": "coredns", "workingDir": "/etc/coredns"},
        {"args": ["-conf"], "name": "coredns", "workingDir": "/etc/coredns/"},
    ],
)
def test_the_file(words: dict[str, Any]) -> None:
    location = read(workload(container(**words)))
    assert (location.key, location.folder) == ("Corefile", "/etc/coredns")


def test_the_default_file_is_in_the_root() -> None:
    coredns = container(args=None, name="coredns", volumeMounts=[at("/Corefile", subPath="Corefile")])
    location = read(workload(coredns))
    assert (location.key, location.folder, location.updates) == ("Corefile", "/", False)


@pytest.mark.parametrize(
    "words",
    [
        {"args": [], "workingDir": "/etc/coredns"},
        {"args": [], "image": "coredns/coredns:1.9.0"},
        {"args": ["-conf", "/etc/coredns/Other"]},
        {"args": ["-conf", "/etc/coredns"]},
        {"args": ["-conf", "/etc/corednsX/Corefile"]},
        {"args": ["-conf", "stdin"]},
        {"args": ["-config", "/etc/coredns/Corefile"]},
        {"args": ["conf", "/etc/coredns/Corefile"]},
        {"args": 7, "command": {"a": "b"}, "workingDir": 7, "image": 7, "name": 7},
    ],
)
def test_no_file(words: dict[str, Any]) -> None:
    assert found(workload(container(**words))) is None


def test_the_tags_of_other_images_are_not_coredns_versions() -> None:
    assert read(workload(container(image="acme/dns:3.0.0"))).version is None


# Which mount.


def projected(*sources: Any) -> dict[str, Any]:
    return {"name": "conf", "projected": {"sources": list(sources)}}


def source(name: str, **items: str) -> dict[str, Any]:
    listed = [{"key": key, "path": path} for path, key in items.items()]
    return {"configMap": {"name": name, "items": listed} if listed else {"name": name}}


VOLUMES: dict[str, tuple[list[Any], list[Any], str | None]] = {
    "all keys": ([at("/etc/coredns")], [{"name": "conf", **source("all")}], "all:Corefile"),
    "no items": ([at("/etc/coredns")], [{"name": "conf", "configMap": {"name": "all", "items": []}}], "all:Corefile"),
    "another key": ([at("/etc/coredns")], [{"name": "conf", **source("a", Corefile="main")}], "a:main"),
    "in a folder of the volume": (
        [at("/etc")],
        [{"name": "conf", "configMap": {"name": "a", "items": [{"key": "main", "path": "./coredns/Corefile"}]}}],
        "a:main",
    ),
    "mounted at the root": (
        [at("/")],
        [{"name": "conf", "configMap": {"name": "a", "items": [{"key": "main", "path": "etc/coredns/Corefile"}]}}],
        "a:main",
    ),
    "a file that items leave out": ([at("/etc/coredns")], [{"name": "conf", **source("a", Other="Corefile")}], None),
    "a key has no folders": ([at("/etc")], [{"name": "conf", **source("all")}], None),
    "subPath": ([at("/etc/coredns/Corefile", subPath="main")], [{"name": "conf", **source("a")}], "a:main"),
    "subPath of items": (
        [at("/etc/coredns/Corefile", subPath="./file")],
        [{"name": "conf", **source("a", file="main")}],
        "a:main",
    ),
    "subPath that items leave out": (
        [at("/etc/coredns/Corefile", subPath="other")],
        [{"name": "conf", **source("a", file="main")}],
        None,
    ),
    "subPathExpr": ([at("/etc/coredns", subPathExpr="$(A)")], [{"name": "conf", **source("a")}], None),
    "projected": ([at("/etc/coredns")], [projected({"secret": {"name": "s"}}, source("a"))], "a:Corefile"),
    "projected, the last wins": ([at("/etc/coredns")], [projected(source("a"), source("b"))], "b:Corefile"),
    "projected, the one that lists it wins": (
        [at("/etc/coredns")],
        [projected(source("z", Corefile="x"), source("a", Corefile="main"), source("b"))],
        "a:main",
    ),
    "projected, without ConfigMaps": ([at("/etc/coredns")], [projected({"secret": {"name": "s"}})], None),
    "the deepest mount wins": (
        [at("/etc/coredns", "deep"), at("/etc"), at("/", "root")],
        [
            {"name": "conf", "configMap": {"name": "a", "items": [{"key": "main", "path": "coredns/Corefile"}]}},
            {"name": "deep", **source("deep")},
            {"name": "root", "configMap": {"name": "r", "items": [{"key": "x", "path": "etc/coredns/Corefile"}]}},
        ],
        "deep:Corefile",
    ),
    "a subPath is deeper than its folder": (
        [at("/etc/coredns/Corefile", "file", subPath="main"), at("/etc/coredns")],
        [{"name": "conf", **source("a")}, {"name": "file", **source("b")}],
        "b:main",
    ),
    "another file's subPath hides nothing": (
        [at("/etc/coredns/Other", "file", subPath="main"), at("/etc/coredns")],
        [{"name": "conf", **source("a")}, {"name": "file", **source("b")}],
        "a:Corefile",
    ),
    "another volume hides it": (
        [at("/etc"), at("/etc/coredns", "scratch")],
        [
            {"name": "conf", "configMap": {"name": "a", "items": [{"key": "main", "path": "coredns/Corefile"}]}},
            {"name": "scratch", "emptyDir": {}},
        ],
        None,
    ),
    "another volume beside it": (
        [at("/etc/coredns"), at("/etc/core", "scratch"), at("/tmp/very/much/deeper", "scratch")],
        [{"name": "conf", **source("a")}, {"name": "scratch", "emptyDir": {}}],
        "a:Corefile",
    ),
    "no such volume": ([at("/etc/coredns", "other")], [{"name": "conf", **source("a")}], None),
    "no name": ([at("/etc/coredns")], [{"name": "conf", "configMap": {"optional": True}}], None),
    "no name, with a subPath": (
        [at("/etc/coredns/Corefile", subPath="main")],
        [{"name": "conf", "configMap": {"optional": True}}],
        None,
    ),
    "mounted without its slash": ([at("etc/coredns/")], [{"name": "conf", **source("a")}], "a:Corefile"),
    "not a key": ([at("/etc/coredns")], [{"name": "conf", **source("a", Corefile="..main")}], None),
}


@pytest.mark.parametrize("case", VOLUMES)
def test_volume(case: str) -> None:
    mounts, volumes, expected = VOLUMES[case]
    assert place(workload(container(volumeMounts=mounts), volumes=volumes)) == expected


def test_the_mounts_of_a_container() -> None:
    mounts = [
        at("/etc/coredns/Corefile", subPath="main"),
        at("/etc/coredns", "both"),
        at("/custom/", "custom"),
        at("/env", "custom", subPathExpr="$(A)"),
    ]
    both = {
        "name": "both",
        "projected": {"sources": [source("a", x="y"), {"configMap": {"name": "b", "optional": True}}]},
    }
    volumes = [{"name": "conf", **source("coredns")}, both, CUSTOM]
    assert read(workload(container(volumeMounts=mounts), volumes=volumes)).mounts == (
        Mount("/etc/coredns", "coredns", {"Corefile": "main"}, optional=False, updates=False),
        Mount("/etc/coredns", "a", {"x": "y"}, optional=False, updates=True),
        Mount("/etc/coredns", "b", None, optional=True, updates=True),
        Mount("/custom", "coredns-custom", None, optional=True, updates=True),
    )


JUNK: tuple[Any, ...] = (None, 7, "x", [], [None], ["x"], [[]], {}, {"x": None}, True)


def broken(value: Any, junk: Any) -> Any:
    """All ways to put junk in the place of one part."""
    yield junk
    if isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: other} for other in broken(part, junk))
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in broken(part, junk))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_whatever_the_objects_are_made_of(junk: Any) -> None:
    pod = workload(container(volumeMounts=[at("/etc/coredns", subPath="")]), volumes=[projected(COREFILE), COREFILE])
    for item in broken(pod, junk):
        found(item)
    for item in broken(service(), junk):
        found(workload(), services=[item])


# What imports read.


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("/etc/coredns/custom/*.override", "hairpin-proxy.override"),
        ("custom/*.include", "hairpin-proxy.include"),
        ("./custom//*.include", "hairpin-proxy.include"),
        ("../coredns/custom/a_*-b", "a_hairpin-proxy-b"),
        ("/etc/coredns/custom/*", "hairpin-proxy"),
        ("/etc/coredns/custom/.*", ".hairpin-proxy"),
        ("/etc/coredns/custom/" + "a" * 240 + "*", "a" * 240 + "hairpin-proxy"),
        ("/etc/coredns/custom/" + "a" * 241 + "*", None),
        ("/etc/coredns/custom/..*", None),
        ("/etc/coredns/custom/*.over?ide", None),
        ("/etc/coredns/custom/*.[o]", None),
        ("/etc/coredns/custom/*.{$SUFFIX}", None),
        ("/etc/coredns/custom/*.*", None),
        ("/etc/coredns/custom/a.override", None),
        ("/etc/coredns/custom/a/*.override", None),
        ("/etc/coredns/*.override", None),
        ("/etc/coredns/*/*.override", None),
        ("*.override", None),
        ("snippet", None),
    ],
)
def test_import_target(pattern: str, key: str | None) -> None:
    target = import_target("/etc/coredns", [OWN, FOLDER], pattern, "hairpin-proxy")
    assert target == (key and ImportTarget("coredns-custom", key, optional=True))


def test_a_target_needs_a_folder_that_takes_new_keys() -> None:
    listed = Mount("/etc/coredns/custom", "a", {"x.override": "x"}, optional=True, updates=True)
    still = Mount("/etc/coredns/custom", "a", None, optional=True, updates=False)
    for mount in (listed, still):
        assert import_target("/etc/coredns", [mount], "custom/*.override", "x") is None
    needed = Mount("/etc/coredns/custom", "b", None, optional=False, updates=True)
    assert import_target("/etc/coredns", iter([FOLDER, needed, listed]), "custom/*.x", "y") == ImportTarget(
        "b", "y.x", False
    )


def test_the_lone_dots_are_no_keys() -> None:
    assert import_target("/", [Mount("/", "a", None, optional=True, updates=True)], "*", ".") is None


DATA = {
    "coredns-custom": {"b.override": "2", "a.override": "1", ".c.override": "0", "a.server": "s", "A.override": "A"},
    "coredns": {"Corefile": "c", "other": "o", "x.override": "x"},
}


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("custom/*.override", {".c.override": "0", "A.override": "A", "a.override": "1", "b.override": "2"}),
        ("/etc/coredns/custom/*.server", {"a.server": "s"}),
        ("custom/b.override", {"b.override": "2"}),
        ("custom/?.server", {"a.server": "s"}),
        ("custom/c.override", {}),
        ("*", {"Corefile": "c"}),
        ("x.override", {}),
        ("*/a.server", {}),
        ("/etc/coredns/custom", {}),
    ],
)
def test_files_of(pattern: str, files: dict[str, str]) -> None:
    read = files_of(iter([OWN, FOLDER]), "/etc/coredns", pattern, DATA)
    assert list(read.items()) == list(files.items())


@pytest.mark.parametrize(
    ("mounts", "files"),
    [
        ([Mount("/c", "missing", None, True, True)], {}),
        ([Mount("/c", "a", {"x": "missing", "y": "k", "s/z": "k"}, True, True)], {"y": "of a"}),
        ([Mount("/", "a", {"c/x": "k"}, True, True)], {"x": "of a"}),
        ([Mount("/", "a", {"c/x": "k"}, True, True), Mount("/c", "b", None, True, True)], {"k": "of b", "l": "l"}),
        ([Mount("/c", "a", None, True, True), Mount("/c", "b", None, True, True)], {"k": "of b", "l": "l"}),
        ([Mount("/c", "b", None, True, True), Mount("/c", "a", None, True, True)], {"k": "of a", "l": "l"}),
        ([Mount("/c", "b", {"k": "k"}, True, False), Mount("/c", "a", None, True, True)], {"k": "of b"}),
        ([Mount("/c", "a", None, True, True), Mount("/c", "b", {"k": "l"}, True, False)], {"k": "l"}),
    ],
)
def test_files_of_several_mounts(mounts: list[Mount], files: Mapping[str, str]) -> None:
    data = {"a": {"k": "of a"}, "b": {"k": "of b", "l": "l"}}
    assert files_of(mounts, "/", "c/*", data) == files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.8.4", (1, 8, 4)),
        ("v1.11.3", (1, 11, 3)),
        ("v1.11.4-eksbuild.2", (1, 11, 4)),
        ("v1.9.3.10-7dfca203-aliyun", (1, 9, 3)),
        ("1.12.0+k3s1", (1, 12, 0)),
        ("1.12.0_1", (1, 12, 0)),
        ("1.8", None),
        ("1.8.4rc1", None),
        ("vv1.8.4", None),
        ("x1.8.4", None),
        ("1.8.x", None),
        ("latest", None),
        ("", None),
        ("1.8." + "4" * 5000, None),
        ("1.8.٤", None),
    ],
)
def test_version(text: str, expected: tuple[int, ...] | None) -> None:
    assert version(text) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("coredns/coredns:1.12.0", (1, 12, 0)),
        ("coredns:1.12.0", (1, 12, 0)),
        ("registry:5000/coredns:v1.12.0", (1, 12, 0)),
        ("registry:5000/coredns", None),
        ("registry:1.2.3/coredns", None),
        ("coredns/coredns:1.12.0@sha256:" + "0" * 64, (1, 12, 0)),
        ("coredns/coredns@sha256:" + "0" * 64, None),
        ("coredns/coredns@sha256:1.2.3", None),
        ("coredns/coredns", None),
        ("", None),
    ],
)
def test_image_version(image: str, expected: tuple[int, ...] | None) -> None:
    assert image_version(image) == expected


def test_versions_can_be_compared() -> None:
    assert Version(1, 8, 4) < Version(1, 8, 10) < Version(1, 11, 0)


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        ({}, ()),
        ({"clusterIP": "None", "clusterIPs": ["None"]}, ()),
        ({"clusterIP": "10.96.0.10", "clusterIPs": None}, ("10.96.0.10",)),
        ({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::a", 1]}, ("10.96.0.10", "fd00::a")),
    ],
)
def test_the_addresses_of_the_dns_service(spec: Mapping[str, Any], addresses: tuple[str, ...]) -> None:
    location = found(workload(), services=[service(**spec)])
    assert location
    assert location.addresses == addresses
