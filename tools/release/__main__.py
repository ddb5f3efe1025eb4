"""Writes DIST/VERSION: manifests, chart, bill of materials and checksums. Environment: see docs/releases.md."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.release import chart, images, sbom, wheels
from tools.release.source import ReleaseError, Source, stage
from tools.release.version import VersionError, checked

SUMS = "SHA256SUMS"


def release(version: str, dist: Path) -> None:
    _see_that_it_can_be_written(dist)
    with tempfile.TemporaryDirectory(prefix="hairpin-proxy-release-") as scratch:
        source = stage(Path(scratch) / "source", version)
        if source.dirty:
            print(f"note: what is not committed is left out; this is commit {source.commit[:12]}")
        registry = chart.checked_registry(source.folder / chart.CHART, os.environ.get("IMAGE_REGISTRY", ""))
        wheels.check(source)
        named = _images(source, registry, Path(scratch))
        made = Path(scratch) / "made"
        made.mkdir()
        _write(source, named, made)
        out = dist / version
        # What an earlier run left must not be mixed with this one.
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(made, out)
        _say(source, named, out)


def _see_that_it_can_be_written(dist: Path) -> None:
    """Before anything is built or pushed."""
    try:
        dist.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=dist):
            pass
    except OSError as error:
        raise ReleaseError(
            f"nothing can be written to {dist}: {error.strerror} (DIST=folder is another place)"
        ) from error


def _images(source: Source, registry: str, scratch: Path) -> images.Images:
    # Absolute, for the builder works in the copy.
    digests = Path(given).absolute() if (given := os.environ.get("DIGESTS")) else None
    if os.environ.get("PUSH") == "1":
        digests = digests or scratch / "images.digests"
        images.push(source, digests)
    return images.named(registry, source.version, digests)


def _write(source: Source, named: images.Images, made: Path) -> None:
    for manifest in sorted(source.folder.glob("deploy*.yml")):
        (made / manifest.name).write_text(named.written_into(manifest.read_text()))
    (made / "images.txt").write_text("".join(f"{named.reference(name)}\n" for name in images.NAMES))
    chart.package(source, named, made)
    sbom.write(source, made / f"hairpin-proxy-{source.version}.cdx.json")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(made.iterdir())]
    (made / SUMS).write_text("".join(sums))


def _say(source: Source, named: images.Images, out: Path) -> None:
    print(f"{out}, of commit {source.commit[:12]}:")
    for path in sorted(out.iterdir()):
        print(f"  {path.name}")
    print("images:")
    for name in images.NAMES:
        print(f"  {named.reference(name)}")
    if not named.digests:
        print("  They are pinned by tag only: a digest needs IMAGE_REGISTRY=registry.example.com/team PUSH=1.")
    print("next:")
    if source.committed_version != source.version:
        print(f"  tools/set-version {source.version}, and commit it: the commit says {source.committed_version}")
    print(f"  git tag v{source.version}, push the tag, and publish the files of {out} (docs/releases.md)")


def main(argv: list[str]) -> int:
    try:
        release(checked(argv[0] if argv else ""), Path(os.environ.get("DIST") or "dist"))
    except (ReleaseError, VersionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
