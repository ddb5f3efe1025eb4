"""`make bench`: all that is measured on a local cluster, or only the parts that are named: `python -m bench dns`."""

from __future__ import annotations

import argparse
import subprocess
import sys

PARTS = ("poll", "controller", "dns")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these of {', '.join(PARTS)}")
    chosen = parser.parse_args().parts or PARTS
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, only {', '.join(PARTS)}")
    for part in chosen:
        # Each in a process of its own, so that none inherits what another has loaded.
        subprocess.run([sys.executable, "-m", f"bench.{part}"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
