"""What the soak stands on: a real API server behind the fault proxy, and controllers that poll when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.cluster.api import Api
from tests.cluster.cluster import LocalCluster
from tests.integration.conftest import ACCOUNT, DEPLOY
from tests.integration.faults.proxy import FaultProxy, fault_proxy
from tests.soak.model import INTERVAL

ROOT = Path(__file__).parents[2]
_ANSWER_SECONDS = 60
FIRST, SECOND, ON_NODE = "the first", "the second", "the one on a node"
CONTROLLERS = (FIRST, SECOND, ON_NODE)
"""The first lives as long as the soak does."""


Trail = list[tuple[str, dict[str, Any]]]
"""Steps, with their arguments."""


class Controller:
    """One that runs."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection
        self._file = connection.makefile("rw", encoding="utf-8", newline="\n")
        self._is_ready = False
        connection.settimeout(_ANSWER_SECONDS)

    def poll(self, now: float) -> dict[str, str] | None:
        """What the poll came to; None if the controller has ended."""
        try:
            # It gets ready while others poll.
            self._is_ready = self._is_ready or self._said() is not None
            self._file.write(json.dumps({"clock": now}) + "\n")
            self._file.flush()
            return self._said()
        except (BrokenPipeError, ConnectionResetError):
            return None

    def _said(self) -> dict[str, str] | None:
        line = self._file.readline()
        found: dict[str, str] | None = json.loads(line) if line else None
        return found

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        with suppress(OSError):
            self._file.close()
        self._connection.close()

    def resident(self) -> int:
        """Its memory in KiB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])


@dataclass
class Tally:
    """What was done."""

    steps: Counter[str] = field(default_factory=Counter)
    things: Counter[str] = field(default_factory=Counter)
    """Polls, writes and so on."""

    memory: list[tuple[int, int]] = field(default_factory=list)
    """After how many steps the first controller had how many KiB."""

    @property
    def total(self) -> int:
        return self.steps.total()


@dataclass
class Ground:
    """Everything that one example leaves to the next."""

    memory: Path
    """A folder where nobody waits for a disk."""

    api: Api
    proxy: FaultProxy
    kubeconfig: Path
    start: Callable[[list[str]], Controller]
    log: Path
    forget: Callable[[], None]
    """Empties what grows with each call."""

    store: Callable[[str, bytes], None]
    """Behind the API server's back, by the key."""

    tally: Tally = field(default_factory=Tally)
    clock: float = field(default_factory=time.monotonic)
    controllers: dict[str, Controller] = field(default_factory=dict)
    spare: dict[str, Controller] = field(default_factory=dict)
    """Those that will be next."""

    failure: tuple[str, Trail] | None = None
    """What is wrong, and the steps that have led there."""

    ending: SystemExit | None = None
    """What a signal has raised."""

    is_spoilt: bool = False
    """Whether the next example needs controllers that remember nothing of the last one."""

    tell: Callable[[], None] = lambda: None
    """Called after each step."""

    @property
    def hosts_file(self) -> Path:
        return self.memory / "soak-hosts"

    def begin(self, name: str) -> Controller:
        """Starts a controller anew."""
        self.end(name)
        self.controllers[name] = self.spare.pop(name) if name in self.spare else self._start(name)
        if name != FIRST:
            self.spare[name] = self._start(name)
        return self.controllers[name]

    def _start(self, name: str) -> Controller:
        flags = ["--kubeconfig", str(self.kubeconfig), "--interval", f"{INTERVAL:g}", "--min-write-interval", "10"]
        flags += ["--only-hairpinned", "off", "--log-level", "warning", "--metrics-address", "off"]
        flags += ["--etc-hosts", str(self.hosts_file)] if name == ON_NODE else []
        return self.start(flags)

    def end(self, name: str) -> None:
        if name in self.controllers:
            self.controllers.pop(name).close()

    def close(self) -> None:
        for each in (*self.controllers.values(), *self.spare.values()):
            each.close()

    def step(self, name: str) -> None:
        """Counts one, and looks at the memory now and then."""
        self.tally.steps[name] += 1
        if self.tally.total % 100 == 0 and FIRST in self.controllers:
            self.tally.memory.append((self.tally.total, self.controllers[FIRST].resident()))
        self.tell()


@contextmanager
def ground(package: Path | None = None) -> Iterator[Ground]:
    """With another copy of the product's package, if its folder is given."""
    with LocalCluster(api_only=True) as cluster:
        cluster.apply(DEPLOY)
        cluster.register_haproxy()
        with standing_on(cluster, package) as found:
            yield found


@contextmanager
def standing_on(cluster: LocalCluster, package: Path | None = None) -> Iterator[Ground]:
    with ExitStack() as stack:
        proxy = stack.enter_context(fault_proxy(cluster.service_account_kubeconfig(*ACCOUNT)))
        api = stack.enter_context(cluster.api())
        address = cluster.folder / "soak.sock"
        address.unlink(missing_ok=True)
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(address))
        listening.listen()
        path = ":".join(str(each) for each in (package, ROOT) if each)
        driver = cluster.start(
            "soak",
            [sys.executable, "-m", "tests.soak.driver", str(address)],
            {"PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )
        stack.callback(driver.stop)
        listening.settimeout(_ANSWER_SECONDS)
        control = stack.enter_context(listening.accept()[0])

        def forget() -> None:
            cluster.forget_audit()
            os.truncate(driver.log, 0)

        kubeconfig = proxy.kubeconfig(cluster.folder)
        start = _starter(control)
        shared = Path("/dev/shm")
        memory = Path(stack.enter_context(TemporaryDirectory(dir=shared if shared.is_dir() else None)))
        found = Ground(memory, api, proxy, kubeconfig, start, driver.log, forget, cluster.etcd_put)
        stack.callback(found.close)
        yield found


def _starter(control: socket.socket) -> Callable[[list[str]], Controller]:
    def start(flags: list[str]) -> Controller:
        ours, theirs = socket.socketpair()
        socket.send_fds(control, [json.dumps(flags).encode()], [theirs.fileno()])
        theirs.close()
        pid: Any = json.loads(control.recv(100))
        return Controller(pid, ours)

    return start
