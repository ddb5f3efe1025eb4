"""Starts real processes and ends them again, whatever happens to the program that started them."""

from __future__ import annotations

import ctypes
import functools
import http.client
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0
TAIL_LINES = 20
PORT_ATTEMPTS = 4
# Below the range that Linux takes the ports of outgoing connections from.
PORTS = range(15000, 32768)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_reserved: dict[int, socket.socket] = {}


class ProcessError(RuntimeError):
    """A process ended early, or was not ready in time."""


class PortTakenError(ProcessError):
    """A process found its port taken by somebody else."""


def free_port(address: str = "127.0.0.1", *, udp: bool = False) -> int:
    """Returns a port that is free on the address ("0.0.0.0": on all) and that no other call was given."""
    for _ in range(1000):
        port = random.choice(PORTS)
        if _bindable(address, port, udp=udp) and _reserve(port):
            return port
    raise ProcessError(f"no free port on {address}")


def _bindable(address: str, port: int, *, udp: bool) -> bool:
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if udp else (socket.SOCK_STREAM,)
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def _reserve(port: int) -> bool:
    # A note on an abstract socket is seen by other runs as well, and the kernel takes it away with us.
    note = socket.socket(socket.AF_UNIX)
    try:
        note.bind(f"\0hairpin-proxy/tests/port/{port}")
    except OSError:
        note.close()
        return False
    _reserved[port] = note
    return True


def with_other_ports(start: Callable[[], T]) -> T:
    """Calls start, which chooses its ports anew each time, again when somebody was faster to take one."""
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return start()
        except PortTakenError:
            continue
    return start()


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Asks until the answer is yes; not being able to connect is a no."""
    deadline = time.monotonic() + seconds
    while not _holds(ready):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


def _holds(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except (OSError, http.client.HTTPException):
        return False


def http_ok(address: str, port: int, path: str) -> bool:
    """Whether a plain HTTP GET is answered with 200."""
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()


class Process:
    """One running process with its log file."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self.log = log
        self._popen = popen
        self._stop_signal = stop_signal
        self._log_start = log.stat().st_size

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self.running else self._popen.wait()

    def send_signal(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    @property
    def running(self) -> bool:
        return self._popen.returncode is None and not _ended(self.pid)

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 120) -> None:
        """Returns when it is ready; an error shows the end of its log when it ends or takes too long."""
        # Asking a dead process' address could be answered by the one that took its port.
        if wait_until(lambda: not self.running or ready(), seconds) and self.running:
            return
        said = self._said()
        tail = self.tail()
        what = f"not ready in {seconds:.0f} s" if self.running else f"ended with status {self.exit_code}"
        error = PortTakenError if "address already in use" in said.lower() else ProcessError
        self.stop()
        raise error(f"{self.name}: {what}\ncommand: {self.command}\nend of its log:\n{tail}")

    @property
    def command(self) -> str:
        args = self._popen.args
        return " ".join(map(str, args)) if isinstance(args, list | tuple) else str(args)

    def tail(self) -> str:
        """The end of what it has said."""
        return "\n".join(self._said().splitlines()[-TAIL_LINES:])

    def _said(self) -> str:
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def signal_stop(self) -> None:
        """Asks it to end, and returns at once."""
        self.send_signal(self._stop_signal)

    def stop(self) -> None:
        """Asks it to end, makes it end after a few seconds, and returns when it has."""
        self.signal_stop()
        if not wait_until(lambda: not self.running, STOP_SECONDS):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def _ended(pid: int) -> bool:
    # Popen.poll takes a lock, which an interrupt at the wrong moment leaves taken for ever.
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


@dataclass(frozen=True)
class _Command:
    argv: Sequence[str]
    env: Mapping[str, str]
    pass_fds: Sequence[int]


class Processes:
    """All processes of one cluster; closing it ends them, the last one started first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []
        self._closed = False

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Starts a process and returns at once; what it says goes to NAME.log."""
        environment = clean_environment(self._folder) | dict(env or {})
        command = _Command(list(argv), environment, pass_fds)
        # Registered by the thread that starts it, so that an interrupt in ours cannot come in between.
        return _spawner(os.getpid()).submit(self._spawn, name, command, stop_signal).result()

    def _spawn(self, name: str, command: _Command, stop_signal: signal.Signals) -> Process:
        if self._closed:
            raise ProcessError(f"{name} is not started: the cluster is closing")
        path = self._folder / f"{name}.log"
        with path.open("ab") as log:
            popen = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=command.env,
                pass_fds=command.pass_fds,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid(), _libc()),
            )
            process = Process(popen, name, path, stop_signal)
            self._started.append(process)
        return process

    def close(self) -> None:
        """Ends every process that still runs."""
        for process in reversed(_spawner(os.getpid()).submit(self._seal).result()):
            process.stop()

    def _seal(self) -> list[Process]:
        self._closed = True
        return self._started


def clean_environment(folder: Path) -> dict[str, str]:
    """An environment without proxies, credentials or a home of the user's."""
    return {
        "PATH": SYSTEM_PATH,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
    }


@functools.cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    # The kernel ends a process when the *thread* that started it ends: one thread starts them all and stays.
    return ThreadPoolExecutor(1, "spawner")


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def _die_with(parent: int, libc: Any) -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class EndingSignals:
    """Makes SIGTERM and SIGHUP unwind the stack as Ctrl-C does; `hold` makes all three wait until the end."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._holding = False
        self._held: list[int] = []

    def __enter__(self) -> EndingSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Somebody who handles a signal already knows why.
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._holding:
            self._held.append(number)
        elif number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        else:
            raise SystemExit(128 + number)

    def hold(self) -> None:
        """From now on signals wait until everything is taken down."""
        self._holding = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for held in self._held[:1]:
            signal.raise_signal(held)
