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
    news = News()
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
    failures = Failures()
    for _ in range(100):
        failures.failed("it is away")
    assert [record.getMessage() for record in said.records if record.levelno == logging.ERROR] == [
        "poll failed: it is away",
        "poll failed 4 times now: it is away",
        "poll failed 16 times now: it is away",
        "poll failed 64 times now: it is away",
    ]


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
