"""The collections that a poll looks at, and whether any of them has changed since."""

import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from hairpin_proxy.inventory.collection import Collection, Resource, UnservedError
from hairpin_proxy.kube import Kube

KeptT = TypeVar("KeptT")


class _Seen(NamedTuple):
    """A collection as it was when it was last looked at."""

    collection: Collection[Any]
    choice: Hashable
    """By which is chosen what is kept of its objects."""

    revision: int | None
    """None if the API server knows no such kind."""


class Shelf:
    """Lists what is not known, or not any more."""

    def __init__(self, kube: Kube) -> None:
        self.not_before = -math.inf
        """Lists from before that time are made anew."""
        self._kube = kube
        self._seen: dict[Resource, _Seen] = {}
        self._before: dict[Resource, _Seen] = {}

    def has_changed(self) -> bool:
        """Whether anything is not as it was when it was last looked at. Raises as `get` does."""
        return any(self._revision(seen.collection) != seen.revision for seen in self._seen.values())

    @contextmanager
    def anew(self) -> Iterator[None]:
        """What is not looked at while this lasts is forgotten then, unless it ends in an error."""
        self._before, self._seen = self._seen, {}
        try:
            yield
        except BaseException:
            self._seen = {**self._before, **self._seen}
            raise
        for resource, seen in self._before.items():
            if resource not in self._seen or self._seen[resource].collection is not seen.collection:
                seen.collection.doubt()
        self._before = {}

    def get(self, resource: Resource, keep: Callable[[Any], KeptT], choice: Hashable = None) -> Collection[KeptT]:
        """What is kept of all objects; they are listed anew if it was kept by another choice.

        Raises KubeError, UnservedError if the API server knows no such kind, or OperatorError for an object that is
        none.
        """
        found = self._collection(resource, keep, choice)
        found.update(self.not_before)
        self._seen[resource] = _Seen(found, choice, found.revision)
        return found

    def find(self, resource: Resource, keep: Callable[[Any], KeptT]) -> Collection[KeptT] | None:
        """The same; None if the API server knows no such kind."""
        try:
            return self.get(resource, keep)
        except UnservedError:
            self._seen[resource] = _Seen(self._collection(resource, keep, None), None, None)
            return None

    def collections(self) -> list[Collection[Any]]:
        """Those that were looked at, and are there."""
        return [seen.collection for seen in self._seen.values() if seen.revision is not None]

    def doubts(self) -> list[str]:
        """The lists that had nothing in them for the first time, for people."""
        return [seen.collection.title for seen in self._seen.values() if seen.collection.is_doubtful]

    def _collection(self, resource: Resource, keep: Callable[[Any], KeptT], choice: Hashable) -> Collection[KeptT]:
        seen = self._seen.get(resource) or self._before.get(resource)
        return seen.collection if seen and seen.choice == choice else Collection(self._kube, resource, keep)

    def _revision(self, collection: Collection[Any]) -> int | None:
        try:
            collection.update(self.not_before)
        except UnservedError:
            return None
        return collection.revision
