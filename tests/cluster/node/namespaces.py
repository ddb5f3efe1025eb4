"""Namespaces held open by one process: when it ends, the kernel takes away all that runs or is mounted in them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.install import locate
from tests.cluster.processes import Process, ProcessError, Processes, clean_environment

HOLD = "pause"
ISOLATE = Path(__file__).parent / "isolate"
END_SECONDS = 20


@dataclass(frozen=True)
class Namespaces:
    """A PID, a network and a mount namespace, none of which has a name that could be left behind."""

    pid: int
    holder: Process

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command that runs this one inside; it is killed when the process that entered ends."""
        if not self.holder.running:
            raise ProcessError(f"the namespaces are gone: {self.holder.name} has ended")
        inside = [locate("nsenter"), f"--target={self.pid}", "--pid", "--net", "--mount"]
        return [*inside, *dying_with_us(argv)]

    def configure_network(self, batch: str) -> None:
        """Runs commands of ip in the network namespace; process ids in them are those of the machine."""
        argv = [locate("nsenter"), f"--net=/proc/{self.pid}/ns/net", locate("ip"), "-batch", "-"]
        done = subprocess.run(
            argv, input=batch, env=clean_environment(Path("/")), text=True, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise ProcessError(f"ip refuses: {done.stderr}\n{batch}")


@contextlib.contextmanager
def open_namespaces(processes: Processes, name: str, folder: Path, setup: Sequence[str]) -> Iterator[Namespaces]:
    """Opens namespaces and has a command set them up; that must end with `exec "$HOLD"`, which holds them open."""
    argv = isolated(folder, setup, "--net")
    # unshare itself ignores SIGTERM.
    holder = processes.start(name, argv, env={"HOLD": locate(HOLD)}, stop_signal=signal.SIGKILL)
    holder.wait_ready(lambda: _name_of(_only_child(holder.pid)) == HOLD)
    pid = _only_child(holder.pid)
    descriptor = os.pidfd_open(pid)
    try:
        yield Namespaces(pid, holder)
    finally:
        holder.stop()
        # The first process of a PID namespace has ended only when all others in it have.
        select.select([descriptor], [], [], END_SECONDS)
        os.close(descriptor)


def isolated(folder: Path, argv: Sequence[str], *more: str) -> list[str]:
    """The command that runs this one in new PID and mount namespaces, that end with it; what it writes outside of
    the user's own files stays in the folder."""
    options = ["--pid", "--mount", "--fork", "--kill-child=SIGKILL", "--mount-proc", *more]
    return [locate("unshare"), *options, str(ISOLATE), str(folder), *argv]


def dying_with_us(argv: Sequence[str]) -> list[str]:
    """The command that runs this one, and is killed when whoever started it ends."""
    return [locate("setpriv"), "--pdeathsig", "KILL", *argv]


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip() if pid else ""


def overlay_works(folder: Path) -> bool:
    """Whether the kernel lays a filesystem over another in this folder, which it refuses on some containers' disks."""
    script = 'mkdir -p "$1/lower" "$1/upper" "$1/work" "$1/all"\n'
    script += 'mount -n -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/all"\n'
    probe = folder / f"overlay-{os.getpid()}"
    argv = [locate("unshare"), "--mount", "sh", "-euc", script, "sh", str(probe)]
    done = subprocess.run(argv, env=clean_environment(Path("/")), capture_output=True, check=False)
    subprocess.run(["rm", "-rf", str(probe)], env=clean_environment(Path("/")), check=True)
    return done.returncode == 0
