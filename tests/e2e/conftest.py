"""One node for all tests, with an ingress controller, an app and a registry behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.node.app import HOST, start_app
from tests.cluster.node.node import Node
from tests.e2e.product import Product

REGISTRY = "registry.example.com"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", type=int, default=1, help="how often each test that is marked `repeated` is run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("repeated"):
        metafunc.fixturenames.append("time_number")
        metafunc.parametrize("time_number", range(metafunc.config.getoption("--times")))


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with Node(print) as running:
        running.start_ingress_controller()
        start_app(running, "my-app", HOST)
        start_app(running, "registry", REGISTRY)
        yield running


@pytest.fixture(scope="session")
def _original(node: Node) -> str:
    return node.corefile()


@pytest.fixture
def product(node: Node, _original: str) -> Iterator[Product]:
    """Not installed; whatever a test makes of it is removed afterwards."""
    product = Product(node, _original)
    yield product
    product.remove()


@pytest.fixture(scope="session")
def report() -> Iterator[Callable[[str, float], None]]:
    """Takes how long something took, and shows it all at the end: for people, no test depends on it."""
    taken: dict[str, list[float]] = {}
    yield lambda what, seconds: taken.setdefault(what, []).append(seconds)
    for what, seconds in taken.items():
        print(f"{what}: {min(seconds):.1f} to {max(seconds):.1f} s ({len(seconds)} times)")
