"""What the states of deploy.yml's objects say about an uninstall, and that the names are those of deploy.yml."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from hairpin_proxy.leaving.installation import Installation, State, Thing
from hairpin_proxy.names import COREDNS_NAMESPACE, NAMESPACE

INSTALLATION = Installation(NAMESPACE, COREDNS_NAMESPACE)
DEPLOYMENT, OWN_NAMESPACE = INSTALLATION.deployment, INSTALLATION.own_namespace
ROLE, BINDING = INSTALLATION.rights
HERE = dict.fromkeys(INSTALLATION.everything, State.PRESENT)
GOING = (State.DELETING, State.GONE)
STAYING = (State.PRESENT, State.UNKNOWN)
MANIFEST = list(yaml.safe_load_all((Path(__file__).parents[2] / "deploy.yml").read_text()))


@pytest.mark.parametrize("state", GOING)
@pytest.mark.parametrize("thing", [DEPLOYMENT, OWN_NAMESPACE], ids=str)
def test_the_deployment_or_the_namespace_alone_is_enough(thing: Thing, state: State) -> None:
    assert INSTALLATION.sign_of_uninstall({**HERE, thing: state}) == f"{thing} {state.value}"


@pytest.mark.parametrize(("role", "binding"), list(product(GOING, GOING)))
def test_the_rights_together_are_enough(role: State, binding: State) -> None:
    assert INSTALLATION.sign_of_uninstall({**HERE, ROLE: role, BINDING: binding})


@pytest.mark.parametrize(("role", "binding"), [*product(GOING, STAYING), *product(STAYING, GOING)])
def test_one_of_the_rights_alone_is_not(role: State, binding: State) -> None:
    assert INSTALLATION.sign_of_uninstall({**HERE, ROLE: role, BINDING: binding}) is None


@pytest.mark.parametrize("states", list(product(STAYING, repeat=4)))
def test_what_is_there_or_cannot_be_seen_says_nothing(states: tuple[State, ...]) -> None:
    things = (DEPLOYMENT, OWN_NAMESPACE, ROLE, BINDING)
    assert INSTALLATION.sign_of_uninstall({**HERE, **dict(zip(things, states, strict=True))}) is None


def named(item: dict[str, dict[str, str]]) -> tuple[object, str]:
    metadata = item["metadata"]
    return item["kind"], f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def test_the_objects_are_those_of_deploy_yml() -> None:
    assert {(thing.kind, thing.name) for thing in INSTALLATION.everything} <= {named(item) for item in MANIFEST}


def test_deploy_yml_gives_the_finalizer_to_exactly_what_is_held() -> None:
    held = {named(item) for item in MANIFEST if item["metadata"].get("finalizers") == ["hairpin-proxy/corefile"]}
    assert held == {(thing.kind, thing.name) for thing in INSTALLATION.held}


def test_two_installs_hold_nothing_in_common() -> None:
    other = Installation("hairpin-proxy-internal", COREDNS_NAMESPACE)
    assert not set(INSTALLATION.everything) & set(other.everything)


def test_where_coredns_lives_in_our_namespace_nothing_is_held_twice() -> None:
    installation = Installation("dns", "dns")
    assert len(installation.held) == len(set(installation.held)) == 3
