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
        time.sleep(20)
except Interrupted:
    print("ended")
"""


def test_also_where_the_interpreter_swallows_what_is_raised() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWED], text=True, capture_output=True, check=False, timeout=15)
    assert done.stdout == "goes on\nended\n", done.stderr
