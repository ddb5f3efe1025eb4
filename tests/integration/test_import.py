"""Rules in a key that the Corefile imports: on a CoreDNS that reads it, and answers from it."""

import copy
import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.dns import DNS_ADDRESS, write_keys
from tests.cluster.processes import wait_until
from tests.corefiles import rule
from tests.integration.conftest import CONFIGMAPS, World, eventually, ingress
from tests.integration.watched import watched

HOST = "subdomain.example.com"
_numbers = itertools.count()
DNS_SECONDS = 40
"""Within which CoreDNS answers anew: the files follow, and it reloads every two seconds, but on a busy machine."""

KEY = "hairpin-proxy.override"


def in_file(host: str) -> str:
    """A rule's line in an imported file."""
    return rule(host).strip() + "\n"


@dataclass
class Imports:
    """The cluster, whose Corefile imports the ConfigMap coredns-custom."""

    world: World
    original: str
    """The Corefile."""

    @property
    def custom(self) -> dict[str, str]:
        return dict(self.world.configmap("coredns-custom").get("data") or {})

    @property
    def corefile(self) -> str:
        return self.world.cluster.corefile()

    def answers(self, host: str = HOST) -> str:
        """Who a pod that asks for this host is led to."""
        found = self.world.cluster.dig(host)
        names = {self.service: "us", self.world.cluster.ingress.address: "the internet"}
        return names.get(found[-1], str(found)) if found else "nobody"

    @property
    def service(self) -> str:
        return self.world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")

    def load(self, text: str) -> None:
        """Writes the Corefile, and waits until CoreDNS runs it.

        What is imported and changes while CoreDNS starts is not seen before the next change, for its plugin reload
        remembers only afterwards what it has started with. Nor is a reload tried again that failed, as it may on a busy
        machine whose ports of before are not free yet.
        """
        assert any(self._loads(text) for _ in range(3))
        eventually(lambda: "coredns_reload_version_info{" in self.metrics(), DNS_SECONDS)

    def _loads(self, text: str) -> bool:
        name = f"loaded-{next(_numbers)}.invalid"
        answer = f'    template IN TXT {name} {{\n        answer "{{{{ .Name }}}} 0 IN TXT loaded"\n    }}\n'
        self.original = text.replace("    errors\n", "    errors\n" + answer)
        self.world.write_corefile(self.original)
        return wait_until(lambda: self.world.cluster.dig(name, "TXT") == ['"loaded"'], DNS_SECONDS)

    def metrics(self) -> str:
        with urllib.request.urlopen(self.world.cluster.coredns_metrics_url, timeout=5) as answer:
            return str(answer.read(), "utf-8")


DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "coredns", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "template": {
            "metadata": {"labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "containers": [
                    {
                        "name": "coredns",
                        "image": "coredns:1.14.7",
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "volumeMounts": [
                            {"name": "config", "mountPath": "/etc/coredns"},
                            {"name": "custom", "mountPath": "/etc/coredns/custom"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "config", "configMap": {"name": "coredns"}},
                    {"name": "custom", "configMap": {"name": "coredns-custom", "optional": True}},
                ],
            },
        },
    },
}


def custom(**data: str) -> dict[str, Any]:
    metadata = {"name": "coredns-custom", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def endpoints(port: int) -> dict[str, Any]:
    """Where the Service kube-dns leads to."""
    labels = {"kubernetes.io/service-name": "kube-dns"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [DNS_ADDRESS]}],
        "ports": [{"name": "dns", "port": port, "protocol": "UDP"}],
    }


@pytest.fixture
def imports(world: World) -> Iterator[Imports]:
    found = Imports(world, world.original.replace("    errors\n", "    errors\n    import custom/*.override\n"))
    assert found.original != world.original
    world.apply(DEPLOYMENT, custom())
    # An address of loopback is none that the API takes for an endpoint, so it is stored behind its back.
    slices = endpoints(world.cluster.dns_ports.dns)
    world.cluster.etcd_put("/registry/endpointslices/kube-system/kube-dns", json.dumps(slices).encode())
    world.write_corefile(found.original)
    yield found
    for item in (DEPLOYMENT, custom(), slices):
        kind, name = item["kind"].lower(), item["metadata"]["name"]
        world.cluster.kubectl("-n", "kube-system", "delete", kind, name, "--ignore-not-found")


