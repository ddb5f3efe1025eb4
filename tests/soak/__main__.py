"""`make soak`: random faults, neighbours and changes, against a model that knows what must hold.

Ends with 1 if something does not, after it has shown the shortest sequence of steps for it that was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.cluster.processes import EndingSignals
from tests.soak.ground import ground
from tests.soak.run import BATCH, HEAD, Report, run


def main() -> int:
    with EndingSignals():
        return _soak(_options())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="which steps; another each time")
    parser.add_argument("--report", type=Path, help="a file for what came of it, as Markdown")
    parser.add_argument("--package", type=Path, help="the folder of another copy of hairpin_proxy")
    return parser.parse_args()


def _soak(options: argparse.Namespace) -> int:
    print(f"seed {options.seed}", flush=True)
    with ground(options.package) as found:
        report = run(found, options.steps, options.seed, _progress)
    print(report.table())
    if options.report:
        options.report.write_text(HEAD + report.table() + "\n")
    if report.broken:
        again = f"python -m tests.soak --seed {report.broken_seed} --steps {BATCH}"
        print(f"\nBROKEN {report.broken}\n\nThis finds it again: {again}")
    return 1 if report.broken else 0


_shown = 0.0


def _progress(report: Report) -> None:
    """Shows how far it is, four times a minute."""
    global _shown  # noqa: PLW0603
    if time.monotonic() - _shown > 15:
        _shown = time.monotonic()
        print(f"{report.tally.total} steps, {_shown - report.begun:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
