"""Which files a home imports among its plugins, and which ones anything else imports."""

import pytest

from hairpin_proxy.corefile import CorefileError
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.homes import only_root
from hairpin_proxy.corefile.imports import Imports, imports_of
from tests import distributions

CASES: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
    "none": (".:53 {\n errors\n}\n", (), set()),
    "in the home": (".:53 {\n import a/*\n errors\n import b/*\n}\n", ("a/*", "b/*"), set()),
    "twice in the home": (".:53 {\n import a/*\n import b/*\n import a/*\n}\n", ("b/*",), {"a/*"}),
    "twice, once by a snippet": ("(c) {\n import a/*\n}\n.:53 {\n import c\n import a/*\n}\n", (), {"a/*"}),
    "twice by a snippet": ("(c) {\n import a/*\n}\n.:53 {\n import c\n import c\n}\n", (), {"a/*"}),
    "in the home without braces": (".:53\nerrors\nimport a/*\n", ("a/*",), set()),
    "at the top": ("import a/*\n.:53 {\n}\nimport b/*", (), {"a/*", "b/*"}),
    "at the top, without braces": ("import a/*\n.:53\nimport b/*", ("b/*",), {"a/*"}),
    "at the top and in the home": (".:53 {\n import a/*\n import b/*\n}\nimport a/*\n", ("b/*",), {"a/*"}),
    "k3s": (".:53 {\n import c/*.override\n}\nimport c/*.server\n", ("c/*.override",), {"c/*.server"}),
    "in another block": ("example.org {\n import a/*\n}\n. {\n import b/*\n}\n", ("b/*",), {"a/*"}),
    "in another block too": ("example.org {\n import a/*\n}\n. {\n import a/*\n}\n", (), {"a/*"}),
    "in every home": (".:53 {\n import a/*\n}\n.:54 {\n import a/*\n}\n", ("a/*",), set()),
    "in every home, in another order": (
        ".:53 {\n import a/*\n import b/*\n}\n.:54 {\n import b/*\n import a/*\n}\n",
        ("a/*", "b/*"),
        set(),
    ),
    "in one of two homes": (".:53 {\n import a/*\n}\n.:54 {\n errors\n}\n", (), {"a/*"}),
    "in the second of two homes": (".:53 {\n errors\n}\n.:54 {\n import a/*\n}\n", (), {"a/*"}),
    "by a snippet": ("(s) {\n import a/*\n}\n. {\n import s\n}\n", ("a/*",), set()),
    "by a snippet of a snippet": (
        "(t) {\n import a/*\n}\n(s) {\n import t\n}\n. {\n import s\n}\n",
        ("a/*",),
        set(),
    ),
    "by a snippet of another block": (
        "(s) {\n import a/*\n}\nexample.org {\n import s\n}\n. {\n import b/*\n}\n",
        ("b/*",),
        {"a/*"},
    ),
    "by a snippet of both": ("(s) {\n import a/*\n}\nexample.org {\n import s\n}\n. {\n import s\n}\n", (), {"a/*"}),
    # CoreDNS refuses both: it follows 10,000 imports at most.
    "by a snippet that imports itself": ("(s) {\n import s\n import a/*\n}\n. {\n import s\n}\n", (), set()),
    "by snippets that double": (
        "".join(f"(s{n + 1}) {{\n import s{n}\n import s{n}\n}}\n" for n in range(40)) + ". {\n import s40\n}\n",
        (),
        {"s0"},
    ),
    "by a chain of snippets": (
        "".join(f"(s{n}) {{\n import s{n + 1}\n}}\n" for n in range(1500))
        + "(s1500) {\n import a/*\n}\n. {\n import s0\n}\n",
        ("a/*",),
        set(),
    ),
    "inside of a plugin": (". {\n hosts {\n  import a/*\n }\n import b/*\n}\n", ("b/*",), {"a/*"}),
    "inside of a plugin too": (". {\n hosts {\n  import a/*\n }\n import a/*\n}\n", (), {"a/*"}),
    "inside of a plugin of another block": (
        "example.org {\n hosts {\n  fallthrough\n  import a/*\n }\n}\n. {\n import a/*\n}\n",
        (),
        {"a/*"},
    ),
    "inside of a plugin of a snippet": (
        "(s) {\n hosts {\n  import a/*\n }\n}\n. {\n import s\n import a/*\n}\n",
        (),
        {"a/*"},
    ),
    "a snippet inside of a plugin is no file": (
        "(names) {\n fallthrough\n}\n. {\n hosts {\n  import names\n }\n import a/*\n}\n",
        ("a/*",),
        set(),
    ),
    "an argument of a plugin is no import": (". {\n text import a/*\n hosts {\n  x import b/*\n }\n}\n", (), set()),
}


@pytest.mark.parametrize(("text", "by_homes", "by_others"), CASES.values(), ids=CASES)
def test_imports(text: str, by_homes: tuple[str, ...], by_others: set[str]) -> None:
    assert imports_of(text, only_root(parse(text))) == Imports(by_homes, frozenset(by_others))


def test_where_the_homes_are_decides() -> None:
    text = ".:53 {\n import a/*\n}\n.:54 {\n import b/*\n}\n"
    first, second = parse(text)
    assert imports_of(text, [first]) == Imports(("a/*",), frozenset({"b/*"}))
    assert imports_of(text, [second]) == Imports(("b/*",), frozenset({"a/*"}))
    assert imports_of(text, []) == Imports((), frozenset({"a/*", "b/*"}))


def test_a_corefile_that_cannot_be_read() -> None:
    with pytest.raises(CorefileError, match="^Corefile:1: import takes one argument"):
        imports_of("import a b\n", [])


DISTRIBUTIONS = {
    "aks": ("custom/*.override", "custom/*.server"),
    "doks": ("custom/*.override", "custom/*.server"),
    "gardener": ("custom/*.override", "custom/*.server"),
    "k3s": ("/etc/coredns/custom/*.override", "/etc/coredns/custom/*.server"),
    "kubeadm": (None, None),
    "issue-11": (None, "/etc/coredns/extra-configs/*Corefile"),
    "vcluster": (None, "/etc/coredns/custom/*.server"),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution(name: str) -> None:
    text = distributions.configmap(name, "kube-system/coredns")["data"]["Corefile"]
    by_homes, by_others = [() if each is None else (each,) for each in DISTRIBUTIONS[name]]
    assert imports_of(text, only_root(parse(text))) == Imports(by_homes, frozenset(by_others))
