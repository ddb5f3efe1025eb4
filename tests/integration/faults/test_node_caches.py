"""node-local-dns's Corefile cannot be read or written: the rules in CoreDNS's own never wait for it."""

import re
from pathlib import Path

import pytest

from tests.integration.conftest import ingress
from tests.integration.faults.proxy import Fault, FaultProxy, status
from tests.integration.faults.trial import COMES, KEPT, Seen, rules_in
from tests.integration.test_node_local_dns import ON, Node, blocks

CACHE, STUBS = "/configmaps/node-local-dns", "/configmaps/kube-dns"


Case = tuple[Fault, str]
"""What goes wrong, and what names it in the log."""


def refused(method: str, path: str, code: int, message: str) -> Fault:
    return Fault(method, path, code, status(code, "Reason", message))


def configmap(data: str) -> bytes:
    return f'{{"kind": "ConfigMap", "metadata": {{"resourceVersion": "1"}}, "data": {data}}}'.encode()


FAULTS = {
    "500 for the read of its Corefile": (refused("GET", CACHE, 500, "etcd is away"), "500 .*: etcd is away"),
    "404 for the read of its Corefile": (refused("GET", CACHE, 404, "not found"), "there is no ConfigMap"),
    "403 for the read of its Corefile": (refused("GET", CACHE, 403, "not you"), "not you.*kubectl apply -f"),
    "junk for its Corefile": (Fault("GET", CACHE, 200, b"<html>"), "the answer is no ConfigMap"),
    "its Corefile is not there": (Fault("GET", CACHE, 200, configmap("{}")), "has no key Corefile with text"),
    "its Corefile cannot be read": (
        Fault("GET", CACHE, 200, configmap('{"Corefile": ". {"}')),
        "no block is added, and pods that ask node-local-dns are led past us",
    ),
    "500 for its stub domains": (refused("GET", STUBS, 500, "etcd is away"), "500 .*: etcd is away"),
    "junk for its stub domains": (Fault("GET", STUBS, 200, configmap('{"stubDomains": "{"}')), "kube-dns: "),
    "409 for the write of its Corefile": (refused("PATCH", CACHE, 409, "modified"), "is written by the next poll"),
    "403 for the write of its Corefile": (refused("PATCH", CACHE, 403, "not you"), "could not be written"),
    "422 for the write of its Corefile": (refused("PATCH", CACHE, 422, "immutable"), "could not be written"),
    "500 for the write of its Corefile": (refused("PATCH", CACHE, 500, "etcd is away"), "could not be written"),
    "no answer to the write of its Corefile": (Fault("PATCH", CACHE, reset=True), "could not be written"),
}


@pytest.mark.usefixtures("component")
@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_rules_are_written_anyway(cached: Node, faulty: FaultProxy, through: Path, seen: Seen, case: Case) -> None:
    (fault, said), world = case, cached.world
    world.apply(ingress("kept", KEPT))
    faulty.faults.append(fault)
    # Rules come first, and blocks with the poll after them.
    text = "".join(world.once(*ON, kubeconfig=through).stderr for _ in range(2))
    assert "poll failed" not in text, text
    assert rules_in(world.cluster.corefile()) == {KEPT}
    assert cached.text() == cached.original
    line = next(line for line in text.splitlines() if re.search(said, line))
    faulty.faults.remove(fault)
    world.apply(ingress("comes", COMES))
    for _ in range(2):
        assert world.once(*ON, kubeconfig=through).returncode == 0
    assert rules_in(world.cluster.corefile()) == {KEPT, COMES}
    assert cached.text() == cached.original + blocks(cached, "example.com")
    seen(line, "right again after 2 polls: rules, then blocks")


def test_500_for_whether_there_is_node_local_dns(cached: Node, faulty: FaultProxy, through: Path, seen: Seen) -> None:
    world = cached.world
    world.apply(ingress("kept", KEPT))
    # The first list is for where CoreDNS is.
    faulty.faults.append(Fault("GET", "/daemonsets", 500, status(500, "Reason", "etcd is away"), after=1, times=1))
    text = world.once(*ON, kubeconfig=through).stderr
    (line,) = (line for line in text.splitlines() if "it cannot be seen whether there is node-local-dns: " in line)
    assert "500 Internal Server Error: etcd is away" in line
    assert rules_in(world.cluster.corefile()) == {KEPT}
    seen(line, "the rules are written all the same")
