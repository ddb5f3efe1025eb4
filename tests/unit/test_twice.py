"""What runs the tests, on a suite of its own: which runs there are, and how they end."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TWICE = Path(__file__).parents[1] / "twice"

PASSES = "def test_passes(): pass\n"
FAILS = "def test_fails(): assert False\n"
PASSES_THEN = """
from pathlib import Path

def test_passes_then():
    tried = Path("tried")
    was_tried = tried.exists()
    tried.touch()
    assert was_tried
"""


@pytest.mark.parametrize(
    ("suite", "code", "runs"),
    [
        (PASSES, 0, ["1 passed"]),
        (PASSES + PASSES_THEN, 0, ["1 failed, 1 passed", "1 passed"]),
        (PASSES + PASSES_THEN + FAILS, 1, ["2 failed, 1 passed", "1 failed, 1 passed"]),
        ("no Python\n", 2, ["1 error", "1 error"]),
        ("", 5, ["no tests ran"]),
    ],
    ids=["passes", "passes then", "fails", "cannot be read", "has none"],
)
def test_what_fails_is_run_once_more(tmp_path: Path, suite: str, code: int, runs: list[str]) -> None:
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "test_suite.py").write_text(suite)
    done = subprocess.run(
        [TWICE, sys.executable, "-m", "pytest", "--numprocesses=2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert re.findall(r"(\d.*|no tests ran) in \d", done.stdout) == runs
    assert ("there is a race" in done.stderr) == (code == 0 and len(runs) > 1)
    assert ("test_suite.py::test_passes_then PASSED" in done.stdout) == (PASSES_THEN in suite)
