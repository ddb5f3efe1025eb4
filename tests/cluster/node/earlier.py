"""Earlier versions of hairpin-proxy, out of git's history."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate
from tests.cluster.processes import ProcessError, clean_environment

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Earlier:
    """A version, and the last commit that belongs to it."""

    version: str
    commit: str

    @property
    def missing(self) -> str:
        """Why this clone does not have it, and how to get it; empty if it does."""
        if not (ROOT / ".git").exists():
            return f"version {self.version} is taken from git's history, and this is no clone: use `git clone`"
        if _git("rev-parse", "--is-shallow-repository").stdout.strip() != b"true":
            return ""
        if _git("cat-file", "-e", f"{self.commit}^{{commit}}").returncode == 0:
            return ""
        return f"version {self.version} is not in this shallow clone's history: `git fetch --unshallow` brings it"

    def sources(self, folder: Path) -> Path:
        """Its files, below this folder."""
        target = folder / f"hairpin-proxy-{self.version}"
        if not target.exists():
            archive = _git("archive", self.commit)
            if archive.returncode != 0:
                raise ProcessError(f"git archive {self.commit} failed:\n{archive.stderr.decode()}")
            target.mkdir()
            unpack = [locate("tar"), "--extract", "--directory", str(target)]
            subprocess.run(unpack, env=clean_environment(folder), input=archive.stdout, check=True)
        return target


FIRST = Earlier("0.3.0", "d88b2cd8d6f69207dac37e857367cdf342dd98b3")


def _git(*args: str) -> subprocess.CompletedProcess[bytes]:
    # git refuses the clone of another user, and root may well work in one.
    trusting = [locate("git"), "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    return subprocess.run([*trusting, *args], capture_output=True, check=False)
