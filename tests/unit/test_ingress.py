"""The hosts that an Ingress names."""

from typing import Any

import pytest

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.policy import Claim, Reason
from hairpin_proxy.sources.ingress import Choice, claims, default_classes
from hairpin_proxy.sources.objects import IGNORE_ANNOTATION

CLASS = "kubernetes.io/ingress.class"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def ingress(spec: Any, **annotations: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": "web", "annotations": annotations}, "spec": spec}


def judged(item: dict[str, Any], choice: Choice) -> dict[str, Reason | None]:
    """By the hosts: why they are left out."""
    return {claim.host: claim.refusal for claim in claims(item, choice)}


def test_all_hosts_of_all_tls_entries_in_order() -> None:
    found = claims(
        ingress({"tls": [{"hosts": ["b.example.com", "A.example.com"]}, {"hosts": ["c.example.com"]}]}), Choice()
    )
    assert list(found) == [
        Claim("b.example.com", "Ingress default/web", "default"),
        Claim("A.example.com", "Ingress default/web", "default"),
        Claim("c.example.com", "Ingress default/web", "default"),
    ]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": None, "spec": None},
        ingress(None),
        ingress({}),
        ingress({"tls": None}),
        ingress({"tls": []}),
        ingress({"tls": [None]}),
        ingress({"tls": [{}]}),
        ingress({"tls": [{"hosts": None}]}),
        ingress({"tls": [{"hosts": []}]}),
        ingress({"tls": [{"secretName": "x"}]}),
        ingress({"rules": [None, {}, {"host": None}, {"http": {}}]}),
    ],
)
def test_nothing_is_asked_for(item: dict[str, Any]) -> None:
    assert list(claims(item, Choice())) == []


def test_a_null_host_is_an_empty_one() -> None:
    assert list(claims(ingress({"tls": [{"hosts": [None, "a.example.com"]}]}), Choice())) == [
        Claim("", "Ingress default/web", "default"),
        Claim("a.example.com", "Ingress default/web", "default"),
    ]


BOTH = ingress(
    {
        "tls": [{"hosts": ["tls.example.com", "both.example.com"]}],
        "rules": [{"host": "rule.example.com"}, {"host": "both.example.com"}, {"http": {}}],
    }
)


@pytest.mark.parametrize(
    ("hosts_from", "taken", "field"),
    [
        ("tls", {"tls.example.com", "both.example.com"}, "rules"),
        ("rules", {"rule.example.com", "both.example.com"}, "tls"),
        ("all", {"tls.example.com", "rule.example.com", "both.example.com"}, ""),
    ],
)
def test_from_which_field(hosts_from: str, taken: set[str], field: str) -> None:
    found = judged(BOTH, Choice(hosts_from))
    assert {host for host, refusal in found.items() if not refusal} == taken
    text = f"stands only under spec.{field}, and --hosts-from is {hosts_from}"
    assert {refusal for refusal in found.values() if refusal} == (
        {Reason("hosts-from", text, True)} if field else set()
    )


def test_a_host_of_both_fields_is_left_out_of_none() -> None:
    for hosts_from in ("tls", "rules", "all"):
        assert not [
            claim for claim in claims(BOTH, Choice(hosts_from)) if claim.host == "both.example.com" and claim.refusal
        ]


@pytest.mark.parametrize("annotations", [{}, {"kubernetes.io/ingress.class": "nginx"}])
def test_without_a_class_asked_for_all_of_them_count(annotations: dict[str, str]) -> None:
    item = ingress({"ingressClassName": "traefik", "tls": [{"hosts": ["a.example.com"]}]}, **annotations)
    assert judged(item, Choice()) == {"a.example.com": None}


@pytest.mark.parametrize(
    ("spec", "annotation", "defaults", "theirs"),
    [
        # The classes asked for are nginx and envoy; `theirs` is the class that stands in the reason.
        ("nginx", None, (), None),
        ("envoy", None, (), None),
        ("traefik", None, (), "class traefik"),
        (None, "nginx", (), None),
        (None, "traefik", (), "class traefik"),
        # IngressSpec.ingressClassName: "when that annotation is set, it must be given precedence over this field".
        ("traefik", "nginx", (), None),
        ("nginx", "traefik", (), "class traefik"),
        ("nginx", "", (), None),
        # The class marked default is that of Ingresses that name none.
        (None, None, (), "no class"),
        (None, None, ("nginx",), None),
        (None, None, ("traefik",), "no class"),
        (None, None, ("traefik", "envoy"), None),
        ("", "", ("nginx",), None),
        ("traefik", None, ("nginx",), "class traefik"),
        (None, "traefik", ("nginx",), "class traefik"),
        ("NGINX", None, (), "class NGINX"),
    ],
)
def test_of_which_ingress_classes(
    spec: str | None, annotation: str | None, defaults: tuple[str, ...], theirs: str | None
) -> None:
    item = ingress({"ingressClassName": spec, "tls": [{"hosts": ["a.example.com"]}]}, **{CLASS: annotation})
    choice = Choice(classes=frozenset({"nginx", "envoy"}), default_classes=frozenset(defaults))
    text = f"is asked for by an Ingress of {theirs}, and --ingress-class is envoy, nginx"
    assert judged(item, choice) == {"a.example.com": Reason("ingress-class", text, True) if theirs else None}


