"""Which key of which ConfigMap could hold our rules: in the shapes of distributions, and where it would do harm."""

from collections.abc import Sequence

import pytest

from hairpin_proxy.corefile import CorefileError
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.locate import Location, Mount, locate
from hairpin_proxy.placement import Target, View, stem, target, view
from hairpin_proxy.settings import ConfigMapName
from tests import distributions
from tests.corefiles import DESTINATION, KUBEADM

COREDNS, CUSTOM = ConfigMapName("kube-system", "coredns"), ConfigMapName("kube-system", "coredns-custom")
OWN = Mount("/etc/coredns", "coredns", None, optional=False, updates=True)
FOLDER = Mount("/etc/coredns/custom", "coredns-custom", None, optional=True, updates=True)
OTHER = Mount("/etc/other", "other", None, optional=True, updates=True)
VIEW = View("/etc/coredns", (OWN, FOLDER, OTHER))


def place(name: str) -> Location | None:
    """Of the CoreDNS in kube-system."""
    objects = [each for each in distributions.objects(name) if each["metadata"].get("namespace") == "kube-system"]
    services = [each for each in objects if each["kind"] == "Service"]
    workloads = [(each["kind"], each) for each in objects if each["kind"] in ("Deployment", "DaemonSet")]
    return locate("kube-system", services, workloads)


def key_of(name: str, *, seen: bool) -> str | None:
    """The key for a distribution: looked up, or guessed from its Corefile."""
    location = place(name)
    if not location:
        return None
    text = distributions.configmap(name, str(location.configmap))["data"][location.key]
    seen_as = view(text, location.configmap, location if seen else None)
    found = target(text, DESTINATION, seen_as, location.configmap)
    assert not found or found.configmap == CUSTOM
    return found.key if found else None


OVERRIDE, INCLUDE = "hairpin-proxy.override", "hairpin-proxy.include"
KEYS = {
    "aks": OVERRIDE,
    "doks": OVERRIDE,
    "gardener": OVERRIDE,
    "k3s": OVERRIDE,
    "k3s-custom": OVERRIDE,
    "oke": OVERRIDE,
    "lke": INCLUDE,
    "outscale": INCLUDE,
    "ovh": INCLUDE,
}


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("name", distributions.names())
def test_the_key_in_each_distribution(name: str, seen: bool) -> None:
    assert key_of(name, seen=seen) == KEYS.get(name)


# ---- where rules may stand


def corefile(*lines: str, rest: str = "") -> str:
    return "\n".join([".:53 {", " kubernetes cluster.local", *lines, "}", rest])


def key(text: str, mounts: Sequence[Mount] = VIEW.mounts, corefile: ConfigMapName = COREDNS) -> Target | None:
    return target(text, DESTINATION, View("/etc/coredns", tuple(mounts)), corefile)


def at(pattern: str, key: str = OVERRIDE, configmap: ConfigMapName = CUSTOM) -> Target:
    return Target(configmap, key, pattern)


