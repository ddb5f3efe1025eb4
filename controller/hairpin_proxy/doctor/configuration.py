"""CoreDNS's configuration: where it is, and whether CoreDNS reads what is written there. Pure."""

from collections.abc import Iterator

from hairpin_proxy.configuration import Configuration, Key
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.checks import reloads
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Object
from hairpin_proxy.locate import Location
from hairpin_proxy.managers import manager

_MANAGERS = ("eks", "dns-operator")
"""Field managers that put a ConfigMap back; others, as kubeadm, write it once."""

_NEARLY_FULL = 0.8


def home(state: Configuration) -> Key:
    """What the rules belong into."""
    return state.imported if state.imported and state.uses_import else state.corefile


def findings(state: Configuration, location: Location | None, restart: str) -> Iterator[Finding]:
    """`restart` is CoreDNS's workload as `kubectl rollout restart` takes it."""
    key = home(state)
    size = len(key.text.encode())
    yield found(texts.CONFIGURATION, where=_where(state, location), size=size, limit=key.limit)
    if size > _NEARLY_FULL * key.limit:
        yield found(texts.NEARLY_FULL, key=key, size=size, limit=key.limit)
    namespace = state.corefile.configmap.name.namespace
    if not reloads(parse(state.corefile.text)):
        yield found(texts.NO_RELOAD, corefile=state.corefile, namespace=namespace, workload=restart)
    if location and not location.updates:
        yield found(texts.NOT_UPDATED, reader=location.workload, namespace=namespace, workload=restart)
    for remark in (each for each in state.remarks if not each.calm):
        yield found(texts.CONFIGURATION_REMARK, remark=remark.text)
    managed = manager(_without_writers(state.corefile.configmap.item), state.corefile.name)
    if managed and key == state.corefile:
        yield found(texts.MANAGED, corefile=key, manager=managed)


def _where(state: Configuration, location: Location | None) -> str:
    how = f", which {location.workload} behind Service {location.service} mounts" if location else ", as is usual"
    rules = "rules go into it" if home(state) == state.corefile else f"rules go into {state.imported}, which it imports"
    return f"{state.corefile}{how}; {rules}"


def _without_writers(item: Object) -> Object:
    metadata = item.get("metadata") or {}
    entries = [each for each in metadata.get("managedFields") or () if each.get("manager") in _MANAGERS]
    return {**item, "metadata": {**metadata, "managedFields": entries}}