def test_the_class_tells_more_than_the_field() -> None:
    choice = Choice("rules", frozenset({"nginx"}))
    assert {refusal.code for refusal in judged(BOTH, choice).values() if refusal} == {"ingress-class"}


@pytest.mark.parametrize(
    ("annotations", "is_default"),
    [
        ({DEFAULT_CLASS: "true"}, True),
        ({DEFAULT_CLASS: "false"}, False),
        ({DEFAULT_CLASS: "True"}, False),
        ({DEFAULT_CLASS: None}, False),
        ({"storageclass.kubernetes.io/is-default-class": "true"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_which_ingress_class_is_the_default(annotations: Any, is_default: bool) -> None:
    found = default_classes([{"metadata": {"name": "nginx", "annotations": annotations}}])
    assert found == ({"nginx"} if is_default else set())


@pytest.mark.parametrize("item", [{}, {"metadata": None}, {"metadata": {}}])
def test_an_ingress_class_without_its_fields_is_no_default(item: dict[str, Any]) -> None:
    assert not default_classes([item])


@pytest.mark.parametrize(("word", "ignored"), [("true", True), ("false", False), ("", False), (None, False)])
def test_an_ingress_that_is_to_be_ignored(word: str | None, ignored: bool) -> None:
    spec = {"tls": [{"hosts": ["a.example.com"]}], "rules": [{"host": "b.example.com"}]}
    found = judged(ingress(spec, **{IGNORE_ANNOTATION: word}), Choice("all", frozenset({"nginx"})))
    text = f"is asked for by an object with annotation {IGNORE_ANNOTATION}"
    codes = {refusal and refusal.code for refusal in found.values()}
    assert codes == ({"ignored"} if ignored else {"ingress-class"})
    assert not ignored or set(found.values()) == {Reason("ignored", text, True)}


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        (None, ()),
        ({}, ()),
        ({"loadBalancer": None}, ()),
        ({"loadBalancer": {"ingress": None}}, ()),
        ({"loadBalancer": {"ingress": [None, {}, {"ip": None, "hostname": ""}]}}, ()),
        ({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}, ("203.0.113.7",)),
        ({"loadBalancer": {"ingress": [{"hostname": "lb.example.net"}]}}, ("lb.example.net",)),
        (
            {"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "hostname": "lb.example.net"}, {"ip": "2001:db8::7"}]}},
            ("203.0.113.7", "lb.example.net", "2001:db8::7"),
        ),
        ({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"ip": "203.0.113.7", "ports": []}]}}, ("203.0.113.7",)),
    ],
)
def test_the_addresses_of_its_load_balancer(status: Any, addresses: tuple[str, ...]) -> None:
    item = ingress({"tls": [{"hosts": ["a.example.com"]}]}) | {"status": status}
    assert [claim.addresses for claim in claims(item, Choice())] == [addresses]


@pytest.mark.parametrize(
    "junk",
    [
        {"tls": [{"hosts": [7]}]},
        {"tls": ["x"]},
        {"tls": 7},
        ["x"],
        {"tls": [{"hosts": "a.example.com"}]},
        {"rules": "x"},
        {"rules": ["x"]},
        {"rules": [{"host": 7}]},
        {"rules": [{"host": ["a.example.com"]}]},
    ],
)
def test_what_no_api_server_sends_is_an_error_and_not_an_empty_list(junk: Any) -> None:
    with pytest.raises(OperatorError, match=" that an API server would send: "):
        list(claims(ingress(junk), Choice()))


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": 7},
        {"metadata": {"annotations": "x"}},
        {"metadata": {"annotations": {CLASS: ["nginx"]}}},
        {"spec": {"ingressClassName": ["nginx"]}},
        {"spec": {"tls": [{"hosts": ["a.example.com"]}]}, "status": "x"},
        {"spec": {"tls": [{"hosts": ["a.example.com"]}]}, "status": {"loadBalancer": {"ingress": "x"}}},
        {"spec": {"tls": [{"hosts": ["a.example.com"]}]}, "status": {"loadBalancer": {"ingress": ["x"]}}},
    ],
)
def test_other_fields_that_no_api_server_sends_are_an_error(item: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match=" that an API server would send: "):
        list(claims(item, Choice(classes=frozenset({"nginx"}))))


def test_an_ingress_class_that_no_api_server_sends_is_an_error() -> None:
    with pytest.raises(OperatorError, match=" that an API server would send: "):
        default_classes([{"metadata": {"annotations": [DEFAULT_CLASS]}}])
