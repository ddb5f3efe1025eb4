"""A log that says a thing once."""

import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hairpin_proxy.edit import Remark
from hairpin_proxy.observe.log import Failures, News, configure, log, one_line, quoted


def test_one_line_folds_cuts_and_makes_harmless() -> None:
    assert one_line("a\n  b\t c") == "a b c"
    assert one_line("a\x1b[31mb\x00") == "a?[31mb?"
    assert one_line("é√") == "é√"
    assert one_line("x" * 1000) == "x" * 1000
    assert one_line("x" * 1001) == "x" * 997 + "..."


def test_quoted_keeps_white_space_and_cuts() -> None:
    assert quoted("a  b\n\x1b") == r"'a  b\n\x1b'"
    assert quoted("x" * 2000) == "'" + "x" * 996 + "..."


def news_of(news: News, *texts: str) -> list[str]:
    return [remark.text for remark in news.of(map(Remark, texts))]


def test_news_are_what_the_last_poll_did_not_have() -> None:
    news = News()
    assert news_of(news, "a", "b", "a") == ["a", "b"]
    assert news_of(news, "b", "c") == ["c"]
    assert news_of(news, "b", "a") == ["a"]
    assert news_of(news) == []
    assert news_of(news, "b") == ["b"]


def test_a_severe_remark_that_lasts_is_said_ever_more_seldom_and_so_is_its_end() -> None:
    now = 0.0
    news = News(lambda: now)
    said = []
    for now in range(0, 6000, 15):
        said += [(now, remark) for remark in news.of([Remark("x", severe=True), Remark("y")])]
    again = Remark("still so: x", severe=True)
    assert said == [(0, Remark("x", severe=True)), (0, Remark("y")), (300, again), (1200, again), (4800, again)]
    assert news.of([]) == [Remark("no longer so: x", severe=True)]
    assert news.of([]) == []


def test_a_severe_remark_whose_text_changes_has_not_ended_nor_begun_anew() -> None:
    now = 0.0
    news = News(lambda: now)
    first, second = (Remark(f"undone {count} times", severe=True, about="reverts") for count in (2, 4))
    assert news.of([first]) == [first]
    now = 299
    assert news.of([second]) == [second]
    now = 300
    assert [remark.text for remark in news.of([second])] == ["still so: undone 4 times"]
    assert [remark.text for remark in news.of([])] == ["no longer so: undone 4 times"]


@pytest.fixture
def _own_log() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, of_root = log.handlers, log.level, root.handlers
    yield
    log.handlers, log.level, root.handlers = handlers, level, of_root
    logging.captureWarnings(False)


@pytest.mark.usefixtures("_own_log")
def test_as_json_an_entry_is_an_object_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.info("a document updated:\n%s", "-a\n+é\udc80")
    log.debug("not this")
    try:
        raise KeyError("oops")
    except KeyError as error:
        log.error("a fault", exc_info=error)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert list(first) == ["time", "level", "message"]
    assert first["message"] == "a document updated:\n-a\n+é\udc80"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["time"])
    assert abs(datetime.fromisoformat(first["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (first["level"], second["level"], second["message"]) == ("info", "error", "a fault")
    assert second["exception"].startswith("Traceback ")
    assert second["exception"].endswith("\nKeyError: 'oops'")


@pytest.mark.usefixtures("_own_log")
def test_as_json_what_libraries_warn_of_is_an_entry_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure("error", "json")
    logging.getLogger("urllib3.connectionpool").warning("Retrying (%s)", 1)
    logging.getLogger("urllib3.connectionpool").info("not this")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
    log.error("ours")
    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"]) == ("warning", "Retrying (1)")
    assert "DeprecationWarning: an old way" in second["message"]
    assert third["message"] == "ours"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "hairpin_proxy")
    return caplog


def test_a_lasting_failure_is_said_ever_more_seldom(said: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    failures = Failures("poll", lambda: now)
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
    failures = Failures("poll", lambda: now)
    for now in (0, 1, 299.9):  # noqa: B007 - what the clock says
        failures.failed("a")
        failures.failed("b")
    errors = [record.getMessage() for record in said.records if record.levelno == logging.ERROR]
    assert errors == ["poll failed: a", "poll failed: b"]


def test_failures_that_are_never_the_same_are_forgotten_some_day(said: pytest.LogCaptureFixture) -> None:
    failures = Failures("poll", lambda: 0)
    for number in range(101):
        failures.failed(f"{number}")
    failures.failed("0")
    assert [record.getMessage() for record in said.records].count("poll failed: 0") == 2


def test_the_first_time_a_fault_is_shown_with_where_it_is(said: pytest.LogCaptureFixture) -> None:
    failures = Failures("poll", lambda: 0)
    for _ in range(2):
        failures.failed("a fault", KeyError("oops"))
    assert [bool(record.exc_info) for record in said.records] == [True, False]


def test_the_end_of_a_failure_is_said_once_and_the_next_is_a_new_one(said: pytest.LogCaptureFixture) -> None:
    failures = Failures("poll")
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
