"""Wildcards, and hosts that are the apex of a zone, on the real CoreDNS."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dns.message
import dns.query
import pytest

from tests.cluster.dns import DNS_ADDRESS, ELSEWHERE
from tests.corefiles import DESTINATION, TAG, rule
from tests.integration.conftest import World, eventually, ingress
from tests.integration.test_import import DEPLOYMENT, DNS_SECONDS

CURRENT = ["--coredns-version", "1.14.7"]
WILDCARD = "*.example.com"
WILDCARD_RULE = rf"    rewrite name regex ^[^._][^.]*\.example\.com\.$ {DESTINATION} answer auto {TAG}"
TEXT_OF_ACME = ['"challenge"']
APEX_TYPES = ("MX", "TXT", "SOA", "NS")
"""What a zone's apex has beside addresses."""


def service(world: World) -> str:
    return world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")


def answered(world: World, name: str, rdtype: str = "A") -> set[str]:
    """The names that have a record in the answer: a client believes only those that follow from its question."""
    question = dns.message.make_query(name, rdtype)
    answer = dns.query.udp(question, DNS_ADDRESS, timeout=5, port=world.cluster.dns_ports.dns)
    return {records.name.to_text() for records in answer.answer}


@pytest.fixture(autouse=True)
def _clean(world: World) -> None:
    """CoreDNS has forgotten the test before."""
    for name in ("www.example.com", "example.com", "theirs.example.com"):
        eventually(lambda name=name: world.cluster.dig(name) == [world.cluster.ingress.address], DNS_SECONDS)


def written(world: World, *hosts: str) -> list[str]:
    """Our rules, once an Ingress asks for these hosts."""
    world.apply(ingress("web", *hosts))
    done = world.once(*CURRENT)
    assert done.returncode == 0, done.stderr
    return rules(world)


def rules(world: World) -> list[str]:
    return [line for line in world.cluster.corefile().splitlines() if TAG in line]


def led_to_us(world: World, name: str) -> bool:
    return world.cluster.dig(name)[-1:] == [service(world)]


# ---- wildcards


def test_a_wildcard_leads_one_label_to_us_and_nothing_else(world: World) -> None:
    public = [world.cluster.ingress.address]
    others = {
        (name, rdtype): world.cluster.dig(name, rdtype)
        for name, rdtype in [
            ("two.labels.example.com", "A"),
            ("two.labels.example.com", "HTTPS"),
            ("_acme-challenge.example.com", "TXT"),
            ("_acme-challenge.www.example.com", "TXT"),
            ("_dmarc.example.com", "A"),
            ("a_b._tcp.example.com", "A"),
            ("example.com", "A"),
            ("example.com", "AAAA"),
            *(("example.com", rdtype) for rdtype in APEX_TYPES),
            ("api.github.com", "A"),
            ("examplexcom", "A"),
        ]
    }
    assert others["two.labels.example.com", "A"] == others["example.com", "A"] == public
    assert others["_acme-challenge.example.com", "TXT"] == TEXT_OF_ACME
    assert others["api.github.com", "A"] == [ELSEWHERE]
    assert world.cluster.dig("www.example.com") == public
    assert world.cluster.dig("www.example.com", "HTTPS") != []

    assert written(world, WILDCARD) == [WILDCARD_RULE]
    eventually(lambda: led_to_us(world, "www.example.com"), DNS_SECONDS)
    for name in ("www.example.com", "WWW.Example.COM", "1.example.com", "with-hyphen.example.com", "a_b.example.com"):
        assert world.cluster.dig(name) == [service(world)], name
        assert {each.lower() for each in answered(world, name)} == {f"{name.lower()}."}
    assert world.cluster.dig("www.example.com", "AAAA") == []
    assert world.cluster.dig("www.example.com", "HTTPS") == []  # the public one would lead to the load balancer
    assert {(name, rdtype): world.cluster.dig(name, rdtype) for name, rdtype in others} == others

    world.delete("web")
    assert world.once(*CURRENT).returncode == 0
    assert world.cluster.corefile() == world.original


def test_curl_reaches_haproxy_by_a_wildcard(world: World) -> None:
    haproxy = world.cluster.start_haproxy()
    try:
        written(world, WILDCARD)
        eventually(lambda: led_to_us(world, "www.example.com"), DNS_SECONDS)
        done = world.cluster.curl("www.example.com", "https", "--interface", "127.0.0.9")
        assert "host: www.example.com\nclient: 127.0.0.9\n" in done.stdout
    finally:
        haproxy.stop()


def test_an_exact_host_wins_and_an_administrators_rule_wins_over_both(world: World) -> None:
    theirs = "    rewrite name theirs.example.com kubernetes.default.svc.cluster.local\n"
    world.write_corefile(world.original.replace("    forward", f"{theirs}    forward"))
    hosts = ["*.example.com", "www.example.com", "*.a.example.com", "z.example.com", "example.org"]
    found = [line.split(maxsplit=4)[2:4] for line in written(world, *hosts) if "rewrite" in line]
    assert found[:2] == [["www.example.com", DESTINATION], ["z.example.com", DESTINATION]]
    assert [kind for kind, _ in found] == ["www.example.com", "z.example.com", "regex", "regex"]
    eventually(lambda: led_to_us(world, "www.example.com"), DNS_SECONDS)
    for name in ("www.example.com", "z.example.com", "other.example.com", "www.a.example.com"):
        assert led_to_us(world, name), name
        assert answered(world, name) == {f"{name}."}
    kubernetes = world.cluster.dig("kubernetes.default.svc.cluster.local")
    assert world.cluster.dig("theirs.example.com") == kubernetes != [service(world)]


# ---- the apex of a zone


