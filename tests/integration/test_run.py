"""The controller's main job, on a real API server, with the ServiceAccount and rights of deploy.yml."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.corefiles import DESTINATION, rule
from tests.integration.conftest import World, eventually, ingress, unshare_mounts
from tests.integration.test_import import DNS_SECONDS


def with_rules(corefile: str, *hosts: str) -> str:
    """The local cluster's Corefile with our rules where they belong: before the brace that closes its one block."""
    assert corefile.endswith("    loadbalance\n}\n")
    return corefile.removesuffix("}\n") + "".join(rule(host) + "\n" for host in hosts) + "}\n"


def test_a_rule_for_each_tls_host_and_every_other_byte_as_before(world: World) -> None:
    world.apply(ingress("b", "b.example.com", "a.example.com"), ingress("a", "a.example.com"))
    done = world.once()
    assert done.returncode == 0, done.stderr
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com", "b.example.com")
    assert f"+{rule('a.example.com')}\n+{rule('b.example.com')}\n" in done.stderr

    world.delete("b")
    assert world.once().returncode == 0
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com")

    world.delete("a")
    assert world.once().returncode == 0
    assert world.cluster.corefile() == world.original


def test_names_lead_to_the_service_and_requests_arrive_with_the_header(world: World) -> None:
    host = "subdomain.example.com"
    haproxy = world.cluster.start_haproxy()
    controller = world.controller()
    try:
        assert world.cluster.dig(host) == [world.cluster.ingress.address]
        assert world.cluster.curl(host).returncode == 52  # empty reply from server

        world.apply(ingress("web", host))
        service = world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
        eventually(lambda: world.cluster.dig(host) == [service], DNS_SECONDS)
        for scheme in ("http", "https"):
            done = world.cluster.curl(host, scheme, "--interface", "127.0.0.9")
            assert (done.returncode, done.stderr) == (0, "")
            assert f"host: {host}\nclient: 127.0.0.9\n" in done.stdout
        assert world.cluster.dig(host, "AAAA") == []
        assert world.cluster.dig("other.example.com") == [world.cluster.ingress.address]
    finally:
        controller.stop()
        haproxy.stop()


def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    world.once()
    version = world.version()
    done = world.once()
    assert (done.returncode, world.version()) == (0, version)
    assert "updated" not in done.stderr


def test_a_thousand_ingresses_lead_to_one_write(world: World) -> None:
    hosts = [f"host-{number:04d}.example.com" for number in range(1000)]
    world.apply(*(ingress(f"web-{number}", host) for number, host in enumerate(hosts)))
    version = world.version()
    controller = world.controller()
    try:
        eventually(lambda: world.version() != version)
        written = world.version()
        assert world.cluster.corefile() == with_rules(world.original, *hosts)
        time.sleep(2)
        assert world.version() == written
        assert controller.log.read_text().count("updated:") == 1
    finally:
        controller.stop()


def test_a_dry_run_shows_the_diff_once_and_writes_nothing(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    version = world.version()
    controller = world.controller("--dry-run")
    try:
        eventually(lambda: "dry run" in controller.log.read_text())
        time.sleep(1)
    finally:
        controller.stop()
    assert world.version() == version
    assert controller.log.read_text().count(f"+{rule('a.example.com')}\n") == 1


def test_only_our_key_changes(world: World) -> None:
    world.patch_configmap(
        {
            "data": {"NodeHosts": "127.0.0.1 node\n"},
            "binaryData": {"blob": "AAECAw=="},
            "metadata": {"annotations": {"a": "b"}},
        }
    )
    before = world.configmap()
    world.apply(ingress("web", "a.example.com"))
    assert world.once().returncode == 0
    after = world.configmap()
    assert after["data"].pop("Corefile") == with_rules(before["data"].pop("Corefile"), "a.example.com")
    for configmap in (before, after):
        del configmap["metadata"]["resourceVersion"], configmap["metadata"]["managedFields"]
    assert after == before


def test_another_configmap_key_and_destination(world: World) -> None:
    text = ".:8053 {\n\tkubernetes cluster.local k8s.example.org\n}"
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "coredns-base", "namespace": "kube-system"},
            "data": {"main": text},
        },
        ingress("web", "a.example.com"),
    )
    flags = ["--configmap", "kube-system/coredns-base", "--configmap-key", "main"]
    admin = world.cluster.kubeconfig
    done = world.once(*flags, "--destination", "hairpin-proxy.hairpin-proxy.svc.k8s.example.org", kubeconfig=admin)
    assert done.returncode == 0, done.stderr
    line = rule("a.example.com", "hairpin-proxy.hairpin-proxy.svc.k8s.example.org")
    expected = text.removesuffix("}") + line + "\n}"
    assert world.configmap("coredns-base")["data"] == {"main": expected}

    assert world.cluster.corefile() == world.original


