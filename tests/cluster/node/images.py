"""The node's container images: ours from our Dockerfiles, on a base made by debootstrap, all kept in the cache."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hairpin_proxy import __version__
from tests.cluster.install import PROXY_VARIABLES, cache_folder, locate, locked
from tests.cluster.node.earlier import Earlier
from tests.cluster.node.namespaces import isolated, overlay_works
from tests.cluster.processes import Process, ProcessError, Processes, wait_until

ROOT = Path(__file__).parents[3]
MAKE_BASE = Path(__file__).parent / "make-base"


def full_name(image: str) -> str:
    """What containerd knows an image by that a manifest names without a registry."""
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"


PAUSE_IMAGE = full_name("hairpin-proxy-pause:1")
COREDNS_IMAGE = full_name("hairpin-proxy-coredns:1.14.7")
E2E_IMAGE = full_name("hairpin-proxy-e2e:1")
# What the README tells a user to run; a node of ours has no registry to get it from.
CURL_IMAGE = full_name("curlimages/curl:8.11.1")
BASE_PACKAGES = (
    "bind9-dnsutils",
    "ca-certificates",
    "curl",
    "docker-registry",
    "haproxy",
    "nginx-light",
    "openssl",
    "python3",
    "python3-pip",
    "python3-venv",
)
CERTIFICATES = (Path("/usr/local/share/ca-certificates"), Path("/etc/ssl/certs/ca-certificates.crt"))
CONTROLLER_INPUTS = (
    *("Dockerfile.controller", "requirements/image.txt", "requirements/build.txt"),
    *("pyproject.toml", "README.md", "LICENSE", "controller"),
)
HAPROXY_INPUTS = ("Dockerfile.haproxy", "haproxy")
E2E_INPUTS = ("requirements/e2e.txt", "tests/e2e/pods")
E2E_DOCKERFILE = ROOT / "tests/e2e/Dockerfile"
BUILD_SECONDS = 1800.0
UNUSED_SECONDS = 900.0
DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Image:
    """An image in an archive of the cache, with all the names that the node knows it by."""

    archive: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """What an image is called, what decides over its content, and how buildah comes to have it."""

    names: tuple[str, ...]
    inputs: tuple[str, ...]
    build: Callable[[Buildah], str]
    of_one_version: bool = False
    """Whether it stays in the cache beside what the same image is in other versions."""

    @property
    def _stem(self) -> str:
        name, _, tag = self.names[0].rpartition("/")[2].partition(":")
        return f"{name}-{tag}" if self.of_one_version else name

    def image(self) -> Image:
        return Image(images_folder() / f"{self._stem}-{_digest((*self.names, *self.inputs))}.tar", self.names)

    def make(self, buildah: Buildah) -> None:
        target = self.image().archive
        local = self.build(buildah)
        fresh = target.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        buildah.run("push", "--quiet", local, f"docker-archive:{fresh}:{self.names[0]}")
        fresh.replace(target)
        self._forget_old_ones(target)

    def _forget_old_ones(self, target: Path) -> None:
        for path in target.parent.glob(f"{self._stem}-{'?' * DIGEST_LENGTH}.tar"):
            # Another run may be about to load what it has just asked for.
            if path != target and path.stat().st_mtime < time.time() - UNUSED_SECONDS:
                path.unlink(missing_ok=True)


def all_images(processes: Processes, folder: Path, report: Callable[[str], None]) -> list[Image]:
    """Builds the images that are not in the cache yet; the folder is for what a build needs on the way."""
    return _provided(_recipes(), processes, folder, report)


def earlier_images(earlier: Earlier, processes: Processes, folder: Path, report: Callable[[str], None]) -> list[Image]:
    """The same with the two images of an earlier version."""
    recipes = [
        _earlier_recipe(earlier, "controller", "PYTHON_IMAGE"),
        _earlier_recipe(earlier, "haproxy", "HAPROXY_IMAGE"),
    ]
    return _provided(recipes, processes, folder, report)


def _provided(
    recipes: Sequence[Recipe], processes: Processes, folder: Path, report: Callable[[str], None]
) -> list[Image]:
    if any(not recipe.image().archive.exists() for recipe in recipes):
        images_folder().mkdir(parents=True, exist_ok=True)
        with locked("images"):
            todo = [recipe for recipe in recipes if not recipe.image().archive.exists()]
            buildah = Buildah(processes, folder, report)
            for recipe in todo:
                report(f"building {recipe.names[0]}")
                recipe.make(buildah)
    images = [recipe.image() for recipe in recipes]
    for image in images:
        image.archive.touch()
    return images


def images_folder() -> Path:
    return cache_folder() / "images"


def _recipes() -> list[Recipe]:
    base = _base_inputs()
    coredns, pause = Path(locate("coredns")), Path(locate("pause"))
    return [
        Recipe((PAUSE_IMAGE,), (str(pause),), lambda buildah: buildah.alone(pause)),
        Recipe((COREDNS_IMAGE,), (str(coredns),), lambda buildah: buildah.alone(coredns)),
        _product_recipe("controller", (*base, *_contents(CONTROLLER_INPUTS))),
        _product_recipe("haproxy", (*base, *_contents(HAPROXY_INPUTS))),
        _e2e_recipe(base),
    ]


def _product_recipe(name: str, inputs: tuple[str, ...]) -> Recipe:
    image = f"hairpin-proxy-{name}:{__version__}"
    return Recipe((full_name(image),), inputs, lambda buildah: buildah.product(image))


def _earlier_recipe(earlier: Earlier, name: str, base: str) -> Recipe:
    """The commit decides over all that is not the base."""
    names = (full_name(f"hairpin-proxy-{name}:{earlier.version}"),)
    inputs = (*_base_inputs(), earlier.commit)
    return Recipe(names, inputs, lambda buildah: buildah.earlier(earlier, name, base), of_one_version=True)


def _e2e_recipe(base: tuple[str, ...]) -> Recipe:
    names = (E2E_IMAGE, CURL_IMAGE)
    if not E2E_DOCKERFILE.exists():
        return Recipe(names, base, lambda buildah: buildah.base)
    inputs = (*base, E2E_DOCKERFILE.read_text(), *_contents(E2E_INPUTS))
    return Recipe(names, inputs, lambda buildah: buildah.e2e())


def _base_inputs() -> tuple[str, ...]:
    certificates = _contents(map(str, CERTIFICATES))
    return (_release(), platform.machine(), MAKE_BASE.read_text(), *BASE_PACKAGES, *certificates)


def _release() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def _contents(paths: Iterable[str]) -> Iterator[str]:
    """The name and a digest of every file under these paths, as an image gets them."""
    for path in paths:
        whole = ROOT / path
        files = sorted(whole.rglob("*")) if whole.is_dir() else [whole]
        for file in files:
            if file.is_file() and file.suffix != ".pyc" and ".egg-info" not in str(file.parent):
                yield f"{file}{hashlib.sha256(file.read_bytes()).hexdigest()}"


def _digest(inputs: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:DIGEST_LENGTH]


class Buildah:
    """buildah with a store in our cache, in namespaces that take its mounts and processes away with us."""

    def __init__(self, processes: Processes, folder: Path, report: Callable[[str], None]) -> None:
        self._processes = processes
        self._folder = folder
        self._report = report
        self._product_is_built = False
        self._environment = self._configure()
        # A build that was killed leaves its containers in the store.
        self.run("rm", "--all")

    def _configure(self) -> dict[str, str]:
        store = images_folder() / "store"
        store.mkdir(exist_ok=True)
        overlay = overlay_works(store)
        driver = "overlay" if overlay else "vfs"
        conf = self._folder / "storage.conf"
        # What is mounted is noted below runroot, and nothing is mounted any more in the next run.
        runroot = self._folder / "buildah"
        conf.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{store / driver}"\nrunroot = "{runroot}"\n')
        # A layer of vfs is a whole copy of the image.
        ours = {"CONTAINERS_STORAGE_CONF": str(conf), "BUILDAH_ISOLATION": "chroot", "BUILDAH_LAYERS": str(overlay)}
        return ours | {name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ}

    def run(self, *args: str) -> None:
        self._run([locate("buildah"), *args])

    def _run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        process = self._finished(argv, env or {})
        if process.exit_code != 0:
            raise ProcessError(f"{' '.join(argv)} failed:\n{process.tail()}")

    def _finished(self, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        environment = self._environment | dict(env)
        command = isolated(self._folder / "images", argv)
        process = self._processes.start("images", command, env=environment, stop_signal=signal.SIGKILL)
        wait_until(lambda: not process.running, BUILD_SECONDS)
        process.stop()
        return process

    def _build(self, name: str, dockerfile: Path, *args: str) -> str:
        local = f"localhost/hairpin-proxy-{name}"
        self.run("build", "--pull-never", "--tag", local, "--file", str(dockerfile), *args)
        return local

    def alone(self, binary: Path) -> str:
        """An image with nothing but this static binary in it."""
        dockerfile = self._folder / f"Dockerfile.{binary.name}"
        dockerfile.write_text(f'FROM scratch\nCOPY {binary.name} /\nENTRYPOINT ["/{binary.name}"]\n')
        return self._build(binary.name, dockerfile, str(binary.parent))

    @functools.cached_property
    def base(self) -> str:
        """The base of all others; built when the store has none that is made of the same."""
        name = f"base:{_digest(_base_inputs())}"
        image = f"localhost/hairpin-proxy-{name}"
        known = self._finished([locate("buildah"), "inspect", "--type", "image", image], {})
        if known.exit_code != 0:
            self._report(f"making a small Debian {_release()} as the base of all images; takes a minute or two")
            root = self._folder / "base" / "root.tar"
            root.parent.mkdir()
            self._run([str(MAKE_BASE), _release(), ",".join(BASE_PACKAGES), str(root)])
            dockerfile = self._folder / "Dockerfile.base"
            dockerfile.write_text("FROM scratch\nADD root.tar /\n")
            self._build(name, dockerfile, str(root.parent))
        return image

    def product(self, name: str) -> str:
        """One of the images that `make images` builds, which builds them all."""
        if not self._product_is_built:
            env = {"BUILDER": "buildah", "BUILD_FLAGS": "--pull-never"}
            env |= {"PYTHON_IMAGE": self.base, "HAPROXY_IMAGE": self.base}
            self._run([str(ROOT / "tools" / "build-images")], env)
            self._product_is_built = True
        return f"localhost/{name}"

    def earlier(self, earlier: Earlier, name: str, base: str) -> str:
        """An image of an earlier version, by its own Dockerfile; `base` is what that calls the base."""
        sources = earlier.sources(self._folder)
        options = ["--build-arg", f"{base}={self.base}", str(sources)]
        return self._build(f"{name}:{earlier.version}", sources / f"Dockerfile.{name}", *options)

    def e2e(self) -> str:
        options = ["--ignorefile", f"{E2E_DOCKERFILE}.dockerignore", "--build-arg", f"BASE_IMAGE={self.base}"]
        return self._build("e2e", E2E_DOCKERFILE, *options, str(ROOT))