def test_an_apex_leads_to_us_with_its_addresses_alone(world: World) -> None:
    below = [("www.example.com", "A"), ("_acme-challenge.example.com", "TXT"), ("www.example.com", "HTTPS")]
    other = [*(("example.com", rdtype) for rdtype in APEX_TYPES), *below]
    before = {(name, rdtype): world.cluster.dig(name, rdtype) for name, rdtype in other}
    assert before["example.com", "MX"] == ["10 mail.example.com."]
    assert all(before.values())
    assert world.cluster.dig("example.com") == [world.cluster.ingress.address]
    assert world.cluster.dig("example.com", "AAAA") != []
    assert world.cluster.dig("example.com", "HTTPS") != []

    haproxy = world.cluster.start_haproxy()
    try:
        assert len(written(world, "example.com")) == 15
        eventually(lambda: led_to_us(world, "example.com"), DNS_SECONDS)
        assert world.cluster.dig("example.com") == [f"{DESTINATION}.", service(world)]
        for rdtype in ("AAAA", "HTTPS"):  # as of the Service, which has none
            assert world.cluster.dig("example.com", rdtype) == [f"{DESTINATION}."]
        assert {(name, rdtype): world.cluster.dig(name, rdtype) for name, rdtype in other} == before
        for scheme in ("http", "https"):
            done = world.cluster.curl("example.com", scheme, "--interface", "127.0.0.9")
            assert (done.returncode, done.stderr) == (0, "")
            assert "host: example.com\nclient: 127.0.0.9\n" in done.stdout
    finally:
        haproxy.stop()

    world.delete("web")
    assert world.once(*CURRENT).returncode == 0
    assert world.cluster.corefile() == world.original
    eventually(lambda: world.cluster.dig("example.com") == [world.cluster.ingress.address], DNS_SECONDS)


def test_an_apex_and_a_wildcard_of_one_zone(world: World) -> None:
    mail = world.cluster.dig("example.com", "MX")
    written(world, "example.com", WILDCARD)
    eventually(lambda: led_to_us(world, "example.com") and led_to_us(world, "www.example.com"), DNS_SECONDS)
    assert world.cluster.dig("example.com", "MX") == mail
    assert world.cluster.dig("_acme-challenge.example.com", "TXT") == TEXT_OF_ACME


def test_a_poll_that_changes_nothing_writes_nothing(world: World) -> None:
    written(world, "example.com", WILDCARD, "www.example.com")
    version = world.version()
    done = world.once(*CURRENT)
    assert (done.returncode, world.version()) == (0, version)


# ---- a CoreDNS that may not take them


def deployment(image: str) -> dict[str, Any]:
    """CoreDNS's own, without any import."""
    found = copy.deepcopy(DEPLOYMENT)
    pod = found["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = image
    pod["containers"][0]["volumeMounts"] = pod["containers"][0]["volumeMounts"][:1]
    pod["volumes"] = pod["volumes"][:1]
    return found


@contextmanager
def coredns(world: World, image: str | None) -> Iterator[None]:
    """CoreDNS has this image, as far as its Deployment says; or there is none that could be seen."""
    if image:
        world.apply(deployment(image))
    try:
        yield
    finally:
        world.cluster.kubectl("-n", "kube-system", "delete", "deployment", "coredns", "--ignore-not-found")


OLD = "registry.example.com/coredns/coredns:v1.8.3"
OLDER = "is a wildcard, which takes CoreDNS 1.8.4, and this one is older"
SILENT = "is a wildcard, which takes CoreDNS 1.8.4, and this one does not say its version (--coredns-version does)"


@pytest.mark.parametrize(
    ("image", "why"),
    [(OLD, OLDER), ("example.org/coredns@sha256:" + "0" * 64, SILENT), (None, SILENT)],
    ids=["1.8.3", "a digest", "nothing to be seen"],
)
def test_neither_for_a_coredns_that_may_not_take_them_and_said_once(world: World, image: str | None, why: str) -> None:
    hosts = ["example.com", "www.example.com"]
    world.apply(ingress("web", WILDCARD, *hosts))
    with coredns(world, image), world.running() as controller:
        eventually(lambda: rules(world) == [rule(host) for host in hosts])
        time.sleep(2)
    said = controller.log.read_text()
    assert said.count("WARNING Ingress default/web: host") == 1
    assert said.count(f"WARNING Ingress default/web: host '{WILDCARD}' is left out: it {why} (wildcard)\n") == 1
    assert said.count("updated:") == 1


@pytest.mark.parametrize("image", ["registry.example.com/coredns/coredns:v1.8.4", "coredns:1.14.7"])
def test_both_for_a_coredns_whose_image_says_that_it_takes_them(world: World, image: str) -> None:
    world.apply(ingress("web", WILDCARD, "example.com"))
    with coredns(world, image):
        assert world.once().returncode == 0
    assert WILDCARD_RULE in rules(world)
    assert len(rules(world)) == 16
    assert rule("example.com") not in rules(world)


def test_what_stands_stays_while_the_version_is_not_known_and_goes_if_it_is_old(world: World) -> None:
    before = written(world, WILDCARD, "example.com")
    version = world.version()
    assert world.once().returncode == 0
    assert (rules(world), world.version()) == (before, version)
    with coredns(world, OLD):
        assert world.once().returncode == 0
        assert rules(world) == [rule("example.com")]


@pytest.mark.parametrize("host", ["*.com", "*.co.uk", "*.cluster.local", "*.svc.cluster.local", "*.localhost"])
def test_no_wildcard_that_covers_everybodys_names(world: World, host: str) -> None:
    assert written(world, host) == []
    assert world.cluster.corefile() == world.original
