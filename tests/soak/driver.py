"""Starts controllers by forking, so that a start takes milliseconds, and has each of them poll when it is told to.

What runs is `hairpin-proxy run`, with the flags that a user would give. Only the clock is moved by whoever commands it,
and what is known from the last poll counts no more in the next one, as after a watch that broke off.

python -m tests.soak.driver SOCKET
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any


class Clock:
    """Stands still until it is moved."""

    now = time.monotonic()

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class Commanded:
    """A controller that polls once for each command that comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rw", encoding="utf-8", newline="\n")
        self._sources: list[Any] = []
        self._answer: dict[str, str] = {}

    def remembering(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """`made`, whose results are what the controller lists by."""

        def make(*arguments: Any) -> Any:
            self._sources.append(made(*arguments))
            return self._sources[-1]

        return make

    def around(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """`made`, which makes the controller."""

        def make(*arguments: Any) -> Any:
            controller = made(*arguments)
            self._say({"ready": "yes"})
            return replace(controller, poll=lambda: self.poll(controller.poll), pause=self.pause)

        return make

    def poll(self, poll: Callable[[], Any]) -> Any:
        from hairpin_proxy.errors import OperatorError  # noqa: PLC0415 - not before the clock is ours

        self._obey()
        try:
            outcome = poll()
        except OperatorError as error:
            self._answer = {"failed": str(error)}
            raise
        except Exception:
            self._answer = {"fault": traceback.format_exc()}
            raise
        self._answer = {"result": outcome.result}
        return outcome

    def pause(self, _seconds: float, _rest: float) -> None:
        self._say(self._answer)

    def _obey(self) -> None:
        line = self._file.readline()
        if not line:
            os._exit(0)
        CLOCK.now = json.loads(line)["clock"]
        for sources in self._sources:
            for collection in sources._shelf.collections():
                collection.doubt()

    def _say(self, answer: dict[str, str]) -> None:
        self._file.write(json.dumps(answer) + "\n")
        self._file.flush()


def _run(connection: socket.socket, flags: list[str]) -> int:
    from hairpin_proxy import cli, wiring  # noqa: PLC0415 - not before the clock is ours

    commanded = Commanded(connection)
    vars(wiring)["_sources"] = commanded.remembering(wiring._sources)
    vars(wiring)["controller"] = commanded.around(wiring.controller)
    vars(cli)["_delay"] = lambda _settings: 0.0
    return cli.main(["run", *flags])


def _child(control: socket.socket, connection: socket.socket, flags: list[str]) -> None:
    code = 1
    with suppress(BaseException):
        control.close()
        code = _run(connection, flags)
    os._exit(code)


def main() -> None:
    vars(time)["monotonic"] = CLOCK
    from hairpin_proxy import suffixes, wiring  # noqa: F401, PLC0415
    from hairpin_proxy.observe import observer, serving  # noqa: F401, PLC0415

    suffixes.load()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control = socket.socket(socket.AF_UNIX)
    control.connect(sys.argv[1])
    while True:
        message, handles, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return
        connection = socket.socket(fileno=handles[0])
        child = os.fork()
        if not child:
            _child(control, connection, json.loads(message))
        connection.close()
        control.sendall(json.dumps(child).encode())


if __name__ == "__main__":
    main()
