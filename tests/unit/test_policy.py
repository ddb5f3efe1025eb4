"""Which hosts may be redirected."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from hairpin_proxy import hosts, suffixes
from hairpin_proxy.policy import Asked, Claim, Decision, Facts, Namespace, Policy, Reason, decide, is_apex, within_quota

DESTINATION = "hairpin-proxy.hairpin-proxy.svc.cluster.local"
NOTHING = Facts()

POLICY = Policy(DESTINATION, is_public_suffix=suffixes.load())


def judged(
    claims: list[Claim],
    policy: Policy = POLICY,
    facts: Facts = NOTHING,
    namespaces: dict[str, Namespace] | None = None,
) -> dict[str, str | None]:
    """By the hosts: None, or the code of the reason why it is left out."""
    decision = decide(Asked(claims, namespaces or {}), policy, facts)
    found = {claim.host: reason.code if (reason := decision.left_out.get(claim)) else None for claim in claims}
    assert decision.hosts == {hosts.pattern(host) for host, code in found.items() if code is None}
    return found


def from_shop(*names: str) -> list[Claim]:
    return [Claim(host, "Ingress shop/web", "shop") for host in names]


def reason_for(host: str, destination: str = DESTINATION) -> str | None:
    claim = Claim(host, "Ingress default/web")
    decision = decide(Asked([claim]), replace(POLICY, destination=destination), NOTHING)
    assert bool(decision.hosts) is (claim not in decision.left_out)
    return reason.text if (reason := decision.left_out.get(claim)) else None


def test_hosts_come_once_and_in_normal_form() -> None:
    claims = [Claim("a.example.com", "x"), Claim("A.EXAMPLE.com.", "y"), Claim("b.example.com", "x")]
    decision = decide(Asked(claims), Policy(DESTINATION), Facts())
    assert decision.hosts == {"a.example.com", "b.example.com"}
    assert decision.left_out == {}


def test_one_bad_host_does_not_take_the_others_along() -> None:
    bad = Claim("b b", "Ingress default/bad")
    decision = decide(
        Asked([Claim("a.example.com", "x"), bad, Claim("c.example.com", "x")]), Policy(DESTINATION), Facts()
    )
    assert decision.hosts == {"a.example.com", "c.example.com"}
    assert list(decision.left_out) == [bad]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("kubernetes.default.svc.cluster.local", "is within cluster.local, which is never redirected"),
        ("cluster.local", "is within cluster.local, which is never redirected"),
        (DESTINATION, f"is within {DESTINATION}, which is never redirected"),
        ("kubernetes.default.svc", "is within svc, which is never redirected"),
        ("10-244-0-7.default.pod", "is within pod, which is never redirected"),
        ("1.0.0.127.in-addr.arpa", "is within in-addr.arpa, which is never redirected"),
        ("1.ip6.arpa", "is within ip6.arpa, which is never redirected"),
        ("localhost", "is within localhost, which is never redirected"),
        ("web.localhost", "is within localhost, which is never redirected"),
        ("kubernetes", "is a single label, which pods complete with their search domains"),
        ("", "is empty"),
    ],
)
def test_never_redirected(host: str, reason: str) -> None:
    assert reason_for(host) == reason


def test_the_cluster_domain_is_read_from_the_destination() -> None:
    destination = "proxy.proxies.svc.k8s.example.org"
    assert reason_for("kubernetes.default.svc.k8s.example.org", destination) is not None
    assert reason_for("kubernetes.default.svc.cluster.local", destination) is not None
    assert reason_for("www.example.org", destination) is None


def test_a_destination_outside_of_the_cluster_protects_itself() -> None:
    assert reason_for("proxy.example.org", "proxy.example.org") is not None
    assert reason_for("www.example.org", "proxy.example.org") is None


# ---- wildcards


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("*.svc.cluster.local", "is within cluster.local, which is never redirected"),
        ("*.local", "covers cluster.local, which is never redirected"),
        ("*.arpa", "covers in-addr.arpa, which is never redirected"),
        ("*.localhost", "is within localhost, which is never redirected"),
        ("*.com", "covers names of everybody below the public suffix com"),
        ("*.co.uk", "covers names of everybody below the public suffix co.uk"),
        ("*.kawasaki.jp", "covers names of everybody below the public suffix kawasaki.jp"),
        ("*.corp", "covers names of everybody below the public suffix corp"),
        ("*", "is a wildcard; only *.DOMAIN is served"),
        ("*.*.example.com", "is a wildcard; only *.DOMAIN is served"),
        ("a.*.example.com", "is a wildcard; only *.DOMAIN is served"),
        ("*a.example.com", "is a wildcard; only *.DOMAIN is served"),
        ("*.1.2.3", "ends in a number, so it is an IP address and no name"),
    ],
)
def test_wildcards_that_would_take_too_much(host: str, reason: str) -> None:
    assert reason_for(host) == reason


@pytest.mark.parametrize("host", ["*.example.com", "*.Example.com.", "*.a.co.uk", "*.github.io", "*.lan.example"])
def test_a_wildcard_below_somebodys_own_domain(host: str) -> None:
    assert reason_for(host) is None


def test_a_wildcard_is_not_let_over_the_destination() -> None:
    reason = "covers proxy.example.org, which is never redirected"
    assert reason_for("*.example.org", "proxy.example.org") == reason


def test_a_document_without_wildcards_keeps_those_that_stand_there() -> None:
    facts = Facts({"*.a.example.com"}, no_wildcards="is a wildcard here")
    expected = {"*.a.example.com": None, "*.b.example.com": "wildcard", "c.example.com": None}
    assert judged(from_shop(*expected), facts=facts) == expected


# ---- the cluster's own domains


@pytest.mark.parametrize(
    ("policy", "facts"),
    [
        (replace(POLICY, cluster_domain="k8s.example.org"), NOTHING),
        (replace(POLICY, destination="proxy.proxies.svc.k8s.example.org"), NOTHING),
        (POLICY, Facts(zones={"k8s.example.org"})),
    ],
)
def test_the_cluster_domain_is_given_or_seen(policy: Policy, facts: Facts) -> None:
    expected = {
        "kubernetes.default.svc.k8s.example.org": "protected",
        "*.example.org": "protected",
        "kubernetes.default.svc.cluster.local": "protected",
        "www.example.org": None,
    }
    assert judged(from_shop(*expected), policy, facts) == expected


# ---- what an administrator says


def test_allowed_and_denied_domains() -> None:
    policy = replace(POLICY, allow=("example.com", "example.org"), deny=("secret.example.com", "a.b.example.org"))
    expected = {
        "example.com": None,
        "deep.down.example.com": None,
        "notexample.com": "not-allowed-domain",
        "api.github.com": "not-allowed-domain",
        "secret.example.com": "denied-domain",
        "x.secret.example.com": "denied-domain",
        "*.example.com": "denied-domain",  # it covers secret.example.com
        "*.example.org": None,  # a label below it never is a.b.example.org
        "*.b.example.org": "denied-domain",
        "*.a.b.example.org": "denied-domain",
    }
    assert judged(from_shop(*expected), policy) == expected


def test_a_wildcard_is_allowed_only_if_all_below_it_is() -> None:
    expected = {"*.com": "public-suffix", "*.example.com": "not-allowed-domain", "*.a.example.com": None}
    assert judged(from_shop(*expected), replace(POLICY, allow=("a.example.com",))) == expected


CLAIMS = [Claim(f"{name}.example.com", f"Ingress {name}/web", name) for name in ("shop", "blog", "new")]
NAMESPACES = {
    "shop": Namespace({"team": "a"}, {"domains": "Shop.example.com, *.bad example.org"}),
    "blog": Namespace({"team": "b"}, {"other": "blog.example.com"}),
}


def test_namespaces_by_name() -> None:
    assert judged(CLAIMS, replace(POLICY, namespaces=("shop", "x"))) == {
        "shop.example.com": None,
        "blog.example.com": "namespace",
        "new.example.com": "namespace",
    }


def test_namespaces_by_labels_and_one_that_nobody_has_seen_is_not_selected() -> None:
    for_a = replace(POLICY, selects=lambda labels: labels.get("team") == "a")
    not_a = replace(POLICY, selects=lambda labels: labels.get("team") != "a")
    shop, blog, new = (claim.host for claim in CLAIMS)
    assert judged(CLAIMS, for_a, namespaces=NAMESPACES) == {shop: None, blog: "namespace", new: "namespace"}
    assert judged(CLAIMS, not_a, namespaces=NAMESPACES) == {shop: "namespace", blog: None, new: "namespace"}


def test_the_domains_that_a_namespace_is_given() -> None:
    policy = replace(POLICY, domains_annotation="domains")
    names = {"x.shop.example.com": None, "a.example.org": None, "shop2.example.com": "not-allowed-domain"}
    assert judged(from_shop(*names), policy, namespaces=NAMESPACES) == names
    others = {"blog.example.com": "not-allowed-domain", "new.example.com": "not-allowed-domain"}
    assert judged(CLAIMS[1:], policy, namespaces=NAMESPACES) == others


def limited(claims: list[Claim], quota: int, standing: Collection[str] = ()) -> Decision:
    return within_quota(decide(Asked(claims), POLICY, NOTHING), quota, standing)


def test_a_quota_keeps_what_stands_and_then_the_first() -> None:
    claims = from_shop("d.example.com", "c.example.com", "b.example.com", "a.example.com")
    decision = limited(claims, 2, {"d.example.com", "other.example.com"})
    assert decision.hosts == decision.claims.keys() == {"a.example.com", "d.example.com"}
    text = "is more than the 2 hosts of namespace shop"
    assert decision.left_out == dict.fromkeys(claims[1:3], Reason("over-quota", text))


def test_a_quota_is_of_one_namespace_and_counts_a_host_once() -> None:
    shop = from_shop("a.example.com", "A.example.com.", "b.example.com")
    blog = [Claim("b.example.com", "Ingress blog/web", "blog")]
    decision = limited([*shop, *blog], 1)
    assert decision.hosts == {"a.example.com", "b.example.com"}
    assert {claim: reason.code for claim, reason in decision.left_out.items()} == {shop[2]: "over-quota"}
    assert decision.claims == {"a.example.com": tuple(shop[:2]), "b.example.com": tuple(blog)}


def test_what_is_left_out_does_not_count_for_a_quota() -> None:
    decision = limited(from_shop("a b", "localhost", "z.example.com"), 1)
    assert decision.hosts == {"z.example.com"}
    assert {reason.code for reason in decision.left_out.values()} == {"invalid-name", "protected"}


def test_what_others_ask_for_too_pushes_nothing_out_that_is_a_namespaces_own() -> None:
    """As a route without hosts does at a Gateway that many share."""
    own = from_shop("x.example.com", "y.example.com")
    shared = [Claim(f"{letter}.example.org", "Gateway infra/web", "infra") for letter in "abc"]
    asked = [*own, *shared, *(claim._replace(object="HTTPRoute shop/web", namespace="shop") for claim in shared)]
    everything = {claim.host for claim in asked}
    assert limited(asked, 3, everything).hosts == everything


@pytest.mark.parametrize(("quota", "hosts"), [(None, {"a.example.com"}), (0, set())])
def test_no_quota_and_no_host_at_all(quota: int | None, hosts: set[str]) -> None:
    assert within_quota(decide(Asked(from_shop("a.example.com")), POLICY, NOTHING), quota, ()).hosts == hosts


def test_what_its_source_refuses_has_that_reason() -> None:
    reason = Reason("ignored", "is asked for by an object that says so", chosen=True)
    claim = Claim("localhost", "Ingress shop/web", "shop", refusal=reason)
    assert decide(Asked([claim]), POLICY, NOTHING).left_out == {claim: reason}


@pytest.mark.parametrize(
    ("host", "apex"),
    [
        ("example.com", True),
        ("example.co.uk", True),
        ("www.example.com", False),
        ("*.example.com", False),
        ("co.uk", True),  # a zone as well, and perhaps with mail
        ("user.github.io", False),  # it is the private section of the list that has github.io
        ("web.internal", False),  # nobody registers names in a domain that is nobody's
    ],
)
def test_the_apex_of_a_zone(host: str, apex: bool) -> None:
    assert is_apex(host, POLICY.is_public_suffix) is apex
