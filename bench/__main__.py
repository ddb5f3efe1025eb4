"""`make bench`: all that is measured on a local cluster, or only the parts that are named: `python -m bench dns`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.cluster.processes import EndingSignals

PARTS = ("poll", "controller", "dns")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these of {', '.join(PARTS)}")
    chosen = parser.parse_args().parts or PARTS
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(PARTS)}")
    with EndingSignals():
        return next((code for code in map(run, chosen) if code), 0)


def run(part: str) -> int:
    """In a process of its own, so that none inherits what another has loaded; it ends with this one."""
    with subprocess.Popen([sys.executable, "-m", f"bench.{part}"]) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


if __name__ == "__main__":
    sys.exit(main())
