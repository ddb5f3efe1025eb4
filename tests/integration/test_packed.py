"""Many hosts in few rules, on the real API server and the real CoreDNS."""

import re
from collections.abc import Iterable
from hashlib import sha256

import dns.message
import dns.query
import pytest

from tests.cluster.dns import DNS_ADDRESS, ELSEWHERE
from tests.corefiles import DESTINATION, TAG, rule
from tests.integration.conftest import World, eventually, ingress
from tests.integration.test_import import DNS_SECONDS
from tests.integration.test_wildcards import CURRENT, rules, service

PASSING = f"    rewrite stop ttl suffix .cluster.local. 0-4294967295 {TAG}"
PACKED = re.compile(rf"    rewrite stop name regex \^\S+\\\.\$ {re.escape(DESTINATION)}\. answer auto {TAG}")
THEIRS = "rewrite name db.default.svc.cluster.local db.data.svc.cluster.local"
OTHERS = [
    ("example.com", "A"),
    ("www.example.com", "A"),
    ("shop-0.example.com", "A"),
    ("shop-1000.example.com", "A"),
    ("a.shop-1.example.com", "A"),
    ("shop-1.example.com.default.svc.cluster.local", "A"),
    ("api.github.com", "A"),
    ("kubernetes.default.svc.cluster.local", "A"),
    ("Kubernetes.Default.svc.Cluster.Local", "A"),
    ("kubernetes.default.svc.cluster.local", "SRV"),
    ("nobody.default.svc.cluster.local", "AAAA"),
    ("1.0.96.127.in-addr.arpa", "PTR"),
]
"""Names that are no host of ours, though some are nearly one."""


def names(count: int) -> list[str]:
    return [f"shop-{number}.example.com" for number in range(1, count + 1)]


def unlike(count: int) -> list[str]:
    """Hosts that have little in common, so that they take several rules."""
    return [f"{sha256(b'%d' % number).hexdigest()[:48]}.example.com" for number in range(count)]


def ask(world: World, hosts: Iterable[str]) -> None:
    """One Ingress for each five hosts."""
    hosts = list(hosts)
    world.apply(*(ingress(f"web-{at}", *hosts[at : at + 5]) for at in range(0, len(hosts), 5)))


def poll(world: World, *flags: str) -> str:
    done = world.once(*CURRENT, *flags)
    assert done.returncode == 0, done.stderr
    return done.stderr


def replies(world: World) -> list[str]:
    """What is said to each question about another name, letter by letter but for the number of the query."""
    found = []
    for name, rdtype in OTHERS:
        question = dns.message.make_query(name, rdtype, use_edns=0)
        answer = dns.query.udp(question, DNS_ADDRESS, timeout=5, port=world.cluster.dns_ports.dns)
        answer.id = 0
        found.append(re.sub(r"(?m)^(\S+) [0-9]+ IN |SOA.*", r"\1 IN ", answer.to_text()))
    return found


@pytest.fixture(autouse=True)
def _clean(world: World) -> None:
    """CoreDNS has forgotten the test before."""
    for name in ("shop-1.example.com", "shop-51.example.com"):
        eventually(lambda name=name: world.cluster.dig(name) == [world.cluster.ingress.address], DNS_SECONDS)


def test_fifty_hosts_have_a_line_each_and_one_more_packs_them(world: World) -> None:
    ask(world, names(50))
    poll(world)
    assert rules(world) == [rule(host) for host in sorted(names(50))]
    ask(world, names(51))
    said = poll(world)
    (packed,) = rules(world)
    assert PACKED.fullmatch(packed)
    assert f"\n+    packed: shop-51.example.com -> {DESTINATION}" in said


def test_they_stay_packed_down_to_forty_hosts(world: World) -> None:
    ask(world, names(60))
    poll(world)
    for count, is_packed in ((45, True), (41, True), (40, False), (50, False), (51, True)):
        world.delete()
        ask(world, names(count))
        poll(world)
        assert [bool(PACKED.fullmatch(line)) for line in rules(world)] == ([True] if is_packed else [False] * count)


