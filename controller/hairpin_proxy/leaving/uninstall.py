"""The controller takes its rules out of the Corefile when it is being uninstalled, and at no other time.

Rules that outlive the Service they lead to make every host NXDOMAIN. A restart, a rolling update or a node's drain must
not remove them: a controller that ends is the rule, and an uninstall the exception that has to be seen.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.kube import Kube
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import GOING, Installation, State, Thing
from hairpin_proxy.leaving.restore import restore, withdraw
from hairpin_proxy.observe.log import log
from hairpin_proxy.outcome import Outcome
from hairpin_proxy.providers.corefile import Corefile

SECONDS = 20
"""How long an uninstall may take to show: `kubectl delete -f` goes through the objects one by one."""

_SILENT = 35
"""The same where the API server says nothing for a time; when it has just started, it may say first that all is
forbidden. What is left of the pod's minute is for taking the rules out."""

_LINGER = 30
"""Seconds within which kubelet ends a pod whose Deployment or Namespace is deleted; the latter takes 5 to begin."""

_PAUSE = 0.5
"""Seconds between two looks."""

_Looked = dict[Thing, holds.Found]


class Uninstall:
    """Watches over the objects of one install."""

    _installation: Installation
    """As the last look had it."""

    def __init__(self, kube: Kube, find: Callable[[], tuple[Installation, bool]], provider: Corefile) -> None:
        """`find` says which objects they are, and whether that is sure: if not, it is asked again."""
        self._kube = kube
        self._find = find
        self._is_sure = False
        self._provider = provider
        self._seen: set[Thing] = set()
        self._waited = False
        self._said = ""

    def looking(self, poll: Callable[[], Outcome]) -> Outcome:
        """A poll that writes nothing, and for which nothing is held. What is there counts as seen all the same."""
        self._look()
        return poll()

    def guarded(self, poll: Callable[[], Outcome]) -> Outcome:
        """A poll that writes no rule which an uninstall would leave behind.

        Raises FinalError if this is an uninstall; the rules are out then.
        """
        found = self._look()
        if found[self._installation.deployment].absent and not self._waited:
            # A pod that was made while its Deployment was being deleted is told to end within seconds.
            self._waited = True
            time.sleep(SECONDS)
            found = self._look()
        if any(now.state is State.DELETING for now in found.values()):
            self._settle()
            found = self._look()
        problems = [now.problem for now in found.values() if now.state is State.UNKNOWN]
        problems += holds.hold(self._kube, found, self._installation)
        outcome = poll()
        if not problems:
            return outcome
        remark = f"an uninstall may leave rules behind, to be taken out with `hairpin-proxy cleanup`: {problems[0]}"
        return replace(outcome, remarks=(*outcome.remarks, Remark(remark)))

    def leave(self) -> None:
        """To be called when the process shall end: returns soon or, without an uninstall, after SECONDS."""
        log.info("ending; if this is an uninstall, it has to show within %d seconds", SECONDS)
        try:
            sign, found = self._await_sign()
            if sign:
                self._take_out(sign)
                self._release()
                return
            self._let_go(found)
            now = found[self._installation.deployment]
            if now.there:
                log.info("this is no uninstall, so the rules stay")
            else:
                log.warning("nothing tells whether this is an uninstall, so the rules stay: %s", now.problem)
        except OperatorError as error:
            log.error("rules of hairpin-proxy stay behind; `hairpin-proxy cleanup` takes them out: %s", error)

    def _settle(self) -> None:
        """Finds out what a deletion means. Raises FinalError if it is an uninstall; the rules are out then."""
        sign, found = self._await_sign()
        if not sign:
            self._let_go(found)
            return
        self._take_out(sign)
        if any(found[thing].state in GOING for thing in self._installation.runs_it):
            # Without its rights, a process that kubelet starts anew meanwhile would not see why to write no rule.
            time.sleep(_LINGER)
        self._release()
        raise FinalError("hairpin-proxy was uninstalled and keeps no rules; apply deploy.yml to have it back")

    def _await_sign(self) -> tuple[str | None, _Looked]:
        """Why this is an uninstall as soon as that is to be seen, or None after SECONDS; and the last look."""
        begun, longest = time.monotonic(), SECONDS
        while True:
            found = self._look()
            sign = self._installation.sign_of_uninstall({thing: now.state for thing, now in found.items()})
            if any(now.passing for now in found.values()):
                longest = _SILENT
            if sign or time.monotonic() - begun > longest:
                return sign, found
            time.sleep(_PAUSE)

    def _take_out(self, sign: str) -> None:
        """Raises OperatorError if the rules cannot be taken out."""
        if sign != self._said:
            log.info("this is an uninstall: %s", sign)
            self._said = sign
        for change in (*restore(self._provider), *withdraw(self._provider)):
            log.info("%s", change)

    def _let_go(self, found: _Looked) -> None:
        """Lets nobody wait for ever who deletes one of the objects for another reason."""
        if any(found[thing].passing for thing in self._installation.runs_it):
            return
        held = {thing: found[thing] for thing in self._installation.held}
        if deleted := [str(thing) for thing, now in held.items() if now.state is State.DELETING and now.held]:
            log.warning(
                "%s is being deleted, and nothing is held for an uninstall any more; "
                "apply deploy.yml and restart the controller to keep it working",
                " and ".join(deleted),
            )
            self._release()

    def _look(self) -> _Looked:
        """An object counts as gone only if it has been seen, for an install may name its objects otherwise."""
        if not self._is_sure:
            self._installation, self._is_sure = self._find()
        found = holds.look(self._kube, self._installation.everything)
        self._seen |= {thing for thing, now in found.items() if now.state in (State.PRESENT, State.DELETING)}
        return {
            thing: replace(now, state=State.UNKNOWN, absent=True)
            if now.state is State.GONE and thing not in self._seen
            else now
            for thing, now in found.items()
        }

    def _release(self) -> None:
        for problem in holds.release(self._kube, self._installation.held):
            log.error("%s", problem)
