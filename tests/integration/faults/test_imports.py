"""Rules in a key that the Corefile imports, and what lies on the way there fails."""

import re
from pathlib import Path

import pytest

from tests.corefiles import rule
from tests.integration.conftest import ingress
from tests.integration.faults.proxy import Fault, FaultProxy, status
from tests.integration.faults.trial import COMES, KEPT, Seen, foreign, rules_in
from tests.integration.test_import import KEY, Imports, in_file

CUSTOM = "/configmaps/coredns-custom"
SLICES = "/namespaces/kube-system/endpointslices"
BEFORE, AFTER = {KEY: in_file(KEPT)}, {KEY: in_file(COMES) + in_file(KEPT)}


Case = tuple[Fault, str]
"""What goes wrong, and what names it in the log."""


def refused(method: str, path: str, code: int, message: str) -> Fault:
    return Fault(method, path, code, status(code, "Reason", message))


NOTHING_WRITTEN = {
    "500 for the read of what is imported": (refused("GET", CUSTOM, 500, "etcd is away"), "500 .*: etcd is away"),
    "junk for what is imported": (Fault("GET", CUSTOM, 200, b"<html>"), "the answer is no ConfigMap"),
    "no resourceVersion in what is imported": (
        Fault("GET", CUSTOM, 200, b'{"kind": "ConfigMap", "metadata": {}}'),
        "has no metadata.resourceVersion",
    ),
    "no answer to the read of what is imported": (Fault("GET", CUSTOM, reset=True), "no answer from"),
    "409 for the write of what is imported": (refused("PATCH", CUSTOM, 409, "modified"), "409 Conflict: modified"),
    "422 for the write of what is imported": (refused("PATCH", CUSTOM, 422, "immutable"), "422 .*: immutable"),
    "403 for the write of what is imported": (refused("PATCH", CUSTOM, 403, "not you"), "403 .*not you .*kubectl -n"),
    "500 for the write of what is imported": (refused("PATCH", CUSTOM, 500, "etcd is away"), "the next poll shows"),
}


@pytest.mark.parametrize("case", NOTHING_WRITTEN.values(), ids=NOTHING_WRITTEN)
def test_nothing_is_written(imports: Imports, faulty: FaultProxy, through: Path, seen: Seen, case: Case) -> None:
    fault, said = case
    begin(imports, through)
    faulty.faults.append(fault)
    done = imports.world.once(kubeconfig=through)
    (line,) = (line for line in done.stderr.splitlines() if " ERROR " in line)
    assert re.search(said, line), line
    assert (done.returncode, imports.custom, imports.corefile) == (1, BEFORE, imports.original)
    faulty.faults.remove(fault)
    assert (imports.world.once(kubeconfig=through).returncode, imports.custom) == (0, AFTER)
    assert imports.corefile == imports.original
    seen(line, "right again after 1 poll")


def begin(imports: Imports, through: Path) -> None:
    """A rule stands, and another host is wanted."""
    imports.world.apply(ingress("kept", KEPT))
    assert imports.world.once(kubeconfig=through).returncode == 0
    assert imports.custom == BEFORE
    imports.world.apply(ingress("comes", COMES))


BESIDE = {
    "404 for what is imported": (refused("GET", CUSTOM, 404, "not found"), "there is none; this makes it: kubectl"),
    "403 for what is imported": (refused("GET", CUSTOM, 403, "not you"), "where the rules would last, but: .*not you"),
}


@pytest.mark.parametrize("case", BESIDE.values(), ids=BESIDE)
def test_rules_stand_in_the_corefile_meanwhile(
    imports: Imports, faulty: FaultProxy, through: Path, seen: Seen, case: Case
) -> None:
    """And leave it when the import is seen to be at work again, which nobody shows here."""
    fault, said = case
    begin(imports, through)
    faulty.faults.append(fault)
    done = imports.world.once(kubeconfig=through)
    (line,) = (line for line in done.stderr.splitlines() if re.search(said, line))
    assert (done.returncode, imports.custom) == (0, BEFORE)
    assert rules_in(imports.corefile) == {KEPT, COMES}
    assert foreign(imports.corefile) == imports.original
    faulty.faults.remove(fault)
    assert imports.world.once(kubeconfig=through).returncode == 0
    assert {line for line in imports.custom[KEY].splitlines(keepends=True) if "invalid" not in line} == {
        in_file(COMES),
        in_file(KEPT),
    }
    assert rules_in(imports.corefile) == {KEPT, COMES}
    seen(line, "in the imported key again after 1 poll")


NOT_SEEN = {
    "500 for who CoreDNS is": (refused("GET", SLICES, 500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "nobody is CoreDNS": (
        Fault("GET", SLICES, 200, b'{"kind": "EndpointSliceList", "metadata": {}, "items": []}'),
        "has no endpoint that could be asked",
    ),
}


@pytest.mark.parametrize("case", NOT_SEEN.values(), ids=NOT_SEEN)
def test_rules_of_before_do_not_leave_the_corefile(
    imports: Imports, faulty: FaultProxy, through: Path, seen: Seen, case: Case
) -> None:
    (fault, said), world = case, imports.world
    world.apply(ingress("kept", KEPT))
    assert world.once("--provider", "corefile", kubeconfig=through).returncode == 0
    faulty.faults.append(fault)
    assert world.once(kubeconfig=through).returncode == 0
    done = world.once(kubeconfig=through)
    (line,) = (line for line in done.stderr.splitlines() if re.search(said, line))
    assert "the rules stay in" in line
    assert (done.returncode, in_file(KEPT) in imports.custom[KEY]) == (0, True)
    assert f"{rule(KEPT)}\n" in imports.corefile
    seen(line, "the rules stand in both meanwhile")
