"""Rules in CoreDNS's configuration: who is said to undo them."""

from typing import cast

import pytest

from hairpin_proxy.configuration import ConfigMap, Configuration, Key, NodeCorefile, Rules
from hairpin_proxy.kube import Kube
from hairpin_proxy.plan import Plan
from hairpin_proxy.providers.corefile import NOBODY, Corefile
from hairpin_proxy.providers.place import Places
from hairpin_proxy.providers.reader import Reader
from hairpin_proxy.settings import ConfigMapName
from tests.corefiles import DESTINATION


def key(name: str, **labels: str) -> Key:
    item = {"metadata": {"labels": labels}}
    return Key(ConfigMap(ConfigMapName("kube-system", name), {}, "7", 0, item), "Corefile")


STATE = Configuration(
    key("coredns", heritage="Helm"),
    key("coredns-custom"),
    node_corefiles=(
        NodeCorefile(key("node-local-dns", **{"addonmanager.kubernetes.io/mode": "Reconcile"}), frozenset()),
    ),
)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("coredns", "it is managed by Helm (label heritage=Helm)"),
        ("coredns-custom", NOBODY),
        ("node-local-dns", "it is managed by the cluster's addon manager"),
        ("gone", NOBODY),
    ],
)
def test_who_undoes_a_document_is_told_of_that_document_alone(name: str, who: str) -> None:
    kube, rules = cast(Kube, None), Rules(DESTINATION)
    provider = Corefile(kube, Reader(kube, Places(kube, None, None), "auto", rules), Plan(rules))
    document = str(key(name))
    found = provider.manager(STATE, document)
    assert found.startswith(f"{document}: {who}")
    assert found.count("managed by") == ("managed by" in who)
