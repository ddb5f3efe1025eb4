"""The version: its one place, the places that repeat it, and how all of them are set at once."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = "controller/hairpin_proxy/__init__.py"
_CORE = r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"
_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
# A tag of an image has no room for the build metadata of SemVer, which begins with a plus sign.
SEMVER = re.compile(rf"{_CORE}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?")
_V = rf"(?P<version>{SEMVER.pattern})"
IMAGE = re.compile(rf"(?<![\w./-])(?P<name>hairpin-proxy-(?:controller|haproxy)):{_V}")
"""An image of ours without a registry, as the manifests name it."""

PLACES = (
    (HOME, re.compile(rf'^__version__ = "{_V}"$', re.MULTILINE)),
    ("charts/hairpin-proxy/Chart.yaml", re.compile(rf'^(?:version|appVersion): "?{_V}"?$', re.MULTILINE)),
    # The ancestor's images keep the version that they have.
    ("*", re.compile(rf"(?<!compumike/)hairpin-proxy-(?:controller|haproxy):{_V}")),
    (
        "*",
        re.compile(
            rf'name: hairpin-proxy-(?:controller|haproxy)\n(?: +newName: .*\n)? +newTag: "?{_V}"?$', re.MULTILINE
        ),
    ),
    ("*", re.compile(rf"hairpin-proxy-{_V}\.tgz")),
    ("*", re.compile(rf"\?ref=v{_V}")),
)
HISTORY = ("CHANGELOG.md", "tests/*")
"""What speaks of other versions."""


class VersionError(ValueError):
    """Not a version, or nothing that could carry it."""


@dataclass(frozen=True)
class Occurrence:
    """One place that says which version this is."""

    path: str
    line: int
    version: str


def checked(version: str) -> str:
    if not version:
        raise VersionError("which version? Say for example: make release VERSION=1.2.3")
    if not SEMVER.fullmatch(version):
        raise VersionError(f"{version!r} is no version like 1.2.3 or 1.2.3-rc.1 (semver.org, without build metadata)")
    return version


def known_files(root: Path) -> list[str]:
    """What git tracks, or would if it were added."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        said = subprocess.run(argv, cwd=root, text=True, stdout=subprocess.PIPE, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise VersionError(f"git has to say which files there are, and does not: {error}") from error
    return sorted(path for path in set(said.split("\0")) if path and (root / path).is_file())


def occurrences(root: Path, files: Iterable[str]) -> Iterator[Occurrence]:
    for path, text in _texts(root, files):
        for start, _end, version in _found(path, text):
            yield Occurrence(path, text.count("\n", 0, start) + 1, version)


def current(root: Path) -> str:
    found = next(occurrences(root, [HOME]), None)
    if found is None:
        raise VersionError(f"{HOME} has no __version__")
    return found.version


def set_version(root: Path, files: Iterable[str], version: str) -> list[str]:
    """Writes the version wherever it stands, and returns the files that changed."""
    changed = []
    for path, text in _texts(root, files):
        new = text
        for start, end, _version in reversed(_found(path, text)):
            new = new[:start] + version + new[end:]
        if new != text:
            (root / path).write_bytes(new.encode())
            changed.append(path)
    return changed


def _texts(root: Path, files: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in files:
        if any(fnmatch(path, pattern) for pattern in HISTORY):
            continue
        try:
            yield path, (root / path).read_bytes().decode()
        except UnicodeDecodeError:
            continue


def _found(path: str, text: str) -> list[tuple[int, int, str]]:
    matches = [each for pattern, regex in PLACES if fnmatch(path, pattern) for each in regex.finditer(text)]
    return sorted((*match.span("version"), match["version"]) for match in matches)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="set-version", description="Writes the version, and everything that repeats it."
    )
    parser.add_argument("version", metavar="X.Y.Z")
    parser.add_argument("--check", action="store_true", help="only say whether it is a version")
    args = parser.parse_args(argv)
    try:
        version = checked(args.version)
        changed = [] if args.check else set_version(ROOT, known_files(ROOT), version)
    except VersionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in changed:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
