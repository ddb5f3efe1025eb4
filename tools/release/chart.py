"""The chart as Helm packages it, with the release's images as its default."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import tempfile
from pathlib import Path

import yaml

from tests.cluster.install import HELMS, InstallError, binaries
from tools.release.images import NAMES, Images
from tools.release.source import ReleaseError, Source, run

CHART = "charts/hairpin-proxy"


def helm() -> str:
    """The pinned one, built at its first use."""
    try:
        (built,) = binaries([HELMS[4]])
    except InstallError as error:
        raise ReleaseError(str(error)) from error
    return str(built)


def checked_registry(chart: Path, registry: str) -> str:
    """As the chart's schema has it: any other Helm would refuse at each installation, and a node could not pull."""
    schema = json.loads((chart / "values.schema.json").read_text())
    if not re.fullmatch(schema["properties"]["image"]["properties"]["registry"]["pattern"], registry):
        raise ReleaseError(
            f"IMAGE_REGISTRY is {registry!r}, and no image can be called so: say it like registry.example.com/team,"
            " without https:// before it, and in lower case after the host"
        )
    return registry


def package(source: Source, named: Images, out: Path) -> Path:
    chart = source.folder / CHART
    set_image(chart / "values.yaml", named)
    with tempfile.TemporaryDirectory() as folder:
        run([helm(), "package", str(chart), "--destination", folder])
        (packaged,) = Path(folder).glob("*.tgz")
        target = out / packaged.name
        target.write_bytes(_dated(packaged, source.date))
    return target


def set_image(values: Path, named: Images) -> None:
    """As text, for the comments are what people read."""
    text = values.read_text()
    digests = {name.removeprefix("hairpin-proxy-"): named.digests.get(name, "") for name in NAMES}
    for key, value in {"registry": named.registry, **digests}.items():
        text = re.sub(rf'^( +{key}:) ""$', rf'\g<1> "{value}"', text, count=1, flags=re.MULTILINE)
    image = yaml.safe_load(text)["image"]
    # What was not found by its text would otherwise go unnoticed.
    if (image["registry"], image["digests"]) != (named.registry, digests):
        raise ReleaseError(f"{CHART}/values.yaml has no image.registry and image.digests that are empty")
    values.write_text(text)


def _dated(packaged: Path, date: int) -> bytes:
    """The same archive with the commit's date: Helm writes the time of day, and each run would differ."""
    out = io.BytesIO()
    with (
        tarfile.open(packaged) as old,
        gzip.GzipFile(fileobj=out, mode="wb", mtime=date, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old, key=_chart_first):
            member.mtime = date
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member))
    return out.getvalue()


def _chart_first(member: tarfile.TarInfo) -> tuple[bool, str]:
    return not member.name.endswith("/Chart.yaml"), member.name
