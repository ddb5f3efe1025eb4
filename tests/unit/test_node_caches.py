"""node-local-dns's Corefile as it is read and written, whatever the API server says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import Rules
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.leaving.restore import withdraw
from hairpin_proxy.plan import Plan
from hairpin_proxy.providers.corefile import Corefile
from hairpin_proxy.providers.node_caches import NodeCaches
from hairpin_proxy.providers.place import Places
from hairpin_proxy.providers.reader import Reader
from tests.corefiles import DESTINATION
from tests.nodecache import STANDARD, block, daemonset

NODE, STUBS = (
    "/api/v1/namespaces/kube-system/configmaps/node-local-dns",
    "/api/v1/namespaces/kube-system/configmaps/kube-dns",
)


def configmap(**data: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "7"}, "data": data}


@dataclass
class Server:
    """An API server with a node-local-dns; and the time."""

    now: float = 1000.0
    objects: dict[str, Any] = field(default_factory=lambda: {NODE: configmap(Corefile=STANDARD), STUBS: configmap()})
    refuses: KubeError | None = None
    namespace: None = None

    def items(self, path: str, kind: str) -> Iterable[Mapping[str, Any]]:
        return [daemonset()]

    def get(self, path: str, kind: str, *, optional: bool = False) -> Any:
        return self.objects[path]

    def merge_patch(self, path: str, patch: Mapping[str, Any]) -> None:
        if self.refuses:
            raise self.refuses
        self.objects[path] = configmap(**patch["data"])

    def caches(self, *, wanted: bool = True, resolv_conf: Path = Path("/nowhere")) -> NodeCaches:
        return NodeCaches(cast(Kube, self), wanted=wanted, clock=lambda: self.now, resolv_conf=resolv_conf)


def test_a_corefile_is_read_with_what_a_loop_would_be_seen_by(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    caches = Server().caches(resolv_conf=file)
    [found] = caches.read([DESTINATION]).corefiles
    assert found.key.text == STANDARD
    assert found.addresses == {"169.254.20.10", "10.96.0.10"}
    assert found.nameservers == set()
    file.write_bytes(b"search \xff\nnameserver 169.254.20.10\n")
    [found] = caches.read([DESTINATION]).corefiles
    assert found.nameservers == {"169.254.20.10"}


def refused(status: int | None) -> KubeError:
    return KubeError(f"PATCH {NODE}", f"{status}: the webhook says no", status)


@pytest.mark.parametrize("status", [None, 400, 403, 413, 422, 500, 504])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_refused_write_is_tried_again_after_ten_minutes_and_said_all_the_time(
    status: int | None, wanted: bool
) -> None:
    server = Server(refuses=refused(status))
    server.objects[NODE] = configmap(Corefile=STANDARD + block("example.com"))
    caches = server.caches(wanted=wanted)
    [corefile] = caches.read([DESTINATION]).corefiles
    remark = caches.write(corefile, "text")
    assert remark
    assert "the webhook says no" in remark.text
    assert ("kubectl apply -f deploy-node-local-dns.yml" in remark.text) == (status == 403)
    for now, waits in ((1015, True), (1599, True), (1601, False)):
        server.now = now
        seen = caches.read([DESTINATION])
        assert [each.waits for each in seen.corefiles] == [waits]
        assert seen.remarks == (remark,)
    assert caches.write(corefile, "text") == remark
    assert caches.read([DESTINATION]).remarks == (remark,)
    server.now = 2300
    assert caches.read([DESTINATION]).remarks == (remark,)
    assert caches.read([DESTINATION]).remarks == ()


def test_a_conflict_is_tried_again_at_once() -> None:
    server = Server(refuses=refused(409))
    caches = server.caches()
    [corefile] = caches.read([DESTINATION]).corefiles
    remark = caches.write(corefile, "text")
    assert remark
    assert remark.calm
    seen = caches.read([DESTINATION])
    assert (seen.corefiles[0].waits, seen.remarks) == (False, ())
    server.refuses = None
    assert caches.write(corefile, "text") is None
    assert caches.read([DESTINATION]).corefiles[0].key.text == "text"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]"])
def test_stub_domains_that_cannot_be_read_are_said(text: str) -> None:
    server = Server()
    server.objects[STUBS] = configmap(stubDomains=text)
    seen = server.caches().read([DESTINATION])
    assert seen.corefiles == ()
    assert "may be led past us: ConfigMap kube-system/kube-dns: " in seen.remarks[0].text


@pytest.mark.parametrize("wanted", [True, False])
def test_a_fault_of_ours_is_a_remark(wanted: bool) -> None:
    server = Server(objects={})
    caches = server.caches(wanted=wanted)
    seen = caches.read([DESTINATION])
    assert seen.corefiles == ()
    assert "please report it: KeyError" in seen.remarks[0].text
    server.objects[NODE] = configmap(Corefile=STANDARD + block("example.com"))
    server.objects[STUBS] = configmap()
    assert len(caches.read([DESTINATION]).corefiles) == 1


def test_a_fault_in_what_is_to_be_taken_out_is_a_remark_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodecache, "read", {}.__getitem__)
    seen = Server().caches(wanted=False).read([DESTINATION])
    assert "please report it: TypeError" in seen.remarks[0].text


def test_an_uninstall_tries_what_was_just_refused_and_says_what_stays() -> None:
    server = Server(refuses=refused(422))
    server.objects[NODE] = configmap(Corefile=STANDARD + block("example.com"))
    kube, rules, caches = cast(Kube, server), Rules(DESTINATION), server.caches()
    provider = Corefile(kube, Reader(kube, Places(kube, None, None), "auto", rules, node_caches=caches), Plan(rules))
    [corefile] = caches.read([DESTINATION]).corefiles
    assert caches.write(corefile, STANDARD)
    [said] = withdraw(provider)
    assert "may keep server blocks of hairpin-proxy" in said
    assert "the webhook says no" in said
    server.refuses = None
    [said] = withdraw(provider)
    assert "ConfigMap kube-system/node-local-dns updated:" in said
    assert server.objects[NODE]["data"]["Corefile"] == STANDARD
