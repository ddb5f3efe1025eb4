"""The bill of materials (CycloneDX) of both images: what is pinned for the controller, and what they are built on."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools.release.source import ReleaseError, Source, run

SCHEMA = SchemaVersion.V1_6
_BASE = re.compile(r"^ARG (\w+_IMAGE)=(\S+)", re.MULTILINE)


def write(source: Source, target: Path) -> None:
    bom = _pinned(source.folder)
    installed = _installed()
    root = _root(source)
    # The requirements say the hashes, and what is installed says licences and what needs what.
    known = {each.purl: each for each in installed.components}
    for component in bom.components:
        _complete(component, known.get(component.purl))
    bases = [_base(source.folder / f"Dockerfile.{name}") for name in ("controller", "haproxy")]
    needs = _needs(installed)
    needs[root.name] += [str(base.purl) for base in bases]
    bom.metadata.component = root
    bom.components = [*bom.components, *bases]
    bom.dependencies = _dependencies([root, *bom.components], needs)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"hairpin-proxy {source.version} {source.commit}")
    bom.metadata.timestamp = datetime.fromtimestamp(source.date, UTC)
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2)
    if error := JsonStrictValidator(SCHEMA).validate_str(text):
        raise ReleaseError(f"the bill of materials is not valid: {error}")
    target.write_text(f"{text}\n")


def _pinned(folder: Path) -> Bom:
    return _cyclonedx("requirements", str(folder / "requirements" / "image.txt"))


def _installed() -> Bom:
    return _cyclonedx("environment", sys.executable)


def _cyclonedx(*args: str) -> Bom:
    # Only the whole is validated, which takes seconds.
    argv = [sys.executable, "-m", "cyclonedx_py", *args, "--output-reproducible", "--no-validate"]
    return Bom.from_json(json.loads(run(argv)))


def _complete(component: Component, twin: Component | None) -> None:
    if twin is None:
        raise ReleaseError(f"{component.purl} is not what is installed here: run make lock")
    component.bom_ref.value = str(component.purl)
    component.description = twin.description
    component.licenses = twin.licenses


def _root(source: Source) -> Component:
    project = tomllib.loads((source.folder / "pyproject.toml").read_text())["project"]
    return Component(
        name=project["name"],
        version=source.version,
        type=ComponentType.APPLICATION,
        description=project["description"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
        bom_ref=f"{project['name']}@{source.version}",
    )


def _base(dockerfile: Path) -> Component:
    """The one that the build takes: another than the Dockerfile's if the environment says so."""
    found = _BASE.search(dockerfile.read_text())
    if not found:
        raise ReleaseError(f"{dockerfile.name} does not name its base")
    purl = _purl(os.environ.get(found[1]) or found[2])
    return Component(
        name=purl.name,
        version=purl.version,
        type=ComponentType.CONTAINER,
        # The same words for both, for both may be the same image, which is then there once.
        description="what an image of ours is built on",
        purl=purl,
        bom_ref=str(purl),
    )


def _purl(image: str) -> PackageURL:
    reference, _, digest = image.partition("@")
    path, _, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    first, _, rest = path.partition("/")
    # Docker's rule for what is a host.
    host, namespace = (first, rest) if re.search(r"[.:]|^localhost$", first) else ("", path)
    return PackageURL("docker", namespace, name, digest or tag or "latest", {"repository_url": host} if host else None)


def _needs(installed: Bom) -> dict[str, list[str]]:
    """What each package that is installed here needs, by purl; our own package has only a name."""
    called = {each.bom_ref.value: str(each.purl or each.name) for each in installed.components}
    return {
        called[each.ref.value]: [called[need.ref.value] for need in each.dependencies]
        for each in installed.dependencies
    }


def _dependencies(parts: Iterable[Component], needs: Mapping[str, list[str]]) -> list[Dependency]:
    """What needs what, of that which is in the images."""
    refs = {str(part.purl or part.name): part.bom_ref for part in parts}
    return [
        Dependency(ref, [Dependency(refs[need]) for need in needs.get(called, ()) if need in refs])
        for called, ref in refs.items()
    ]
