"""What is kept of lists and events, when a list is made anew, and when the next poll is due."""

import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.inventory import Sources, Watches
from hairpin_proxy.inventory.collection import (
    AT_ONCE,
    FULL_SECONDS,
    Change,
    Collection,
    End,
    Resource,
    Told,
    UnservedError,
)
from hairpin_proxy.inventory.pace import GATHER, REST, SHARE, Pace, pace
from hairpin_proxy.kube import OVERTIME, WATCH_SECONDS, Event, Kube, KubeError, Listing
from hairpin_proxy.sources.ingress import Choice
from hairpin_proxy.sources.objects import key

THINGS = Resource("/apis/example.com/v1/things", "Thing")
SECONDS = 15


def thing(name: str, value: str = "", version: int = 0, namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": str(version)}, "value": value}


def value(item: Any) -> str:
    if item["value"] == "junk":
        raise OperatorError("junk is no Thing")
    return str(item["value"])


@dataclass
class Server:
    """An API server that says what it is told to; and the time."""

    pages: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])
    version: str = "7"
    error: Exception | None = None
    after: int = 0
    """Pages after which the error comes."""

    now: float = 1000.0
    lists: int = 0
    begun: list[str] = field(default_factory=list)
    """From where each watch goes on."""

    events: Sequence[Event | Exception] = ()

    def list_pages(self, path: str, kind: str) -> Iterator[Listing]:
        assert (path, kind) == (THINGS.path, "ThingList")
        self.lists += 1
        for number, page in enumerate(self.pages):
            if self.error and number == self.after:
                raise self.error
            # An API server that is wrong about it is none to go by.
            yield Listing(page, self.version if number == 0 else "999")

    def watch(self, path: str, version: str, seconds: int) -> Iterator[Event]:
        self.begun.append(version)
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event

    def twin(self) -> "Server":
        return self

    def collection(self) -> "Watched":
        found = Collection(cast(Kube, Listed(self)), THINGS, value, lambda: self.now)
        return Watched(self, found)


@dataclass(frozen=True)
class Listed:
    """The server as a connection to it."""

    server: Server

    def pages(self, path: str, kind: str) -> Iterator[Listing]:
        return self.server.list_pages(path, kind)

    def watch(self, path: str, version: str, seconds: int, **query: str) -> Iterator[Event]:
        assert query == {"allowWatchBookmarks": "true"}
        return self.server.watch(path, version, seconds)

    def twin(self) -> "Listed":
        return self


@dataclass
class Watched:
    """A collection, and what its watch tells."""

    server: Server
    all: Collection[str]
    told: "queue.Queue[Told]" = field(default_factory=queue.Queue)

    def see(self, *events: Event | Exception, after: float = SECONDS) -> bool:
        """Whether anything changed by a watch that tells this, and ends after some seconds."""
        self.server.events = events
        self.all.begin(SECONDS, self.told)
        watch = self.all.watch
        assert watch
        changed = False
        while True:
            told = self.told.get(timeout=5)
            if isinstance(told, End):
                self.server.now += after
            changed = self.all.take(told) or changed
            if isinstance(told, End):
                return changed

    def update(self, seconds: float = 0, not_before: float = -math.inf) -> int:
        """Lists that an update after some seconds makes."""
        self.server.now += seconds
        before = self.server.lists
        self.all.update(not_before)
        return self.server.lists - before


@pytest.fixture
def server() -> Server:
    return Server([[thing("a", "1"), thing("c", "3")], [thing("b", "2")]])


@pytest.fixture
def watched(server: Server) -> Watched:
    found = server.collection()
    assert found.update() == 1
    return found


def event(kind: str, *args: Any, **kwargs: Any) -> Event:
    return Event(kind, thing(*args, **kwargs))


def test_a_list_is_kept_in_the_order_of_the_api_server(server: Server, watched: Watched) -> None:
    assert list(watched.all) == ["1", "2", "3"]
    assert watched.all.revision == 1


def test_events_are_applied_and_the_next_watch_goes_on_behind_them(server: Server, watched: Watched) -> None:
    assert watched.see(
        event("ADDED", "aa", "new", 8), event("MODIFIED", "b", "changed", 9), event("DELETED", "c", "3", 10)
    )
    assert list(watched.all) == ["1", "new", "changed"]
    assert not watched.see(event("BOOKMARK", "", "", 20))
    assert not watched.see()
    assert server.begun == ["7", "10", "20"]
    assert watched.update() == 0


def test_what_changes_nothing_that_is_kept_is_no_change(server: Server, watched: Watched) -> None:
    revision = watched.all.revision
    assert not watched.see(event("MODIFIED", "b", "2", 8), event("ADDED", "a", "1", 9), event("DELETED", "x", "9", 10))
    assert watched.all.revision == revision
    assert watched.see(event("MODIFIED", "b", "22", 11))
    assert watched.all.revision != revision