@pytest.fixture
def mirrored(imports: Imports) -> Iterator[Imports]:
    """CoreDNS sees what is imported."""
    mirror = imports.world.cluster.mirror("coredns-custom", "custom")
    imports.load(imports.original)
    yield imports
    mirror.stop()
    write_keys(mirror.folder, {})


def test_rules_stand_in_the_imported_key_alone_and_it_goes_with_the_last(mirrored: Imports) -> None:
    world = mirrored.world
    world.apply(ingress("web", HOST))
    done = world.once()
    assert (done.returncode, mirrored.custom) == (0, {KEY: in_file(HOST)}), done.stderr
    assert mirrored.corefile == mirrored.original
    assert "WARNING" not in done.stderr
    eventually(lambda: mirrored.answers() == "us", DNS_SECONDS)

    world.delete()
    assert world.once().returncode == 0
    assert (mirrored.custom, mirrored.corefile) == ({}, mirrored.original)
    eventually(lambda: mirrored.answers() == "the internet", DNS_SECONDS)


def test_rules_of_before_move_once_the_import_is_seen_to_be_live(mirrored: Imports) -> None:
    world = mirrored.world
    world.apply(ingress("web", HOST, "other.example.com"))
    assert world.once("--provider", "corefile").returncode == 0
    eventually(lambda: mirrored.answers() == "us", DNS_SECONDS)
    controller = world.controller()
    try:
        seen = set()

        def moved() -> bool:
            seen.add(mirrored.answers())
            return mirrored.corefile == mirrored.original and mirrored.custom == {
                KEY: in_file("other.example.com") + in_file(HOST)
            }

        eventually(moved, 30)
        for _ in range(30):
            seen.add(mirrored.answers())
            time.sleep(0.1)
        assert seen == {"us"}
    finally:
        controller.stop()
    log = controller.log.read_text()
    assert log.count("updated:") == 3  # into the key, out of the Corefile, and the canary out of the key


def test_rules_of_before_stay_while_the_import_is_not_live(imports: Imports) -> None:
    world = imports.world
    world.apply(ingress("web", HOST))
    assert world.once("--provider", "corefile").returncode == 0
    before = imports.corefile
    controller = world.controller()
    try:
        eventually(lambda: in_file(HOST) in imports.custom.get(KEY, ""))
        time.sleep(3)
        assert imports.corefile == before
        assert imports.answers() == "us"
        # A host that goes meanwhile goes from both.
        world.delete()
        eventually(lambda: (imports.custom, imports.corefile) == ({}, imports.original))
    finally:
        controller.stop()


def test_rules_go_back_into_the_corefile(mirrored: Imports) -> None:
    world = mirrored.world
    world.apply(ingress("web", HOST))
    world.once()
    for _ in range(2):
        assert world.once("--provider", "corefile").returncode == 0
    assert rule(HOST) in mirrored.corefile
    assert mirrored.custom == {}


