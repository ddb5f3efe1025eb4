"""node-local-dns bypasses our rules, and what cures that: a CoreDNS with its Corefile in front of the cluster's.

node-cache itself is that CoreDNS, with a program around it that sets up the node's network and replaces placeholders.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from hairpin_proxy import nodecache, suffixes
from hairpin_proxy.corefile import CorefileError
from tests.cluster.cluster import LocalCluster
from tests.cluster.dns import dig_command, dns_answers
from tests.cluster.install import locate
from tests.cluster.processes import Process, free_port, with_other_ports
from tests.corefiles import DESTINATION, rule
from tests.fuzz.judge import Judge
from tests.integration.conftest import DEPLOY, ROOT, World, eventually, ingress
from tests.integration.test_leaving import cleanup, ended
from tests.integration.test_manifests import OBJECTS, calls, rights
from tests.nodecache import STANDARD, TAG, block, configmap, daemonset, replaced, stub_block
from tests.unit.test_nodecache import hosts, texts

COMPONENT = ROOT / "deploy-node-local-dns.yml"
LOCAL = "127.20.20.10"
"""Where pods ask, which is 169.254.20.10 on a node."""

HOST, NEIGHBOUR = "subdomain.example.com", "neighbour.example.com"
ON = ("--node-local-dns", "on", "--configmap", "kube-system/coredns")
"""There is no CoreDNS among the cluster's workloads, by which it would be found."""
SECONDS = 40
"""Within which a CoreDNS answers anew: it reloads every two seconds, but on a busy machine."""


@dataclass
class Node:
    """What runs on a node."""

    world: World
    port: int
    original: str
    """Of the ConfigMap."""

    corefile: Path
    """What node-cache makes of it."""

    def here(self, text: str) -> str:
        """With the ports of this node."""
        return text.replace(":53 {", f":{self.port} {{").replace(":9253", self._metrics)

    @property
    def _metrics(self) -> str:
        return self.original.partition("prometheus ")[2].partition("\n")[0]

    def text(self, name: str = "node-local-dns") -> str:
        return str(self.world.configmap(name)["data"]["Corefile"])

    def version(self) -> str:
        return str(self.world.configmap("node-local-dns")["metadata"]["resourceVersion"])

    def write(self, text: str, name: str = "node-local-dns") -> None:
        self.world.apply(configmap(name, Corefile=text))

    def sync(self) -> None:
        """What node-cache does every ten seconds."""
        self.corefile.write_text(self._made())

    def _made(self) -> str:
        cluster = self.world.cluster
        public = f"127.0.0.1:{cluster.dns_ports.public}"
        text = replaced(self.text(), cluster=cluster.dns, local=LOCAL, upstream=public)
        found = cluster.kubectl("-n", "kube-system", "get", "configmap", "kube-dns", "-o", "json", "--ignore-not-found")
        stubs = nodecache.stub_domains(json.loads(found).get("data") or {}) if found else {}
        return text + "".join(stub_block(zone, self.port, LOCAL, servers) for zone, servers in stubs.items())

    def answers(self, host: str = HOST) -> str:
        """Who a pod that asks for this host is led to."""
        cluster = self.world.cluster
        found = cluster._run(dig_command(LOCAL, self.port, host, "A")).stdout.split("\n")[:-1]
        service = cluster.service_ip("hairpin-proxy", "hairpin-proxy")
        return {service: "us", cluster.ingress.address: "the internet"}.get(found[-1] if found else "", str(found))


def named(name: str) -> dict[str, Any]:
    """A node-local-dns with this ConfigMap, which has its name."""
    text = json.dumps(daemonset()).replace('"node-local-dns"', json.dumps(name))
    item: dict[str, Any] = json.loads(text)
    return item