@pytest.mark.parametrize(
    "problem",
    [
        KubeError("GET x", "too old", 410),
        KubeError("GET x", "away", 500),
        KubeError("GET x", "no answer"),
        ZeroDivisionError(),
        event("ADDED", "x", "junk", 9),
        event("STRANGE", "x", "1", 9),
        Event("ADDED", {"metadata": {}, "value": ""}),
    ],
    ids=str,
)
def test_after_any_error_of_a_watch_there_is_a_list(server: Server, watched: Watched, problem: Any) -> None:
    watched.see(event("ADDED", "d", "4", 8), problem)
    assert not watched.all.problem
    watched.all.begin(SECONDS, watched.told)
    assert watched.all.watch is None  # not before the list
    assert watched.update() == 1
    assert list(watched.all) == ["1", "2", "3"]
    assert watched.update() == 0


def test_a_watch_that_ends_long_before_its_time_is_broken(watched: Watched) -> None:
    watched.see(after=SECONDS / 2)
    assert watched.update() == 0
    watched.see(after=SECONDS / 2 - 1)
    assert watched.update() == 1


def test_a_missing_right_is_known_until_a_watch_works(watched: Watched) -> None:
    forbidden = KubeError("GET x", "403 Forbidden: cannot watch", 403)
    watched.see(forbidden)
    assert watched.all.problem is forbidden
    assert watched.update() == 1
    assert watched.all.problem is forbidden
    watched.see()
    assert watched.all.problem is None


def test_what_a_watch_tells_that_was_given_up_counts_no_more(server: Server, watched: Watched) -> None:
    server.events = [event("DELETED", "a", "1", 8)]
    watched.all.begin(SECONDS, watched.told)
    watch = watched.all.watch
    assert watch
    watched.all.doubt()
    assert watch.given_up
    assert watched.update() == 1
    assert not watched.all.take(Change(watch, "8", "a"))
    assert not watched.all.take(End(watch, KubeError("GET x", "late")))
    assert list(watched.all) == ["1", "2", "3"]
    assert watched.update() == 0


def test_a_list_every_ten_minutes_come_what_may(watched: Watched) -> None:
    assert watched.update(FULL_SECONDS - 1) == 0
    watched.see(after=0.9)
    assert watched.update(0.1) == 1
    assert [watched.update(60) for _ in range(10)] == [0] * 9 + [1]


def test_a_new_list_ends_the_watch_from_the_old_one(watched: Watched) -> None:
    watched.all.begin(SECONDS, watched.told)
    watch = watched.all.watch
    assert watch
    assert watched.update(FULL_SECONDS) == 1
    assert watch.given_up
    assert watched.all.watch is None


def test_a_list_that_is_too_old_is_made_anew(server: Server, watched: Watched) -> None:
    assert watched.update(5, not_before=1000) == 0
    assert watched.update(0, not_before=1005) == 1
    assert watched.update(5, not_before=1005) == 0


def test_a_list_that_is_the_same_changes_nothing(server: Server) -> None:
    def page() -> list[dict[str, Any]]:
        return [thing(name, "-".join(["value", name])) for name in ("a", "b", "c")]

    server.pages = [page()]
    watched = server.collection()
    watched.update()
    kept = list(watched.all)
    server.pages = [page()[2:], page()[:2]]
    watched.all.doubt()
    assert (watched.update(), watched.all.revision) == (1, 1)
    assert all(before is after for before, after in zip(kept, watched.all, strict=True))
    server.pages = [[thing("a", "1")]]
    watched.all.doubt()
    assert (watched.update(), watched.all.revision, list(watched.all)) == (1, 2, ["1"])


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("error", [KubeError("GET x", "away", 503), OperatorError("junk")])
def test_a_list_that_fails_is_no_shorter_one(server: Server, watched: Watched, error: Exception, after: int) -> None:
    server.error, server.after = error, after
    for _ in range(2):
        watched.all.doubt()
        with pytest.raises(OperatorError) as raised:
            watched.update()
        assert raised.value is error
        assert watched.all.revision == 1
    server.error = None
    assert (watched.update(), watched.all.revision) == (1, 1)


def test_a_kind_that_is_not_served_is_told_from_a_list_that_breaks_off(server: Server) -> None:
    server.error, collection = KubeError("GET x", "404 Not Found", 404), server.collection()
    with pytest.raises(UnservedError, match="404 Not Found"):
        collection.update()
    server.after = 1
    with pytest.raises(KubeError, match="404 Not Found"):
        collection.update()


