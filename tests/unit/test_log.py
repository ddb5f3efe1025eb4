"""A log that says a thing once."""

import logging

import pytest

from hairpin_proxy.observe.log import Failures, News, one_line, quoted


def test_one_line_folds_cuts_and_makes_harmless() -> None:
    assert one_line("a\n  b\t c") == "a b c"
    assert one_line("a\x1b[31mb\x00") == "a?[31mb?"
    assert one_line("é√") == "é√"
    assert one_line("x" * 1000) == "x" * 1000
    assert one_line("x" * 1001) == "x" * 997 + "..."


def test_quoted_keeps_white_space_and_cuts() -> None:
    assert quoted("a  b\n\x1b") == r"'a  b\n\x1b'"
    assert quoted("x" * 2000) == "'" + "x" * 996 + "..."


def test_news_are_what_the_last_poll_did_not_have() -> None:
    news = News[str]()
    assert news.of(["a", "b", "a"]) == ["a", "b"]
    assert news.of(["b", "c"]) == ["c"]
    assert news.of(["b", "a"]) == ["a"]
    assert news.of([]) == []
    assert news.of(["b"]) == ["b"]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "hairpin_proxy")
    return caplog


def test_a_lasting_failure_is_said_ever_more_seldom(said: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    failures = Failures(lambda: now)
    for _ in range(400):
        failures.failed("it is away")
        now += 15
    assert [record.getMessage() for record in said.records if record.levelno == logging.ERROR] == [
        "poll failed: it is away",  # at once
        "poll failed 21 times now: it is away",  # after 300 seconds
        "poll failed 81 times now: it is away",  # after 1200
        "poll failed 321 times now: it is away",  # after 4800
    ]


def test_a_failure_is_not_said_twice_because_another_came_between(said: pytest.LogCaptureFixture) -> None:
    now = 0.0
    failures = Failures(lambda: now)
    for now in (0, 1, 299.9):  # noqa: B007 - what the clock says
        failures.failed("a")
        failures.failed("b")
    errors = [record.getMessage() for record in said.records if record.levelno == logging.ERROR]
    assert errors == ["poll failed: a", "poll failed: b"]


def test_failures_that_are_never_the_same_are_forgotten_some_day(said: pytest.LogCaptureFixture) -> None:
    failures = Failures(lambda: 0)
    for number in range(101):
        failures.failed(f"{number}")
    failures.failed("0")
    assert [record.getMessage() for record in said.records].count("poll failed: 0") == 2


def test_the_first_time_a_fault_is_shown_with_where_it_is(said: pytest.LogCaptureFixture) -> None:
    failures = Failures(lambda: 0)
    for _ in range(2):
        failures.failed("a fault", KeyError("oops"))
    assert [bool(record.exc_info) for record in said.records] == [True, False]


def test_the_end_of_a_failure_is_said_once_and_the_next_is_a_new_one(said: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    failures.succeeded()
    failures.failed("a")
    failures.failed("b")
    failures.succeeded()
    failures.succeeded()
    failures.failed("a")
    assert [record.getMessage() for record in said.records] == [
        "poll failed: a",
        "poll failed: b",
        "poll works again, after 2 that failed",
        "poll failed: a",
    ]
