"""The version has one place, and nothing that repeats it can be forgotten."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hairpin_proxy import __version__
from tools.release.version import HISTORY, ROOT, VersionError, checked, current, known_files, occurrences, set_version

FILES = known_files(ROOT)
OTHERS = ("requirements/", "docs/")
"""Pins of others, and prose about versions; in docs the names of our images count all the same."""


def copy_of_the_repository(folder: Path) -> Path:
    for path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in FILES}


def test_every_place_says_the_version_of_the_package() -> None:
    found = list(occurrences(ROOT, FILES))
    assert [each for each in found if each.version != __version__] == []
    assert {"deploy.yml", "deploy-etchosts-daemonset.yml"} <= {each.path for each in found}


def test_after_a_change_the_old_version_stands_nowhere(tmp_path: Path) -> None:
    root = copy_of_the_repository(tmp_path)
    before = contents(root)
    set_version(root, FILES, "98.7.6-rc.5")
    whole = re.compile(rf"(?<![\w.]){re.escape(__version__)}(?![\w.]|-\w)".encode())
    history = tuple(pattern.rstrip("*") for pattern in HISTORY)
    left = [path for path, data in contents(root).items() if whole.search(data)]
    assert [path for path in left if not path.startswith((*history, *OTHERS))] == []
    assert current(root) == "98.7.6-rc.5"
    set_version(root, FILES, __version__)
    assert contents(root) == before


def test_what_others_have_keeps_its_version(tmp_path: Path) -> None:
    text = (
        "image: compumike/hairpin-proxy-controller:0.2.1\n"
        "image: registry.example.com/team/hairpin-proxy-haproxy:0.1.0@sha256:00\n"
        "images:\n  - name: hairpin-proxy-controller\n    newName: a/hairpin-proxy-controller\n    newTag: 0.1.0\n"
        "  - name: other\n    newTag: 0.1.0\n"
        "the file hairpin-proxy-0.1.0-rc.1.tgz, and hairpin-proxy-controller:0.1.0, from a//b?ref=v0.1.0 at v0.1.0\n"
    )
    (tmp_path / "page.md").write_text(text)
    (tmp_path / "CHANGELOG.md").write_text(text)
    assert set_version(tmp_path, ["page.md", "CHANGELOG.md"], "1.0.0") == ["page.md"]
    assert (tmp_path / "page.md").read_text() == (
        "image: compumike/hairpin-proxy-controller:0.2.1\n"
        "image: registry.example.com/team/hairpin-proxy-haproxy:1.0.0@sha256:00\n"
        "images:\n  - name: hairpin-proxy-controller\n    newName: a/hairpin-proxy-controller\n    newTag: 1.0.0\n"
        "  - name: other\n    newTag: 0.1.0\n"
        "the file hairpin-proxy-1.0.0.tgz, and hairpin-proxy-controller:1.0.0, from a//b?ref=v1.0.0 at v0.1.0\n"
    )
    assert (tmp_path / "CHANGELOG.md").read_text() == text


@pytest.mark.parametrize("version", ["0.0.0", "1.2.3", "10.20.30", "1.2.3-rc.1", "1.0.0-alpha-1.0"])
def test_versions(version: str) -> None:
    assert checked(version) == version


@pytest.mark.parametrize(
    "version",
    ["", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+build", "1.2.3 ", "1.2.3\n", "١.2.3"],
)
def test_no_versions(version: str) -> None:
    with pytest.raises(VersionError):
        checked(version)


def test_the_command_says_what_is_wrong() -> None:
    done = subprocess.run([ROOT / "tools" / "set-version", "v1"], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: 'v1' is no version like 1.2.3 or 1.2.3-rc.1 (semver.org, without build metadata)\n"