@pytest.mark.parametrize(
    "empty", [{"pages": [[]]}, {"error": KubeError("GET", "404 Not Found", 404)}], ids=["empty", "not served"]
)
def test_how_long_lists_have_been_empty(server: Server, watched: Watched, empty: dict[str, Any]) -> None:
    full = {"pages": server.pages, "error": None}

    def listed(answer: dict[str, Any]) -> float | None:
        vars(server).update(answer)
        watched.all.doubt()
        with suppress(UnservedError):
            watched.update(seconds=4)
        return watched.all.empty_for

    assert watched.all.empty_for is None
    answers = (empty, empty, empty, full, empty, full)
    assert [listed(answer) for answer in answers] == [0, 4, 8, None, 0, None]


def test_a_list_that_fails_says_nothing_of_it(server: Server) -> None:
    server.pages = [[]]
    watched = server.collection()
    watched.update()
    server.error = KubeError("GET", "500 Internal Server Error", 500)
    watched.all.doubt()
    with pytest.raises(KubeError):
        watched.update(seconds=60)
    assert watched.all.empty_for == 0


def test_what_events_show_is_no_doubt(server: Server, watched: Watched) -> None:
    watched.see(event("DELETED", "a", "1"), event("DELETED", "b", "2"), event("DELETED", "c", "3"))
    assert (list(watched.all), watched.all.empty_for) == ([], None)
    server.pages = [[]]
    watched.update(seconds=FULL_SECONDS)
    assert watched.all.empty_for == 0
    watched.see(event("ADDED", "a", "1"), event("DELETED", "a", "1"))
    assert watched.all.empty_for is None


def test_watches_that_break_off_at_once_again_and_again_are_a_problem(watched: Watched) -> None:
    broken = KubeError("GET", "500 Internal Server Error", 500)
    for after, problem in ((0, None), (0, broken), (AT_ONCE, None), (0, None), (0, broken)):
        watched.see(broken, after=after)
        assert watched.all.problem is problem
        watched.update()
    watched.see()
    assert watched.all.problem is None


def test_without_a_resource_version_each_poll_lists(server: Server) -> None:
    server.version = ""
    collection = server.collection()
    assert (collection.update(), collection.update()) == (1, 1)
    collection.all.begin(SECONDS, collection.told)
    assert collection.all.watch is None


def test_a_watch_is_given_some_seconds_more_than_its_time(watched: Watched) -> None:
    watched.all.begin(SECONDS, watched.told)
    assert watched.all.watch
    assert watched.all.watch.deadline == 1000 + SECONDS + OVERTIME


def test_an_object_without_a_name_is_none() -> None:
    assert key(thing("a"), "Thing") == "default/a"
    assert key({"metadata": {"name": "a"}}, "Thing") == "/a"
    with pytest.raises(OperatorError, match="is no Thing that an API server would send: it has no name"):
        key({"metadata": {"namespace": "default"}}, "Thing")


# ---- when a poll is due


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        (None, 115),
        (100.1, 100 + REST),
        (100 + REST - GATHER, 100 + REST),
        (107, 107 + GATHER),
        (115, 115),
        (114.9, 115),
    ],
)
def test_a_change_makes_a_poll_soon_but_not_at_once(changed: float | None, due: float) -> None:
    assert pace(100, 100, 15, 0).due(changed) == pytest.approx(due)


def test_until_the_next_write_what_changes_makes_no_poll() -> None:
    assert pace(100, 100, 15, 10) == Pace(115, 110)
    assert pace(100, 100, 15, 10).due(103) == 110
    assert pace(100, 100, 15, 10).due(112) == 112 + GATHER
    assert pace(100, 100, 15, 30).due(103) == 115  # a poll by the interval is made in any case


def test_polls_that_take_long_leave_the_cpu_to_others() -> None:
    assert pace(100, 102, 15, 0) == Pace(117, 102 + SHARE * 2)
    assert pace(100, 200, 15, 0).due(200) == 215


# ---- the wait, with a clock that goes


@dataclass
class Streaming(Server):
    """One whose watches last, and tell what they are given."""

    lasts: float = 60.0
    stream: "queue.Queue[Event]" = field(default_factory=queue.Queue)

    def watch(self, path: str, version: str, seconds: int) -> Iterator[Event]:
        self.begun.append(version)
        ends = time.monotonic() + self.lasts
        while (left := ends - time.monotonic()) > 0:
            with suppress(queue.Empty):
                yield self.stream.get(timeout=left)

    def listed(self) -> Collection[str]:
        found = Collection(cast(Kube, Listed(self)), THINGS, value)
        found.update()
        return found


