"""`make release`, on a commit of what is in this working tree."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairpin_proxy import __version__
from tests.cluster.install import locate
from tests.integration.conftest import World
from tools.release.version import known_files

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "releases.md"
REGISTRY = "registry.example.com/team"
VERSION = "9.8.7-rc.1"
PINNED = {
    f"hairpin-proxy-{name}": f"{REGISTRY}/hairpin-proxy-{name}:{VERSION}@sha256:{digit * 64}"
    for name, digit in (("controller", "a"), ("haproxy", "b"))
}
BASE = f"registry.example.com:5000/mirror/python:3.13@sha256:{'c' * 64}"
"""What the controller's image is built on in place of what its Dockerfile says."""
SECONDS = 900


@dataclass(frozen=True)
class Repository:
    """A clone with all that is needed, in which things can be changed."""

    folder: Path

    def make(self, *args: str) -> subprocess.CompletedProcess[str]:
        # Whoever runs the tests may run them by make.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        # The virtual environment is that of the tests, whatever the files' dates say.
        argv = ["make", "--silent", "--assume-old=.venv/installed", *args]
        return subprocess.run(
            argv, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=SECONDS, check=False
        )

    def release(self, dist: Path, *args: str) -> str:
        done = self.make("release", f"VERSION={VERSION}", f"DIST={dist}", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def git(self, *args: str) -> None:
        subprocess.run(["git", *args], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    for path in known_files(ROOT):
        (made.folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, made.folder / path)
    made.git("init", "--quiet")
    made.git("add", "--all")
    made.git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "All of it")
    (made.folder / ".venv").symlink_to(sys.prefix)
    (made.folder / ".git/info/exclude").write_text(".venv\n")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def images(text: str) -> Iterator[str]:
    for item in yaml.safe_load_all(text):
        if item and item["kind"] in ("Deployment", "DaemonSet", "Job"):
            yield from (each["image"] for each in item["spec"]["template"]["spec"]["containers"])


def test_a_release(world: World, repository: Repository, tmp_path: Path) -> None:
    digests = tmp_path / "digests"
    digests.write_text("".join(f"{image}\n" for image in PINNED.values()))
    pinned = (f"IMAGE_REGISTRY={REGISTRY}/", f"DIGESTS={digests}", f"PYTHON_IMAGE={BASE}")
    dist = tmp_path / "dist"
    said = repository.release(dist, *pinned)
    made = dist / VERSION
    assert "not committed" not in said
    assert f"tools/set-version {VERSION}, and commit it: the commit says {__version__}" in said
    assert "by tag only" not in said
    first = contents(made)

    checksums(made)
    manifests(world, made)
    chart(made / f"hairpin-proxy-{VERSION}.tgz")
    bill_of_materials(made / f"hairpin-proxy-{VERSION}.cdx.json")

    # A change that is not committed is left out, what another run left is not mixed in, and the rest is the same again.
    deploy = repository.folder / "deploy.yml"
    deploy.write_text(deploy.read_text().replace("hairpin-proxy", "other"))
    (made / "left.txt").write_text("of another run")
    said = repository.release(dist, *pinned)
    assert "note: what is not committed is left out" in said
    assert contents(made) == first


def checksums(made: Path) -> None:
    listed = {line.split("  ")[1] for line in (made / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in made.iterdir()} - {"SHA256SUMS"}
    subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=made, check=True, capture_output=True)


def manifests(world: World, made: Path) -> None:
    assert {path.name for path in made.glob("*.yml")} == {path.name for path in ROOT.glob("deploy*.yml")}
    for path in sorted(made.glob("*.yml")):
        world.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
    controller, haproxy = PINNED["hairpin-proxy-controller"], PINNED["hairpin-proxy-haproxy"]
    assert sorted(images((made / "deploy.yml").read_text())) == [controller, haproxy]
    assert list(images((made / "deploy-etchosts-daemonset.yml").read_text())) == [controller]
    assert (made / "images.txt").read_text().splitlines() == [controller, haproxy]
    # Nothing else differs from what is in the repository.
    text = (made / "deploy.yml").read_text()
    for name, image in PINNED.items():
        text = text.replace(image, f"{name}:{__version__}")
    assert text == (ROOT / "deploy.yml").read_text()


def chart(packaged: Path) -> None:
    helm = locate("helm")
    said = subprocess.run([helm, "show", "chart", packaged], text=True, capture_output=True, check=True).stdout
    shown = yaml.safe_load(said)
    assert (shown["version"], shown["appVersion"]) == (VERSION, VERSION)
    rendered = subprocess.run([helm, "template", "hairpin-proxy", packaged], text=True, capture_output=True, check=True)
    assert set(images(rendered.stdout)) == set(PINNED.values())


def bill_of_materials(path: Path) -> None:
    # Only `make release` installs the library.
    importlib.invalidate_caches()
    schema = importlib.import_module("cyclonedx.schema").SchemaVersion.V1_6
    validator = importlib.import_module("cyclonedx.validation.json").JsonStrictValidator(schema)
    text = path.read_text()
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"type": "library"', '"type": "no type"')) is not None

    bom = json.loads(text)
    root = bom["metadata"]["component"]
    assert (root["name"], root["version"]) == ("hairpin-proxy", VERSION)
    libraries = {each["name"]: each for each in bom["components"] if each["type"] == "library"}
    assert {name: pin_of(each) for name, each in libraries.items()} == pins()
    assert [name for name, each in libraries.items() if not each.get("licenses")] == []
    purls = {each["name"]: each["purl"] for each in bom["components"] if each["type"] == "container"}
    assert purls["python"] == f"pkg:docker/mirror/python@sha256:{'c' * 64}?repository_url=registry.example.com:5000"
    assert purls["haproxy"].startswith("pkg:docker/haproxy@3.")
    bases = set(purls)
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in bom["dependencies"]}
    project = {name.partition("==")[0] for name in lines_of("requirements/image.in")}
    direct = {ref.partition("@")[0].rpartition("/")[2] for ref in needs[root["bom-ref"]]}
    assert direct == project | bases


