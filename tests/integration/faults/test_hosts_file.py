"""A node's hosts file, or the disk that it is on, does what it should not."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy import hostsfile, journal
from tests.cluster.processes import Process, free_port, wait_until
from tests.hostsfiles import NODE, TAG
from tests.integration.conftest import World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy, fault_proxy, status
from tests.integration.faults.trial import COMES, GOES, KEPT, Seen, Trial, repeatedly

LONG = NODE + "".join(f"10.1.{n // 250}.{n % 250} host-{n}.example.net\n" for n in range(400))
"""More than a page, so that it is written by way of a journal."""


@dataclass
class OnNode(Trial):
    """A trial of the DaemonSet's controller."""

    path: Path = field(default_factory=Path)
    foreign: str = ""
    """What has to be in the file, beside our lines."""

    @property
    def text(self) -> str:
        return self.path.read_bytes().decode()

    def standing(self) -> set[str]:
        """Nothing while it is being written: who rewrites it then keeps the journal, as lines of its own."""
        text = self.text
        if journal.is_suspect(text):
            return set()
        return {line.split()[1] for line in text.splitlines() if line.endswith(TAG)}

    def check(self) -> None:
        super().check()
        assert not_ours(self.text) == self.foreign

    def edit(self, change: Callable[[str], str]) -> None:
        """Somebody else changes the file as editors do, and what is not ours in it.

        Not in the milliseconds while it is written: they would keep its journal, as lines of theirs.
        """
        while journal.is_suspect(before := self.text):
            time.sleep(0.001)
        text = change(before)
        self.foreign = not_ours(text)
        new = self.path.with_name("edited")
        new.write_bytes(text.encode())
        new.replace(self.path)

    def edit_in_place(self, before: str, behind: str) -> None:
        """The same for one that is mounted."""
        text = before + self.text + behind
        self.foreign = not_ours(text)
        self.path.write_bytes(text.encode())


def not_ours(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.rstrip("\r\n").endswith(TAG))


@dataclass(frozen=True)
class Ground:
    """What a controller on a node stands on."""

    world: World
    proxy: FaultProxy
    folder: Path
    seen: Seen

    def argv(self, path: Path | str, *flags: str) -> list[str]:
        argv = [sys.executable, "-m", "hairpin_proxy", "run", "--interval", "0.3"]
        return [*argv, "--kubeconfig", str(self.proxy.kubeconfig(self.folder)), "--etc-hosts", str(path), *flags]

    @contextmanager
    def started(self, text: str, start: Callable[[str], Process], path: Callable[[Process], Path]) -> Iterator[OnNode]:
        """A trial once the controller has written, whose file this test sees at that path."""
        self.world.apply(ingress("kept", KEPT), ingress("goes", GOES))
        port = free_port()
        begun = self.world.version()
        again = partial(start, f"127.0.0.1:{port}")
        trial = OnNode(self.world, self.proxy, again(), port, self.seen, again, begun, foreign=text)
        try:
            trial.path = path(trial.controller)
            assert wait_until(lambda: trial.standing() == {KEPT, GOES}, 40), trial.controller.tail()
            yield trial
        finally:
            trial.controller.stop()

    def trial(self, text: str) -> Any:
        """With a file of its own."""
        path = self.folder / "hosts"
        path.write_text(text)
        return self.started(
            text, lambda metrics: self.start(self.argv(path, "--metrics-address", metrics)), lambda _: path
        )

    def start(self, argv: list[str]) -> Process:
        return self.world.cluster.start(f"node-{time.monotonic_ns()}", argv)


@pytest.fixture
def ground(world: World, node: Path, tmp_path: Path, seen: Seen) -> Iterator[Ground]:
    with fault_proxy(node) as proxy:
        yield Ground(world, proxy, tmp_path, seen)


@pytest.fixture(params=[NODE, LONG], ids=["a small file", "a file of several pages"])
def trial(ground: Ground, request: pytest.FixtureRequest) -> Iterator[OnNode]:
    with ground.trial(request.param) as running:
        yield running


