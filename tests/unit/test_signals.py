"""A signal ends a poll wherever it is, in a process of its own."""

import subprocess
import sys

SWALLOWED = """
import os, signal, time
from hairpin_proxy import cli
from hairpin_proxy.reconcile import Interrupted, Stop

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

stop = Stop()
cli._hear(stop)
try:
    with stop.polling():
        Finalized()
        print("goes on")
        time.sleep(100)
except Interrupted:
    print("ended")
"""

AT_THE_END = """
import os, signal, time
from types import SimpleNamespace
from hairpin_proxy import cli, wiring

def poll():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(100)

wiring.controller = lambda settings: SimpleNamespace(poll=poll, pause=None, leave=lambda: None)
print(cli.main(["run"]), signal.getitimer(signal.ITIMER_REAL))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False, timeout=60)


def test_also_where_the_interpreter_swallows_what_is_raised() -> None:
    done = run(SWALLOWED)
    assert done.stdout == "goes on\nended\n", done.stderr


def test_no_second_signal_comes_when_the_interpreter_has_no_handler_left() -> None:
    done = run(AT_THE_END)
    assert done.stdout == "0 (0.0, 0.0)\n", done.stderr