def test_hosts_that_others_rewrite_are_left_to_them(mirrored: Imports) -> None:
    world = mirrored.world
    cluster = "kubernetes.default.svc.cluster.local"
    lines = {
        "aaa.override": f"rewrite name a.example.com {cluster}\n",
        "zzz.override": f"rewrite name suffix z.example.com {cluster}\n",
    }
    world.apply(custom(**lines))
    text = mirrored.original.replace(
        "    loadbalance\n", f"    loadbalance\n    rewrite name c.example.com {cluster}\n"
    )
    mirrored.load(text)
    world.apply(ingress("web", HOST, "a.example.com", "c.example.com", "z.example.com"))
    done = world.once()
    assert done.returncode == 0
    assert mirrored.custom == {**lines, KEY: in_file(HOST)}
    for where in ("aaa.override:1", "zzz.override:1", "Corefile:"):
        assert where in done.stderr
    expected = {"us"} | {str([world.cluster.service_ip("default", "kubernetes")])}
    hosts = [HOST, *(f"{letter}.example.com" for letter in "acz")]
    eventually(lambda: {mirrored.answers(host) for host in hosts} == expected, DNS_SECONDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("    import custom/*.override\n", "    import custom/*.override\n" * 2),
        lambda text: text + "import custom/*\n",
        lambda text: (
            text + text.replace("    import custom/*.override\n", "").replace("    bind ", "    bind 127.96.0.11 ")
        ),
    ],
    ids=["imported twice", "imported at the top too", "another block for the root without it"],
)
def test_rules_in_a_key_that_is_no_place_for_them_any_more_are_taken_out(imports: Imports, change: Any) -> None:
    """CoreDNS refuses a configuration that has a rule twice, and whatever is forgotten outlives the Service."""
    imports.world.apply(ingress("web", HOST))
    assert imports.world.once().returncode == 0
    assert imports.custom == {KEY: in_file(HOST)}
    text = change(imports.original)
    imports.world.write_corefile(text)
    for _ in range(2):
        done = imports.world.once()
        assert done.returncode == 0, done.stderr
    assert rule(HOST) in imports.corefile
    assert imports.custom == {}
    imports.world.delete()
    assert imports.world.once().returncode == 0
    assert (imports.corefile, imports.custom) == (text, {})


def test_what_others_write_into_our_key_stays(imports: Imports) -> None:
    imports.world.apply(custom(**{KEY: "# mine\nlog"}), ingress("web", HOST))
    assert imports.world.once().returncode == 0
    assert imports.custom == {KEY: "# mine\nlog\n" + in_file(HOST).rstrip()}
    imports.world.delete()
    assert imports.world.once().returncode == 0
    assert imports.custom == {KEY: "# mine\nlog"}


def test_two_installs_never_share_a_key_nor_a_host(imports: Imports) -> None:
    imports.world.apply(ingress("web", HOST))
    other = "proxy.second.svc.cluster.local"
    expected = {"second.override": rule(HOST, other).strip() + "\n"}
    assert imports.world.once("--destination", other).returncode == 0
    assert imports.custom == expected
    done = imports.world.once()
    assert (done.returncode, imports.custom) == (0, expected)
    assert "second.override:1" in done.stderr


def test_cleanup_takes_the_rules_out_of_both(imports: Imports) -> None:
    world = imports.world
    world.apply(ingress("web", HOST))
    assert world.once("--provider", "corefile").returncode == 0
    assert world.once().returncode == 0
    assert KEY in imports.custom
    assert rule(HOST) in imports.corefile
    argv = [sys.executable, "-m", "hairpin_proxy", "cleanup", "--kubeconfig", str(world.cluster.kubeconfig)]
    shown = subprocess.run([*argv, "--dry-run"], env={}, text=True, capture_output=True, timeout=180, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("would be updated") == 2
    assert KEY in imports.custom


def test_rules_of_a_namespace_that_was_given_up_are_adopted_from_their_own_key(mirrored: Imports) -> None:
    world, old = mirrored.world, "hairpin-proxy.old.svc.cluster.local"
    metadata = {"name": "hairpin-proxy", "namespace": "old"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}}, service, ingress("web", HOST))
    world.cluster.register_haproxy("old")
    assert world.once("--destination", old).returncode == 0
    world.cluster.kubectl("-n", "old", "delete", "service", "hairpin-proxy")
    assert list(mirrored.custom) == ["old.override"]
    eventually(lambda: mirrored.answers() == "nobody", DNS_SECONDS)
    done = world.once()
    assert "ERROR key old.override of ConfigMap kube-system/coredns-custom has 1 rule such as" in done.stderr
    assert f"--adopt-destination {old}" in done.stderr
    assert mirrored.custom[KEY] == in_file(HOST)
    for _ in range(2):
        assert world.once("--adopt-destination", old).returncode == 0
    assert mirrored.custom == {KEY: in_file(HOST)}
    eventually(lambda: mirrored.answers() == "us", DNS_SECONDS)


