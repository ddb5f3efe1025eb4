"""What the rules make of each distribution's objects; `python -m tests.distributions.golden` writes it down anew."""

from typing import Any

from hairpin_proxy import placement
from hairpin_proxy.configuration import MARK, ConfigMap, Configuration, Key, Rules
from hairpin_proxy.locate import Location, locate
from hairpin_proxy.plan import Plan
from hairpin_proxy.settings import ConfigMapName
from tests import distributions
from tests.corefiles import DESTINATION

HOSTS = frozenset({"a.example.com", "b.example.com", "xn--bcher-kva.example"})
PLAN = Plan(Rules(DESTINATION), lenient=False)


def located(name: str) -> Location:
    """Where the CoreDNS of a distribution reads its Corefile."""
    found = distributions.objects(name)
    namespace = next(item["metadata"]["namespace"] for item in found if item["kind"] == "Service")
    workloads = [(item["kind"], item) for item in found if item["kind"] in ("Deployment", "DaemonSet")]
    location = locate(namespace, (item for item in found if item["kind"] == "Service"), workloads)
    assert location, name
    return location


def configuration(name: str) -> Configuration:
    """As the controller would read it, had it the rights."""
    location = located(name)
    corefile = Key(_configmap(name, location.configmap), location.key)
    view = placement.view(corefile.text, location.configmap, location)
    target = placement.target(corefile.text, DESTINATION, view, location.configmap)
    found = _found(name, target.configmap) if target else None
    imported = Key(found, target.key) if target and found else None
    data = {key.configmap.name.name: dict(key.configmap.data) for key in (corefile, imported) if key}
    if imported:
        data[imported.configmap.name.name][imported.name] = MARK
    files = view.files(corefile.text, data)
    return Configuration(corefile, imported, uses_import=imported is not None, files=files)


def rendered(name: str) -> tuple[str, str]:
    """The key that is written, and its text."""
    state = configuration(name)
    key = state.imported if state.uses_import and state.imported else state.corefile
    return key.name, PLAN.edit(state, HOSTS).desired


def _found(name: str, configmap: ConfigMapName) -> ConfigMap | None:
    try:
        return _configmap(name, configmap)
    except KeyError:
        return None


def _configmap(name: str, configmap: ConfigMapName) -> ConfigMap:
    item: dict[str, Any] = distributions.configmap(name, str(configmap))
    data = item.get("data") or {}
    return ConfigMap(configmap, data, "1", sum(len(text.encode()) for text in data.values()), item)


def main() -> None:
    for name in distributions.names():
        folder = distributions.FOLDER / name / "rendered"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        key, text = rendered(name)
        (folder / key).write_bytes(text.encode())


if __name__ == "__main__":
    main()
