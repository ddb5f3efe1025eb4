"""What a controller runs in: memory that does not suffice, a clock that is moved, a pod without DNS."""

import os
import resource
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy.names import NAMESPACE
from tests.cluster.install import faketime
from tests.cluster.processes import Process
from tests.integration.conftest import INGRESSES, World, eventually, ingress
from tests.integration.faults.pod import Front
from tests.integration.faults.proxy import Fault, FaultProxy
from tests.integration.faults.trial import Seen, Trial, controlled

MIB = 1024 * 1024

# ---- memory


def large(number: int) -> dict[str, Any]:
    """An Ingress without hosts of nearly a MiB."""
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    path = {"path": "/" + "x" * 900_000, "pathType": "Exact", "backend": backend}
    return ingress(f"large-{number}", tls=[], rules=[{"http": {"paths": [path]}}])


def anonymous(pid: int, field: str = "RssAnon") -> int:
    """Bytes of memory that a process has of its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return int(found) * 1024


def test_memory_runs_out_at_its_limit_and_the_limit_is_raised(trial: Trial) -> None:
    """A limit of the process's own: what is beyond it is refused."""
    said = "poll failed: memory ran out"
    pid = trial.controller.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (anonymous(pid, "VmData") + 2 * MIB, hard))
    trial.world.apply(*map(large, range(10)))
    trial.change()
    eventually(lambda: bool(trial.named(said)), 30)
    time.sleep(2)
    with trial.recovering(said):
        resource.prlimit(pid, resource.RLIMIT_DATA, (hard, hard))


@dataclass(frozen=True)
class Group:
    """A memory cgroup, of version 1 or 2."""

    folder: Path

    def limit(self, size: int) -> None:
        first = self.folder / "memory.limit_in_bytes"
        (first if first.exists() else self.folder / "memory.max").write_text(str(size))

    def kills(self) -> int:
        """How many processes the kernel has killed."""
        first = self.folder / "memory.oom_control"
        text = (first if first.exists() else self.folder / "memory.events").read_text()
        (found,) = (line.split()[1] for line in text.splitlines() if line.startswith("oom_kill "))
        return int(found)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    root = Path("/sys/fs/cgroup")
    made = (root / "memory" if (root / "memory").exists() else root) / f"hairpin-proxy-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        if not any((made / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
            pytest.skip("cgroups have no memory controller here")
        yield Group(made)
    finally:
        eventually(lambda: not (made / "cgroup.procs").read_text())
        made.rmdir()


INTO_THE_GROUP = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'


def test_the_kernel_kills_it_for_its_memory_until_the_limit_is_raised(
    world: World, faulty: FaultProxy, group: Group, through: Path, seen: Seen
) -> None:
    def start(metrics: str) -> Process:
        argv = ["sh", "-c", INTO_THE_GROUP, "sh", str(group.folder), *command(metrics, through)]
        return world.cluster.start("in-a-group", argv)

    with controlled(world, faulty, seen, start) as trial:
        group.limit(anonymous(trial.controller.pid) + 8 * MIB)
        world.apply(*map(large, range(20)))
        trial.change()
        faulty.faults.append(Fault("GET", "watch=true", 410))  # so that all of them are listed at once
        for kills in (1, 2):
            eventually(lambda: not trial.controller.running, 30)
            assert trial.controller.exit_code == -signal.SIGKILL
            assert group.kills() == kills
            trial.check_writes()
            if kills == 2:
                group.limit(256 * MIB)
            trial.start_again()
        eventually(trial.is_served)
        recovered = trial.right_again(0)
        trial.check()
        assert not trial.named(" ERROR ")
        line = "none, for it was killed; the next one says that hairpin-proxy starts"
        trial.seen(line, f"started again with a higher limit, {recovered}")
        trial.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


def command(metrics: str, kubeconfig: Path) -> list[str]:
    """As `World.controller` has it."""
    argv = [sys.executable, "-m", "hairpin_proxy", "run", "--interval", "0.3", "--min-write-interval", "0"]
    argv += ["--install-namespace", NAMESPACE, "--metrics-address", metrics, "--kubeconfig", str(kubeconfig)]
    return argv


# ---- the clock


