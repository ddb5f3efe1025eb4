"""Every distribution's objects, and what the rules make of them (tests/distributions/NAME/rendered)."""

import pytest

from tests import distributions
from tests.distributions.golden import HOSTS, PLAN, configuration, rendered

IMPORTS = {"aks", "gardener", "k3s-custom", "lke", "ovh"}


@pytest.mark.parametrize("name", distributions.names())
def test_the_rendered_result_is_the_one_that_was_checked_in(name: str) -> None:
    key, text = rendered(name)
    golden = [(file.name, file.read_bytes()) for file in (distributions.FOLDER / name / "rendered").iterdir()]
    assert golden == [(key, text.encode())]


@pytest.mark.parametrize("name", distributions.names())
def test_rules_go_where_they_last(name: str) -> None:
    assert configuration(name).uses_import is (name in IMPORTS)


@pytest.mark.parametrize("name", [name for name in distributions.names() if name not in ("kubeadm-upgraded", "v0.2.1")])
def test_leaving_restores_every_byte(name: str) -> None:
    state = configuration(name)
    assert PLAN.removals(state) == []
    assert PLAN.owned(state) == frozenset()


@pytest.mark.parametrize("name", ["kubeadm-upgraded", "v0.2.1"])
def test_rules_of_before_are_adopted_without_duplicates(name: str) -> None:
    state = configuration(name)
    assert PLAN.owned(state)
    _, text = rendered(name)
    for host in HOSTS:
        assert text.count(f"rewrite name {host} ") == 1
