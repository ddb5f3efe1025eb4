"""docs/reliability.md has each fault that is tried, and is the same at each run."""

import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests import reliability
from tests.reliability import FAULTS, LONGEST, PAGE, Row, Seen, collected, fault, heading, listed, module, page, quoted

STAMP = "2026-11-29 07:06:33,799 "
TEST = f"{FAULTS}/test_api.py::test_the_list_of_ingresses"


every_test = cache(collected)


def test_the_page_has_each_fault_that_is_tried_and_no_other() -> None:
    tests = every_test()
    assert len(tests) >= 60
    assert list(listed(PAGE.read_text())) == [(heading(module(test)), fault(test)) for test in tests]


def test_the_page_is_written_as_it_is_now() -> None:
    """But for the lines, which only a run can tell."""
    now = page((test, Row(fault(test), "", "")) for test in every_test())
    assert outside_tables(now) == outside_tables(PAGE.read_text())


def outside_tables(text: str) -> list[str]:
    return [line for line in text.partition("## The soak")[0].splitlines() if not line.startswith("|")]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ERROR no answer from http://127.0.0.1:34567: refused", "ERROR no answer from http://127.0.0.1:PORT: refused"),
        ("ERROR HTTPConnectionPool(host='x', port=9): late", "ERROR HTTPConnectionPool(host='x', port=PORT): late"),
        (f"ERROR {tempfile.gettempdir()}/pytest-1/a.b/hosts: no room", "ERROR PATH: no room"),
        ("ERROR too old resource version: 12 (34)", "ERROR too old resource version: VERSION (34)"),
        ("ERROR say `this`", "ERROR say 'this'"),
    ],
)
def test_a_line_of_the_log_is_the_same_at_each_run(line: str, shown: str) -> None:
    assert quoted(STAMP + line) == f"`{shown}`"


def test_a_long_line_is_cut() -> None:
    assert quoted(STAMP + "x" * 1000) == f"`{'x' * (LONGEST - 3)}...`"


def test_what_is_no_line_of_the_log_stands_without_quotes() -> None:
    assert quoted("nothing, for no call fails") == "nothing, for no call fails"


def test_a_fault_has_its_parameter_as_its_name_or_what_its_test_is_called() -> None:
    assert fault(f"{TEST}[a, b]") == "a, b"
    assert fault(f"{TEST}_stays_empty") == "the list of ingresses stays empty"


def test_a_pipe_in_a_cell_is_no_border() -> None:
    text = page([(TEST, Row("a | b", "`c | d`", "right"))])
    assert "| a \\| b | `c \\| d` | right |" in text
    assert list(listed(text)) == [("The API server", "a \\| b")]


def test_a_test_that_records_nothing_is_shown_by_its_own_words() -> None:
    assert reliability.row(f"{TEST}_stays_empty", "", None).line.startswith("Then there are none: ")
    assert reliability.row(f"{TEST}[a]", "", None).line == "as the test's name says"


def test_a_run_that_fails_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reliability, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(reliability, "collected", lambda: [TEST])
    monkeypatch.setattr(pytest, "main", lambda *_, plugins: 1)
    assert reliability.main() == 1
    monkeypatch.setattr(pytest, "main", lambda *_, plugins: 0)
    assert reliability.main() == 1  # it did not run what there is
    assert not list(tmp_path.iterdir())


def test_a_run_that_passes_writes_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(*_: object, plugins: list[Seen]) -> int:
        plugins[0].rows[TEST] = Row("this", "`that`", "right")
        return 0

    monkeypatch.setattr(reliability, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(reliability, "ROOT", tmp_path)
    monkeypatch.setattr(reliability, "about", lambda _: "It fails.")
    monkeypatch.setattr(reliability, "collected", lambda: [TEST])
    monkeypatch.setattr(pytest, "main", run)
    assert reliability.main() == 0
    assert "It fails.\n\n| fault | the log says | then |\n" in (tmp_path / "page.md").read_text()


def test_what_passes_is_kept_with_what_it_recorded() -> None:
    seen = Seen()
    report = pytest.TestReport(
        TEST,
        ("", 0, ""),
        {},
        "passed",
        None,
        "call",
        [],
        user_properties=[("seen", f"{STAMP}ERROR x"), ("recovered", "y")],
    )
    seen.pytest_runtest_logreport(report)
    assert seen.rows == {TEST: Row("the list of ingresses", "`ERROR x`", "y")}