def names_it(trial: OnNode, said: str) -> None:
    eventually(lambda: bool(trial.named(said)), 20)


# ---- the disk


ON_A_DISK = """
disk=$1 hosts=$2
shift 2
mount -t tmpfs -o size=64k tmpfs "$disk" && cp "$hosts" "$disk/hosts" && exec "$@"
"""


@pytest.fixture
def on_a_disk(ground: Ground, own_mounts: list[str]) -> Iterator[OnNode]:
    """Whose disk is small, and mounted for it alone."""
    disk, hosts = ground.folder / "disk", ground.folder / "hosts"
    disk.mkdir()
    hosts.write_text(LONG)

    def start(metrics: str) -> Process:
        shell = [*own_mounts, "sh", "-c", ON_A_DISK, "sh", str(disk), str(hosts)]
        return ground.start([*shell, *ground.argv(disk / "hosts", "--metrics-address", metrics)])

    with ground.started(LONG, start, lambda process: Path(f"/proc/{process.pid}/root{disk}/hosts")) as running:
        yield running


@pytest.mark.parametrize("pages", [0, 1, 2, 3], ids=["no page", "one page", "two pages", "three pages"])
def test_the_disk_is_full_but_for(on_a_disk: OnNode, pages: int) -> None:
    before = on_a_disk.text
    filler = on_a_disk.path.with_name("filler")
    with filler.open("wb", buffering=0) as file:
        while wait_until(lambda: fits(file), 0):
            pass
        file.truncate(file.tell() - pages * 4096)
    on_a_disk.change()
    names_it(on_a_disk, "No space left on device.*make room on its file system")
    time.sleep(1)
    eventually(lambda: on_a_disk.text == before)  # but for the moment in which it tries again
    with on_a_disk.recovering("No space left on device"):
        filler.unlink()


def fits(file: Any) -> bool:
    try:
        return bool(file.write(b"#" * 4096) == 4096)
    except OSError:
        return False


def test_the_disk_is_mounted_read_only(on_a_disk: OnNode) -> None:
    before = on_a_disk.text
    remount(on_a_disk, "ro")
    on_a_disk.change()
    names_it(on_a_disk, "Read-only file system.*mount it writable")
    assert on_a_disk.text == before
    with on_a_disk.recovering("Read-only file system"):
        remount(on_a_disk, "rw")


