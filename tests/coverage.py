"""Which lines and branches of some rooms the fault tests take, in their own process and in every controller that they
start: `make coverage`.

A controller that is killed takes what it has counted with it.
"""

import contextlib
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "controller" / "hairpin_proxy"
ROOMS = ("reconcile.py", "kube.py", "providers/*.py")
RUNS = (
    ("tests.reliability",),
    ("pytest", "-q", "tests/integration/test_failures.py", "tests/integration/test_soak.py"),
)
"""Modules, each with its arguments."""

CONFIG = """\
[run]
branch = true
parallel = true
data_file = {folder}/data
include =
    {rooms}
[report]
show_missing = true
"""


@contextlib.contextmanager
def counting(config: Path) -> Iterator[None]:
    """While this lasts, every Python process of this environment counts."""
    # The environment of a controller under test is empty, so that it cannot be told by a variable.
    hook = Path(sysconfig.get_path("purelib")) / "hairpin_proxy_coverage.pth"
    start = f"os.environ['COVERAGE_PROCESS_START'] = {str(config)!r}; coverage.process_startup()"
    hook.write_text(f"import os, coverage; {start}\n")
    try:
        yield
    finally:
        hook.unlink()


def main(arguments: Sequence[str]) -> int:
    """Runs a module with its arguments, or all tests that are about faults, and prints what they did not take."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "coveragerc"
        rooms = "\n    ".join(str(PACKAGE / room) for room in ROOMS)
        config.write_text(CONFIG.format(folder=folder, rooms=rooms))
        runs = (arguments,) if arguments else RUNS
        with counting(config):
            failed = [
                run for run in runs if subprocess.run([sys.executable, "-m", *run], cwd=ROOT, check=False).returncode
            ]
        command = [sys.executable, "-m", "coverage"]
        subprocess.run([*command, "combine", "--quiet", f"--rcfile={config}", folder], cwd=ROOT, check=True)
        subprocess.run([*command, "report", f"--rcfile={config}"], cwd=ROOT, check=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