TARGETS = {
    "no import": (corefile(), None),
    "relative": (corefile("import custom/*.override"), at("custom/*.override")),
    "absolute": (corefile("import /etc/coredns/custom/*.override"), at("/etc/coredns/custom/*.override")),
    "a roundabout way": (corefile("import ../coredns/./custom/*.o"), at("../coredns/./custom/*.o", "hairpin-proxy.o")),
    "two slashes": (corefile("import //etc/coredns/custom/*.override"), at("//etc/coredns/custom/*.override")),
    "all files": (corefile("import custom/*"), at("custom/*", "hairpin-proxy")),
    "a prefix": (corefile("import custom/x-*.conf"), at("custom/x-*.conf", "x-hairpin-proxy.conf")),
    "another ConfigMap": (
        corefile("import /etc/other/*.o"),
        at("/etc/other/*.o", "hairpin-proxy.o", ConfigMapName("kube-system", "other")),
    ),
    "one file": (corefile("import custom/hairpin-proxy"), None),
    "the folder of the Corefile itself": (corefile("import *.override"), None),
    "a folder that nothing is mounted at": (corefile("import /etc/nowhere/*.override"), None),
    "below a mount": (corefile("import custom/more/*.override"), None),
    "the first that can be it": (
        corefile("import nowhere/*.override", "import custom/one", "import custom/*.a", "import custom/*.b"),
        at("custom/*.a", "hairpin-proxy.a"),
    ),
    "only at the top": (corefile(rest="import custom/*.override\n"), None),
    "only in another block": (corefile(rest="example.org {\n import custom/*.override\n}\n"), None),
    # Whatever else imports the same file would have the rules too, and not where rules may stand.
    "the same pattern at the top": (corefile("import custom/*.override", rest="import custom/*.override\n"), None),
    "all files at the top": (corefile("import custom/*.override", rest="import custom/*\n"), None),
    "all files at the top, written otherwise": (
        corefile("import custom/*.override", rest="import /etc/coredns/x/../custom/hairpin*\n"),
        None,
    ),
    "our very file in another block": (
        corefile("import custom/*.override", rest=f"example.org {{\n import custom/{OVERRIDE}\n}}\n"),
        None,
    ),
    "one letter may be anything": (corefile("import custom/*.override", rest="import custom/hairpin?proxy.*\n"), None),
    # Twice the same lines make one directive of both to CoreDNS, which it refuses.
    "twice in the home": (corefile("import custom/*.override", "import custom/*.override"), None),
    "twice in the home, by other patterns": (
        corefile("import custom/*.override", "import custom/hairpin*.override"),
        None,
    ),
    "twice in the home, but for the key of the second": (
        corefile("import custom/*.override", "import custom/*"),
        at("custom/*", "hairpin-proxy"),
    ),
    "twice in the home, once by a snippet": (
        "(c) {\n import custom/*.override\n}\n" + corefile("import c", "import custom/*.override"),
        None,
    ),
    "a snippet twice": ("(c) {\n import custom/*.override\n}\n" + corefile("import c", "import c"), None),
    "another pattern of the home that is for other files": (
        corefile("import custom/*.override", "import custom/a-*.override"),
        at("custom/*.override"),
    ),
    "other files at the top": (
        corefile("import custom/*.override", rest="import custom/*.server\nimport custom/a*\n"),
        at("custom/*.override"),
    ),
    "the same names elsewhere": (
        corefile("import custom/*.override", rest="import other/*.override\nimport *.override\n"),
        at("custom/*.override"),
    ),
    "the second, for the first is imported elsewhere too": (
        corefile("import custom/*.a", "import custom/*.b", rest="import custom/*.a\n"),
        at("custom/*.b", "hairpin-proxy.b"),
    ),
    "inside of a plugin too": (corefile("hosts {", "import custom/*.override", "}", "import custom/*.override"), None),
    "by a snippet": (
        "(s) {\n import custom/*.override\n}\n" + corefile("import s"),
        at("custom/*.override"),
    ),
    "in one of two homes": (
        corefile("import custom/*.override", rest=".:54 {\n kubernetes cluster.local\n}\n"),
        None,
    ),
    "in both homes": (
        corefile("import custom/*.override") + corefile("import custom/*.override").replace(":53", ":54"),
        at("custom/*.override"),
    ),
    "in a block that answers '.' and is no home": (
        corefile(rest=".:54 {\n import custom/*.override\n}\n"),
        None,
    ),
    "in the home, and not in the other block that answers '.'": (
        corefile("import custom/*.override", rest=".:54 {\n errors\n}\n"),
        at("custom/*.override"),
    ),
    "where kubernetes itself may be imported": (". {\n import custom/*.override\n}\n", at("custom/*.override")),
    "without a block that answers '.'": ("example.org {\n import custom/*.override\n}\n", None),
}


@pytest.mark.parametrize(("text", "found"), TARGETS.values(), ids=TARGETS)
def test_the_target(text: str, found: Target | None) -> None:
    assert key(text) == found


