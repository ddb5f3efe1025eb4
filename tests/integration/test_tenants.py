"""Who may redirect what: a cluster with several tenants, on the real API server and CoreDNS."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import ApiError
from tests.cluster.dns import ELSEWHERE
from tests.corefiles import DESTINATION, TAG
from tests.integration.conftest import World, eventually, ingress, ingress_class, object_path
from tests.integration.test_two_installs import end_deleted_namespaces

CURRENT = ["--coredns-version", "1.14.7"]
ANNOTATION = "example.com/domains"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
ANYONE = "anyone who may create an Ingress may redirect"


def namespace(name: str, domains: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"team": name}, "annotations": {ANNOTATION: domains}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def web(tenant: str, name: str, *hosts: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """An Ingress of a tenant."""
    found = ingress(name, *hosts, **spec)
    found["metadata"] |= {"namespace": tenant, "annotations": annotations or {}}
    return found


@dataclass(frozen=True)
class Tenants:
    """The cluster, with the namespaces `shop` and `bank`."""

    world: World

    @property
    def hosts(self) -> set[str]:
        """Those that have a rule."""
        return {line.split()[2] for line in self.world.cluster.corefile().splitlines() if TAG in line}

    def poll(self, *flags: str) -> "Polled":
        done = self.world.once(*CURRENT, *flags)
        assert done.returncode == 0, done.stderr
        return Polled(self.hosts, done.stderr)

    def render(self, folder: Path, *flags: str, items: tuple[dict[str, Any], ...] = ()) -> str:
        """What `render` prints for all that the API server has, and for more objects that it would not take."""
        listed = json.loads(self.world.cluster.kubectl("get", "ingress,ingressclass,namespace", "-A", "-o", "json"))
        listed["items"] += items
        (folder / "objects").write_text(json.dumps(listed))
        (folder / "Corefile").write_text(self.world.cluster.corefile())
        argv = [sys.executable, "-m", "hairpin_proxy", "render", *CURRENT, *flags]
        argv += ["--corefile", str(folder / "Corefile"), "--ingresses", str(folder / "objects")]
        done = subprocess.run(argv, env={}, text=True, capture_output=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Polled:
    hosts: set[str]
    log: str

    @property
    def left_out(self) -> dict[str, str]:
        """By the hosts, the code of the reason."""
        return dict(re.findall(r"host '(\S+)' is left out: .* \((\S+)\)\n", self.log))


@pytest.fixture
def tenants(world: World) -> Iterator[Tenants]:
    names = ("shop", "bank")
    world.apply(namespace("shop", "shop.example.com, shop.example.org"), namespace("bank", "bank.example.com"))
    yield Tenants(world)
    with world.cluster.api() as api:
        for name in names:
            api.delete(f"/apis/networking.k8s.io/v1/namespaces/{name}/ingresses")
            api.delete(f"/api/v1/namespaces/{name}")
        api.delete(CLASSES)
    end_deleted_namespaces(world)


# ---- hijacks

DENY = ["--deny-domain", "github.com", "--deny-domain", "google.internal"]
PROTECTED = "is within {}, which is never redirected (protected)"
HIJACKS = {
    "kubernetes.default.svc.cluster.local": PROTECTED.format("cluster.local"),
    "api.github.com": "is denied, for it is within or covers github.com (--deny-domain) (denied-domain)",
    "*.com": "covers names of everybody below the public suffix com (public-suffix)",
    "localhost": PROTECTED.format("localhost"),
    "metadata.google.internal": "is denied, for it is within or covers google.internal (--deny-domain) (denied-domain)",
    DESTINATION: PROTECTED.format(DESTINATION),
    # More than was asked for.
    "*.github.com": "is denied, for it is within or covers github.com (--deny-domain) (denied-domain)",
    "*.co.uk": "covers names of everybody below the public suffix co.uk (public-suffix)",
    "*.default.svc.cluster.local": PROTECTED.format("cluster.local"),
    "*.local": "covers cluster.local, which is never redirected (protected)",
    "*.svc": PROTECTED.format("svc"),
    "kubernetes.default.svc": PROTECTED.format("svc"),
    "kubernetes": "is a single label, which pods complete with their search domains (protected)",
    "*.hairpin-proxy.svc.cluster.local": f"covers {DESTINATION}, which is never redirected (protected)",
    "10.96.0.1": "ends in a number, so it is an IP address and no name (invalid-name)",
    "1.0.96.127.in-addr.arpa": PROTECTED.format("in-addr.arpa"),
}
ASKED = (
    "kubernetes.default.svc.cluster.local", "api.github.com", "anything.com", "localhost", "metadata.google.internal",
    DESTINATION, "codeload.github.com", "anything.co.uk", "kubernetes.default.svc", "kubernetes",
    "1.0.96.127.in-addr.arpa",
)  # fmt: skip
"""Names that would have another answer if one of the hijacks came to be."""

REFUSED = {
    "LOCALHOST": PROTECTED.format("localhost"),
    "API.GitHub.com.": HIJACKS["api.github.com"],
    "Kubernetes.Default.svc.cluster.local.": PROTECTED.format("cluster.local"),
    f"{DESTINATION}.": PROTECTED.format(DESTINATION),
    "*.COM.": "covers names of everybody below the public suffix com (public-suffix)",
    "*.": "is empty (invalid-name)",
    "*": "is a wildcard; only *.DOMAIN is served (invalid-name)",
    "*.*.com": "is a wildcard; only *.DOMAIN is served (invalid-name)",
    "www.*.com": "is a wildcard; only *.DOMAIN is served (invalid-name)",
    "2001:db8::1": "is no DNS name (RFC 1123: labels of 1 to 63 letters, digits and inner hyphens) (invalid-name)",
    "_acme-challenge.example.com": (
        "is no DNS name (RFC 1123: labels of 1 to 63 letters, digits and inner hyphens) (invalid-name)"
    ),
    "localho\u017ft": "has letters outside ASCII; write the A-label (xn--...) (invalid-name)",
}
"""Hosts that the API server does not take."""


def hijacks() -> list[dict[str, Any]]:
    """Each by an object of its own."""
    return [web("shop", f"bad-{number}", host) for number, host in enumerate(HIJACKS)]


def object_of(host: str) -> str:
    return f"Ingress shop/bad-{list(HIJACKS).index(host)}"


def answers(world: World) -> dict[str, list[str]]:
    return {name: sorted(world.cluster.dig(name)) for name in ASKED}


def test_hijacks_change_nothing_and_each_is_named_once_with_its_reason(tenants: Tenants) -> None:
    world = tenants.world
    before, version = answers(world), world.version()
    assert before["api.github.com"] == [ELSEWHERE]
    assert before[DESTINATION] == [world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")]
    world.apply(*hijacks())
    controller = world.controller(*CURRENT, *DENY)
    try:
        eventually(lambda: controller.log.read_text().count("is left out") == len(HIJACKS))
        time.sleep(3)  # ten polls, and CoreDNS would have read a change
        assert answers(world) == before
    finally:
        controller.stop()
    log = controller.log.read_text()
    for host, reason in HIJACKS.items():
        assert f"WARNING {object_of(host)}: host '{host}' is left out: it {reason}\n" in log
    assert log.count("is left out") == len(HIJACKS)
    assert (world.cluster.corefile(), world.version()) == (world.original, version)
    assert "poll failed" not in log


def test_each_way_to_poll_leaves_them_out_with_0(tenants: Tenants, tmp_path: Path) -> None:
    tenants.world.apply(*hijacks())
    for flags in ([], ["--dry-run"], ["--only-hairpinned", "require"], ["--only-hairpinned", "off"]):
        polled = tenants.poll(*DENY, *flags)
        assert polled.left_out.keys() == HIJACKS.keys()
        assert tenants.world.cluster.corefile() == tenants.world.original
    assert tenants.render(tmp_path, *DENY) == tenants.world.original
    assert tenants.render(tmp_path, *DENY, "--diff") == ""


def test_what_nobody_denies_is_led_to_us(tenants: Tenants) -> None:
    """So that the tests above can tell."""
    world = tenants.world
    world.apply(*hijacks())
    names = {"api.github.com", "metadata.google.internal"}
    assert names < tenants.poll().hosts
    service = [world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")]
    eventually(lambda: all(world.cluster.dig(name) == service for name in names), 40)
    assert tenants.poll(*DENY).hosts == set()
    eventually(lambda: world.cluster.dig("api.github.com") == [ELSEWHERE], 40)


def test_what_the_api_server_refuses_is_left_out_of_what_render_shows(tenants: Tenants, tmp_path: Path) -> None:
    items = [web("shop", f"worse-{number}", host) for number, host in enumerate(REFUSED)]
    with tenants.world.cluster.api() as api:
        for item in items:
            with pytest.raises(ApiError, match="^422: "):
                api.apply(object_path(item), item)
    tenants.world.apply(*hijacks())
    assert tenants.render(tmp_path, *DENY, items=tuple(items)) == tenants.world.original
    expected = {host: (object_of(host), reason) for host, reason in HIJACKS.items()}
    expected |= {host: (f"Ingress shop/worse-{number}", REFUSED[host]) for number, host in enumerate(REFUSED)}
    rows = explained(tenants.render(tmp_path, *DENY, "--explain", items=tuple(items)))
    assert rows == expected


def explained(text: str) -> dict[str, tuple[str, str]]:
    """By the hosts, the object and the reason, whose code is behind it as in the log."""
    cells = [re.split("  +", line, maxsplit=2) for line in text.splitlines()]
    assert all(len(row) == 3 for row in cells)
    return {
        host: (where, "{2} ({0})".format(*why.partition(": "))) for host, where, why in cells
    }  # fmt: skip


def test_a_new_hijack_is_said_and_the_old_ones_are_not_said_again(tenants: Tenants) -> None:
    world = tenants.world
    world.apply(web("shop", "bad", "localhost"))
    controller = world.controller(*CURRENT)
    try:
        eventually(lambda: "is left out" in controller.log.read_text())
        world.apply(web("shop", "worse", "kubernetes"))
        eventually(lambda: "Ingress shop/worse: host 'kubernetes' is left out" in controller.log.read_text())
        time.sleep(1)
    finally:
        controller.stop()
    assert controller.log.read_text().count("is left out") == 2


def test_a_cluster_domain_that_only_the_corefile_names_is_protected(tenants: Tenants) -> None:
    world = tenants.world
    world.apply(web("shop", "web", "web.corp.example", "*.corp.example", "web.example.com"))
    assert "web.corp.example" in tenants.poll().hosts
    ours = world.original.replace("kubernetes cluster.local", "kubernetes cluster.local corp.example")
    assert ours != world.original
    world.write_corefile(ours)
    polled = tenants.poll()
    assert polled.hosts == {"web.example.com"}
    assert polled.left_out == dict.fromkeys(["web.corp.example", "*.corp.example"], "protected")
    assert "is within corp.example, which is never redirected" in polled.log


def test_a_cluster_domain_that_is_given_is_protected(tenants: Tenants) -> None:
    tenants.world.apply(web("shop", "web", "web.corp.example", "web.example.com"))
    flags = ["--cluster-domain", "corp.example", "--destination", DESTINATION]
    polled = tenants.poll(*flags)
    assert (polled.hosts, polled.left_out) == ({"web.example.com"}, {"web.corp.example": "protected"})


# ---- what an administrator may say

SHOP, BANK = "a.shop.example.com", "a.bank.example.com"


@pytest.fixture
def both(tenants: Tenants) -> Tenants:
    """Each tenant asks for a host of its own, and the bank for one of the shop's domain too."""
    tenants.world.apply(web("shop", "web", SHOP), web("bank", "web", BANK, "pay.shop.example.com", "bank.example.org"))
    return tenants


