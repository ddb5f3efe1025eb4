"""`make mutants`: changes the pure rooms in a thousand small ways, and counts which changes the unit tests notice.

mutmut wants the package beside its settings, so both are laid out in a folder of their own first. Ends with 1 if fewer
than the wanted share is noticed; `cd mutants && ../.venv/bin/mutmut show NAME` shows what a survivor is.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "mutants"
WANTED = 0.85
ROOMS = [
    "configuration.py",
    "diff.py",
    "edit.py",
    "guard.py",
    "hairpin.py",
    "hosts.py",
    "hostsfile.py",
    "inventory/pace.py",
    "journal.py",
    "latest.py",
    "leaving/installation.py",
    "locate.py",
    "managers.py",
    "outcome.py",
    "placement.py",
    "plan.py",
    "policy.py",
    "selection.py",
    "settings.py",
    "sources/*.py",
    "corefile/*.py",
]

ELSEWHERE = ("node_dns", "release", "reliability", "twice", "version", "workflows")
"""Unit tests that look at no room, and read more of the repository than is laid out."""

READ = [*(ROOT / name for name in ("README.md", "Makefile", "docs", "haproxy")), *ROOT.glob("deploy*.yml")]
"""What the unit tests read besides."""

SETTINGS = """\
[tool.mutmut]
source_paths = ["hairpin_proxy"]
only_mutate = [{rooms}]
also_copy = ["tests", {read}]
pytest_add_cli_args_test_selection = ["tests/unit"]

[tool.pytest.ini_options]
filterwarnings = ["error"]
"""


def lay_out() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    caches = "__pycache__"
    elsewhere = ("integration", "cluster", *(f"test_{name}.py" for name in ELSEWHERE))
    package, tests = ROOT / "controller" / "hairpin_proxy", ROOT / "tests"
    shutil.copytree(package, FOLDER / "hairpin_proxy", ignore=shutil.ignore_patterns(caches))
    shutil.copytree(tests, FOLDER / "tests", ignore=shutil.ignore_patterns(caches, *elsewhere))
    for path in READ:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, FOLDER / path.name)
    read = ", ".join(f'"{path.name}"' for path in READ)
    rooms = ", ".join(f'"hairpin_proxy/{room}"' for room in ROOMS)
    (FOLDER / "pyproject.toml").write_text(SETTINGS.format(rooms=rooms, read=read))


def mutmut(*arguments: str) -> str:
    argv = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(argv, cwd=FOLDER, text=True, stdout=subprocess.PIPE, check=False)
    return done.stdout


def main() -> int:
    lay_out()
    print(mutmut("run").splitlines()[-1])
    mutmut("export-cicd-stats")
    stats = json.loads((FOLDER / "mutants" / "mutmut-cicd-stats.json").read_text())
    print(mutmut("results"))
    # A mutant that never ends is noticed too; one that no test reaches, or that was skipped, is not.
    share = (stats["killed"] + stats["timeout"]) / stats["total"]
    print(f"{stats}\n{share:.1%} of {stats['total']} mutants were noticed (wanted: {WANTED:.0%})")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