@pytest.fixture
def node(world: World) -> Iterator[Node]:
    """node-local-dns as its manifest has it, in front of the cluster's CoreDNS."""
    corefile = world.cluster.folder / "node-local-dns.corefile"
    found, process = with_other_ports(lambda: _started(world, corefile))
    world.apply(daemonset())
    yield found
    process.stop()
    objects = [f"{kind}/{name}" for kind in ("daemonset", "configmap") for name in ("node-local-dns", "nodelocaldns")]
    objects.append("configmap/kube-dns")
    world.cluster.kubectl("-n", "kube-system", "delete", *objects, "--ignore-not-found")


def _started(world: World, corefile: Path) -> tuple[Node, Process]:
    port, metrics, health = free_port(LOCAL, udp=True), free_port(), free_port(LOCAL)
    text = STANDARD.replace(":53 {", f":{port} {{").replace(":9253", f"127.0.0.1:{metrics}")
    text = text.replace(":8080", f":{health}").replace("reload\n", "reload 2s 1s\n")
    found = Node(world, port, text, corefile)
    found.write(text)
    found.sync()
    process = world.cluster.start("node-local-dns", [locate("coredns"), "-conf", str(corefile)])
    process.wait_ready(lambda: dns_answers(LOCAL, port, "kubernetes.default.svc.cluster.local"))
    return found, process


@pytest.fixture
def component(cluster: LocalCluster) -> Iterator[None]:
    cluster.apply(COMPONENT)
    yield
    cluster.kubectl("delete", "-f", str(COMPONENT), "--ignore-not-found")


def blocks(node: Node, *zones: str) -> str:
    return "".join(node.here(block(zone)) for zone in zones).replace(f"reload {TAG}", f"reload 2s 1s {TAG}")


