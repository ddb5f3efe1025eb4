"""Whether each pinned dependency has a wheel for every platform, because the image has no compiler."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tools.release.images import PLATFORMS
from tools.release.source import ReleaseError, Source, run

LIBCS = ("manylinux_2_28", "manylinux2014")


def check(source: Source) -> None:
    python = _python(source.folder / "Dockerfile.controller")
    requirements = source.folder / "requirements" / "image.txt"
    for platform, machine in PLATFORMS.items():
        try:
            _look_for_wheels(python, machine, requirements)
        except ReleaseError as error:
            raise ReleaseError(f"the controller's image cannot be built for {platform}: {error}") from error


def _python(dockerfile: Path) -> str:
    found = re.search(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)", dockerfile.read_text(), re.MULTILINE)
    if not found:
        raise ReleaseError(f"{dockerfile.name} does not say its Python")
    return found[1]


def _look_for_wheels(python: str, machine: str, requirements: Path) -> None:
    """Installs nothing, and fetches none of those that come with their metadata beside them."""
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    argv += ["--ignore-installed", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    argv += ["--implementation", "cp", "--python-version", python]
    argv += [f"--platform={libc}_{machine}" for libc in LIBCS]
    # pip wants one for another platform, though it writes nothing there.
    with tempfile.TemporaryDirectory() as target:
        run([*argv, "--target", target])
