"""When a write has to wait: mass removals, and documents that are reverted."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from hairpin_proxy.guard import LONGEST, MANY, SOON, Missing, Reverts, Verdict, removal

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
    assert removal({}, standing, wanted, 100.0, INTERVAL) == Verdict(kept, dict.fromkeys(kept, 100.0))
    assert removal({}, list(standing), list(wanted), 100.0, INTERVAL).kept == kept


def test_many_is_ten() -> None:
    assert MANY == 10


@dataclass
class Lists:
    """Polls with one list each, in which what the guard lets go is gone."""

    standing: frozenset[str]
    missing: Missing = field(default_factory=dict)

    def poll(self, now: float, wanted: frozenset[str]) -> frozenset[str]:
        verdict = removal(self.missing, self.standing, wanted, now, INTERVAL)
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
    first = removal({}, hosts(20), hosts(0), 100, INTERVAL)
    for now in (115, 130, 145):
        assert removal(first.missing, hosts(20), hosts(0), now, INTERVAL) == Verdict(hosts(0), first.missing)


# ---- reverts


A, AB = frozenset({"a.example.com"}), frozenset({"a.example.com", "b.example.com"})
NONE: frozenset[str] = frozenset()


def test_the_limits() -> None:
    assert (LONGEST, SOON) == (600, 600)


def written(hosts: frozenset[str], count: int = 0, at: float = 100) -> Reverts:
    """The state after a write, with so many reverts before it."""
    return replace(Reverts(count=count), expected=hosts, written=at, undone=False)


LOOKS: dict[str, tuple[Reverts, frozenset[str], float, Reverts]] = {
    "the first": (Reverts(), A, 100, Reverts(A)),
    "nothing new": (Reverts(A), A, 100, Reverts(A)),
    "others add a rule": (written(A, 1), AB, 115, replace(written(A, 1), expected=AB)),
    "it vanishes, and was not written by us": (Reverts(A), NONE, 100, Reverts()),
    "long after the write": (
        written(AB),
        A,
        700.1,
        replace(written(A), undone=True, wait_until=700.1),
    ),
    "long after the last of several writes": (
        written(AB, 5),
        A,
        700.1,
        replace(written(A), undone=True, wait_until=700.1),
    ),
    "soon, for the first time": (
        written(A),
        NONE,
        115,
        replace(written(NONE, 1), undone=True, wait_until=115),
    ),
    "just soon enough": (written(AB), A, 700, replace(written(A, 1), undone=True, wait_until=700)),
    "the second in a row": (written(A, 1), NONE, 115, replace(written(NONE, 2), undone=True, wait_until=145)),
    "the third": (written(A, 2), NONE, 115, replace(written(NONE, 3), undone=True, wait_until=175)),
    "the sixth": (written(A, 5), NONE, 115, replace(written(NONE, 6), undone=True, wait_until=595)),
    "the seventh": (written(A, 6), NONE, 115, replace(written(NONE, 7), undone=True, wait_until=715)),
    "the 5000th": (written(A, 4999), NONE, 115, replace(written(NONE, 5000), undone=True, wait_until=715)),
}


@pytest.mark.parametrize(("state", "standing", "now", "after"), LOOKS.values(), ids=LOOKS)
def test_a_look(state: Reverts, standing: frozenset[str], now: float, after: Reverts) -> None:
    assert state.seen(standing, now, INTERVAL) == after


def test_one_write_is_reverted_once_however_its_rules_vanish() -> None:
    state = written(AB, 1).seen(A, 115, INTERVAL)
    assert state.seen(NONE, 130, INTERVAL) == replace(state, expected=NONE)
    assert state.seen(AB, 130, INTERVAL) == replace(state, expected=AB)


def test_after_a_write_that_lasts_it_starts_from_the_beginning() -> None:
    assert written(A, 3).seen(A, 700, INTERVAL).count == 3
    assert written(A, 3).seen(A, 700.1, INTERVAL).count == 0


def test_while_it_waits_nothing_is_forgotten() -> None:
    state = written(A, 6).seen(NONE, 115, INTERVAL)
    assert state.seen(NONE, 714, INTERVAL) == state
    assert state.seen(NONE, 1e6, INTERVAL).count == 7


def test_a_write_is_remembered_and_changes_nothing_else() -> None:
    state = Reverts(A, written=100, count=3, wait_until=160)
    assert state.wrote(AB, 200) == Reverts(AB, written=200, undone=False, count=3, wait_until=160)


@pytest.mark.parametrize(("count", "said"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (100, 64)])
def test_the_count_is_said_ever_more_seldom(count: int, said: int) -> None:
    assert Reverts(count=count).milestone == said


def test_waiting_ends_at_its_time() -> None:
    state = Reverts(wait_until=100)
    assert state.waits(99.9)
    assert not state.waits(100)
    assert not Reverts().waits(-1e9)


def writes(interval: float, seconds: float, *, reverted_after: float) -> list[float]:
    """When a document is written that somebody puts back each time, so many seconds after the write."""
    state, standing, found = Reverts(), NONE, list[float]()
    now = 0.0
    while now < seconds:
        if found and now >= found[-1] + reverted_after:
            standing = NONE
        state = state.seen(standing, now, interval)
        if not standing and not state.waits(now):
            standing = A
            state = state.wrote(A, now)
            found.append(now)
        now += interval
    return found


@pytest.mark.parametrize("reverted_after", [1, 15, 40])
@pytest.mark.parametrize("interval", [5, 15, 60])
def test_who_puts_it_back_again_and_again_is_left_in_peace_ever_longer(interval: float, reverted_after: float) -> None:
    times = writes(interval, 4 * 3600, reverted_after=reverted_after)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == sorted(gaps)
    assert max(gaps) <= LONGEST + reverted_after + interval
    assert gaps[-1] >= LONGEST
    assert len(times) < 4 * 6 + 12
