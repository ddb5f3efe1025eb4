"""What a node leaves on the machine: nothing, and when it was killed only files, until the next one starts.

Each node here lives in a program of its own; other nodes may live at the same time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cluster.install import find_command
from tests.cluster.processes import wait_until
from tests.e2e.product import ROOT

PROGRAM = """\
from contextlib import suppress
from tests.cluster.node.node import Node

def progress(line):
    print(node.folder, line, flush=True)

node = Node(progress)
with suppress(KeyboardInterrupt), node:
    progress("everything")
    input()
"""
# The first one may have to build the images.
START_SECONDS = 900
END_SECONDS = 300
GONE_SECONDS = 60
# These belong to the whole machine; a node of its own would have set them.
SETTINGS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys"),
    *("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_max"),
)


@dataclass(frozen=True)
class Seen:
    """A process; its start, in ticks since the machine's, tells it from a later one with the same id."""

    pid: int
    started: int
    command: str = field(compare=False)
    parent: int = field(compare=False)
    namespaces: frozenset[str] = field(compare=False)
    about: str = field(compare=False)


def everything_that_runs() -> list[Seen]:
    return [seen for folder in Path("/proc").glob("[0-9]*") if (seen := look_at(folder))]


def look_at(folder: Path) -> Seen | None:
    """Nothing when it has ended, even if its parent does not know yet."""
    try:
        status = (folder / "stat").read_text().rpartition(")")[2].split()
        namespaces = namespaces_of(folder)
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        environment = (folder / "environ").read_bytes().decode(errors="replace")
        about = f"{command}\n{environment}\n{os.readlink(folder / 'cwd')}\n{(folder / 'cgroup').read_text()}"
    except OSError:
        return None
    return Seen(int(folder.name), int(status[19]), command, int(status[1]), namespaces, about)


def namespaces_of(folder: Path) -> frozenset[str]:
    return frozenset(os.readlink(path) for path in (folder / "ns").iterdir())


@dataclass(frozen=True)
class Machine:
    """What everybody on the machine shares, as lines of text."""

    lines: frozenset[str]

    @staticmethod
    def now() -> Machine:
        links = [f"interface {path.name}" for path in Path("/sys/class/net").iterdir()]
        mounts = [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        named = [f"named namespace {path}" for path in Path("/run/netns").glob("*")]
        folders = [str(path) for parent in ("/etc", "/run", "/var/lib") for path in Path(parent).iterdir()]
        return Machine(frozenset([*links, *mounts, *named, *folders, *settings(), *rules()]))


def settings() -> Iterator[str]:
    for path in (Path("/proc/sys") / name for name in SETTINGS):
        if path.exists():
            yield f"{path} is {path.read_text()}"
    yield f"/etc/hosts is {Path('/etc/hosts').read_text()}"


def rules() -> Iterator[str]:
    for name in ("iptables-save", "ip6tables-save"):
        if command := find_command(name):
            shown = subprocess.run([command], capture_output=True, text=True, check=True).stdout
            # Comments have the time in them, and the chains' lines a number of packets.
            yield from (f"{name}: {line.partition(' [')[0]}" for line in shown.splitlines() if line[:1] != "#")


@dataclass(frozen=True)
class Run:
    """A program with a node, and what the program says."""

    program: subprocess.Popen[str]
    log: Path
    before: Machine

    @staticmethod
    def start(log: Path) -> Run:
        before = Machine.now()
        argv = [sys.executable, "-c", PROGRAM]
        with log.open("w") as output:
            program = subprocess.Popen(
                argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
            )
        return Run(program, log, before)

    @property
    def folder(self) -> Path:
        return Path(self.log.read_text().partition(" ")[0])

    def wait_until_it_says(self, what: str) -> None:
        self._wait(lambda: what in self.log.read_text())

    def wait_until_it_runs(self, command: str) -> None:
        self._wait(lambda: any(command in each for each in self._children()))

    def _wait(self, shows: Callable[[], bool]) -> None:
        assert wait_until(lambda: self._has_ended() or shows(), START_SECONDS), self.log.read_text()
        assert not self._has_ended(), self.log.read_text()

    def _has_ended(self) -> bool:
        return self.program.poll() is not None

    def _children(self) -> list[str]:
        pids = Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children").read_text().split()
        return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids]

    def end(self, how: signal.Signals | None) -> Remains:
        """By a signal, or else as it does by itself."""
        ours = family(everything_that_runs(), self.program.pid)
        namespaces = {namespace for seen in ours for namespace in seen.namespaces} - namespaces_of(Path("/proc/self"))
        assert len(namespaces) > 2, "the node has no namespaces of its own"
        told = ticks()
        if how:
            self.program.send_signal(how)
        self.program.communicate("\n", timeout=END_SECONDS)
        return Remains(self, frozenset(ours), frozenset(namespaces), told)


