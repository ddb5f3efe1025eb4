"""node-local-dns's Corefile as it is read and written, whatever the API server says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hairpin_proxy.kube import Kube
from hairpin_proxy.providers.node_caches import NodeCaches
from tests.corefiles import DESTINATION
from tests.nodecache import STANDARD, daemonset

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
    namespace: None = None

    def items(self, path: str, kind: str) -> Iterable[Mapping[str, Any]]:
        return [daemonset()]

    def get(self, path: str, kind: str) -> Any:
        return self.objects[path]

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