def test_the_rules_of_another_install_are_left_alone_and_those_of_one_that_is_gone_can_be_adopted(
    world: World,
) -> None:
    theirs = "proxy.default.svc.cluster.local"
    text = with_rules(world.original).replace("    errors\n", f"    errors\n{rule('a.example.com', theirs)}\n")
    world.write_corefile(text)
    world.apply(ingress("web", "a.example.com"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "proxy", "namespace": "default"}}
    world.apply({**service, "spec": {"ports": [{"port": 80}]}})
    admin = world.cluster.kubeconfig
    try:
        done = world.once("--dry-run", kubeconfig=admin)
    finally:
        world.cluster.kubectl("delete", "service", "proxy", "-n", "default")
    said = f"key Corefile of ConfigMap kube-system/coredns has 1 rule such as `rewrite name a.example.com {theirs}`"
    assert f"WARNING {said}: another install of hairpin-proxy added them, and they are left alone\n" in done.stderr

    done = world.once("--dry-run", kubeconfig=admin)
    assert f"ERROR {said}, and there is no Service {theirs} (any more)" in done.stderr
    assert f": --adopt-destination {theirs} takes them over\n" in done.stderr
    # Our own rights are to see a Service of the name that we gave ours.
    assert "another install of hairpin-proxy added them" in world.once("--dry-run").stderr
    assert world.cluster.corefile() == text

    done = world.once("--adopt-destination", theirs)
    assert (done.returncode, done.stderr.count(" updated:\n")) == (0, 1)
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com")


def test_the_lines_of_v0_2_1_are_adopted(world: World) -> None:
    opening = world.original.splitlines(keepends=True)[0]
    theirs = rule("a.example.com") + "\n" + rule("gone.example.com") + "\n"
    untagged = f"    rewrite name b.example.com {DESTINATION}\n"
    world.write_corefile(world.original.replace(opening, opening + theirs + untagged))
    world.apply(ingress("web", "a.example.com", "b.example.com"))
    assert world.once().returncode == 0
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com", "b.example.com")


def test_ingresses_with_little_in_them(world: World) -> None:
    plain = ingress("plain")
    del plain["spec"]["tls"]
    without_hosts = ingress("without-hosts", tls=[{"secretName": "x"}])
    world.apply(plain, ingress("empty", tls=[]), without_hosts, ingress("web", "a.example.com"))
    assert world.once().returncode == 0
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com")


BAD_HOSTS = [
    "a b.example.com",
    "line\nbreak.example.com",
    "brace{.example.com",
    "#comment.example.com",
    'quote".example.com',
    "bücher.example.com",
    "a" * 64 + ".example.com",
    "a." * 126 + "com",
    "-a.example.com",
    "a-.example.com",
    "",
    "*",
    "10.1.2.3",
    "2001:db8::1",
    "example.com:443",
    "https://example.com/",
    "x.example.com\n    forward . 192.0.2.1",
    "kubernetes.default.svc.cluster.local",
    "kubernetes",
    DESTINATION,
]


def test_bad_hosts_never_reach_the_corefile(world: World) -> None:
    """The API server refuses most of them, so they are stored behind its back."""
    bad = ingress("bad", *BAD_HOSTS, "good.example.com")
    bad["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000001", "creationTimestamp": "2026-01-01T00:00:00Z"}
    world.cluster.etcd_put("/registry/ingress/default/bad", json.dumps(bad).encode())
    world.apply(ingress("web", "a.example.com"))
    controller = world.controller()
    try:
        expected = with_rules(world.original, "a.example.com", "good.example.com")
        eventually(lambda: world.cluster.corefile() == expected)
        time.sleep(1)
    finally:
        controller.stop()
    log = controller.log.read_text()
    for host in BAD_HOSTS:
        assert log.count(f"Ingress default/bad: host {host!r} is left out: it ") == 1, host
    assert log.count("is left out") == len(BAD_HOSTS)


def test_what_does_not_fit_is_left_out_with_the_count_that_fits_and_what_stands_stays(world: World) -> None:
    hosts = [f"host-{number:05d}.department.example.com" for number in range(10_000)]
    world.apply(*(ingress(f"web-{part}", *hosts[part * 1000 : part * 1000 + 1000]) for part in range(10)))
    done = world.once()
    assert done.returncode == 0, done.stderr
    fitting = int(done.stderr.partition(" of 10000 hosts fit")[0].split()[-1])
    assert 8_000 < fitting < 10_000
    named = ", ".join(hosts[fitting : fitting + 3])
    assert (
        f"{10_000 - fitting} hosts ({named}, ...) left out: {fitting} of 10000 hosts fit into the 1048576 bytes of a"
        in done.stderr
    )
    assert world.cluster.corefile() == with_rules(world.original, *hosts[:fitting])

    version = world.version()
    world.apply(ingress("first", "aaa.example.com"))
    done = world.once()
    assert (done.returncode, world.version()) == (0, version)
    assert f" hosts (aaa.example.com, {hosts[fitting]}, " in done.stderr

    world.apply(ingress("web-0", *hosts[1:1000]))
    assert world.once().returncode == 0
    assert world.cluster.corefile() == with_rules(world.original, "aaa.example.com", *hosts[1:fitting])