def family(everything: list[Seen], pid: int) -> set[Seen]:
    """A process and all that it has started, and those have, and so on."""
    members = {seen for seen in everything if seen.pid == pid}
    while more := {seen for seen in everything if seen.parent in {member.pid for member in members}} - members:
        members |= more
    return members


def ticks() -> int:
    """Now, as the starts of processes are told."""
    return int(float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK"))


@dataclass(frozen=True)
class Remains:
    """What was a run's, and what is left of that."""

    run: Run
    processes: frozenset[Seen]
    namespaces: frozenset[str]
    told: int
    """When it was told to end; what it starts after that is known by the name of its folder."""

    def assert_only_files(self) -> None:
        """The kernel takes away all else within moments."""
        left: list[str] = []

        def nothing() -> bool:
            left[:] = self._in_use()
            return not left

        assert wait_until(nothing, GONE_SECONDS), left

    def assert_no_files(self) -> None:
        name = self.run.folder.name
        cgroups = [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
        assert cgroups == []
        assert not self.run.folder.exists()

    def assert_nothing(self) -> None:
        self.assert_only_files()
        self.assert_no_files()

    def _in_use(self) -> list[str]:
        left = [f"process {seen.pid}: {seen.command}" for seen in everything_that_runs() if self._is_ours(seen)]
        return left + sorted(Machine.now().lines - self.run.before.lines)

    def _is_ours(self, seen: Seen) -> bool:
        # The kernel gives the numbers of namespaces that are gone to new ones.
        inside = seen.started <= self.told and not seen.namespaces.isdisjoint(self.namespaces)
        return inside or seen in self.processes or self.run.folder.name in seen.about


Starter = Callable[[], Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a run; ends what a test that fails leaves of it."""
    started: list[Run] = []

    def begin() -> Run:
        started.append(Run.start(tmp_path / f"run-{len(started)}.log"))
        return started[-1]

    yield begin
    for run in started:
        run.program.kill()
        run.program.communicate()


def kubernetes_starts(run: Run) -> None:
    run.wait_until_it_says("etcd and kube-apiserver")


def half_way(run: Run) -> None:
    # The namespaces are full of processes, and this one is outside of them.
    run.wait_until_it_runs("kubectl -n kube-system rollout status")
    # Before it is connected it would end by itself.
    time.sleep(1.5)


def ready(run: Run) -> None:
    run.wait_until_it_says("everything")


@pytest.mark.parametrize(
    ("killed_at", "how_the_next_ends"), [(half_way, signal.SIGTERM), (ready, signal.SIGINT)], ids=["half way", "ready"]
)
def test_a_killed_run_leaves_only_files_and_the_next_run_removes_them(
    start: Starter, killed_at: Callable[[Run], None], how_the_next_ends: signal.Signals
) -> None:
    killed = start()
    killed_at(killed)
    remains = killed.end(signal.SIGKILL)
    remains.assert_only_files()

    following = start()
    kubernetes_starts(following)
    remains.assert_no_files()
    following.end(how_the_next_ends).assert_nothing()


def test_a_run_that_ends_by_itself_leaves_nothing(start: Starter) -> None:
    run = start()
    ready(run)
    run.end(None).assert_nothing()
    assert run.program.returncode == 0, run.log.read_text()
