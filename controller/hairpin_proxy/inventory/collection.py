"""All objects of one kind, and of each only what is needed: listed, and then kept up to date by one watch at a time.

Only the thread that polls changes a collection. A watch has a thread and a connection of its own, and tells what it saw
by a queue: of what it tells too late, or after it was given up, nothing counts.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import OVERTIME, Event, Kube, KubeError
from hairpin_proxy.observe.log import log
from hairpin_proxy.sources.objects import key

FULL_SECONDS = 600.0
"""A list is made anew after so many seconds, whatever was seen meanwhile."""

AT_ONCE = 2.0
"""A watch that breaks off within so many seconds, one time after the other, shows nothing of what changes."""

KeptT = TypeVar("KeptT")


class UnservedError(OperatorError):
    """The API server knows no such kind."""


class Resource(NamedTuple):
    """Where the API server has all objects of a kind."""

    path: str
    kind: str

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def title(self) -> str:
        """All of them, for people."""
        return f"{self.kind}es" if self.kind.endswith("s") else f"{self.kind}s"


@dataclass(eq=False, slots=True)
class Watch:
    """One that is under way."""

    collection: "Collection[Any]"
    seconds: int
    begun: float
    given_up: bool = False

    @property
    def deadline(self) -> float:
        return self.begun + self.seconds + OVERTIME


class Change(NamedTuple):
    """An object that came, changed or went, or nothing but a newer resourceVersion."""

    watch: Watch
    version: str
    key: str = ""
    """Empty if no object is concerned."""

    kept: Any = None
    """What is needed of it; None if it is gone."""


class End(NamedTuple):
    """A watch came to its end."""

    watch: Watch
    problem: OperatorError | None


Told = Change | End


class Collection(Generic[KeptT]):
    """All objects of one kind."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        keep: Callable[[Mapping[str, Any]], KeptT],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep` makes of an object what is needed of it, or raises OperatorError; threads call it too."""
        self.problem: OperatorError | None = None
        """Why there is no watch: the right to it is lacking, or one after the other breaks off at once."""
        self.revision = 0
        """Another one once anything changed that is kept."""
        self.watch: Watch | None = None
        self.is_doubtful = False
        """Whether the last list had nothing in it, or there was no such kind, and no other list has said so before."""
        self._was_empty = False
        self._broken_off = 0
        self._kube, self._resource, self._keep, self._clock = kube, resource, keep, clock
        self._watching: Kube | None = None
        self._kept: dict[str, KeptT] = {}
        self._version = ""
        self._listed = -math.inf

    @property
    def title(self) -> str:
        """What they are, for people."""
        return self._resource.title

    def __iter__(self) -> Iterator[KeptT]:
        """In the API server's own order, however they became known."""
        return (self._kept[each] for each in sorted(self._kept))

    def update(self, not_before: float = -math.inf) -> None:
        """Lists the objects, unless what is known of them is good: a list that is not from before that time.

        Raises KubeError, UnservedError, or OperatorError for an object that is none; it is listed anew the next time
        then.
        """
        now = self._clock()
        if not self._version or self._listed < not_before or now - self._listed >= FULL_SECONDS:
            self._list(now)

    def doubt(self) -> None:
        """What is known counts no more, and it is to be listed anew."""
        self._version = ""
        if self.watch:
            # Its thread may go on to use the connection for a while.
            self.watch.given_up, self.watch, self._watching = True, None, None

    def begin(self, seconds: int, told: "queue.Queue[Told]") -> None:
        """Watches from what is known on for so many seconds, unless it does so already or has to be listed first."""
        if self.watch or not self._version:
            return
        self._watching = self._watching or self._kube.twin()
        self.watch = Watch(self, seconds, self._clock())
        arguments = (self.watch, self._watching, self._version, told)
        try:
            threading.Thread(target=self._pump, args=arguments, daemon=True).start()
        except RuntimeError as error:  # no more threads
            log.debug("%s cannot be watched: %s", self._resource.path, error)
            self.doubt()

    def take(self, told: Told) -> bool:
        """Whether this changes anything that is kept."""
        if told.watch is not self.watch:
            return False
        if isinstance(told, End):
            self._ended(told)
            return False
        self._version = told.version
        if not told.key or self._kept.get(told.key) == told.kept:
            return False
        self._was_empty = self.is_doubtful = False
        if told.kept is None:
            del self._kept[told.key]
        else:
            self._kept[told.key] = told.kept
        self.revision += 1
        return True

    def _list(self, now: float) -> None:
        self.doubt()
        found: dict[str, KeptT] = {}
        version = None
        try:
            for page in self._kube.pages(self._resource.path, self._resource.list_kind):
                version = page.version if version is None else version
                for item in page.items:
                    name, kept = self._entry(item)
                    # What stays the same stays the same object, so that no second copy of everything is in memory.
                    known = self._kept.get(name)
                    found[name] = known if known is not None and known == kept else kept
                del page  # before the next one comes
        except KubeError as error:
            if error.status == 404 and version is None:
                self._came_to(is_empty=True)
                raise UnservedError(str(error)) from error
            raise
        self._came_to(is_empty=not found)
        if found != self._kept:
            self.revision += 1
        self._kept, self._version, self._listed = found, version or "", now

    def _came_to(self, *, is_empty: bool) -> None:
        """What a list came to. One that is empty for no reason looks like one that is empty."""
        self.is_doubtful = is_empty and not self._was_empty
        self._was_empty = is_empty

    def _entry(self, item: Mapping[str, Any]) -> tuple[str, KeptT]:
        kept = self._keep(item)
        return key(item, self._resource.kind), kept

    def _ended(self, end: End) -> None:
        """Only one that lasted shows that there was nothing more to see."""
        watch, self.watch = end.watch, None
        lasted = self._clock() - watch.begun
        broke_off = end.problem or lasted < watch.seconds / 2
        self._broken_off = self._broken_off + 1 if broke_off and lasted < AT_ONCE else 0
        is_forbidden = isinstance(end.problem, KubeError) and end.problem.status == 403
        problem = end.problem or OperatorError(f"a watch of {self._resource.path} ends at once")
        self.problem = problem if is_forbidden or self._broken_off > 1 else None
        if broke_off:
            log.debug("a watch broke off, and the next poll lists: %s", problem)
            self.doubt()

    def _pump(self, watch: Watch, kube: Kube, version: str, told: "queue.Queue[Told]") -> None:
        problem = None
        try:
            # The last bookmark comes shortly before the end: with a newer version, the next watch is never too old.
            for event in kube.watch(self._resource.path, version, watch.seconds, allowWatchBookmarks="true"):
                if watch.given_up:
                    return
                told.put(self._change(watch, event))
        except OperatorError as error:
            problem = error
        except Exception as error:  # the next list shows whether it is a fault of ours
            problem = OperatorError(f"{self._resource.path}: {error!r}")
        told.put(End(watch, problem))

    def _change(self, watch: Watch, event: Event) -> Change:
        version = str(event.item["metadata"].get("resourceVersion") or "")
        if event.kind == "BOOKMARK":
            return Change(watch, version)
        if event.kind not in ("ADDED", "MODIFIED", "DELETED"):
            raise OperatorError(f"{self._resource.path}: an event of the unknown type {event.kind}")
        name, kept = self._entry(event.item)
        return Change(watch, version, name, None if event.kind == "DELETED" else kept)