MOUNTS = {
    "none": ([], None),
    "a single file of it": ([Mount("/etc/coredns/custom", "c", {OVERRIDE: "x"}, optional=True, updates=False)], None),
    "chosen files of it": ([Mount("/etc/coredns/custom", "c", {"a": "a"}, optional=True, updates=True)], None),
    "one that must be there": ([Mount("/etc/coredns/custom", "c", None, optional=False, updates=True)], "c"),
    "the Corefile's own, at a second place": (
        [Mount("/etc/coredns/custom", "coredns", None, optional=True, updates=True)],
        None,
    ),
}


@pytest.mark.parametrize(("mounts", "configmap"), MOUNTS.values(), ids=MOUNTS)
def test_the_target_by_what_is_mounted(mounts: list[Mount], configmap: str | None) -> None:
    found = key(corefile("import custom/*.override"), [OWN, *mounts])
    assert found == (at("custom/*.override", configmap=ConfigMapName("kube-system", configmap)) if configmap else None)


def test_the_namespace_is_that_of_the_corefile() -> None:
    found = key(corefile("import custom/*.override"), corefile=ConfigMapName("dns", "base"))
    assert found == at("custom/*.override", configmap=ConfigMapName("dns", "coredns-custom"))


def test_a_corefile_that_cannot_be_read() -> None:
    with pytest.raises(CorefileError, match="^Corefile:1: "):
        key("import a b\n")


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        (DESTINATION, "hairpin-proxy"),
        ("hairpin-proxy.second.svc.cluster.local", "second"),
        ("proxy.hairpin-proxy.svc.k8s.example.org", "hairpin-proxy"),
        ("hairpin-proxy.third.svc.a.svc.example.org", "third"),
        ("proxy.example.org", "hairpin-proxy"),
        ("a.svc.example.org", "hairpin-proxy"),
    ],
)
def test_the_key_is_named_after_the_install(destination: str, name: str) -> None:
    assert stem(destination) == name
    text = corefile("import custom/*.override", "kubernetes k8s.example.org example.org a.svc.example.org")
    found = target(text, destination, VIEW, COREDNS)
    assert found == at("custom/*.override", f"{name}.override")


# ---- what is mounted, and what is read from there


def test_what_is_mounted_is_believed() -> None:
    location = place("k3s")
    assert location
    assert view(KUBEADM, COREDNS, location) == View("/etc/coredns", location.mounts)


def guessed(folder: str) -> Mount:
    return Mount(folder, "coredns-custom", None, optional=True, updates=True)


@pytest.mark.parametrize(
    ("lines", "folders"),
    [
        ([], []),
        (["import custom/*.override"], ["/etc/coredns/custom"]),
        (["import /z/*", "import custom/*.a", "import a/one"], ["/etc/coredns/a", "/etc/coredns/custom", "/z"]),
        (["import *.override", "import one"], []),
    ],
)
def test_what_is_usual_is_mounted_if_that_cannot_be_seen(lines: list[str], folders: list[str]) -> None:
    found = view(corefile(*lines, rest="import top/*\n"), ConfigMapName("dns", "base"), None)
    own = Mount("/etc/coredns", "base", None, optional=False, updates=True)
    assert found == View("/etc/coredns", (own, *map(guessed, folders)))


def test_the_files_that_are_imported() -> None:
    text = corefile("import custom/*.override", "import NodeHosts", "import gone/*", rest="import custom/*.server\n")
    data = {
        "coredns": {"Corefile": text, "NodeHosts": "errors\n"},
        "coredns-custom": {"b.override": "b", "a.override": "a", "x.server": "x", "y": "y"},
    }
    files: Files = {
        "custom/*.override": {"a.override": "a", "b.override": "b"},
        "NodeHosts": {"NodeHosts": "errors\n"},
        "custom/*.server": {"x.server": "x"},
    }
    assert VIEW.files(text, data) == files
    assert list(VIEW.files(text, data)["custom/*.override"]) == ["a.override", "b.override"]
    assert VIEW.files(KUBEADM, data) == {}
    assert VIEW.configmaps(text) == {"coredns", "coredns-custom"}
    # What lies elsewhere is not seen, which is not the same as not there.
    assert VIEW.files(text, {"coredns": data["coredns"]}) == {"NodeHosts": {"NodeHosts": "errors\n"}}