def waited(watches: Watches, *collections: Collection[str], seconds: float = 30, quiet: float = 0) -> float:
    begun = time.monotonic()
    watches.begin()
    watches.wait(collections, seconds, quiet)
    return time.monotonic() - begun


def assert_about(took: float, expected: float) -> None:
    """Never sooner; later only as far as the machine is busy."""
    assert expected - 0.05 <= took < expected + 5


@pytest.fixture
def streaming() -> Streaming:
    return Streaming([[thing("a", "1")]])


def test_without_a_change_the_wait_is_the_interval(streaming: Streaming) -> None:
    streaming.stream.put(event("MODIFIED", "a", "1", 8))
    streaming.stream.put(event("BOOKMARK", "", "", 9))
    assert_about(waited(Watches(15), streaming.listed(), seconds=1), 1)
    assert_about(waited(Watches(15), seconds=0.3), 0.3)


def test_a_change_ends_it(streaming: Streaming) -> None:
    collection = streaming.listed()
    streaming.stream.put(event("ADDED", "b", "2", 8))
    assert_about(waited(Watches(15), collection), REST)
    assert list(collection) == ["1", "2"]


def test_a_change_in_the_gap_ends_it_when_the_gap_is_over(streaming: Streaming) -> None:
    streaming.stream.put(event("ADDED", "b", "2", 8))
    assert_about(waited(Watches(15), streaming.listed(), quiet=1.2), 1.2)


def test_what_comes_soon_after_a_change_comes_with_it(streaming: Streaming) -> None:
    collection, watches = streaming.listed(), Watches(15)
    waited(watches, seconds=0)
    begun = time.monotonic()
    threading.Timer(0.6, streaming.stream.put, [event("ADDED", "b", "2", 8)]).start()
    threading.Timer(0.6 + GATHER / 4, streaming.stream.put, [event("ADDED", "c", "3", 9)]).start()
    waited(watches, collection)
    assert_about(time.monotonic() - begun, 0.6 + GATHER)
    assert list(collection) == ["1", "2", "3"]


def test_changes_without_end_do_not_put_the_poll_off(streaming: Streaming) -> None:
    collection, watches = streaming.listed(), Watches(15)
    waited(watches, seconds=0)
    for number in range(20):
        later = threading.Timer(number * GATHER / 2, streaming.stream.put, [event("ADDED", f"x{number}", "2", 8)])
        later.daemon = True
        later.start()
    assert waited(watches, collection) < 15 * GATHER / 2


def test_a_watch_that_ends_in_its_time_is_renewed_at_once(streaming: Streaming) -> None:
    streaming.lasts = 0.6
    collection = streaming.listed()
    assert_about(waited(Watches(0.1), collection, seconds=1.6), 1.6)
    assert len(streaming.begun) == 3


def test_a_watch_that_breaks_off_is_not_renewed_before_the_next_poll(streaming: Streaming) -> None:
    streaming.lasts = 0
    assert_about(waited(Watches(0.1), streaming.listed(), seconds=0.5), 0.5)
    assert len(streaming.begun) == 1


def test_a_watch_that_does_not_end_ends_the_wait_and_is_given_up(
    streaming: Streaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairpin_proxy.inventory.collection.OVERTIME", 0.2)
    collection = streaming.listed()
    assert_about(waited(Watches(1), collection), 1.2)
    assert collection.watch is None
    collection.update()
    assert streaming.lists == 2


@pytest.mark.parametrize(("interval", "seconds"), [(0.3, 1), (15, 15), (15.5, 16), (86400, WATCH_SECONDS)])
def test_a_watch_lasts_as_long_as_the_interval(streaming: Streaming, interval: float, seconds: int) -> None:
    collection = streaming.listed()
    waited(Watches(interval), collection, seconds=0.1)
    assert collection.watch
    assert collection.watch.seconds == seconds


# ---- what is kept of Ingresses


class Pages:
    """A server with Ingresses."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = items

    def pages(self, path: str, kind: str) -> Iterator[Listing]:
        yield Listing(self.items, "7")


def test_what_objects_have_in_common_is_in_memory_once() -> None:
    def item(name: str) -> dict[str, Any]:
        status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example.net"}]}}
        metadata = {"name": name, "namespace": "".join(["de", "fault"])}
        spec = {"tls": [{"hosts": [f"{name}.example.com"]}], "ingressClassName": "other"}
        return {"metadata": metadata, "spec": spec, "status": status}

    sources = Sources(cast(Kube, Pages(item("a"), item("b"))), Choice(), None)
    first, second = sources.read().claims
    assert first.namespace is second.namespace
    assert first.addresses is second.addresses == ("203.0.113.7", "lb.example.net")
    assert sources.read() is sources.read()
