"""When a write has to wait: mass removals, and documents that are reverted."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from hairpin_proxy.guard import (
    FEW,
    LONGEST,
    MANY,
    RECENT,
    Missing,
    Reverts,
    Text,
    Verdict,
    is_mass,
    removal,
    rest,
    second_list,
)

INTERVAL = 15.0


def hosts(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"{number}.example.com" for number in range(first, first + count))


NEW = frozenset({"new.example.com"})


@pytest.mark.parametrize(
    ("standing", "wanted", "kept"),
    [
        (hosts(0), hosts(0), hosts(0)),
        (hosts(0), hosts(20), hosts(0)),
        (hosts(20), hosts(20), hosts(0)),
        (hosts(9), hosts(0), hosts(0)),
        (hosts(10), hosts(0), hosts(10)),
        (hosts(10), hosts(5), hosts(0)),
        (hosts(10), hosts(4), hosts(6, 4)),
        (hosts(11), hosts(6), hosts(0)),
        (hosts(11), hosts(5), hosts(6, 5)),
        (hosts(20), hosts(10), hosts(0)),
        (hosts(20), hosts(9), hosts(11, 9)),
        (hosts(20), hosts(10) | NEW, hosts(0)),
        (hosts(20), hosts(9) | NEW, hosts(11, 9)),
        (hosts(20), NEW, hosts(20)),
    ],
)
def test_one_list_removes_half_of_many_but_no_more(
    standing: frozenset[str], wanted: frozenset[str], kept: frozenset[str]
) -> None:
    gone = standing - wanted
    assert is_mass(standing, gone) == bool(kept)
    verdict = removal({}, gone, 100.0, INTERVAL, is_doubtful=is_mass(standing, gone))
    assert verdict == Verdict(kept, dict.fromkeys(kept, 100.0))


def test_many_is_ten() -> None:
    assert MANY == 10


@dataclass
class Lists:
    """Polls with one list each, in which what the guard lets go is gone."""

    standing: frozenset[str]
    missing: Missing = field(default_factory=dict)
    doubts: bool = False

    def poll(self, now: float, wanted: frozenset[str]) -> frozenset[str]:
        gone = self.standing - wanted
        is_doubtful = is_mass(self.standing, gone) or self.doubts
        verdict = removal(self.missing, gone, now, INTERVAL, is_doubtful=is_doubtful)
        self.missing = verdict.missing
        self.standing = wanted | verdict.kept
        return verdict.kept


def test_a_second_list_an_interval_later_is_enough() -> None:
    lists = Lists(hosts(20))
    assert lists.poll(100, hosts(2)) == hosts(18, 2)
    assert lists.poll(101, hosts(2)) == hosts(18, 2)
    assert lists.poll(114.9, hosts(2)) == hosts(18, 2)
    assert lists.poll(115, hosts(2)) == hosts(0)
    assert lists.poll(130, hosts(2)) == hosts(0)
    assert lists.missing == {}


def test_a_list_that_has_them_again_begins_it_anew() -> None:
    lists = Lists(hosts(20))
    for now in (100, 130, 160):
        assert lists.poll(now, hosts(0)) == hosts(20)
        assert lists.poll(now + 15, hosts(20)) == hosts(0)


def test_what_only_the_second_list_lacks_stays_for_another() -> None:
    lists = Lists(hosts(30))
    assert lists.poll(100, hosts(14)) == hosts(16, 14)
    assert lists.poll(115, hosts(2)) == hosts(12, 2)
    assert lists.standing == hosts(14)


def test_it_goes_in_the_end_however_the_lists_shrink() -> None:
    """Or the hosts of a deleted namespace would be led to us for ever."""
    lists = Lists(hosts(30))
    now = 100.0
    for wanted in (hosts(14), hosts(0), hosts(0), hosts(0), hosts(0)):
        lists.poll(now, wanted)
        now += INTERVAL
    assert lists.standing == hosts(0)


def test_lists_that_lack_other_hosts_each_time_remove_none_at_once_and_all_in_the_end() -> None:
    lists = Lists(hosts(20))
    assert lists.poll(100, hosts(9)) == hosts(11, 9)
    assert lists.poll(115, hosts(9, 11)) == hosts(9)  # but the two that both lists lack
    now = 130.0
    for _ in range(3):
        lists.poll(now, hosts(9, 11))
        now += INTERVAL
    assert lists.standing == hosts(9, 11)


def test_what_was_agreed_on_goes_in_several_steps() -> None:
    """As where rules stand in two documents, each of which a poll of its own writes."""
    first = removal({}, hosts(20), 100, INTERVAL, is_doubtful=True)
    for now in (115, 130, 145):
        again = removal(first.missing, hosts(20), now, INTERVAL, is_doubtful=True)
        assert again == Verdict(hosts(0), first.missing)


def test_what_a_doubtful_list_lacks_goes_an_interval_later_also_if_no_list_is_doubtful_meanwhile() -> None:
    lists = Lists(hosts(3), doubts=True)
    assert lists.poll(100, hosts(0)) == hosts(3)
    lists.doubts = False
    assert lists.poll(101, hosts(0)) == hosts(3)
    assert lists.poll(115, hosts(0)) == hosts(0)
    lists.standing = hosts(3)
    assert lists.poll(116, hosts(1)) == hosts(0)


def test_what_a_good_list_has_again_was_never_gone() -> None:
    lists = Lists(hosts(3), doubts=True)
    assert lists.poll(100, hosts(0)) == hosts(3)
    lists.doubts = False
    assert lists.poll(115, hosts(3)) == hosts(0)
    assert lists.standing == hosts(3)
    assert lists.missing == {}


# ---- reverts


ONE, OTHER, ELSEWHERE = Text("Corefile", 1), Text("Corefile", 2), Text("key", 1)


def test_the_limits() -> None:
    assert (LONGEST, RECENT, FEW) == (600, 600, 8)


INF = float("inf")


def undone(times: int, at: float = 100.0, text: Text = ONE) -> Reverts:
    """The state after a write that is about to be undone, with so many reverts before it."""
    return replace(Reverts(count=times), written={text.document: (text, at)}, rewritten=at if times else -INF)


LOOKS: dict[str, tuple[Reverts, Text | None, float, int, float]] = {
    # state, what is wanted, now -> count, seconds to wait
    "the first write": (Reverts(), ONE, 100, 0, 0),
    "nothing to do": (undone(3), None, 115, 3, 0),
    "nothing to do for long": (undone(3), None, 700, 3, 0),
    "nothing to do for longer": (undone(3), None, 700.1, 0, 0),
    "another text": (undone(3), OTHER, 115, 3, 0),
    "another document": (undone(3), ELSEWHERE, 115, 3, 0),
    "undone": (undone(0), ONE, 115, 1, 0),
    "undone a second time": (undone(1), ONE, 115, 2, 30),
    "undone a third time": (undone(2), ONE, 115, 3, 60),
    "undone again and again": (undone(5), ONE, 115, 6, 480),
    "undone for ever": (undone(5000), ONE, 115, 5001, 600),
    "undone after eight polls": (undone(1), ONE, 220, 2, 30),
    "undone by somebody who comes seldom": (undone(1), ONE, 220.1, 2, 0),
    "undone late": (undone(1), ONE, 700, 2, 0),
    "undone too late to be one": (undone(1), ONE, 700.1, 1, 0),
}


@pytest.mark.parametrize(("state", "text", "now", "count", "wait"), LOOKS.values(), ids=LOOKS)
def test_a_look(state: Reverts, text: Text | None, now: float, count: int, wait: float) -> None:
    after = state.wants(text, (), now, INTERVAL)
    assert after.count == count
    assert max(0.0, after.wait_until - now) == wait
    assert after.waits(now, after.document) is (wait > 0)
    assert not after.waits(now + wait, after.document)
    assert not after.waits(now, "another document")


def test_one_revert_is_counted_once() -> None:
    state = undone(1).wants(ONE, (), 115, INTERVAL)
    assert state.wants(ONE, (), 130, INTERVAL) == state
    assert state.wrote(ONE, frozenset(), 145).wants(ONE, (), 160, INTERVAL).count == 3


def test_hosts_that_vanish_are_a_revert_also_where_another_text_is_wanted_each_time() -> None:
    """Somebody puts the document back, while an Ingress comes and goes."""
    state, now, written = Reverts(), 0.0, 0
    for poll in range(480):
        text, wanted = ((ONE, {"a", "b"}), (OTHER, {"a"}))[poll % 2]
        state = state.wants(text, (), now, INTERVAL)
        if not state.waits(now, text.document):
            state, written = state.wrote(text, frozenset(wanted), now), written + 1
        now += INTERVAL
    assert written < 20


def test_hosts_that_we_took_out_ourselves_have_not_vanished() -> None:
    state = Reverts().wrote(ONE, frozenset({"a", "b"}), 100).wrote(OTHER, frozenset({"a"}), 115)
    assert state.wants(ONE, {"a"}, 130, INTERVAL).count == 0
    assert state.wants(ELSEWHERE, {"a", "c"}, 130, INTERVAL).count == 0
    assert state.wants(ONE, {"b"}, 130, INTERVAL).count == 1
    assert state.wants(ELSEWHERE, set(), 130, INTERVAL).count == 1
    assert state.wants(ONE, set(), 116 + RECENT, INTERVAL).count == 0


def test_an_ingress_that_comes_and_goes_is_no_revert() -> None:
    state, now = Reverts(), 0.0
    for text in [ONE, OTHER] * 10:
        state = state.wants(text, (), now, INTERVAL).wrote(text, frozenset(), now)
        now += INTERVAL
    assert state.count == 0


@pytest.mark.parametrize(("count", "said"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (100, 64)])
def test_the_count_is_said_ever_more_seldom(count: int, said: int) -> None:
    assert Reverts(count=count).milestone == said


def writes(interval: float, seconds: float, *, undone_after: float) -> list[float]:
    """When a document is written that somebody puts back each time, so many seconds after the write."""
    state, stands, found = Reverts(), False, list[float]()
    now = 0.0
    while now < seconds:
        if found and now >= found[-1] + undone_after:
            stands = False
        state = state.wants(None if stands else ONE, (), now, interval)
        if not stands and not state.waits(now, ONE.document):
            stands = True
            state = state.wrote(ONE, frozenset(), now)
            found.append(now)
        now += interval
    return found


@pytest.mark.parametrize("undone_after", [1, 15, 40])
@pytest.mark.parametrize("interval", [5, 15, 60])
def test_who_puts_it_back_at_once_is_left_in_peace_ever_longer(interval: float, undone_after: float) -> None:
    times = writes(interval, 4 * 3600, undone_after=undone_after)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == sorted(gaps)
    assert max(gaps) <= LONGEST + undone_after + interval
    assert gaps[-1] >= LONGEST
    assert len(times) < 4 * 6 + 12


def test_who_puts_it_back_seldom_is_answered_at_once_also_where_we_write_all_the_time() -> None:
    """A busy cluster: hosts come and go every two minutes, and every half an hour somebody undoes all of it."""
    state, gaps = Reverts(), list[float]()
    undone_at, text = 0.0, ONE
    for poll in range(1, 4 * 3600 // 15):
        now = poll * 15.0
        if poll % 8 == 0:
            text = OTHER if text == ONE else ONE
        is_undone = poll % 120 < 4 and undone_at == 0
        undone_at = now if is_undone else undone_at
        if poll % 8 and not undone_at:
            continue
        state = state.wants(text, () if undone_at else {"a"}, now, INTERVAL)
        if state.waits(now, text.document):
            continue
        if undone_at:
            gaps.append(now - undone_at)
        undone_at, state = 0.0, state.wrote(text, frozenset({"a"}), now)
    assert len(gaps) > 5
    assert max(gaps) <= 30


def test_who_puts_it_back_seldom_is_answered_at_once() -> None:
    times = writes(15, 4 * 3600, undone_after=300)
    assert {after - before for before, after in pairwise(times)} == {300}


# ---- what the second list is, and the gap between writes


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        ([], 100, float("-inf")),
        ([100], 100, float("-inf")),
        ([100], 114.9, float("-inf")),
        ([100], 115, 115),
        ([100], 500, 115),
        ([100, 103, 110], 120, 118),
        ([100, 103, 110], 125, 125),
    ],
)
def test_the_second_list_comes_an_interval_after_the_first(first: list[float], now: float, expected: float) -> None:
    missing = {f"{number}.example.com": when for number, when in enumerate(first)}
    assert second_list(missing, now, INTERVAL) == expected


@pytest.mark.parametrize(
    ("written", "now", "left"),
    [(float("-inf"), 0, 0), (100, 100, 30), (100, 129, 1), (100, 130, 0), (100, 500, 0)],
)
def test_a_write_has_to_wait_for_a_while_after_the_last(written: float, now: float, left: float) -> None:
    assert rest(written, now, 30) == left
    assert rest(written, now, 0) == 0