@pytest.mark.parametrize(
    ("corefile", "problem"),
    [
        ("example.org {\n}\n", "Corefile:1: no server block answers '.'"),
        (".:53 {\n    errors\n", "Corefile:1: the server block that is opened here is never closed"),
        ("", "Corefile:1: no server block answers '.'"),
        (
            "cluster.local {\n    kubernetes\n}\n.:53 {\n    forward . 192.0.2.1\n}\n",
            "Corefile:4: the server block that answers '.' has no kubernetes plugin for a zone that holds",
        ),
    ],
)
def test_no_place_for_a_rule_is_an_error_and_no_write(world: World, corefile: str, problem: str) -> None:
    """In a ConfigMap that CoreDNS does not read: without `reload` in it, it would never read another."""
    metadata = {"name": "strange", "namespace": "kube-system"}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": corefile}})
    world.apply(ingress("web", "a.example.com"))
    before = world.configmap("strange")
    done = world.once("--configmap", "kube-system/strange", kubeconfig=world.cluster.kubeconfig)
    assert (done.returncode, world.configmap("strange")) == (1, before)
    assert problem in done.stderr
    assert "ConfigMap kube-system/strange" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_at_once_with_0(world: World, number: signal.Signals) -> None:
    controller = world.controller("--log-level", "debug", interval="3600")
    eventually(lambda: "is as it should be" in controller.log.read_text())
    controller.send_signal(number)
    eventually(lambda: not controller.running, 5)
    assert controller.exit_code == 0


def _block(corefile: str) -> tuple[str, str]:
    """The key of the local cluster's one server block, and what is in it."""
    key, _, rest = corefile.partition(" {\n")
    return key, rest.removesuffix("}\n")


def _dressed(corefile: str) -> str:
    """As a Windows editor leaves it."""
    return "\ufeff" + corefile.rstrip("\n").replace("\n", "\r\n")


def _without_braces(corefile: str) -> str:
    key, inside = _block(corefile)
    return f"{key}\n{inside}".replace("    ", "\t").rstrip("\n")


def _from_a_snippet(corefile: str) -> str:
    key, inside = _block(corefile)
    port = key.partition(":")[2]
    return f"(all) {{\n{inside}}}\nexample.net:{port},\n{key} {{ # all of it\n  import all\n  }} # the end"


@pytest.mark.parametrize("layout", [_dressed, _without_braces, _from_a_snippet])
def test_coredns_answers_by_the_rules_whatever_the_corefile_looks_like(
    world: World, layout: Callable[[str], str]
) -> None:
    text = layout(world.original)
    world.write_corefile(text)
    world.apply(ingress("web", "a.example.com"))
    done = world.once()
    assert done.returncode == 0, done.stderr
    service = world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
    eventually(lambda: world.cluster.dig("a.example.com") == [service], DNS_SECONDS)
    assert world.cluster.dig("b.example.com") == [world.cluster.ingress.address]
    world.delete("web")
    assert world.once().returncode == 0
    assert world.cluster.corefile() == text
    eventually(lambda: world.cluster.dig("a.example.com") == [world.cluster.ingress.address], DNS_SECONDS)


IN_A_POD = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$1/token" "$1/ca.crt" /run/secrets/kubernetes.io/serviceaccount/
exec "$2" -m hairpin_proxy run --once
"""


def test_in_a_pod_it_uses_the_service_account(world: World, tmp_path: Path) -> None:
    """The files are where kubelet mounts them, in a mount namespace of the process's own."""
    config = yaml.safe_load(world.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    (tmp_path / "token").write_text(config["users"][0]["user"]["token"])
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    world.apply(ingress("web", "a.example.com"))
    done = subprocess.run(
        [*unshare_mounts(), "sh", "-c", IN_A_POD, "sh", str(tmp_path), sys.executable],
        env={"PATH": os.defpath, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert world.cluster.corefile() == with_rules(world.original, "a.example.com")


def test_the_log_as_json_has_an_object_on_each_line(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    done = world.once("--log-format", "json", "--only-hairpinned", "off")
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    start, update, end = (entry for entry in entries if entry["level"] == "info")
    assert "starts: interval=15.0 " in start["message"]
    assert f"\n+{rule('a.example.com')}\n" in update["message"]
    assert end.keys() == {"time", "level", "message"}
