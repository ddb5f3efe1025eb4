"""What one run keeps outside of its namespaces, its folder and its cgroups, and what killed runs left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.processes import wait_until

PREFIX = "hairpin-proxy-node-"
# The kernel needs a moment to empty the cgroups of a run that was just killed.
REMOVE_SECONDS = 10.0


@contextlib.contextmanager
def open_run() -> Iterator[Path]:
    """A folder with this run's name, and cgroups with the same name; both are gone afterwards."""
    with _one_at_a_time():
        _prune()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        held = _lock(folder)
    try:
        for hierarchy in _cgroup_hierarchies():
            (hierarchy / folder.name).mkdir()
        yield folder
    finally:
        _remove(folder)
        if held is not None:
            os.close(held)


def cgroup_of(folder: Path) -> str:
    return f"/{folder.name}"


def prune() -> list[str]:
    """Removes what runs left whose process was killed; returns their names."""
    with _one_at_a_time():
        return _prune()


def _prune() -> list[str]:
    removed = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        held = _lock(folder)
        if held is not None:
            _remove(folder)
            os.close(held)
            removed.append(folder.name)
    return removed


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keeps a new run's folder from being taken for a killed one's before it is locked."""
    common = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(common, fcntl.LOCK_EX)
        yield
    finally:
        os.close(common)


def _lock(folder: Path) -> int | None:
    """Takes the folder's lock, which goes with the process; nothing when another process has it, or removes it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return descriptor
    os.close(descriptor)
    return None


def _remove(folder: Path) -> None:
    wait_until(lambda: _remove_cgroups(folder.name), REMOVE_SECONDS)
    shutil.rmtree(folder)


def _remove_cgroups(name: str) -> bool:
    """Removes the cgroups of this name with all below them; an error while processes are in one."""
    for hierarchy in _cgroup_hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            os.rmdir(folder)
    return True


def _cgroup_hierarchies() -> list[Path]:
    """Where the cgroup filesystems are: one with cgroup v2, one for each controller with v1."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]