@pytest.mark.parametrize("form", ["lines", "packed"])
def test_the_form_can_be_chosen(world: World, form: str) -> None:
    count = 60 if form == "lines" else 2
    ask(world, names(count))
    poll(world, "--rules", form)
    assert [bool(PACKED.fullmatch(line)) for line in rules(world)] == ([False] * 60 if form == "lines" else [True])


def test_packed_hosts_lead_to_us_and_all_else_is_as_before(world: World) -> None:
    before, hosts = replies(world), names(999)
    ask(world, hosts)
    poll(world, "--rules", "packed")
    assert rules(world)
    eventually(lambda: world.cluster.dig("shop-999.example.com") == [service(world)], DNS_SECONDS)
    for host in hosts[::29]:
        assert world.cluster.dig(host) == [service(world)], host
    for name in ("shop-7.example.com", "SHOP-7.Example.Com"):
        question = dns.message.make_query(name, "A")
        answer = dns.query.udp(question, DNS_ADDRESS, timeout=5, port=world.cluster.dns_ports.dns)
        assert [records.name.to_text().lower() for records in answer.answer] == ["shop-7.example.com."]
    assert world.cluster.dig("shop-7.example.com", "AAAA") == []
    assert world.cluster.dig("shop-7.example.com", "HTTPS") == []
    assert world.cluster.dig("api.github.com") == [ELSEWHERE]
    assert replies(world) == before

    world.delete()
    with world.running(*CURRENT):  # the second list has to agree with the first
        eventually(lambda: world.cluster.corefile() == world.original)


def test_with_several_rules_the_names_of_the_cluster_pass(world: World) -> None:
    before = replies(world)
    hosts = unlike(1200)
    ask(world, hosts)
    poll(world)
    assert rules(world)[0] == PASSING
    assert len(rules(world)) > 5
    assert all(map(PACKED.fullmatch, rules(world)[1:]))
    eventually(lambda: world.cluster.dig(hosts[-1]) == [service(world)], DNS_SECONDS)
    for host in hosts[::29]:
        assert world.cluster.dig(host) == [service(world)], host
    assert replies(world) == before


def test_lines_of_before_are_packed_and_what_kubeadm_strips_is_ours(world: World) -> None:
    ask(world, names(60))
    poll(world, "--rules", "lines")
    assert len(rules(world)) == 60
    poll(world)
    (packed,) = rules(world)
    version = world.version()
    stripped = world.cluster.corefile().replace(f" {TAG}", "")
    world.write_corefile(stripped)
    poll(world)
    assert rules(world) == [packed]
    assert world.cluster.corefile().count("rewrite") == 1
    assert world.version() != version


def test_an_old_coredns_gets_lines(world: World) -> None:
    ask(world, names(51))
    done = world.once("--coredns-version", "1.8.3")
    assert done.returncode == 0, done.stderr
    assert rules(world) == [rule(host) for host in sorted(names(51))]
    assert "more than 50 hosts are not packed" in done.stderr
    assert "takes CoreDNS 1.8.4, and this one is 1.8.3" in done.stderr
    wanted = world.once("--coredns-version", "1.8.3", "--rules", "lines")
    assert (wanted.returncode, "not packed" in wanted.stderr) == (0, False)


def test_an_import_with_a_rule_behind_it_lets_no_names_pass(world: World) -> None:
    """An administrator's rule for a name of the cluster's own, behind what is imported, has to be reached."""
    hosts = unlike(1200)
    ask(world, hosts)
    custom = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "coredns-custom", "namespace": "kube-system"},
    }
    imports = world.original.replace("    errors\n", "    errors\n    import custom/*.override\n")
    for text, passes in ((imports, True), (imports.replace("    loop\n", f"    {THEIRS}\n    loop\n"), False)):
        world.apply(custom)
        world.write_corefile(text)
        poll(world, "--provider", "import")
        lines = world.configmap("coredns-custom")["data"]["hairpin-proxy.override"].splitlines()
        assert (lines[0] == PASSING.strip()) is passes
        assert all(line.startswith("rewrite stop name regex ") for line in lines[passes:])
        with world.cluster.api() as api:
            api.delete("/api/v1/namespaces/kube-system/configmaps/coredns-custom")
