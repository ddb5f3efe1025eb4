"""What is counted of polls, and what is said of the loop's health."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hairpin_proxy.edit import Edit
from hairpin_proxy.observe.health import LONGEST_POLL, Loop
from hairpin_proxy.observe.metrics import Metrics
from hairpin_proxy.observe.observer import Observer
from hairpin_proxy.outcome import Outcome, Room
from hairpin_proxy.policy import Asked, Claim, Decision, Facts, Policy, decide
from hairpin_proxy.reconcile import Interrupted

IDLE = Outcome(Edit("a document", "text", "text", frozenset()), False, ())


def samples(metrics: Metrics) -> dict[str, float]:
    """By `name{label}`, without our prefix."""
    found = text_string_to_metric_families(metrics.page().decode())
    return {
        sample.name.removeprefix("hairpin_proxy_")
        + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in found
        for sample in family.samples
    }


def decided(*claims: Claim) -> Decision:
    return decide(Asked(claims), Policy("proxy.example.org"), Facts())


def test_before_the_first_poll() -> None:
    found = samples(Metrics("1.2.3"))
    assert found["build_info{1.2.3}"] == 1
    assert found["last_successful_poll_timestamp_seconds"] == 0
    results = ("written", "unchanged", "waiting", "dry-run", "failed")
    assert [found[f"polls_total{{{result}}}"] for result in results] == [0] * 5
    assert found["api_errors_total{none}"] == 0
    assert not [name for name in found if name.startswith(("hosts", "corefile"))]
    assert not [name for name in found if name.endswith("_created")]
    assert found["process_resident_memory_bytes"] > 0


def test_polls_by_what_they_came_to() -> None:
    metrics = Metrics("")
    metrics.polled(IDLE, 0.02)
    at = samples(metrics)["last_successful_poll_timestamp_seconds"]
    assert at > 1_700_000_000
    metrics.failed(7)
    metrics.failed(7)
    metrics.polled(replace(IDLE, written=True), 0.2)
    found = samples(metrics)
    assert (found["polls_total{unchanged}"], found["polls_total{written}"], found["polls_total{failed}"]) == (1, 1, 2)
    assert found["writes_total{a document}"] == 1
    assert found["poll_duration_seconds_count"] == 4
    assert found["poll_duration_seconds_sum"] == pytest.approx(14.22)


def test_a_document_whose_first_poll_writes_has_no_write_on_the_first_page() -> None:
    metrics = Metrics("")
    metrics.polled(replace(IDLE, written=True), 0)
    metrics.polled(replace(IDLE, written=True), 0)
    assert samples(metrics)["writes_total{a document}"] == 1
    assert [samples(metrics)["writes_total{a document}"] for _ in range(2)] == [2, 2]


def test_a_failed_poll_leaves_the_time_of_the_last_good_one() -> None:
    metrics = Metrics("")
    metrics.polled(IDLE, 0)
    before = samples(metrics)["last_successful_poll_timestamp_seconds"]
    metrics.failed(0)
    assert samples(metrics)["last_successful_poll_timestamp_seconds"] == before


def test_reverts_are_counted_by_their_sum() -> None:
    metrics = Metrics("")
    for reverts in (0, 1, 1, 3):
        metrics.polled(replace(IDLE, reverts=reverts), 0)
    assert samples(metrics)["reverts_total"] == 3


def test_hosts_by_source_and_those_left_out_by_reason_which_say_0_afterwards() -> None:
    metrics = Metrics("")
    asked = decided(Claim("a.example.com", "Ingress default/a"), Claim("b.svc", "Gateway default/b"))
    made = Edit("a document", "", "", frozenset({"a.example.com"}))
    metrics.polled(replace(IDLE, edit=made, decision=asked, hosts=asked.hosts), 0)
    found = samples(metrics)
    assert (found["hosts{ingress}"], found["hosts{gateway}"], found["hosts_left_out{false}{protected}"]) == (1, 0, 1)
    metrics.polled(replace(IDLE, edit=made, decision=decided(), hosts=asked.hosts), 0)
    found = samples(metrics)
    assert (found["hosts{ingress}"], found["hosts{none}"], found["hosts_left_out{false}{protected}"]) == (0, 1, 0)


def test_the_room_is_that_of_one_document() -> None:
    metrics = Metrics("")
    metrics.polled(replace(IDLE, room=Room("old", 1, 2)), 0)
    metrics.polled(replace(IDLE, room=Room("new", 3, 4)), 0)
    found = samples(metrics)
    assert (found["corefile_bytes{new}"], found["corefile_limit_bytes{new}"]) == (3, 4)
    assert "corefile_bytes{old}" not in found


def test_api_errors_by_status() -> None:
    metrics = Metrics("")
    for status in (403, None, 403, 418):
        metrics.call_failed(status)
    found = samples(metrics)
    assert [found[f"api_errors_total{{{code}}}"] for code in ("403", "none", "418", "409")] == [2, 1, 1, 0]


# ---- the loop


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_loop_turns_until_something_takes_far_too_long() -> None:
    clock = Clock()
    loop = Loop(15, clock)
    begins: dict[Callable[[], None], float] = {
        lambda: None: 2 * 15 + 60,
        loop.polls: LONGEST_POLL,
        lambda: loop.pauses(100): 2 * 100 + 60,
    }
    for begin, seconds in begins.items():
        begin()
        clock.now += seconds
        assert loop.turns().good
        clock.now += 1
        assert not loop.turns().good
    assert loop.turns().why == "stuck: a pause began 261 s ago, and takes 260 at the most"
    loop.polls()
    clock.now += 3
    assert loop.turns() == (True, "ok: a poll began 3 s ago")


def test_it_is_ready_after_the_first_good_poll_and_ever_after() -> None:
    observer = Observer(Metrics(""), Loop(15, Clock()))

    def fails() -> Outcome:
        raise OSError("away")

    def ends() -> Outcome:
        raise Interrupted

    ready = []
    for poll in (fails, ends, lambda: IDLE, fails):
        with suppress(OSError, Interrupted):
            assert observer.poll(poll) is IDLE
        ready.append(observer.loop.ready().good)
    assert ready == [False, False, True, True]
    assert samples(observer.metrics)["poll_duration_seconds_count"] == 3


def test_a_pause_is_made_as_it_is_asked_for() -> None:
    asked = []
    observer = Observer(Metrics(""), Loop(15, Clock()))
    observer.loop.polls()
    observer.pause(lambda seconds, quiet: asked.append((seconds, quiet)), 4, 2)
    assert asked == [(4, 2)]
    assert observer.loop.turns().why.startswith("ok: a pause began")


def test_idle_polls_count_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics("")
    decision = decided(*(Claim(f"{number}.example.com", "Ingress default/a") for number in range(100)))
    made = Edit("a document", "text", "text", decision.hosts)
    idle = replace(IDLE, edit=made, decision=decision, hosts=made.hosts)
    metrics.polled(idle, 0)

    def fails(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Decision, "__eq__", fails)
    monkeypatch.setattr("hairpin_proxy.outcome._source", fails)
    monkeypatch.setattr("hairpin_proxy.outcome.reasons", fails)
    metrics.polled(replace(idle, held=frozenset()), 0)
    assert samples(metrics)["hosts{ingress}"] == 100
