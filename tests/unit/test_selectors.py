"""Label selectors; tests/integration/test_sources.py compares them with the API server's own."""

from typing import Any

import pytest

from hairpin_proxy.sources.selectors import of, parse

LABELS: dict[str, dict[str, str]] = {
    "none": {},
    "a": {"team": "a", "stage": "live"},
    "b": {"team": "b", "stage": ""},
    "c": {"example.com/team": "a", "stage": "test", "internal": "true"},
}

TEXTS = {
    "team": {"a", "b"},
    "!team": {"none", "c"},
    "! team": {"none", "c"},
    "team=a": {"a"},
    "team==a": {"a"},
    " team = a ": {"a"},
    "team!=a": {"none", "b", "c"},
    "team != a": {"none", "b", "c"},
    "stage=": {"b"},
    "stage!=": {"none", "a", "c"},
    "team in (a,b)": {"a", "b"},
    "team in(a)": {"a"},
    "team in ( a , b )": {"a", "b"},
    "team notin (a)": {"none", "b", "c"},
    "stage in ()": {"b"},
    "stage in (,live)": {"a", "b"},
    "stage notin (live,test)": {"none", "b"},
    "example.com/team=a": {"c"},
    "team,stage=live": {"a"},
    "team in (a,b),stage!=live": {"b"},
    "team in (a,b),stage=live,!internal": {"a"},
    "team=a,team=b": set(),
    "internal=true": {"c"},
    "team in (a), stage": {"a"},
    "stage= , team": {"b"},
}
"""As kubectl takes them, and which of LABELS they select."""

REFUSED = [
    "",
    " ",
    ",",
    "team,",
    ",team",
    "team,,stage",
    "team=a,",
    "team in",
    "team in a",
    "team in (a",
    "team in (a,b))",
    "team in (a) stage",
    "team = a b",
    "team a",
    "team===a",
    "!team=a",
    "!",
    "!!team",
    "=a",
    "-team",
    "team-",
    "team=-a",
    "team=a/b",
    "a/b/c",
    "/team",
    "example.com/",
    "EXAMPLE.com/team",
    "team=(a)",
    "team=é",
    "t\u00e9am",
    "x" * 64,
    f"team={'x' * 64}",
    "team in (-a)",
]
"""What neither kubectl nor the API server takes."""


@pytest.mark.parametrize(("text", "selected"), TEXTS.items())
def test_what_a_text_selects(text: str, selected: set[str]) -> None:
    selector = parse(text)
    assert {name for name, labels in LABELS.items() if selector.matches(labels)} == selected


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError, match="as kubectl takes it"):
        parse(text)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, {"none", "a", "b", "c"}),
        ({"matchLabels": None, "matchExpressions": None}, {"none", "a", "b", "c"}),
        ({"matchLabels": {}}, {"none", "a", "b", "c"}),
        ({"matchLabels": {"team": "a"}}, {"a"}),
        ({"matchLabels": {"team": "a", "stage": "test"}}, set()),
        ({"matchLabels": {"stage": ""}}, {"b"}),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}, {"a", "b"}),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, {"none", "b", "c"}),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, {"a", "b"}),
        ({"matchExpressions": [{"key": "team", "operator": "Exists", "values": None}]}, {"a", "b"}),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist", "values": []}]}, {"none", "c"}),
        (
            {
                "matchLabels": {"stage": "live"},
                "matchExpressions": [
                    {"key": "team", "operator": "Exists"},
                    {"key": "internal", "operator": "DoesNotExist"},
                ],
            },
            {"a"},
        ),
    ],
)
def test_what_a_label_selector_selects(selector: dict[str, Any], selected: set[str]) -> None:
    found = of(selector)
    assert {name for name, labels in LABELS.items() if found.matches(labels)} == selected


NO_SELECTORS: list[dict[str, Any]] = [
    {"key": "team", "operator": "Gt", "values": ["1"]},
    {"key": "team", "operator": "notin", "values": ["x"]},
    {"key": "team", "operator": ""},
    {"key": "team", "operator": "In"},
    {"key": "team", "operator": "NotIn"},
    {"key": "team", "operator": "NotIn", "values": []},
    {"key": "team", "operator": "NotIn", "values": ["a b"]},
    {"key": "team", "operator": "Exists", "values": ["a"]},
    {"key": "other", "operator": "DoesNotExist", "values": ["a"]},
    {"key": "", "operator": "DoesNotExist"},
    {"key": "no key", "operator": "DoesNotExist"},
]
"""Expressions that the Gateway API's schema lets in, and that are none (LabelSelectorAsSelector in apimachinery)."""


@pytest.mark.parametrize("expression", [{}, *NO_SELECTORS])
def test_what_is_no_expression_selects_nothing(expression: dict[str, Any]) -> None:
    found = of({"matchExpressions": [expression, {"key": "team", "operator": "Exists"}]})
    assert not [name for name, labels in LABELS.items() if found.matches(labels)]
    assert not [name for name, labels in LABELS.items() if of({"matchExpressions": [expression]}).matches(labels)]


@pytest.mark.parametrize(
    "junk",
    [
        {"matchLabels": "x"},
        {"matchLabels": ["x"]},
        {"matchLabels": {"team": ["a"]}},
        {"matchExpressions": "x"},
        {"matchExpressions": {}},
        {"matchExpressions": ["x"]},
        {"matchExpressions": [None]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": "a"}]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": [["a"]]}]},
        {"matchExpressions": [{"key": "team", "operator": "In", "values": [7]}]},
    ],
)
def test_what_no_api_server_sends_is_an_error(junk: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        of(junk)
