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
from hairpin_proxy.leaving.installation import Installation, State, Thing
from hairpin_proxy.leaving.restore import restore, withdraw
from hairpin_proxy.observe.log import log
from hairpin_proxy.outcome import Outcome
from hairpin_proxy.providers.corefile import Corefile

SECONDS = 20
"""How long an uninstall may take to show: `kubectl delete -f` goes through the objects one by one."""

_PAUSE = 0.5
"""Seconds between two looks."""


class Uninstall:
    """Watches over the objects of one install."""

    def __init__(self, kube: Kube, installation: Installation, provider: Corefile) -> None:
        self._kube = kube
        self._installation = installation
        self._provider = provider
        self._seen: set[Thing] = set()
        self._waited = False

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
            if self._settled():
                raise FinalError("hairpin-proxy was uninstalled and keeps no rules; apply deploy.yml to have it back")
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
            if self._settled():
                return
            now = self._look()[self._installation.deployment]
            if now.there:
                log.info("this is no uninstall, so the rules stay")
            else:
                log.warning("nothing tells whether this is an uninstall, so the rules stay: %s", now.problem)
        except OperatorError as error:
            log.error("rules of hairpin-proxy stay behind; `hairpin-proxy cleanup` takes them out: %s", error)

    def _settled(self) -> bool:
        """Whether this is an uninstall, for which it waits SECONDS. If so, the rules are out.

        Raises OperatorError if they cannot be taken out.
        """
        deadline = time.monotonic() + SECONDS
        while not (sign := self._sign()):
            if time.monotonic() > deadline:
                self._let_go()
                return False
            time.sleep(_PAUSE)
        log.info("this is an uninstall: %s", sign)
        for change in (*restore(self._provider), *withdraw(self._provider)):
            log.info("%s", change)
        self._release()
        return True

    def _let_go(self) -> None:
        """Lets nobody wait for ever who deletes one of the objects for another reason."""
        found = holds.look(self._kube, self._installation.held)
        if deleted := [str(thing) for thing, now in found.items() if now.state is State.DELETING and now.held]:
            log.warning(
                "%s is being deleted, and nothing is held for an uninstall any more; "
                "apply deploy.yml and restart the controller to keep it working",
                " and ".join(deleted),
            )
            self._release()

    def _sign(self) -> str | None:
        found = self._look()
        return self._installation.sign_of_uninstall({thing: now.state for thing, now in found.items()})

    def _look(self) -> dict[Thing, holds.Found]:
        """An object counts as gone only if it has been seen, for an install may name its objects otherwise."""
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