ALL = {SHOP, BANK, "pay.shop.example.com", "bank.example.org"}


@pytest.mark.parametrize(
    ("flags", "hosts", "reason"),
    [
        ([], ALL, ""),
        (["--allow-domain", "example.com"], ALL - {"bank.example.org"}, "not-allowed-domain"),
        (["--allow-domain", "example.com", "--allow-domain", "example.org"], ALL, ""),
        (["--allow-domain", "example.com", "--deny-domain", "shop.example.com"], {BANK}, "denied-domain"),
        (["--namespace", "shop"], {SHOP}, "namespace"),
        (["--namespace", "shop", "--namespace", "bank"], ALL, ""),
        (["--namespace", "default"], set(), "namespace"),
        (["--namespace-selector", "team=shop"], {SHOP}, "namespace"),
        (["--namespace-selector", "team notin (shop)"], ALL - {SHOP}, "namespace"),
        (["--namespace-selector", "!team"], set(), "namespace"),
        (["--namespace", "bank", "--namespace-selector", "team=shop"], set(), "namespace"),
        (["--domain-per-namespace-annotation", ANNOTATION], {SHOP, BANK}, "not-allowed-domain"),
        (["--domain-per-namespace-annotation", "example.com/other"], set(), "not-allowed-domain"),
        (["--max-hosts-per-namespace", "1"], {SHOP, BANK}, "over-quota"),
        (["--max-hosts-per-namespace", "0"], set(), "over-quota"),
    ],
)
def test_what_the_administrator_lets_be_redirected(
    both: Tenants, tmp_path: Path, flags: list[str], hosts: set[str], reason: str
) -> None:
    explained_by_render = explained(both.render(tmp_path, *flags, "--explain"))
    polled = both.poll(*flags)
    assert polled.hosts == hosts
    assert explained_by_render.keys() == polled.left_out.keys() == ALL - hosts
    if reason:
        assert reason in polled.left_out.values()
    for host, code in polled.left_out.items():
        assert explained_by_render[host][1].endswith(f" ({code})")