@dataclass(frozen=True)
class Clock:
    """What time a process takes it to be."""

    file: Path

    def move(self, hours: int) -> None:
        """By so many from what is right."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{hours * 3600:+d}\n")
        new.replace(self.file)

    @property
    def environment(self) -> Mapping[str, str]:
        library = faketime()
        assert library
        # The kernel's monotonic clock is not moved when somebody sets the time.
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    made = Clock(tmp_path / "clock")
    made.move(0)
    return made


def polls_on(trial: Trial) -> None:
    """It does so at its pace, and says that it is well."""
    begun = time.monotonic()
    before = trial.polls()
    time.sleep(3)
    rate = (trial.polls() - before) / (time.monotonic() - begun)
    assert rate < 3.4, rate
    eventually(lambda: trial.polls() > before + 3)
    with urllib.request.urlopen(f"http://127.0.0.1:{trial.metrics_port}/healthz", timeout=5) as answer:
        assert answer.status == 200


def seconds_between(first: str, second: str) -> float:
    """Of two lines of the log."""
    begun, ended = (datetime.fromisoformat(line[:23].replace(",", ".")) for line in (first, second))
    return (ended - begun).total_seconds()


def hour_of(line: str) -> int:
    """What a line of the log says that it is."""
    return int(line.split()[1].partition(":")[0])


MOVED = {"3 hours forwards": 3, "3 hours backwards": -3}
every_move = pytest.mark.parametrize("hours", MOVED.values(), ids=MOVED)
STEADY = "none, for nothing depends on the time of day"


@pytest.fixture
def timed(world: World, faulty: FaultProxy, clock: Clock, through: Path, seen: Seen) -> Iterator[Trial]:
    """One that has this clock."""

    def start(metrics: str) -> Process:
        return world.cluster.start("timed", command(metrics, through), clock.environment)

    with controlled(world, faulty, seen, start) as running:
        yield running
        running.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled


@every_move
def test_the_clock_is_moved(timed: Trial, clock: Clock, hours: int) -> None:
    clock.move(hours)
    polls_on(timed)
    timed.change()
    recovered = timed.right_again(timed.polls())
    steady(timed, hours, recovered)
    clock.move(0)
    polls_on(timed)
    timed.check()


def steady(trial: Trial, hours: int, recovered: str) -> None:
    """Nothing was noticed, and the log has the other time."""
    trial.check()
    assert not trial.named(" ERROR ")
    first, last = (hour_of(trial.named(said)[-1]) for said in (" starts: ", " updated:"))
    assert (last - first - hours) % 24 in (0, 1)
    trial.seen(STEADY, recovered)


def test_the_clock_is_moved_forwards_and_connections_are_made_anew(front: Front, clock: Clock) -> None:
    moved = replace(front, pod=replace(front.pod, environment=clock.environment))
    with moved.controlled() as trial:
        clock.move(3)
        front.proxy.hang_up()
        trial.change()
        recovered = trial.right_again(trial.polls())
        trial.check()
        trial.seen([*trial.named(" ERROR "), STEADY][0], recovered)


def test_the_clock_is_moved_to_before_the_certificate_was_made(front: Front, clock: Clock) -> None:
    moved = replace(front, pod=replace(front.pod, environment=clock.environment))
    with moved.controlled() as trial:
        clock.move(-3)
        front.proxy.hang_up()
        trial.change()
        trial.lines = 2
        said = "certificate verify failed: certificate is not yet valid"
        eventually(lambda: bool(trial.named(said)))
        with trial.recovering(said):
            clock.move(0)


# ---- DNS

BALANCED = {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
NO_DNS = {
    "a server that does not answer": "nameserver 192.0.2.53\noptions timeout:30\n",
    "no server": "",
    "no text": "\0\0\0",
}


@pytest.mark.parametrize("resolv_conf", NO_DNS.values(), ids=NO_DNS)
def test_the_resolv_conf_of_the_pod_has(front: Front, resolv_conf: str) -> None:
    """It must not need the DNS that it repairs, neither to start nor to go on."""
    without = replace(front, pod=replace(front.pod, resolv_conf=resolv_conf))
    with without.controlled() as trial:
        eventually(lambda: bool(trial.named(" updated:")))
        # A library that looks a name up waits at least thirty seconds for the server that does not answer.
        assert seconds_between(trial.named(" starts: ")[0], trial.named(" updated:")[0]) < 25
        trial.change()
        recovered = trial.right_again(trial.polls())
        with trial.world.cluster.api() as api:  # whose address is to be that of the name
            api.merge_patch(f"{INGRESSES}/kept/status", {"status": BALANCED})
        said = " WARNING no public address can be looked up: "
        eventually(lambda: bool(trial.named(said)), 20)
        trial.check()
        trial.is_named_once(said)
        assert not trial.named(" ERROR ")
        trial.seen(trial.named(said)[0], f"rules are written all the time: {recovered}")
