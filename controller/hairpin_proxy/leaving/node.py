"""The lines in a node's hosts file go when the DaemonSet is uninstalled, and at no other time.

The node may need them to pull the very image that is to replace this one, so a restart or a rolling update must
keep them. When the DaemonSet is deleted with its manifest, its rights go in the same moment. A watch that has begun
before still tells of it.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from hairpin_proxy.diff import diff
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import GOING, State, daemonset, namespace
from hairpin_proxy.observe.log import Failures, log
from hairpin_proxy.providers import hosts_file

_SECONDS = 15
"""How long an answer is awaited that says whether this is an uninstall."""

_PAUSE = 0.5
_WATCH_AGAIN = 10
"""Seconds after a watch that did not last as long; one that has come to its end is renewed at once."""


class NodeUninstall:
    """Watches over the DaemonSet of one node's controller."""

    def __init__(self, kube: Kube, watching: Kube, in_namespace: str, path: str) -> None:
        self._kube = kube
        self._watching = watching
        self._daemonset = daemonset(in_namespace)
        self._namespace = namespace(in_namespace)
        self._path = path
        self._watched = State.UNKNOWN

    def watch(self) -> None:
        """Begins to watch, in a thread that ends with the process."""
        threading.Thread(target=self._watch, daemon=True).start()

    def leave(self) -> None:
        """To be called when the process shall end: takes the lines out if this is an uninstall, and only then."""
        try:
            if not (sign := self._sign()):
                log.info("this is no uninstall, so the lines stay")
                return
            log.info("this is an uninstall: %s", sign)
            for step in cleanup(self._path, dry_run=False):
                log.info("%s", step)
        except OperatorError as error:
            log.error("%s; the lines stay in the node's hosts file (docs/uninstall.md has how to take them out)", error)

    def _sign(self) -> str | None:
        """Why this is an uninstall; None if it is not. Raises OperatorError if nothing tells."""
        deadline = time.monotonic() + _SECONDS
        while True:
            found = holds.look(self._kube, (self._daemonset, self._namespace))
            own = self._state(found[self._daemonset].state)
            if own in GOING:
                return f"{self._daemonset} {own.value}"
            if found[self._namespace].state is State.DELETING:
                return f"{self._namespace} {State.DELETING.value}"
            # Where a Namespace ends, the right to see that may go before the DaemonSet does.
            if own is State.PRESENT and found[self._namespace].there:
                return None
            if time.monotonic() > deadline:
                problem = found[self._daemonset].problem or found[self._namespace].problem
                raise OperatorError(f"nothing tells whether this is an uninstall: {problem}")
            time.sleep(_PAUSE)

    def _state(self, read: State) -> State:
        """What was read or, without the right to read, watched. Never seen is not gone: it may have another name."""
        if read is State.GONE and self._watched is State.UNKNOWN:
            return State.UNKNOWN
        return self._watched if read is State.UNKNOWN and self._watched in GOING else read

    def _watch(self) -> None:
        collection, _, name = self._daemonset.path.rpartition("/")
        failures = Failures("the watch for an uninstall")
        while True:
            begun = time.monotonic()
            try:
                # "0" is what the server has in its memory: with an old etcd, a server waits in vain until that is the
                # newest.
                for event in self._watching.watch(collection, "0", fieldSelector=f"metadata.name={name}"):
                    self._watched = _watched(event.kind, event.item["metadata"])
                failures.succeeded()
            except Exception as error:  # without it, nothing would tell of an uninstall
                failures.failed(f"an uninstall may leave lines behind, for it cannot be watched: {error}")
            if time.monotonic() - begun < _WATCH_AGAIN:
                time.sleep(_WATCH_AGAIN)


def cleanup(path: str, *, dry_run: bool) -> Iterator[str]:
    """Takes every line of ours out of a hosts file, and says what was done. Raises OperatorError."""
    before, after = hosts_file.remove(path, dry_run=dry_run)
    if before == after:
        yield f"{path} has no line of hairpin-proxy"
    else:
        done = "would be cleaned up, but this is a dry run" if dry_run else "cleaned up"
        yield f"{path} {done}:\n{diff(before, after)}"


def _watched(kind: str, metadata: Mapping[str, Any]) -> State:
    if kind == "DELETED":
        return State.GONE
    return State.DELETING if metadata.get("deletionTimestamp") else State.PRESENT
