"""The loop around a poll: what ends it, what it survives, and what it says."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

import pytest

from hairpin_proxy import policy
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.guard import SECOND_LOOK
from hairpin_proxy.outcome import WAITING, Outcome, Room
from hairpin_proxy.policy import Asked, Claim, Facts, Reason
from hairpin_proxy.reconcile import Interrupted, Judged, Poll, Remembered, Stop, left_out, run


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "hairpin_proxy")
    return caplog


def loop(*polls: Outcome | Exception, once: bool = False) -> bool:
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

    return run(poll, interval=60, once=once, stop=AfterTheLast())


def outcome(desired: str = "text", *remarks: Remark, written: bool = False, waits: bool = False) -> Outcome:
    """Of a poll that found `text`."""
    return Outcome(Edit("a document", "text", desired, frozenset()), written, remarks, waits=waits)


IDLE = outcome()
UNDONE = Outcome(Edit("a document", "text", "text", frozenset()), written=False, remarks=(), undone=True)


def messages(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in said.records]


def test_a_failed_poll_does_not_end_the_loop(said: pytest.LogCaptureFixture) -> None:
    assert loop(OperatorError("away"), IDLE) is True
    assert messages(said) == ["poll failed: away", "poll works again, after 1 that failed"]


def test_a_fault_of_ours_does_not_end_it_either_and_shows_where_it_is(said: pytest.LogCaptureFixture) -> None:
    assert loop(KeyError("oops"), IDLE) is True
    assert "please report it: KeyError('oops')" in messages(said)[0]
    assert said.records[0].exc_info


def test_memory_that_runs_out_is_no_fault_of_ours(said: pytest.LogCaptureFixture) -> None:
    assert loop(MemoryError(), IDLE) is True
    assert messages(said)[0].startswith("poll failed: memory ran out: ")
    assert not said.records[0].exc_info


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


@pytest.mark.parametrize(("found", "succeeded"), [(IDLE, True), (OperatorError("away"), False), (UNDONE, False)])
def test_once_is_once(found: Outcome | Exception, succeeded: bool) -> None:
    polls = []

    def poll() -> Outcome:
        polls.append(found)
        if isinstance(found, Exception):
            raise found
        return found

    assert run(poll, interval=60, once=True, stop=Stop()) is succeeded
    assert len(polls) == 1


def test_once_is_twice_where_few_hosts_would_go_for_an_empty_list() -> None:
    polls, waits = [replace(UNDONE, doubted=True), IDLE], []

    class Waiting(Stop):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return False

    assert run(lambda: polls.pop(0), interval=60, once=True, stop=Waiting()) is True
    assert (polls, waits) == ([], [SECOND_LOOK])


def test_what_is_left_to_a_later_poll_is_no_failure_if_there_is_one() -> None:
    assert loop(UNDONE) is True


def test_idle_polls_say_nothing(said: pytest.LogCaptureFixture) -> None:
    loop(IDLE, IDLE)
    assert messages(said) == []


def test_a_write_is_one_entry_with_its_diff(said: pytest.LogCaptureFixture) -> None:
    loop(Outcome(Edit("a document", "a\nb\n", "a\nc\n", frozenset()), written=True, remarks=()))
    assert messages(said) == ["a document updated:\n--- current\n+++ desired\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n "]


def test_a_dry_run_is_said_once_as_long_as_it_stays_the_same(said: pytest.LogCaptureFixture) -> None:
    loop(outcome("b\n"), outcome("b\n"), outcome("c\n"))
    assert [message.partition("\n")[0] for message in messages(said)] == [
        "a document would be updated, but this is a dry run:"
    ] * 2


def test_a_write_that_waits_is_no_dry_run(said: pytest.LogCaptureFixture) -> None:
    said.set_level(logging.DEBUG, "hairpin_proxy")
    loop(outcome("b\n", waits=True), outcome(waits=True))
    assert messages(said) == ["a document is to be updated later", "a document is as it should be"]


def test_remarks_are_said_when_they_are_new(said: pytest.LogCaptureFixture) -> None:
    def with_remarks(*remarks: str) -> Outcome:
        return outcome("text", *map(Remark, remarks))

    loop(with_remarks("x"), with_remarks("x", "y"), with_remarks(), with_remarks("x"))
    assert messages(said) == ["x", "y", "x"]


def test_a_severe_remark_is_an_error_and_another_a_warning(said: pytest.LogCaptureFixture) -> None:
    loop(outcome("text", Remark("x", severe=True), Remark("y"), Remark("x")))
    assert [(record.levelname, record.getMessage()) for record in said.records] == [
        ("ERROR", "x"),
        ("WARNING", "y"),
        ("WARNING", "x"),
    ]


def test_the_wait_is_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Twice(Stop):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return len(waits) == 2

    poll: Callable[[], Outcome] = lambda: IDLE  # noqa: E731
    run(poll, interval=15, once=False, stop=Twice())
    assert waits == [15, 15]


@dataclass
class Pauses:
    """Pauses that are over at once, until the last of them is interrupted."""

    count: int
    asked_for: list[tuple[float, float]] = field(default_factory=list)
    raises: BaseException | None = None

    def __call__(self, seconds: float, quiet: float) -> None:
        self.asked_for.append((seconds, quiet))
        if len(self.asked_for) == self.count:
            raise Interrupted  # as a signal does it
        if self.raises:
            raise self.raises


@pytest.mark.parametrize(
    ("found", "pause"),
    [
        (IDLE, (15, 0)),
        (OperatorError("away"), (15, 0)),
        (OperatorError("busy", retry_after=4), (15, 4)),
        (OperatorError("busy", retry_after=40), (40, 40)),
        (replace(IDLE, rest=30.0), (15, 30)),
        (replace(IDLE, rest=4.0), (15, 4)),
        (outcome("new", waits=True), (15, 0)),
        (replace(outcome("new", waits=True), rest=4.0), (4, 4)),
        (replace(outcome("new", waits=True), rest=20.0), (15, 20)),
    ],
)
def test_the_next_poll_comes_when_what_waits_may_be_written(
    found: Outcome | Exception, pause: tuple[float, float]
) -> None:
    pauses = Pauses(2)

    def poll() -> Outcome:
        if isinstance(found, Exception):
            raise found
        return found

    assert run(poll, interval=15, once=False, stop=Stop(), pause=pauses) is isinstance(found, Outcome)
    assert pauses.asked_for == [pause, pause]


def test_a_signal_during_the_pause_ends_the_loop() -> None:
    stop, polls = Stop(), []

    def poll() -> Outcome:
        polls.append(1)
        return IDLE

    def pause(_seconds: float, _quiet: float) -> None:
        stop.set()
        raise AssertionError

    assert run(poll, interval=15, once=False, stop=stop, pause=pause) is True
    assert len(polls) == 1


def test_a_fault_in_the_pause_does_not_end_the_loop_nor_leave_it_without_a_wait(
    said: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []

    class Counted(Stop):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return False

    run(lambda: IDLE, interval=15, once=False, stop=Counted(), pause=Pauses(3, raises=KeyError("oops")))
    assert waits == [15, 15]
    assert messages(said) == ["pause failed: a fault in hairpin-proxy, please report it: KeyError('oops')"]


def test_once_does_not_pause() -> None:
    pauses = Pauses(1)
    assert run(lambda: IDLE, interval=15, once=True, stop=Stop(), pause=pauses)
    assert pauses.asked_for == []


def test_what_no_later_poll_can_mend_ends_the_loop_and_is_left_to_the_caller(said: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FinalError, match="replaced"):
        loop(FinalError("replaced"), IDLE)
    assert messages(said) == []


# ---- one poll after the other


@dataclass
class World:
    """A source, a gate and a provider in one, whose document is a line for each host; and the time."""

    wanted: list[str]
    text: str = ""
    now: float = 1000.0
    asked_for: list[set[str]] = field(default_factory=list)
    written_at: list[float] = field(default_factory=list)
    not_before: list[float] = field(default_factory=list)
    """For each poll, before when no list may have been made."""

    doubts: tuple[str, ...] = ()
    """Of what there is none, as far as one list tells."""

    refuses: bool = False
    refused: Remark | None = None
    """Why nothing is written, which fails no poll."""

    missing: Remark | None = None
    """What new hosts wait for."""

    def shut(self, *, is_first: bool) -> tuple[bool, Remark | None]:
        return self.missing is not None, self.missing

    @property
    def source(self) -> "Asking":
        return Asking(self)

    def read(self) -> str:
        return "".join(self.text)  # read anew

    def owned(self, state: str) -> frozenset[str]:
        return frozenset(state.split())

    def facts(self, state: str) -> Facts:
        return Facts(self.owned(state))

    def render(self, state: str, hosts: Collection[str]) -> Edit:
        self.asked_for.append(set(hosts))
        desired = "".join(f"{host}\n" for host in sorted(hosts))
        return Edit("a document", state, desired, frozenset(hosts), (Remark("of the edit"),))

    def remarks(self, state: str, hosts: Collection[str]) -> Iterable[Remark]:
        return [Remark(f"of the document, with {len(hosts)} hosts")]

    def write(self, state: str, edit: Edit) -> Remark | None:
        if self.refuses:
            raise OperatorError("409")
        if self.refused:
            return self.refused
        assert edit.current == state == self.text
        self.text = edit.desired
        self.written_at.append(self.now)
        return None

    def manager(self, state: str, document: str) -> str:
        return f"somebody does it to {document}"

    def room(self, state: str) -> Room:
        return Room("a document", len(state), 1000)

    def poll(self, *, dry_run: bool = False, interval: float = 15, gap: float = 0) -> Poll[str]:
        return Poll(self.source, decide, self, Remembered(self), interval, dry_run, gap, clock=lambda: self.now)


@dataclass(frozen=True)
class Asking:
    """The source of a world."""

    world: World

    def read(self, not_before: float) -> Asked:
        self.world.not_before.append(not_before)
        claims = [Claim(host, f"Ingress default/{number}") for number, host in enumerate(self.world.wanted)]
        return Asked(claims, doubts=self.world.doubts)


def decide(asked: Asked, facts: Facts) -> Judged:
    return policy.decide(asked, policy.Policy("proxy.example.org"), facts), ()


def hosts(count: int, first: int = 0) -> list[str]:
    return [f"{number:02}.example.com" for number in range(first, first + count)]


def test_a_poll_writes_what_is_asked_for_and_then_nothing_more() -> None:
    world = World(["b.example.com", "a.example.com"])
    poll = world.poll()
    done = poll()
    desired = "a.example.com\nb.example.com\n"
    edit = Edit("a document", "", desired, frozenset(world.wanted), (Remark("of the edit"),))
    remarks = (Remark("of the edit"), Remark("of the document, with 2 hosts"))
    assert (done.edit, done.written, done.remarks) == (edit, True, remarks)
    assert not done.undone
    assert not done.waits
    assert world.text == desired
    done = poll()
    assert (done.edit, done.written, done.remarks) == (edit._replace(current=desired), False, remarks)
    assert world.written_at == [1000]


def test_a_dry_run_writes_nothing() -> None:
    world = World(["a.example.com"])
    done = world.poll(dry_run=True)()
    assert (world.text, done.written, done.edit.desired, done.waits) == ("", False, "a.example.com\n", False)


def test_a_host_that_many_ingresses_name_is_left_out_in_one_line() -> None:
    done = World(["a.*.example.com"] * 3).poll()()
    reason = "is a wildcard; only *.DOMAIN is served (invalid-name)"
    assert done.remarks[0] == Remark(f"Ingress default/0: host 'a.*.example.com' is left out: it {reason}")
    assert [remark.text.partition(" ")[0] for remark in done.remarks] == ["Ingress", "of", "of"]


def test_what_to_be_warned_of_is_not_hidden_by_an_object_of_no_interest() -> None:
    other_class = Reason("ingress-class", "is of another class", chosen=True)
    claims = [Claim("localhost", "Ingress a/other", refusal=other_class), Claim("localhost", "Ingress b/ours")]
    (remark,) = left_out(policy.decide(Asked(claims), policy.Policy("proxy.example.org"), Facts()))
    assert (remark.text.partition(":")[0], remark.calm) == ("Ingress b/ours", False)
    assert remark.text.endswith(" (protected)")


def test_a_host_that_somebody_is_granted_is_not_said_to_be_left_out() -> None:
    other_class = Reason("ingress-class", "is of another class", chosen=True)
    names = ["A.example.com.", "a.example.com", "\u212a.example.com"]  # the Kelvin sign is no k
    claims = [Claim(name, "Ingress a/other", refusal=other_class) for name in names]
    claims += [Claim(name, "Ingress b/ours") for name in ("a.example.com", "k.example.com")]
    (remark,) = left_out(policy.decide(Asked(claims), policy.Policy("proxy.example.org"), Facts()))
    assert "\u212a.example.com" in remark.text


def test_a_mass_removal_waits_for_a_second_list_an_interval_later(said: pytest.LogCaptureFixture) -> None:
    world = World(hosts(9), "\n".join(hosts(20)))
    poll = world.poll()
    for now in (1000, 1014.9):
        world.now = now
        done = poll()
        assert (done.undone, world.owned(world.text)) == (True, frozenset(hosts(20)))
        assert done.remarks[-1] == Remark(
            "11 of 20 hosts would go at once, such as 09.example.com: they stay until a poll that comes an interval "
            "later finds them gone too"
        )
        assert done.remarks[-2] == Remark("of the document, with 20 hosts")
    world.now = 1015
    done = poll()
    assert (done.undone, world.owned(world.text)) == (False, frozenset(hosts(9)))
    assert done.remarks[-1] == Remark("of the document, with 9 hosts")
    # The last poll went by a list that was made after the hosts had been missing for an interval.
    assert world.not_before == [float("-inf"), float("-inf"), 1015]


def test_what_a_first_empty_list_lacks_waits_for_a_second_one_an_interval_later() -> None:
    world = World([], "a.example.com\nb.example.com\n", doubts=("Ingresses",))
    poll = world.poll()
    done = poll()
    assert (done.undone, done.doubted, done.written) == (True, True, False)
    assert done.remarks[-1] == Remark(
        "2 of 2 hosts would go at once, such as a.example.com, for there are no Ingresses any more: they stay until a "
        "poll that comes an interval later finds them gone too"
    )
    world.now, world.doubts = 1015, ()
    done = poll()
    assert (done.undone, done.doubted, world.text) == (False, False, "")
    assert world.not_before == [float("-inf"), 1015]


def test_what_goes_by_a_list_that_is_no_empty_one_goes_at_once() -> None:
    world = World([], "a.example.com\nb.example.com\n")
    done = world.poll()()
    assert (done.undone, done.doubted, world.text) == (False, False, "")


def test_a_mass_removal_is_not_for_a_second_look_soon_after() -> None:
    done = World([], "\n".join(hosts(10)), doubts=("Ingresses",)).poll()()
    assert (done.undone, done.doubted) == (True, False)


def test_new_hosts_do_not_wait_for_it() -> None:
    world = World(["new.example.com"], "\n".join(hosts(10)))
    done = world.poll()()
    assert (done.written, done.undone) == (True, True)
    assert world.owned(world.text) == {"new.example.com", *hosts(10)}


def test_new_hosts_wait_while_the_gate_is_shut_and_others_come_and_go() -> None:
    world = World(["new.example.com", "stays.example.com"], "goes.example.com\nstays.example.com\n")
    world.missing = Remark("no endpoint")
    poll = world.poll()
    done = poll()
    assert (done.written, done.undone, world.text) == (True, True, "stays.example.com\n")
    assert Remark("no endpoint") in done.remarks
    world.missing = None
    done = poll()
    assert (done.written, done.undone, world.text) == (True, False, "new.example.com\nstays.example.com\n")


def test_nobody_asks_at_the_gate_while_nothing_comes_new() -> None:
    world = World(["stays.example.com"], "goes.example.com\nstays.example.com\n")
    world.missing = Remark("no endpoint")
    done = world.poll()()
    assert (done.undone, world.text, Remark("no endpoint") in done.remarks) == (False, "stays.example.com\n", False)


def test_what_is_to_be_known_of_an_open_gate_is_said() -> None:
    world = World(["new.example.com"])
    note = Remark("it may not be seen")
    poll = world.poll()
    done = replace(poll, gate=OpenGate(note))()
    assert (done.written, done.undone, note in done.remarks) == (True, False, True)


@dataclass(frozen=True)
class OpenGate:
    note: Remark

    def shut(self, *, is_first: bool) -> tuple[bool, Remark | None]:
        return False, self.note


def test_a_write_that_fails_leaves_a_mass_removal_to_be_agreed_on_by_the_list_after_it() -> None:
    world = World([], "\n".join(hosts(10)))
    poll = world.poll()
    poll()
    world.now, world.refuses = 1015, True
    with pytest.raises(OperatorError, match="409"):
        poll()
    world.refuses = False
    assert not poll().undone
    assert world.text == ""


def test_writes_that_fail_do_not_keep_a_mass_removal_from_being_agreed_on() -> None:
    world = World(["new.example.com"], "\n".join(hosts(10)))
    poll = world.poll()
    world.refuses = True
    with pytest.raises(OperatorError, match="409"):
        poll()
    world.now, world.refuses = 1015, False
    assert not poll().undone
    assert world.text == "new.example.com\n"


def test_a_write_that_is_refused_and_fails_no_poll_is_said_and_begins_no_gap() -> None:
    world = World(["a.example.com"], refused=Remark("a webhook says no"))
    poll = world.poll(gap=60)
    done = poll()
    assert (done.result, done.hosts, done.rest) == (WAITING, frozenset(), 0)
    assert Remark("a webhook says no") in done.remarks
    world.refused = None
    assert poll().written


def test_a_document_that_is_reverted_is_written_ever_more_seldom() -> None:
    world = World(["a.example.com"])
    poll = world.poll()
    outcomes = []
    while world.now <= 1200:
        outcomes.append(poll())
        world.text = ""
        world.now += 15
    assert world.written_at == [1000, 1015, 1060, 1135]
    last = outcomes[-1]
    assert (last.written, last.waits, last.edit.desired) == (False, True, "a.example.com\n")
    assert last.remarks[-1] == Remark(
        "what was written has been undone 4 times or more; where that happens within a few polls, it is written ever "
        "more seldom, down to every 10 minutes: somebody does it to a document",
        severe=True,
        about="reverts",
    )
    assert [done.reverts for done in outcomes[:5]] == [0, 1, 2, 2, 2]
    assert [any(remark.severe for remark in done.remarks) for done in outcomes[:4]] == [False, False, True, True]


def test_what_vanishes_that_was_not_written_by_us_is_no_revert() -> None:
    world = World(["a.example.com"], "a.example.com\n")
    poll = world.poll()
    assert not poll().written
    for now in (1015, 1030):
        world.now, world.text = now, ""
        assert poll().written
    assert world.written_at == [1015, 1030]


def test_hosts_that_are_no_longer_asked_for_were_not_reverted() -> None:
    world = World(["a.example.com", "b.example.com"])
    poll = world.poll()
    for wanted in (["a.example.com"], ["a.example.com", "b.example.com"], ["b.example.com"], []):
        world.wanted = wanted
        done = poll()
        world.now += 15
        assert (done.written, done.waits) == (True, False)
        assert not any(remark.severe for remark in done.remarks)


def test_a_revert_counts_even_if_the_poll_that_sees_it_fails() -> None:
    world = World(["a.example.com"])
    poll = world.poll()
    poll()
    world.text, world.refuses = "", True
    with pytest.raises(OperatorError, match="409"):
        poll()
    world.refuses = False
    assert poll().reverts == 1
    world.wanted = []
    assert poll().reverts == 1


def test_an_outcome_tells_what_has_a_rule_now_and_how_much_room_is_used() -> None:
    one = frozenset({"a.example.com"})
    world = World(sorted(one))
    poll, dry = world.poll(gap=30), world.poll(dry_run=True)

    def has(done: Outcome, hosts: frozenset[str], size: int) -> None:
        assert done.hosts == hosts
        assert done.room == Room("a document", size, 1000)

    has(dry(), frozenset(), 0)
    has(poll(), one, 14)
    has(poll(), one, 14)
    world.wanted = ["a.example.com", "b.example.com"]
    done = poll()
    assert done.waits
    has(done, one, 14)
    world.now, world.missing = 1030, Remark("nobody is there")
    done = poll()
    has(done, one, 14)
    assert done.held == {"b.example.com"}
    assert done.decision
    assert done.decision.hosts == {"a.example.com", "b.example.com"}


# ---- the gap between writes


def test_the_first_write_comes_at_once_and_the_next_when_the_gap_is_over() -> None:
    world = World(["a.example.com"])
    poll = world.poll(gap=30)
    done = poll()
    assert (done.written, done.waits, done.rest) == (True, False, 30)
    world.wanted, world.now = ["a.example.com", "b.example.com"], 1004
    done = poll()
    assert (done.written, done.waits, done.rest) == (False, True, 26)
    assert done.edit.desired == "a.example.com\nb.example.com\n"
    world.wanted, world.now = ["a.example.com", "c.example.com"], 1029.9
    assert not poll().written
    world.now = 1030
    done = poll()
    assert (done.written, done.waits, done.rest) == (True, False, 30)
    assert (world.text, world.written_at) == ("a.example.com\nc.example.com\n", [1000, 1030])


def test_an_idle_poll_in_the_gap_waits_for_nothing() -> None:
    world = World(["a.example.com"])
    poll = world.poll(gap=30)
    poll()
    world.now = 1010
    done = poll()
    assert (done.written, done.waits, done.rest) == (False, False, 20)


def test_a_write_that_fails_begins_no_gap() -> None:
    world = World(["a.example.com"], refuses=True)
    poll = world.poll(gap=30)
    with pytest.raises(OperatorError, match="409"):
        poll()
    world.refuses = False
    assert poll().written


def test_a_revert_is_answered_by_the_gap_and_then_ever_more_seldom() -> None:
    """Also where polls are so close together that the gap is longer than a few of them."""
    world = World(["a.example.com"])
    poll = world.poll(interval=1, gap=30)
    while world.now <= 1400:
        poll()
        world.text = ""
        world.now += 1
    assert world.written_at == [1000, 1030, 1091, 1212]


def test_nothing_is_worked_out_anew_while_nothing_changes() -> None:
    world = World(["a.example.com"])
    poll = world.poll()
    poll()
    poll()
    rendered = len(world.asked_for)
    outcomes = [poll() for _ in range(3)]
    assert len(world.asked_for) == rendered
    assert outcomes[0] == outcomes[2]
    provider = Remembered(world)
    assert provider.read() is provider.read()
    world.text = ""
    assert poll().written
