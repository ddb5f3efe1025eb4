"""The bill of materials (CycloneDX) of both images: what is pinned for the controller, and what they are built on."""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
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
_BASE = re.compile(r"^ARG \w+_IMAGE=([^:\s]+):(\S+)", re.MULTILINE)


def write(source: Source, target: Path) -> None:
    bom = _pinned(source.folder)
    installed = _installed()
    root = _root(source)
    # The requirements say the hashes, and what is installed says licences and what needs what.
    known = {each.purl: each for each in installed.components}
    for component in bom.components:
        _complete(component, known.get(component.purl))
    bases = [_base(source.folder / f"Dockerfile.{name}") for name in ("controller", "haproxy")]
    bom.metadata.component = root
    bom.dependencies = [*_dependencies(bom, installed, root, bases)]
    bom.components = [*bom.components, *bases]
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
    found = _BASE.search(dockerfile.read_text())
    if not found:
        raise ReleaseError(f"{dockerfile.name} does not name its base")
    purl = PackageURL("docker", name=found[1], version=found[2])
    return Component(
        name=found[1],
        version=found[2],
        type=ComponentType.CONTAINER,
        description=f"what {dockerfile.name} builds on",
        purl=purl,
        bom_ref=str(purl),
    )


def _dependencies(bom: Bom, installed: Bom, root: Component, bases: list[Component]) -> list[Dependency]:
    """What needs what, of that which is in the image."""
    refs = {component.purl: component.bom_ref for component in bom.components}
    theirs = {each.bom_ref.value: refs[each.purl] for each in installed.components if each.purl in refs}
    needs = {}
    direct = []
    for each in installed.dependencies:
        wanted = [Dependency(theirs[need.ref.value]) for need in each.dependencies if need.ref.value in theirs]
        if each.ref.value in theirs:
            needs[each.ref.value] = Dependency(theirs[each.ref.value], wanted)
        elif each.ref.value.startswith(f"{root.name}=="):
            direct = wanted
    whole = Dependency(root.bom_ref, [*direct, *(Dependency(base.bom_ref) for base in bases)])
    return [whole, *needs.values(), *(Dependency(base.bom_ref) for base in bases)]