def test_a_zone_in_an_imported_server_block_is_said(imports: Imports) -> None:
    world = imports.world
    world.write_corefile(imports.original + "import custom/*.server\n")
    port = world.cluster.dns_ports.dns
    world.apply(custom(**{"a.server": f"example.com:{port} {{\n    bind {DNS_ADDRESS}\n}}\n"}), ingress("web", HOST))
    done = world.once()
    assert done.returncode == 0
    assert f"a.server:1: the server block for example.com answers host {HOST}" in done.stderr


def test_an_unreadable_file_of_somebody_elses_keeps_no_rule_behind(imports: Imports) -> None:
    world = imports.world
    world.apply(ingress("web", HOST))
    assert world.once().returncode == 0
    world.apply(custom(**{"bad.override": "log {\n"}))
    argv = [
        sys.executable,
        "-m",
        "hairpin_proxy",
        "cleanup",
        "--kubeconfig",
        str(world.cluster.kubeconfig),
        "--dry-run",
    ]
    shown = subprocess.run(argv, env={}, text=True, capture_output=True, timeout=180, check=False)
    assert (shown.returncode, shown.stdout.count("would be updated")) == (0, 1), shown.stderr


def test_rules_stay_where_they_are_while_coredns_cannot_be_seen(imports: Imports) -> None:
    world = imports.world
    world.apply(ingress("web", HOST))
    assert world.once().returncode == 0
    world.cluster.kubectl("-n", "kube-system", "delete", "deployment", "coredns")
    world.apply(ingress("more", "a.example.com"))
    done = world.once()
    assert (done.returncode, imports.corefile) == (0, imports.original)
    assert imports.custom == {KEY: in_file("a.example.com") + in_file(HOST)}
    world.delete()
    assert world.once().returncode == 0
    assert imports.custom == {}


def test_without_the_configmap_the_corefile_serves_and_one_command_is_said_once(imports: Imports) -> None:
    world = imports.world
    with world.cluster.api() as api:
        api.delete(f"{CONFIGMAPS}/coredns-custom")
    world.apply(ingress("web", HOST))
    controller = world.controller()
    try:
        eventually(lambda: rule(HOST) in imports.corefile)
        time.sleep(2)
        log = controller.log.read_text()
        assert log.count("kubectl -n kube-system create configmap coredns-custom") == 1
        world.cluster.kubectl(*["-n", "kube-system", "create", "configmap", "coredns-custom"])
        eventually(lambda: in_file(HOST) in imports.custom.get(KEY, ""))
    finally:
        controller.stop()


def test_import_by_force_says_what_is_missing_and_writes_nothing(imports: Imports) -> None:
    world = imports.world
    world.apply(ingress("web", HOST))
    with world.cluster.api() as api:
        api.delete(f"{CONFIGMAPS}/coredns-custom")
    done = world.once("--provider", "import")
    assert (done.returncode, imports.corefile) == (1, imports.original)
    assert "kubectl -n kube-system create configmap coredns-custom" in done.stderr
    world.write_corefile(world.original)
    done = world.once("--provider", "import")
    assert (done.returncode, imports.corefile) == (1, world.original)
    assert "imports no folder" in done.stderr


def test_what_is_looked_at_as_far_as_we_may_counts_as_no_missing_right(imports: Imports) -> None:
    """A ConfigMap that is none for our rules, and the Service that somebody else's rules lead to."""
    deployment = copy.deepcopy(DEPLOYMENT)
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"].append({"name": "more", "mountPath": "/etc/coredns/more"})
    pod["volumes"].append({"name": "more", "configMap": {"name": "coredns-more", "optional": True}})
    imports.world.apply(deployment)
    theirs = rule("b.example.com", "other.elsewhere.svc.cluster.local")
    text = imports.original.replace("    errors\n", f"    errors\n{theirs}\n")
    imports.world.write_corefile(f"import more/*.server\n{text}")
    with watched(imports.world) as controller:
        eventually(lambda: controller.counted("polls_total{unchanged}") > 2)
        assert controller.counted("api_errors_total{403}") == 0
        assert "another install of hairpin-proxy added them" in controller.process.log.read_text()