def test_the_quota_keeps_what_stands(both: Tenants) -> None:
    """The new ones come first by name, and would push the others out."""
    quota = ["--max-hosts-per-namespace", "3"]
    assert both.poll(*quota).hosts == ALL
    both.world.apply(
        web("bank", "more", "0.bank.example.com", "1.bank.example.com"), web("shop", "more", "0.example.com")
    )
    polled = both.poll(*quota)
    assert polled.hosts == ALL | {"0.example.com"}
    assert polled.left_out == dict.fromkeys(["0.bank.example.com", "1.bank.example.com"], "over-quota")
    both.world.apply(web("bank", "web", BANK))
    assert both.poll(*quota).hosts == {SHOP, BANK, "0.example.com", "0.bank.example.com", "1.bank.example.com"}


def test_who_is_over_quota_takes_nobody_elses_host_along(tenants: Tenants) -> None:
    tenants.world.apply(web("shop", "web", "z.example.com"), web("bank", "web", "a.example.com", "z.example.com"))
    polled = tenants.poll("--max-hosts-per-namespace", "1")
    assert (polled.hosts, polled.left_out) == ({"a.example.com", "z.example.com"}, {})


def test_an_annotation_that_changes_counts_with_the_next_poll(both: Tenants) -> None:
    flags = ["--domain-per-namespace-annotation", ANNOTATION]
    assert both.poll(*flags).hosts == {SHOP, BANK}
    both.world.apply(namespace("bank", "example.org"))
    assert both.poll(*flags).hosts == {SHOP, "bank.example.org"}


