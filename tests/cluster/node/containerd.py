"""containerd, and its folder filled with images: loading them takes long, so that is done once and then copied."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate, locked
from tests.cluster.node.images import PAUSE_IMAGE, UNUSED_SECONDS, Image, images_folder
from tests.cluster.node.namespaces import Namespaces, open_namespaces, overlay_works
from tests.cluster.processes import ProcessError, Processes, clean_environment

SOCKET = "/run/containerd/containerd.sock"

CONFIG = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""


def choose_snapshotter(folder: Path) -> str:
    """How containerd keeps the images' layers, here and in the cache."""
    return "overlayfs" if overlay_works(folder) and overlay_works(images_folder()) else "native"


@dataclass(frozen=True)
class Containerd:
    """containerd in namespaces, which have a /run and a /var/lib of their own; the folder is for its configuration."""

    folder: Path
    processes: Processes
    inside: Namespaces
    snapshotter: str

    @property
    def cni(self) -> Path:
        """Where it looks for what connects pods to the network."""
        return self.folder / "cni"

    def start(self) -> None:
        """Returns when it answers."""
        config = self.folder / "containerd.toml"
        config.write_text(CONFIG.format(socket=SOCKET, pause=PAUSE_IMAGE, cni=self.cni, snapshotter=self.snapshotter))
        argv = self.inside.enter([locate("containerd"), "--config", str(config)])
        self.processes.start("containerd", argv).wait_ready(lambda: self._ctr("version").returncode == 0)

    def load(self, image: Image) -> None:
        """Loads an image, under all its names."""
        first, *others = image.names
        self._checked("images", "import", "--snapshotter", self.snapshotter, str(image.archive))
        for name in others:
            self._checked("images", "tag", first, name)

    def _checked(self, *args: str) -> None:
        done = self._ctr(*args)
        if done.returncode != 0:
            raise ProcessError(f"ctr {' '.join(args)}: {done.stderr}")

    def _ctr(self, *args: str) -> subprocess.CompletedProcess[str]:
        argv = self.inside.enter([locate("ctr"), "--namespace", "k8s.io", *args])
        environment = clean_environment(self.folder)
        return subprocess.run(argv, env=environment, text=True, capture_output=True, check=False)


@dataclass(frozen=True)
class ImageStore:
    """A folder of containerd's with images in it, kept in the cache."""

    processes: Processes
    snapshotter: str
    images: Sequence[Image]

    @property
    def _path(self) -> Path:
        names = [str((image.archive.name, image.names)) for image in self.images]
        key = hashlib.sha256("\0".join([self.snapshotter, *names]).encode()).hexdigest()[:16]
        return images_folder() / f"loaded-{key}"

    def copy_to(self, target: Path, report: Callable[[str], None]) -> None:
        """Gives containerd such a folder, as one that it may change."""
        if not self._path.exists():
            with locked("images"):
                if not self._path.exists():
                    report("loading the images, once")
                    self._fill()
        os.utime(self._path)
        _copy(self._path, target)

    def _fill(self) -> None:
        _forget_unused()
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=images_folder()) as scratch:
            folder = Path(scratch)
            with open_namespaces(self.processes, "image-store", folder, ["sh", "-c", 'exec "$HOLD"']) as inside:
                containerd = Containerd(folder, self.processes, inside, self.snapshotter)
                containerd.start()
                for image in self.images:
                    containerd.load(image)
            (folder / "lib" / "containerd").replace(self._path)


def _forget_unused() -> None:
    """Removes what killed runs left half done, and what no run has asked for lately."""
    for path in images_folder().glob("scratch-*"):
        shutil.rmtree(path)
    for path in images_folder().glob("loaded-*"):
        if path.stat().st_mtime < time.time() - UNUSED_SECONDS:
            shutil.rmtree(path)


def _copy(source: Path, target: Path) -> None:
    # containerd never changes a layer once it has it, so links do; its databases are another matter.
    link = ["--link"] if source.stat().st_dev == target.parent.stat().st_dev else []
    argv = [locate("cp"), "--archive", *link, str(source), str(target)]
    subprocess.run(argv, env=clean_environment(target.parent), capture_output=True, check=True)
    for database in target.glob("*/*.db"):
        database.unlink()
        shutil.copy2(source / database.relative_to(target), database)
