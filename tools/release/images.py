"""The images of a release: what they are called, and built and pushed if that is wanted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.release.source import ReleaseError, Source
from tools.release.version import IMAGE

NAMES = ("hairpin-proxy-controller", "hairpin-proxy-haproxy")
PLATFORMS = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""What images are built for, with what a wheel calls that machine."""
_PINNED = re.compile(r"(\S+)@(sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Images:
    """Both images by their names, as a manifest has them."""

    registry: str
    version: str
    digests: Mapping[str, str]

    def tagged(self, name: str) -> str:
        return f"{self.registry}{'/' if self.registry else ''}{name}:{self.version}"

    def reference(self, name: str) -> str:
        digest = self.digests.get(name)
        return f"{self.tagged(name)}@{digest}" if digest else self.tagged(name)

    def written_into(self, manifest: str) -> str:
        return IMAGE.sub(lambda found: self.reference(found["name"]), manifest)


def push(source: Source, digests: Path) -> None:
    """Builds both from the copy, so that they carry this version, and has their digests written."""
    environment = {"PLATFORMS": ",".join(PLATFORMS), **os.environ, "PUSH": "1", "DIGESTS": str(digests)}
    if subprocess.run([source.folder / "tools" / "build-images"], env=environment, check=False).returncode:
        raise ReleaseError("the images could not be built and pushed")


def named(registry: str, version: str, digests: Path | None) -> Images:
    """With the digests of this file, which has to know both."""
    images = Images(registry.rstrip("/"), version, {})
    if digests is None:
        return images
    try:
        known = {found[1]: found[2] for found in _PINNED.finditer(digests.read_text())}
    except OSError as error:
        raise ReleaseError(f"the digests cannot be read: {error}") from error
    missing = [images.tagged(name) for name in NAMES if images.tagged(name) not in known]
    if missing:
        raise ReleaseError(
            f"{digests} has no digest of {' and '.join(missing)}:"
            " it has to come from make images of this version, with the same IMAGE_REGISTRY"
        )
    return Images(images.registry, version, {name: known[images.tagged(name)] for name in NAMES})