def test_an_ingress_that_opts_out_gets_no_rule_and_does_not_keep_others_from_theirs(tenants: Tenants) -> None:
    opted_out = {"hairpin-proxy/ignore": "true"}
    tenants.world.apply(
        web("shop", "out", "out.example.com", "both.example.com", annotations=opted_out),
        web("bank", "in", "both.example.com", "in.example.com", annotations={"hairpin-proxy/ignore": "false"}),
    )
    polled = tenants.poll()
    assert polled.hosts == {"both.example.com", "in.example.com"}
    assert polled.left_out == {"out.example.com": "ignored"}
    assert "WARNING Ingress" not in polled.log  # it is as its owner wants it


# ---- classes


@pytest.fixture
def classes(tenants: Tenants) -> Tenants:
    """Two Ingress classes, and Ingresses that name their class in each way, or none."""
    world = tenants.world
    # One that was made before there was a default has no class: the API server gives new ones the default.
    world.apply(ingress_class("nginx"), ingress_class("traefik"), web("shop", "none", "none.example.com"))
    with world.cluster.api() as api:
        api.apply(f"{CLASSES}/nginx", ingress_class("nginx", default=True))
    world.apply(
        web("shop", "nginx", "nginx.example.com", ingressClassName="nginx"),
        web("shop", "traefik", "traefik.example.com", ingressClassName="traefik"),
        web("shop", "old", "old.example.com", annotations={"kubernetes.io/ingress.class": "traefik"}),
        web("shop", "unknown", "unknown.example.com", ingressClassName="gone"),
        web("bank", "shared", "traefik.example.com", ingressClassName="nginx"),
    )
    return tenants


