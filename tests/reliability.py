"""Writes docs/reliability.md from what the trials of faults have seen: `make reliability`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = "tests/integration/faults"
LONGEST = 160
"""Characters of a line of the log that are shown."""

HEAD = """\
# Reliability

What the controller does when something goes wrong, fault by fault, as `make reliability` has seen it: that makes each
of them happen anew and writes this page, and it writes nothing if one is not met as it should be.

A controller keeps the Corefile of a real API server, with a poll each 0.3 seconds or, where one tells all, by single
polls. Between the two stands a proxy that answers chosen calls wrongly, too late or not at all; or the process, its
credentials, its neighbours or its disk are at fault. While that lasts, most often one Ingress comes, one goes and one
stays. Whatever it is, the same must hold:

- no rule is lost that should be there, and none is added that should not: each write is compared with the very version
  of the Corefile that it was made for;
- nothing is touched that is not ours, and an edit that somebody makes meanwhile is there in the end;
- the controller does not crash, and shows no traceback;
- one line of the log names the fault, and is not said again with each poll;
- two polls after the fault has ended, all is as it should be.

A fault lasts for some polls, unless its name says how often it comes, or it need come only once for what it says. Where
no line is shown, nobody has to know of it, or the test's own words stand in its place. The lines are without their
times, and cut to {longest} characters; names in capitals stand for addresses, paths and versions.

Those are faults that somebody thought of. [The soak](#the-soak) has sequences of them that were made up.
"""

SOAK = """\
## The soak

Random steps of all the above, one after the other, against a model that knows what must hold: `make soak STEPS=10000
SEED=1`. [What a run of 100,000 steps came to](soak.md), with the memory of the controller that lived through all of it.
A short run is part of `make test`.
"""

TITLES = {"api": "The API server", "etcd": "etcd"}
"""Of modules whose names are not words."""

NORMAL = (
    (re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "), ""),
    (re.compile(re.escape(tempfile.gettempdir()) + r"/[\w./-]*[\w/-]"), "PATH"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"\b0x[0-9a-f]+"), "0xADDRESS"),
    (re.compile(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d+"), r"\1:PORT"),
    (re.compile(r"\bport=\d+"), "port=PORT"),
    (re.compile(r"\b(resourceVersion=|resource version: )\d+"), r"\1VERSION"),
    (re.compile(r"\b(pid|process) \d+"), r"\1 PID"),
    (re.compile(r"\bafter \d+ that failed"), "after N that failed"),
)
"""What differs from run to run, and what stands in its place."""


class Row(NamedTuple):
    """What was seen of one fault."""

    fault: str
    line: str
    then: str


@dataclass
class Seen:
    """A plugin of pytest that keeps what tests record."""

    rows: dict[str, Row] = field(default_factory=dict)
    """By the names that pytest has for tests."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            recorded = dict(report.user_properties)
            self.rows[report.nodeid] = row(report.nodeid, str(recorded.get("seen", "")), recorded.get("recovered"))


def main() -> int:
    """Runs all of them and writes the page, if none fails."""
    tests, seen = collected(), Seen()
    if pytest.main([str(ROOT / FAULTS), f"--rootdir={ROOT}"], plugins=[seen]):
        return 1
    if missing := set(tests) - set(seen.rows):
        print(f"not run: {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    PAGE.write_text(page((test, seen.rows[test]) for test in tests))
    print(f"{PAGE.relative_to(ROOT)}: {len(tests)} faults")
    return 0


def collected() -> list[str]:
    """All tests of faults, by pytest's names for them, module by module."""
    argv = [sys.executable, "-m", "pytest", "--numprocesses=0", "--collect-only", "--quiet", FAULTS]
    done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if line.startswith(FAULTS)]


def page(rows: Iterable[tuple[str, Row]]) -> str:
    """The whole page, of rows by the names of their tests."""
    parts = [HEAD.format(longest=LONGEST)]
    parts += [section(path, [row for _, row in found]) for path, found in groupby(rows, lambda each: module(each[0]))]
    return "\n".join([*parts, SOAK])


def section(path: str, rows: Iterable[Row]) -> str:
    """What the page says of one module."""
    lines = [f"## {heading(path)}", "", about(path), "", "| fault | the log says | then |", "|---|---|---|"]
    lines += [f"| {' | '.join(map(escaped, each))} |" for each in rows]
    return "\n".join(lines) + "\n"


def listed(text: str) -> Iterator[tuple[str, str]]:
    """The faults that a page has, each with its heading."""
    title = ""
    for line in text.splitlines():
        title = line.removeprefix("## ") if line.startswith("## ") else title
        if line.startswith("| ") and not line.startswith("| fault |"):
            yield title, re.split(r"(?<!\\) \| ", line)[0].removeprefix("| ")


def row(test: str, line: str, recovered: object) -> Row:
    """Of a test that recorded this, or nothing."""
    if not recovered:
        return Row(fault(test), words(test), "right")
    return Row(fault(test), quoted(line), str(recovered))


def fault(test: str) -> str:
    """What goes wrong: the test's parameter, or its name in words."""
    name, _, parameter = test.partition("::")[2].partition("[")
    return parameter.removesuffix("]") or name.removeprefix("test_").replace("_", " ")


def words(test: str) -> str:
    """What the test says of itself."""
    name = test.partition("::")[2].partition("[")[0]
    for node in ast.parse((ROOT / module(test)).read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name and (said := ast.get_docstring(node)):
            return sentence(said)
    return "as the test's name says"


def quoted(line: str) -> str:
    """A line of the log, the same at each run, and short; or what is said in place of one."""
    is_line = re.match(r"\d{4}-", line) is not None
    for pattern, stands in NORMAL:
        line = pattern.sub(stands, line)
    line = line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
    return f"`{line.replace('`', chr(39))}`" if is_line else line


def escaped(text: str) -> str:
    """Fit for a cell of a table."""
    return text.replace("|", "\\|")


def module(test: str) -> str:
    return test.partition("::")[0]


def heading(path: str) -> str:
    """The name of a module in words."""
    name = Path(path).stem.removeprefix("test_")
    return TITLES.get(name) or name.replace("_", " ").capitalize()


def about(path: str) -> str:
    """The first sentence of a module."""
    return sentence(ast.get_docstring(ast.parse((ROOT / path).read_text())) or "")


def sentence(text: str) -> str:
    """The first one of a text, on one line."""
    return re.split(r"(?<=[.!?]) ", " ".join(text.split()))[0]


if __name__ == "__main__":
    sys.exit(main())