@pytest.mark.usefixtures("component")
def test_pods_that_ask_node_local_dns_are_led_to_us_and_nobody_elses_name_is(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    version = node.version()
    done = world.once()
    assert done.returncode == 0
    service = world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
    eventually(lambda: world.cluster.dig(HOST)[-1:] == [service], SECONDS)
    # Bypassed.
    assert (node.answers(), node.version()) == ("the internet", version)

    done = world.once(*ON)
    assert (done.returncode, node.text()) == (0, node.original + blocks(node, "example.com")), done.stderr
    assert "key Corefile of ConfigMap kube-system/node-local-dns updated:" in done.stderr
    assert "WARNING" not in done.stderr
    node.sync()
    eventually(lambda: node.answers() == "us", SECONDS)
    assert node.answers(NEIGHBOUR) == "the internet"
    assert node.answers("kubernetes.default.svc.cluster.local") == str(["127.96.0.1"])
    version = node.version()
    assert world.once(*ON).returncode == 0
    assert node.version() == version

    assert world.once().returncode == 0
    assert node.text() == node.original
    assert rule(HOST) in world.cluster.corefile()
    node.sync()
    eventually(lambda: node.answers() == "the internet", SECONDS)


@pytest.mark.usefixtures("component")
def test_rules_come_first_and_blocks_go_with_the_last_host(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    with world.running(*ON):
        eventually(lambda: node.text() != node.original)
        assert rule(HOST) in world.cluster.corefile()
        assert node.text() == node.original + blocks(node, "example.com")
        world.delete()
        eventually(lambda: node.text() == node.original)
        assert world.cluster.corefile() == world.original


@pytest.mark.usefixtures("component")
def test_a_dry_run_writes_nothing_and_shows_it(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    world.once()
    done = world.once(*ON, "--dry-run")
    assert done.returncode == 0
    assert "+example.com" in done.stderr
    assert node.text() == node.original


@pytest.mark.usefixtures("component")
def test_there_are_at_most_fifty(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST, *(f"a.zone-{n:02}.com" for n in range(52))))
    world.once()
    done = world.once(*ON)
    assert done.returncode == 0
    assert node.text().count(f":{node.port} {{ # for") == 50
    assert "no more than 50 server blocks are added" in done.stderr
    assert "3 hosts (a.zone-49.com, a.zone-50.com, a.zone-51.com)" in done.stderr
    node.sync()
    eventually(lambda: node.answers() == "us", SECONDS)
    version = node.version()
    world.once(*ON)
    assert node.version() == version


@pytest.mark.usefixtures("component")
def test_a_block_of_that_zone_is_left_alone_and_said(node: Node) -> None:
    world = node.world
    text = f"example.com:{node.port} {{\n  bind {LOCAL}\n  whoami\n}}\n{node.original}"
    node.write(text)
    world.apply(ingress("web", HOST))
    world.once()
    done = world.once(*ON)
    assert (done.returncode, node.text()) == (0, text)
    assert "WARNING" in done.stderr
    assert "the server block or stubDomain for example.com is somebody else's" in done.stderr
    assert f"host {HOST}" in done.stderr


@pytest.mark.usefixtures("component")
def test_stub_domains_are_the_other_cure_and_no_block_is_added_to_them(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    world.once()
    found = nodecache.render(node.original, [HOST], nodecache.Writing(DESTINATION, suffixes.load()))
    world.apply(configmap("kube-dns", **nodecache.with_stub_domains({}, found.zones, world.cluster.dns)))
    node.sync()
    eventually(lambda: node.answers() == "us", SECONDS)
    assert node.answers(NEIGHBOUR) == "the internet"
    assert world.once(*ON).returncode == 0
    assert node.text() == node.original


def test_the_blocks_alone_are_a_cure_for_whoever_puts_them_in_himself(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    world.once()
    found = nodecache.render(node.original, [HOST], nodecache.Writing(DESTINATION, suffixes.load()))
    node.write(node.original + found.blocks)
    node.sync()
    eventually(lambda: node.answers() == "us", SECONDS)
    assert world.once(*ON).returncode == 0
    assert node.text() == node.original + found.blocks


def test_without_the_right_rules_are_kept_and_the_command_is_said(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    done = world.once(*ON)
    assert done.returncode == 0
    assert rule(HOST) in world.cluster.corefile()
    assert "403 Forbidden" in done.stderr
    assert "kubectl apply -f deploy-node-local-dns.yml" in done.stderr
    assert node.text() == node.original
    assert "node-local-dns" not in world.once().stderr


@pytest.mark.usefixtures("component")
def test_a_right_to_read_alone_never_holds_up_the_rules(node: Node) -> None:
    world = node.world
    patch = json.dumps([{"op": "replace", "path": "/rules/0/verbs", "value": ["get"]}])
    role = ("role", "hairpin-proxy-node-local-dns-r", "--type=json", "-p", patch)
    world.cluster.kubectl("-n", "kube-system", "patch", *role)
    world.apply(ingress("web", HOST))
    with world.running(*ON) as controller:
        eventually(lambda: "kubectl apply -f deploy-node-local-dns.yml" in controller.log.read_text())
        world.apply(ingress("more", NEIGHBOUR))
        eventually(lambda: rule(NEIGHBOUR) in world.cluster.corefile())
        log = controller.log.read_text()
    assert "poll failed" not in log
    assert log.count("could not be written") == 1
    assert node.text() == node.original
    done = world.once(*ON)
    assert done.returncode == 0
    assert "kubectl apply -f deploy-node-local-dns.yml" in done.stderr


@pytest.mark.usefixtures("component")
def test_no_block_stands_where_the_two_would_ask_each_other(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    world.once()
    with_rule = world.cluster.corefile()
    looped = with_rule.replace("forward . ", "forward . 169.254.20.10 ")
    assert looped != with_rule
    world.write_corefile(looped)
    done = world.once(*ON)
    assert (done.returncode, node.text()) == (0, node.original)
    assert (
        "WARNING key Corefile of ConfigMap kube-system/node-local-dns: CoreDNS forwards to 169.254.20.10" in done.stderr
    )

    world.write_corefile(with_rule)
    world.once(*ON)
    assert node.text() == node.original + blocks(node, "example.com")
    world.write_corefile(looped)
    world.once(*ON)
    assert node.text() == node.original


@pytest.mark.usefixtures("component")
def test_without_node_local_dns_it_is_said_calmly(world: World) -> None:
    world.apply(ingress("web", HOST))
    done = world.once(*ON)
    assert done.returncode == 0
    assert "INFO namespace kube-system has no node-local-dns" in done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.usefixtures("component")
def test_what_cannot_be_written_safely_is_said_and_left(node: Node) -> None:
    world = node.world
    text = node.original + "import custom/*.server\n"
    node.write(text)
    world.apply(ingress("web", HOST))
    world.once()
    done = world.once(*ON)
    assert (done.returncode, node.text()) == (0, text)
    assert "WARNING key Corefile of ConfigMap kube-system/node-local-dns: Corefile:1: it imports files" in done.stderr


@pytest.mark.usefixtures("component")
def test_an_uninstall_takes_the_blocks_out(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    controller = world.controller(*ON, "--install-namespace", "hairpin-proxy")
    eventually(lambda: node.text() != node.original)
    world.cluster.kubectl("delete", "deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy")
    log = ended(controller, within=20)
    world.cluster.apply(DEPLOY)
    assert world.cluster.corefile() == world.original
    assert node.text() == node.original
    assert "ConfigMap kube-system/node-local-dns updated:" in log


@pytest.mark.usefixtures("component")
def test_an_uninstall_never_waits_for_the_blocks(node: Node) -> None:
    world = node.world
    world.apply(ingress("web", HOST))
    controller = world.controller(*ON, "--install-namespace", "hairpin-proxy")
    eventually(lambda: node.text() != node.original)
    world.cluster.kubectl("delete", "-f", str(COMPONENT))
    world.cluster.kubectl("delete", "deployment", "hairpin-proxy-controller", "-n", "hairpin-proxy")
    log = ended(controller, within=20)
    world.cluster.apply(DEPLOY)
    assert world.cluster.corefile() == world.original
    assert node.text() == node.original + blocks(node, "example.com")
    assert "may keep server blocks of hairpin-proxy, which do no harm" in log

    shown = cleanup(world, "--dry-run")
    assert "ConfigMap kube-system/node-local-dns would be updated:" in shown.stdout
    assert node.text() != node.original
    done = cleanup(world)
    assert done.returncode == 0, done.stderr
    assert node.text() == node.original
    world.cluster.apply(DEPLOY)
    world.cluster.kubectl("scale", "deployment", "-n", "hairpin-proxy", "hairpin-proxy-controller", "--replicas=1")


@pytest.mark.usefixtures("component")
def test_the_rights_are_exactly_the_calls_that_are_made(node: Node) -> None:
    """A block in each of the two ConfigMaps, and out again."""
    world = node.world
    world.apply(named("nodelocaldns"))
    node.write(node.original, "nodelocaldns")
    world.apply(ingress("web", HOST))
    world.cluster.forget_audit()
    with world.running(*ON):
        eventually(lambda: TAG in node.text("nodelocaldns") and TAG in node.text())
    with world.running():
        eventually(lambda: (node.text(), node.text("nodelocaldns")) == (node.original, node.original))
    assert calls(world) - rights(OBJECTS) == rights(list(yaml.safe_load_all(COMPONENT.read_text())))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as running:
        yield running


@given(texts, hosts)
def test_what_coredns_accepts_it_accepts_with_blocks(judge: Judge, text: str, wanted: set[str]) -> None:
    try:
        found = nodecache.render(text, wanted, nodecache.Writing(DESTINATION, suffixes.load())).text
    except CorefileError:
        return
    real = [replaced(each, cluster="10.96.0.11", local="127.0.0.1", upstream="192.0.2.53") for each in (text, found)]
    before, after = judge.judge(real, {})
    assert after.accepted or not before.accepted, after