def pin_of(component: dict[str, Any]) -> tuple[str, set[str]]:
    found = {each["content"] for ref in component["externalReferences"] for each in ref["hashes"]}
    return component["version"], found


def pins() -> dict[str, tuple[str, set[str]]]:
    """Every line of the requirements: the version, and the hashes."""
    text = "\n".join(lines_of("requirements/image.txt"))
    found = re.findall(r"^([\w.-]+)==(\S+)((?: \\\n\s+--hash=sha256:\w+)+)$", text, re.MULTILINE)
    assert len(found) == text.count("==")
    return {name: (version, set(re.findall(r"sha256:(\w+)", hashes))) for name, version, hashes in found}


def lines_of(path: str) -> list[str]:
    return [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((), "which version?"),
        (("VERSION=v1.2.3",), "'v1.2.3' is no version"),
        (("VERSION=1.2.3+5",), "'1.2.3+5' is no version"),
    ],
)
def test_it_has_to_be_a_version(repository: Repository, args: tuple[str, ...], reason: str) -> None:
    done = repository.make("release", *args)
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (repository.folder / "dist").exists()


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_built(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = repository.make("release", f"VERSION={VERSION}", f"DIST={tmp_path}/file", "BUILDER=false", "PUSH=1")
    assert done.returncode == 2
    assert f"error: nothing can be written to {tmp_path}/file: File exists" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_registry_is_checked_before_anything_is_built(repository: Repository) -> None:
    done = repository.make("release", f"VERSION={VERSION}", "IMAGE_REGISTRY=https://a/b", "BUILDER=false", "PUSH=1")
    assert done.returncode == 2
    assert "error: IMAGE_REGISTRY is 'https://a/b', and no image can be called so" in done.stderr
    assert list((repository.folder / "dist").iterdir()) == []


def test_images_are_pushed_somewhere(repository: Repository) -> None:
    done = repository.make("images", "PUSH=1", "BUILDER=true")
    assert done.returncode == 2
    assert "PUSH=1 needs IMAGE_REGISTRY" in done.stderr


def test_the_page_says_how_kustomize_takes_images_of_ones_own(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    kustomization = yaml.safe_load(block) | {"resources": ["deploy.yml"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    shutil.copy(ROOT / "deploy.yml", tmp_path)
    argv = [locate("kubectl"), "kustomize", str(tmp_path)]
    built = subprocess.run(argv, text=True, capture_output=True, check=True).stdout
    assert set(images(built)) == {f"{REGISTRY}/{name}:{__version__}" for name in PINNED}


def test_the_page_has_every_variable() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+):[-+]", (ROOT / "tools" / "build-images").read_text()))
    named = set(re.findall(r"`([A-Z_]+)(?:=1)?`", PAGE.read_text().partition("## A release")[0]))
    assert used == named