def remount(trial: OnNode, how: str) -> None:
    disk = str(trial.path.parent).partition("/root")[2]
    argv = ["nsenter", "--mount", f"--target={trial.controller.pid}"]
    argv += [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    subprocess.run([*argv, "mount", "-o", f"remount,{how}", disk], check=True)


def test_the_file_is_immutable(trial: OnNode) -> None:
    if subprocess.run(["chattr", "+i", str(trial.path)], capture_output=True, check=False).returncode:
        pytest.skip("this file system or user makes no file immutable")
    try:
        trial.change()
        names_it(trial, "Operation not permitted.*chattr -i")
        assert trial.standing() == {KEPT, GOES}
    finally:
        subprocess.run(["chattr", "-i", str(trial.path)], check=True)
    with trial.recovering("Operation not permitted"):
        pass


# ---- a mount


BOUND = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


@contextmanager
def bound(ground: Ground, own_mounts: list[str], text: str) -> Iterator[OnNode]:
    """As kubelet mounts a hostPath of type File."""
    hosts, mounted = ground.folder / "hosts", ground.folder / "mounted"
    hosts.write_text(text)
    mounted.touch()

    def start(metrics: str) -> Process:
        shell = [*own_mounts, "sh", "-c", BOUND, "sh", str(hosts), str(mounted)]
        return ground.start([*shell, *ground.argv(mounted, "--metrics-address", metrics)])

    with ground.started(text, start, lambda _: hosts) as running:
        yield running


@pytest.mark.parametrize("text", [NODE, LONG], ids=["small", "of several pages"])
def test_a_bind_mount_of_the_file_that_is_edited(ground: Ground, own_mounts: list[str], text: str) -> None:
    with bound(ground, own_mounts, text) as trial:
        inode = trial.path.stat().st_ino
        trial.edit_in_place("192.0.2.1 before\n", "192.0.2.2 behind\n")
        trial.change()
        nothing_said(trial)
        assert trial.path.stat().st_ino == inode


def nothing_said(trial: OnNode) -> None:
    """No harm was done, so that nobody has to hear of it."""
    begun = trial.polls()
    eventually(lambda: trial.standing() == trial.wanted)
    polls = trial.polls() - begun
    time.sleep(1)
    trial.check()
    assert trial.standing() == trial.wanted
    assert [line for line in trial.warned() if "assumed" not in line] == []
    trial.seen("nothing, for no harm is done", f"right again after {max(polls, 1)} {'polls' if polls > 1 else 'poll'}")


@pytest.mark.parametrize("text", [NODE, LONG], ids=["small", "of several pages"])
def test_a_bind_mount_of_the_file_that_is_replaced_needs_a_new_start(
    ground: Ground, own_mounts: list[str], text: str
) -> None:
    with bound(ground, own_mounts, text) as trial:
        new = ground.folder / "new"
        new.write_text("192.0.2.1 new\n" + text)
        new.replace(trial.path)
        assert wait_until(lambda: not trial.controller.running, 10)
        assert trial.controller.exit_code == 1
        trial.is_named_once("was replaced by another file, which only a new start of the container will see")
        (said,) = trial.named("was replaced by another file")
    trial.change()
    done = ground.world.once("--etc-hosts", str(trial.path), kubeconfig=trial.proxy.kubeconfig(ground.folder))
    assert (done.returncode, trial.standing()) == (0, {KEPT, COMES})
    assert not_ours(trial.text) == "192.0.2.1 new\n" + text
    trial.seen(said, "right again with the new start of the container")


# ---- what is in it


MANY = "".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255} a-host-{n}.example.net another-{n}\n" for n in range(150_000))


def many(size: int) -> str:
    """Whole lines of at most so many bytes."""
    return MANY[: MANY.rindex("\n", 0, size) + 1]


CONTENTS = {
    "huge": NODE + many(5_000_000),
    "without a line break at its end": LONG + "192.0.2.1 last.example.org",
    "small, without a line break at its end": NODE + "192.0.2.1 last.example.org",
    "from Windows": LONG.replace("\n", "\r\n"),
    "with zero bytes at its end": LONG + "\0" * 5000,
    "with a line of a megabyte": LONG + "192.0.2.1 " + "x" * 1_000_000 + "\n",
    "empty": "",
}


@pytest.mark.parametrize("text", CONTENTS.values(), ids=CONTENTS)
def test_a_file_that_is(ground: Ground, text: str) -> None:
    with ground.trial("") as trial:
        trial.edit(lambda _: text)
        trial.change()
        nothing_said(trial)
        trial.edit(lambda text: text + "\n192.0.2.9 appended.example.org\n")
        ground.world.delete("comes")
        eventually(lambda: trial.standing() == {KEPT})
        trial.check()


# ---- others who write it


def test_somebody_edits_it_between_each_read_and_write(trial: OnNode) -> None:
    numbers = iter(range(1_000_000))
    # New hosts have to wait until somebody answers behind our Service, which is asked when the file has been read.
    fault = Fault("GET", "/endpointslices", then=lambda: trial.edit(lambda text: f"{text}10.9.9.9 n{next(numbers)}\n"))
    trial.proxy.faults.append(fault)
    trial.change()
    names_it(trial, "was changed by somebody else just now; nothing was written")
    eventually(lambda: trial.proxy.met(fault) > 3)
    with trial.recovering("was changed by somebody else just now"):
        trial.proxy.faults.remove(fault)


def test_somebody_adds_a_line_twenty_times_a_second(trial: OnNode) -> None:
    with repeatedly(0.05, lambda number: append(trial, f"10.9.9.9 n{number}\n")) as done:
        eventually(lambda: len(done) > 20)
        trial.change()
        eventually(lambda: trial.standing() == {KEPT, COMES})
        eventually(lambda: len(done) > 60)
    trial.foreign += "".join(f"10.9.9.9 n{number}\n" for number in range(len(done)))
    # Where they met, it was not written until the next poll.
    trial.check()
    met = trial.named("was changed by somebody else just now|was added to by somebody else")
    trial.seen(met[0] if met else "nothing, for they never met", "right all the time")


