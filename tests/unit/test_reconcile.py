"""The loop around a poll: what ends it, what it survives, and what it says."""

import logging
from collections.abc import Callable, Collection
from functools import partial
from types import SimpleNamespace

import pytest

from hairpin_proxy import policy
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.policy import Claim
from hairpin_proxy.reconcile import Outcome, Stop, run, run_once


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "hairpin_proxy")
    return caplog


def loop(*polls: Outcome | Exception) -> bool:
    """Runs the loop over these polls, and ends it in the wait after the last one."""
    left = list(polls)

    class AfterTheLast(Stop):
        def wait(self, seconds: float) -> bool:
            return not left

    def poll() -> Outcome:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return run(poll, interval=60, once=False, stop=AfterTheLast())


IDLE = Outcome("a document", "text", "text", written=False, remarks=())


def messages(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in said.records]


def test_a_failed_poll_does_not_end_the_loop(said: pytest.LogCaptureFixture) -> None:
    assert loop(OperatorError("away"), IDLE) is True
    assert messages(said) == ["poll failed: away", "poll works again, after 1 that failed"]


def test_a_fault_of_ours_does_not_end_it_either_and_shows_where_it_is(said: pytest.LogCaptureFixture) -> None:
    assert loop(KeyError("oops"), IDLE) is True
    assert "please report it: KeyError('oops')" in messages(said)[0]
    assert said.records[0].exc_info


def test_whether_the_last_poll_succeeded(said: pytest.LogCaptureFixture) -> None:
    assert loop(IDLE, OperatorError("away")) is False


def test_a_signal_gives_up_the_poll_and_says_nothing_of_it(said: pytest.LogCaptureFixture) -> None:
    stop = Stop()
    steps = []

    def poll() -> Outcome:
        steps.append("before")
        stop.set()
        steps.append("after")
        return IDLE

    assert run(poll, interval=60, once=False, stop=stop) is False
    assert steps == ["before"]
    assert messages(said) == []


def test_after_a_signal_no_poll_begins() -> None:
    stop = Stop()
    stop.set()

    def poll() -> Outcome:
        raise AssertionError

    assert run(poll, interval=60, once=False, stop=stop) is False


def test_a_signal_while_a_write_is_reported_does_not_cut_the_report() -> None:
    stop = Stop()
    with stop.polling():
        pass
    stop.set()
    assert stop.wait(60)


@pytest.mark.parametrize(("outcome", "succeeded"), [(IDLE, True), (OperatorError("away"), False)])
def test_once_is_once(outcome: Outcome | Exception, succeeded: bool) -> None:
    polls = []

    def poll() -> Outcome:
        polls.append(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert run(poll, interval=60, once=True, stop=Stop()) is succeeded
    assert len(polls) == 1


def test_idle_polls_say_nothing(said: pytest.LogCaptureFixture) -> None:
    loop(IDLE, IDLE)
    assert messages(said) == []


def test_a_write_is_one_entry_with_its_diff(said: pytest.LogCaptureFixture) -> None:
    loop(Outcome("a document", "a\nb\n", "a\nc\n", written=True, remarks=()))
    assert messages(said) == ["a document updated:\n--- current\n+++ desired\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n "]


def test_a_host_that_many_ingresses_name_is_left_out_in_one_line() -> None:
    class Wildcards:
        def claims(self) -> list[Claim]:
            return [Claim("*.example.com", f"Ingress default/{number}") for number in range(3)]

    class Nowhere:
        def read(self) -> SimpleNamespace:
            return SimpleNamespace(text="text")

        def render(self, current: SimpleNamespace, hosts: Collection[str]) -> str:
            return str(current.text)

        def remarks(self, current: SimpleNamespace, hosts: Collection[str]) -> list[str]:
            return []

        def write(self, current: SimpleNamespace, text: str) -> None:
            raise AssertionError

    decide = partial(policy.decide, destination="proxy.example.org")
    outcome = run_once(Wildcards(), decide, Nowhere(), dry_run=False)
    reason = "is a wildcard; only exact names are served"
    assert outcome.remarks == (f"Ingress default/0: host '*.example.com' is left out: it {reason}",)


def test_a_dry_run_is_said_once_as_long_as_it_stays_the_same(said: pytest.LogCaptureFixture) -> None:
    def dry(desired: str) -> Outcome:
        return Outcome("a document", "a\n", desired, written=False, remarks=())

    loop(dry("b\n"), dry("b\n"), dry("c\n"))
    assert [message.partition("\n")[0] for message in messages(said)] == [
        "a document would be updated, but this is a dry run:"
    ] * 2


def test_remarks_are_said_when_they_are_new(said: pytest.LogCaptureFixture) -> None:
    def with_remarks(*remarks: str) -> Outcome:
        return Outcome("a document", "", "", written=False, remarks=remarks)

    loop(with_remarks("x"), with_remarks("x", "y"), with_remarks(), with_remarks("x"))
    assert messages(said) == ["x", "y", "x"]


def test_the_wait_is_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Twice(Stop):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return len(waits) == 2

    poll: Callable[[], Outcome] = lambda: IDLE  # noqa: E731
    run(poll, interval=15, once=False, stop=Twice())
    assert waits == [15, 15]


@pytest.mark.parametrize(("ends_at", "steps"), [(1, [7]), (2, [7, "poll", 15]), (3, [7, "poll", 15, "poll", 15])])
def test_the_first_poll_comes_after_the_delay_which_a_signal_ends_too(ends_at: int, steps: list[object]) -> None:
    done: list[object] = []

    class AtThat(Stop):
        def wait(self, seconds: float) -> bool:
            done.append(seconds)
            return len([step for step in done if step != "poll"]) == ends_at

    def poll() -> Outcome:
        done.append("poll")
        return IDLE

    assert run(poll, interval=15, once=False, stop=AtThat(), delay=7) is (ends_at > 1)
    assert done == steps


def test_what_no_later_poll_can_mend_ends_the_loop_and_is_left_to_the_caller(said: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FinalError, match="replaced"):
        loop(FinalError("replaced"), IDLE)
    assert messages(said) == []
