"""`make cluster` and `make cluster-down`: a node in the background, for whoever wants to use it by hand."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.cluster.cluster import ClusterError
from tests.cluster.install import InstallError, cache_folder
from tests.cluster.node.app import HOST, start_app
from tests.cluster.node.dns import KUBEADM
from tests.cluster.node.node import Node
from tests.cluster.node.runs import prune
from tests.cluster.processes import ProcessError, wait_until

APP = "my-app"
# Building the binaries is not part of a start, making the images is.
UP_SECONDS = 1800
DOWN_SECONDS = 60
KILL_SECONDS = 20


def _show(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Notes:
    """A file that the process with the node keeps locked: its process id, and once it is ready, how to use the node."""

    file: IO[str]

    @staticmethod
    def open() -> Notes:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return Notes((cache_folder() / "cluster.json").open("a+"))

    def lock(self) -> bool:
        """Whether no other process has it."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def write(self, about: str) -> None:
        self.file.truncate(0)
        self.file.write(json.dumps({"pid": os.getpid(), "about": about}))
        self.file.flush()

    def clear(self) -> None:
        self.file.truncate(0)

    def read(self) -> tuple[int, str]:
        self.file.seek(0)
        found = json.loads(self.file.read() or '{"pid": 0, "about": ""}')
        return found["pid"], found["about"]


def up(like: str) -> int:
    """Starts a process that has the node, and returns when that is ready."""
    notes = Notes.open()
    if not notes.lock():
        return _up_already(notes)
    notes.clear()
    notes.unlock()
    argv = [sys.executable, "-m", "tests.cluster.node", "hold", "--like", like]
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        for line in child.stdout or ():
            _show(line.rstrip("\n"))
    except BaseException:
        child.terminate()
        child.wait()
        raise
    # It closes its output when it is ready, or ends without having said so.
    about = notes.read()[1]
    return 0 if about else child.wait() or 1


def _up_already(notes: Notes) -> int:
    """Returns when the node that another call starts, or has started, is ready."""
    _show("a node runs already, or is about to; make cluster-down takes it away")
    wait_until(lambda: notes.read()[1] != "" or notes.lock(), UP_SECONDS)
    about = notes.read()[1]
    _show(about or "it has not become ready")
    return 0 if about else 1


def hold(like: str) -> int:
    """Has the node until it is told to end."""
    notes = Notes.open()
    if not notes.lock():
        _show("another node has just been started")
        return 1
    notes.write("")
    try:
        with Node(_show, like=like) as node:
            node.start_ingress_controller()
            start_app(node, APP, HOST)
            about = _about(node)
            _show(about)
            notes.write(about)
            _close_output()
            while True:
                signal.pause()
    finally:
        notes.clear()


def _about(node: Node) -> str:
    inside = "nsenter --target {} --net --mount"
    curl = f"curl http://{HOST}/"
    lines = [
        f"Kubernetes with one node, ready in {node.startup_seconds:.0f} s; make cluster-down takes it away again",
        f"load balancer       {node.load_balancer}, where every name under example.com leads to",
        f"on it               an app with an Ingress for {HOST}; hairpin-proxy is not installed yet",
        f"outside of it       {inside.format(node.cloud_pid)} {curl}",
        f"on the node         {inside.format(node.pid)} {curl}",
        f"logs                {node.folder}",
        f"export PATH={Path(node.kubectl_path).parent}:{Path(sys.executable).parent}:$PATH",
        f"export KUBECONFIG={node.kubeconfig}",
    ]
    return "\n".join(lines)


def _close_output() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())


def down() -> int:
    """Ends the process that has the node, waits for it, and removes what killed ones have left."""
    notes = Notes.open()
    if not notes.lock():
        # It takes the lock before it writes who it is.
        wait_until(lambda: notes.read()[0] != 0, KILL_SECONDS)
        pid, _ = notes.read()
        _show("taking the node away")
        os.kill(pid, signal.SIGTERM)
        if not wait_until(notes.lock, DOWN_SECONDS):
            os.kill(pid, signal.SIGKILL)
            if not wait_until(notes.lock, KILL_SECONDS):
                raise ClusterError(f"process {pid} does not end")
    else:
        _show("no node runs in the background")
    notes.clear()
    for name in prune():
        _show(f"removed what a killed run left: {name}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.node", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "hold"])
    parser.add_argument("--like", default=KUBEADM, metavar="NAME", help="whose CoreDNS it has, of tests/distributions")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    if os.geteuid() != 0:
        print("error: a whole node needs root: run this as root, for example with sudo", file=sys.stderr)
        return 1
    try:
        if arguments.command == "down":
            return down()
        return {"up": up, "hold": hold}[arguments.command](arguments.like)
    except KeyboardInterrupt:
        return 130
    except (ClusterError, InstallError, ProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
