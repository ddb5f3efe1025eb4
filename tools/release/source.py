"""What a release is made of: a copy of the commit, in which the version is set."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.release.version import ROOT, current, set_version


class ReleaseError(RuntimeError):
    """Why there is no release."""


@dataclass(frozen=True)
class Source:
    """The copy, and which commit it is of."""

    folder: Path
    version: str
    committed_version: str
    commit: str
    date: int
    """Of the commit, in seconds; the date of all that is made, so that it comes out the same each time."""

    dirty: bool


def stage(folder: Path, version: str) -> Source:
    commit, date = _git("log", "-1", "--format=%H %ct").split()
    archive = folder.parent / "source.tar"
    _git("archive", "--format=tar", f"--output={archive}", commit)
    folder.mkdir()
    run(["tar", "--extract", "--file", str(archive), "--directory", str(folder)])
    files = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    committed = current(folder)
    set_version(folder, files, version)
    return Source(folder, version, committed, commit, int(date), dirty=bool(_git("status", "--porcelain")))


def run(argv: list[str]) -> str:
    """What a command prints; a ReleaseError with what it said if it fails."""
    try:
        done = subprocess.run(argv, text=True, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ReleaseError(f"there is no {argv[0]} on PATH") from error
    if done.returncode:
        raise ReleaseError(f"{' '.join(argv)} failed:\n{done.stderr or done.stdout}".rstrip())
    return done.stdout


def _git(*args: str) -> str:
    return run(["git", "-C", str(ROOT), *args]).strip()
