"""What objects of all kinds have in common."""

from typing import Any

import pytest

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.policy import Namespace
from hairpin_proxy.sources.objects import name, namespace, tenant

OWN = {"kubernetes.io/metadata.name": "shop"}
"""A label that each Namespace has by its name, also one in a manifest that no API server has seen."""


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"name": "shop"}, Namespace(OWN, {})),
        ({"name": "shop", "labels": None, "annotations": None}, Namespace(OWN, {})),
        ({"name": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}}, Namespace({**OWN, "a": "b"}, {"c": "d"})),
        ({"name": "shop", "labels": {"a": None}, "annotations": {"c": None}}, Namespace({**OWN, "a": ""}, {"c": ""})),
        (
            {"name": "shop", "labels": {"kubernetes.io/metadata.name": "other"}},
            Namespace({"kubernetes.io/metadata.name": "other"}, {}),
        ),
    ],
)
def test_what_a_namespace_says(metadata: dict[str, Any], expected: Namespace) -> None:
    assert tenant({"metadata": metadata}) == ("shop", expected)


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "shop", "labels": {"a": ["b"]}},
        {"name": "shop", "annotations": {"a": 7}},
        {"name": "shop", "labels": "a=b"},
        {"name": "shop", "annotations": ["a"]},
    ],
)
def test_a_namespace_that_no_api_server_sends_is_an_error_that_names_it(metadata: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match=r"^Namespace shop is no Namespace that an API server would send: "):
        tenant({"metadata": metadata})


@pytest.mark.parametrize(
    ("metadata", "where", "named"),
    [
        ({"namespace": "shop", "name": "web"}, "shop", "Ingress shop/web"),
        ({"name": "web"}, "default", "Ingress web"),
        ({"namespace": "", "name": "web"}, "default", "Ingress web"),
    ],
)
def test_what_is_in_no_namespace_counts_as_in_the_default_one(metadata: dict[str, Any], where: str, named: str) -> None:
    item = {"metadata": metadata}
    assert (namespace(item), name(item, "Ingress")) == (where, named)
