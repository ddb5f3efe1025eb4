"""The finalizer that keeps our rights alive until the Corefile is restored.

A plain `kubectl delete -f deploy.yml` takes the rights away with everything else, 0.2 s before the controller hears of
it. An object with a finalizer stays until that is taken off
(https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.leaving.installation import Installation, State, Thing

FINALIZER = "hairpin-proxy/corefile"

_NO_FINALIZERS = """'{"metadata":{"finalizers":null}}'"""

_SECONDS = 20
"""For how long a release is tried: an API server may be restarting, or somebody change an object at the same time."""

_PAUSE = 1

_PASSING = (429, 500, 502, 503, 504)
"""Statuses of a server that is busy or out of order, and of what stands before it."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was read."""

    state: State
    finalizers: tuple[str, ...] = ()
    resource_version: str = ""
    problem: str = ""
    """Why it cannot be seen, in the server's words."""

    silent: bool = False
    """Whether there was no answer at all."""

    passing: bool = False
    """Whether that may be otherwise in a moment: there was no answer, or the server was busy or out of order."""

    absent: bool = False
    """Whether there is no such object, and perhaps never was one."""

    @property
    def there(self) -> bool:
        return self.state is State.PRESENT

    @property
    def held(self) -> bool:
        return FINALIZER in self.finalizers


def look(kube: Kube, things: Iterable[Thing]) -> dict[Thing, Found]:
    """How these objects are now. One that cannot be read is UNKNOWN, never GONE.

    Once the server gives no answer at all, the others are not asked for: each would take its own time-out.
    """
    found: dict[Thing, Found] = {}
    silent = None
    for thing in things:
        found[thing] = silent or _found(kube, thing)
        silent = found[thing] if found[thing].silent else None
    return found


def hold(kube: Kube, found: dict[Thing, Found], installation: Installation) -> list[str]:
    """Gives the finalizer to those that should have it and have not; returns what went wrong.

    deploy.yml gives it to them; it is missing where an uninstall was taken back half way. Where one of them is not
    there, none is held: without it the others could not be let go again.
    """
    problems = [f"{thing} {found[thing].state.value}" for thing in installation.held if not found[thing].there]
    if problems:
        return problems
    for thing in installation.held:
        now = found[thing]
        if now.held:
            continue
        metadata = {"resourceVersion": now.resource_version, "finalizers": [*now.finalizers, FINALIZER]}
        try:
            kube.merge_patch(thing.path, {"metadata": metadata})
        except KubeError as error:
            problems.append(str(error))
    return problems


def release(kube: Kube, things: Iterable[Thing]) -> list[str]:
    """Takes the finalizer off these objects, all at once, for each may be what gives the right to the others.

    Returns what went wrong, with the command that does it by hand. One without the finalizer, or gone, needs nothing.
    """
    deadline = time.monotonic() + _SECONDS
    left = list(things)
    while True:
        found, is_late = look(kube, left), time.monotonic() > deadline
        held = {thing.path: thing for thing, now in found.items() if now.held}
        if any(now.passing for now in found.values()) and not is_late:
            time.sleep(_PAUSE)
            continue
        failures = kube.patch_together({path: _without(found[thing]) for path, thing in held.items()})
        problems = {thing: now.problem for thing, now in found.items() if now.state is State.UNKNOWN}
        problems |= {held[path]: str(error) for path, error in failures.items() if error.status != 404}
        left = list(problems)
        if not left or is_late:
            return [_by_hand(thing, problem) for thing, problem in problems.items()]
        time.sleep(_PAUSE)


def _found(kube: Kube, thing: Thing) -> Found:
    try:
        metadata = kube.get(thing.path, thing.kind)["metadata"]
    except KubeError as error:
        state = State.GONE if error.status == 404 else State.UNKNOWN
        silent = error.status is None
        return Found(state, problem=str(error), silent=silent, passing=silent or error.status in _PASSING)
    state = State.DELETING if metadata.get("deletionTimestamp") else State.PRESENT
    return Found(state, tuple(metadata.get("finalizers") or ()), str(metadata.get("resourceVersion", "")))


def _without(found: Found) -> list[dict[str, Any]]:
    """A patch that fails where ours is not in the same place any more, rather than to drop somebody else's.

    The API server adds its own behind it, and takes them off again: `foregroundDeletion`, while the patch is under way.
    """
    place = f"/metadata/finalizers/{found.finalizers.index(FINALIZER)}"
    return [{"op": "test", "path": place, "value": FINALIZER}, {"op": "remove", "path": place}]


def _by_hand(thing: Thing, problem: str) -> str:
    namespace, _, name = thing.name.partition("/")
    command = f"kubectl -n {namespace} patch {thing.kind.lower()} {name} --type merge -p {_NO_FINALIZERS}"
    return f"{thing} may still be held by the finalizer {FINALIZER}: {problem}; once DNS is restored: {command}"
