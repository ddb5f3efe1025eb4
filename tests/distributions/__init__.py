"""The objects of CoreDNS as the distributions ship them: a folder each, with one file, whose header names the source.

A reader that talks to an API server of its own takes them with `cluster_ips=False`: the addresses are theirs.
"""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(file.parent.name for file in FOLDER.glob("*/objects.yml"))


def objects(name: str, *, cluster_ips: bool = True) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / name / "objects.yml").read_text(encoding="utf-8")))
    if not cluster_ips:
        for each in found:
            if each["kind"] == "Service":
                each["spec"].pop("clusterIP", None)
    return found


def configmap(name: str, wanted: str) -> dict[str, Any]:
    """The ConfigMap `namespace/name`."""
    namespace, _, own = wanted.partition("/")
    for each in objects(name):
        where = each["metadata"]
        if each["kind"] == "ConfigMap" and (where["namespace"], where["name"]) == (namespace, own):
            return each
    raise KeyError(f"{name} has no ConfigMap {wanted}")