def append(trial: OnNode, text: str) -> None:
    with trial.path.open("a") as file:
        file.write(text)


def test_somebody_writes_it_anew_again_and_again(trial: OnNode) -> None:
    """As cloud-init with manage_etc_hosts, for a while."""

    def put_back(_: int) -> None:
        if TAG in trial.text:
            trial.edit(not_ours)

    with repeatedly(0.05, put_back):
        names_it(trial, "has been undone 2 times or more.*something on this node writes")
        trial.change()
        eventually(lambda: bool(trial.named("undone 4 times or more")), 40)
    eventually(lambda: trial.standing() == {KEPT, COMES}, 40)
    trial.check()
    (said,) = trial.named("ERROR what was written has been undone 2 times or more")
    trial.seen(said, "right again when the pause is over, which was 2.4 seconds at an interval of 0.3")


EDITS: dict[str, Callable[[str], str]] = {
    "takes our lines out": not_ours,
    "empties it": lambda _: "",
    "doubles our lines": lambda text: text + "".join(re.findall(rf".*{TAG}\n", text)),
    "takes our comments away": lambda text: text.replace(f" {TAG}", ""),
    "changes all line breaks to those of Windows": lambda text: text.replace("\n", "\r\n"),
    "takes the last line break away": lambda text: text.removesuffix("\n"),
    "sorts it": lambda text: "".join(sorted(text.splitlines(keepends=True))),
    "changes the address in our lines": lambda text: re.sub(rf"^\S+(.* {TAG})$", r"192.0.2.3\1", text, flags=re.M),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_somebody(trial: OnNode, change: Callable[[str], str]) -> None:
    trial.edit(change)
    trial.change()
    if KEPT in trial.foreign:
        # They look like lines of an administrator's now, and those are left alone.
        eventually(lambda: trial.standing() == {COMES})
        said = f"host {KEPT} is left out: the line .* names it, and is not ours"
        names_it(trial, said)
        trial.check()
        trial.seen(trial.named(said)[0], "the line stays, for it may be an administrator's")
        return
    nothing_said(trial)


def test_somebody_takes_it_away_for_a_while(trial: OnNode) -> None:
    before = trial.text
    trial.path.unlink()
    trial.change()
    names_it(trial, "cannot be read: No such file or directory")
    with trial.recovering("cannot be read: No such file or directory"):
        trial.path.write_text(before)


def test_somebody_makes_a_folder_of_it_for_a_while(trial: OnNode) -> None:
    before = trial.text
    trial.path.unlink()
    trial.path.mkdir()
    trial.change()
    names_it(trial, "Is a directory")
    with trial.recovering("Is a directory"):
        trial.path.rmdir()
        trial.path.write_text(before)


# ---- the Service that its lines lead to


def refused(code: int, message: str) -> Fault:
    return Fault("GET", SERVICE, code, status(code, "Reason", message))


def service(spec: str) -> Fault:
    return Fault("GET", SERVICE, 200, f'{{"kind": "Service", "metadata": {{}}, "spec": {spec}}}'.encode())


SERVICE = "/services/hairpin-proxy"
SERVICES = {
    "500 for the Service": (refused(500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "404 for the Service": (refused(404, "not found"), "404 Not Found: not found; without an address .*left as it is"),
    "junk for the Service": (Fault("GET", SERVICE, 200, b"<html>"), "the answer is no Service: "),
    "a Service that is none": (service('"x"'), "the answer is no Service: "),
    "a Service without an address": (service('{"clusterIP": "None"}'), "has no address of its own"),
}


@pytest.mark.parametrize(("fault", "said"), SERVICES.values(), ids=SERVICES)
def test_what_is_read_of_it(ground: Ground, fault: Fault, said: str) -> None:
    with ground.trial(NODE) as trial:
        trial.meets(fault, said)


# ---- whoever writes it is killed


ATTEMPTS, MOST_ATTEMPTS = 10, 100
WRITER = """
import sys
from hairpin_proxy.providers import in_place

path, wanted = sys.argv[1:]
before, after = in_place.read(path), in_place.read(wanted)
print("now", flush=True)
in_place.write(path, before, after)
"""
SIZES = {"some kilobytes": 200, "some megabytes": 60_000, "sixteen megabytes": 300_000}


def behind(count: int) -> str:
    return "".join(f"192.0.2.{n % 250} behind-{n}.example.org\n" for n in range(count))


@pytest.mark.parametrize("count", SIZES.values(), ids=SIZES)
def test_sigkill_in_the_middle_of_a_write_of(tmp_path: Path, count: int, seen: Seen) -> None:
    foreign = [block.encode() for block in (many(count * 30), behind(count))]
    contents = [ours(number).join(foreign) for number in (count // 10, count // 7)]
    path, wanted = tmp_path / "hosts", tmp_path / "wanted"
    path.write_bytes(contents[0])
    left: list[bool] = []
    seconds = 0.0
    # Where a write takes long enough, it goes on until one was met in the middle.
    while len(left) <= ATTEMPTS or (count > 1000 and not any(left) and len(left) < MOST_ATTEMPTS):
        after = contents[(len(left) + 1) % 2]
        wanted.write_bytes(after)
        # The first one is not killed and tells how long it takes.
        took = write(path, wanted, random.uniform(0, seconds) if left else None)
        seconds = seconds or took
        now = path.read_bytes()
        assert all(block in now for block in foreign)
        assert journal.recovered(now) in contents
        left.append(now != journal.recovered(now))
    write(path, wanted, None)
    assert path.read_bytes() == after
    if count > 1000:
        assert any(left), left
    seen("nothing: each line of others stands in the file, if need be in its journal", "right with the next write")


def ours(count: int) -> bytes:
    return "".join(f"10.96.0.7 ours-{n}.example.com {TAG}\n" for n in range(count)).encode()


def write(path: Path, wanted: Path, kill_after: float | None) -> float:
    """Writes it, and is killed after some seconds; returns how many it took."""
    argv = [sys.executable, "-c", WRITER, str(path), str(wanted)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"now\n"
        begun = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        assert process.wait() in (0, -signal.SIGKILL)
        return time.monotonic() - begun


def test_sigkill_of_a_controller_whenever_it_writes(ground: Ground) -> None:
    """And each start goes on from what the last one has left."""
    path = ground.folder / "hosts"
    before, after = NODE + many(500_000), behind(5_000)
    path.write_text(before + after)
    path.write_text(before + f"10.96.0.1 old.example.com {TAG}\n" + after)
    wanted = [f"wanted-{n}.example.com" for n in range(500)]
    left = []
    for attempt in range(ATTEMPTS):
        ground.world.apply(ingress("many", *wanted, f"attempt-{attempt}.example.com"))
        state = path.stat()
        controller = ground.start(ground.argv(path, "--metrics-address", ""))
        try:
            eventually(lambda state=state: path.stat().st_mtime_ns != state.st_mtime_ns)
            time.sleep(random.uniform(0, 0.05))
        finally:
            controller.send_signal(signal.SIGKILL)
            eventually(lambda controller=controller: not controller.running)
        text = path.read_text()
        assert before in text
        assert after in text
        assert "Traceback" not in controller.log.read_text()
        left.append(hostsfile.recovered(text) != text)
    flags = ["--etc-hosts", str(path)]
    for _ in range(2):  # the second for what a mass removal would have to wait for
        done = ground.world.once(*flags, kubeconfig=ground.proxy.kubeconfig(ground.folder))
        assert done.returncode == 0, done.stderr
    assert not_ours(path.read_text()) == before + after
    hosts = {line.split()[1] for line in path.read_text().splitlines() if line.endswith(TAG)}
    assert hosts == {*wanted, f"attempt-{ATTEMPTS - 1}.example.com"}
    ground.seen(
        "nothing: each line of others stands in the file, if need be in its journal", "right with the next start"
    )
