"""The hosts that an Ingress names."""

from typing import Any

import pytest

from hairpin_proxy.policy import Claim
from hairpin_proxy.sources.ingress import Choice, claims


def ingress(spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": "web"}, "spec": spec}


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


@pytest.mark.parametrize("junk", [{"tls": [{"hosts": [7]}]}, {"tls": ["x"]}, {"tls": 7}, ["x"]])
def test_what_no_api_server_sends_is_an_error_and_not_an_empty_list(junk: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        list(claims(ingress(junk), Choice()))
