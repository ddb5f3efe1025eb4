"""From settings to the policy, and to what the first line of the log says of it."""

import pytest

from hairpin_proxy import selection, suffixes
from hairpin_proxy.policy import Asked, Claim, Facts, Namespace, decide
from hairpin_proxy.settings import Settings, resolve

ANYONE = "anyone who may create {} may redirect names of the whole cluster's DNS"
IS_PUBLIC_SUFFIX = suffixes.load()


def settings(**flags: str | list[str]) -> Settings:
    """As the command line gives them."""
    return resolve(flags, {})


@pytest.mark.parametrize(
    ("flags", "who"),
    [
        ({}, "an Ingress"),
        ({"source": ["gateway"]}, "a Gateway or a route"),
        ({"source": ["ingress", "gateway"]}, "an Ingress or a Gateway or a route"),
        ({"source": ["ingress", "ingress"]}, "an Ingress"),
        ({"source": ["ingress", "gateway"], "ingress_class": ["nginx"]}, "a Gateway or a route"),
        ({"gateway_class": ["nginx"]}, "an Ingress"),
        ({"deny_domain": ["github.com"]}, "an Ingress"),  # which names just some of those that are nobody's here
        ({"only_hairpinned": "off"}, "an Ingress"),
        ({"namespace": ["shop"]}, "an Ingress"),  # in that namespace; and it may be any name
        ({"max_hosts_per_namespace": "5"}, "an Ingress"),
    ],
)
def test_the_start_says_who_may_redirect(flags: dict[str, str | list[str]], who: str) -> None:
    assert ANYONE.format(who) in selection.warning(settings(**flags))


@pytest.mark.parametrize(
    "flags",
    [
        {"only_hairpinned": "require"},
        {"allow_domain": ["example.com"]},
        {"ingress_class": ["nginx"]},
        {"domain_per_namespace_annotation": "example.com/domains"},
        {"source": ["gateway"], "gateway_class": ["nginx"]},
        {"source": ["ingress", "gateway"], "gateway_class": ["a"], "ingress_class": ["b"]},
    ],
)
def test_the_start_says_nothing_where_somebody_has_a_say(flags: dict[str, str | list[str]]) -> None:
    assert selection.warning(settings(**flags)) == ""


def granted(host: str, labels: dict[str, str] | None = None, /, **flags: str | list[str]) -> bool:
    """Whether a host in namespace `shop` is."""
    policy = selection.policy(settings(**flags), IS_PUBLIC_SUFFIX)
    shop = Namespace(labels or {}, {"example.com/domains": "shop.example.com"})
    return bool(decide(Asked([Claim(host, "Ingress shop/web", "shop")], {"shop": shop}), policy, Facts()).hosts)


def test_each_setting_has_its_part_in_the_policy() -> None:
    host = "web.example.com"
    assert granted(host)
    assert not granted("*.co.uk")
    assert granted(host, allow_domain=["example.org,example.com"])
    assert not granted(host, allow_domain=["example.org"])
    assert not granted(host, deny_domain=["example.org", "example.com"])
    assert not granted("web.corp.example", cluster_domain="corp.example", destination="proxy.default.svc.k8s.example")
    assert not granted("web.k8s.example", destination="proxy.default.svc.k8s.example")
    assert not granted(host, namespace=["bank"])
    assert granted(host, namespace=["bank", "shop"])
    assert granted(host, {"team": "a"}, namespace_selector="team in (a,b)")
    assert not granted(host, {"team": "c"}, namespace_selector="team in (a,b)")
    assert not granted(host, domain_per_namespace_annotation="example.com/domains")
    assert granted("shop.example.com", domain_per_namespace_annotation="example.com/domains")


def test_which_hosts_of_which_ingresses() -> None:
    plain = selection.ingresses(settings())
    assert (plain.hosts_from, plain.classes) == ("tls", frozenset())
    chosen = selection.ingresses(settings(hosts_from="all", ingress_class=["a,b", "c"]))
    assert (chosen.hosts_from, chosen.classes) == ("all", frozenset("abc"))


def test_apexes_by_the_public_suffix_list() -> None:
    is_apex = selection.apexes(IS_PUBLIC_SUFFIX)
    assert is_apex("example.co.uk")
    assert not is_apex("www.example.co.uk")