NGINX = {"nginx.example.com", "none.example.com", "traefik.example.com"}
TRAEFIK = {"traefik.example.com", "old.example.com"}


@pytest.mark.parametrize(
    ("flags", "hosts"),
    [
        ([], NGINX | TRAEFIK | {"unknown.example.com"}),
        (["--ingress-class", "nginx"], NGINX),
        (["--ingress-class", "traefik"], TRAEFIK),
        (["--ingress-class", "nginx", "--ingress-class", "traefik"], NGINX | TRAEFIK),
        (["--ingress-class", "other"], set()),
    ],
)
def test_ingress_classes(classes: Tenants, tmp_path: Path, flags: list[str], hosts: set[str]) -> None:
    rendered = classes.render(tmp_path, *flags)
    polled = classes.poll(*flags)
    assert polled.hosts == hosts
    assert polled.left_out == dict.fromkeys((NGINX | TRAEFIK | {"unknown.example.com"}) - hosts, "ingress-class")
    assert rendered == classes.world.cluster.corefile()


def test_hosts_of_rules_or_of_all(tenants: Tenants) -> None:
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    rules = [{"host": "rule.example.com", "http": http}, {"host": "both.example.com", "http": http}, {"http": http}]
    tenants.world.apply(web("shop", "web", "tls.example.com", "both.example.com", rules=rules))
    both = "both.example.com"
    for choice, expected in {
        "tls": {"tls.example.com", both},
        "rules": {"rule.example.com", both},
        "all": {"tls.example.com", "rule.example.com", both},
    }.items():
        polled = tenants.poll("--hosts-from", choice)
        assert polled.hosts == expected
        assert polled.left_out == dict.fromkeys({"tls.example.com", "rule.example.com"} - expected, "hosts-from")


# ---- the line that the start logs


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], True),
        (["--deny-domain", "github.com"], True),
        (["--only-hairpinned", "off"], True),
        (["--only-hairpinned", "require"], False),
        (["--allow-domain", "example.com"], False),
        (["--ingress-class", "nginx"], False),
        (["--domain-per-namespace-annotation", ANNOTATION], False),
    ],
)
def test_the_start_says_who_may_redirect_what(world: World, flags: list[str], said: bool) -> None:
    (start,) = [line for line in world.once(*flags).stderr.splitlines() if " starts: " in line]
    assert (ANYONE in start) is said
