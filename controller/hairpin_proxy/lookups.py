"""Public addresses of names, asked for in the background, past our own rules."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from hairpin_proxy import hairpin
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.latest import Latest
from hairpin_proxy.policy import Decision
from hairpin_proxy.settings import DnsServer

_THREADS = 4
_QUERY_SECONDS = 3.0
_ANSWER_HOLDS, _NOTHING_HOLDS = 600.0, 300.0
"""Seconds after which a name is asked for again: one with addresses, and one without any."""

_FAILURE_HOLDS, _LONGEST = 60.0, 3600.0
"""Seconds after which a name is asked for again that got no answer: twice as long each time, up to the second."""

_FIRST_SECONDS = 15.0
"""How long a single poll that needs answers waits for them."""


@dataclass(slots=True)
class _Known:
    """What is known of one name."""

    addresses: frozenset[str] | None = None
    """The last answer; None before the first."""

    expires: float = 0.0
    asked: bool = False
    """Whether an answer is under way."""

    failures: int = 0


class Lookups:
    """Answers at once with what is known, and asks in the background for what is not, or not any more."""

    def __init__(self, server: DnsServer | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a server, those of /etc/resolv.conf are asked."""
        self._server = server
        self._clock = clock
        self._names: dict[str, _Known] = {}
        self._changed = threading.Condition()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._problem: str | None = None

    def ask(self, names: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """What is known of these names; all others are forgotten."""
        with self._changed:
            self._names = {name: self._names.get(name) or _Known() for name in names}
            due = [name for name, known in self._names.items() if not known.asked and known.expires <= self._clock()]
            for name in due:
                self._names[name].asked = True
                self._queue.put(name)
            found = {name: known.addresses for name, known in self._names.items()}
            if not found:
                self._problem = None
        if due and not self._threads:
            self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_THREADS)]
            for thread in self._threads:
                thread.start()
        return found

    def wait(self, seconds: float) -> None:
        """Returns when nothing is under way, or after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not any(known.asked for known in self._names.values()), seconds)

    @property
    def problem(self) -> str | None:
        """Why no name at all gets an answer."""
        return self._problem

    def _work(self) -> None:
        while True:
            name = self._queue.get()
            if name not in self._names:
                continue
            try:
                self._answered(name, _addresses(self._server, name))
            except OperatorError as error:
                self._failed(name, str(error))

    def _answered(self, name: str, addresses: frozenset[str]) -> None:
        with self._changed:
            self._problem = None
            if known := self._names.get(name):
                known.addresses, known.failures, known.asked = addresses, 0, False
                known.expires = self._clock() + (_ANSWER_HOLDS if addresses else _NOTHING_HOLDS)
            self._changed.notify_all()

    def _failed(self, name: str, problem: str) -> None:
        """What was known stays known."""
        with self._changed:
            if known := self._names.get(name):
                known.expires = self._clock() + min(_FAILURE_HOLDS * 2**known.failures, _LONGEST)
                known.failures, known.asked = known.failures + 1, False
            if not any(each.addresses is not None for each in self._names.values()):
                # The first one, for each tells of another name or another fraction of a second.
                self._problem = self._problem or problem
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Hairpinned:
    """Judges which hosts reach the cluster through its own load balancer."""

    lookups: Lookups
    require: bool
    once: bool = False
    """Whether there will be no other poll that could know more."""

    _names: Callable[[Decision], set[str]] = field(default_factory=lambda: Latest(hairpin.names), init=False)
    _judge: Latest[..., tuple[Decision, tuple[Remark, ...]]] = field(
        default_factory=lambda: Latest(hairpin.judge), init=False
    )

    def __call__(self, decision: Decision, standing: Collection[str]) -> tuple[Decision, tuple[Remark, ...]]:
        names = self._names(decision)
        answers = self.lookups.ask(names)
        if self.once and self.require:
            self.lookups.wait(_FIRST_SECONDS)
            answers = self.lookups.ask(names)
        judged, remarks = self._judge(decision, answers, standing, require=self.require)
        problem = self.lookups.problem
        return judged, (*remarks, *([Remark(f"no public address can be looked up: {problem}")] if problem else []))


def _addresses(server: DnsServer | None, name: str) -> frozenset[str]:
    """IPv4 and IPv6 addresses of a full name, and the names that it is an alias of.

    Raises OperatorError if no server says what they are.
    """
    # Not needed by everybody, and as large as all the rest.
    import dns.exception  # noqa: PLC0415
    import dns.resolver  # noqa: PLC0415

    try:
        # Anew each time, for the node's resolv.conf may change.
        resolver = dns.resolver.Resolver(configure=server is None)
        if server:
            resolver.nameservers, resolver.port = [server.address], server.port
        found: set[str] = set()
        for kind in ("A", "AAAA"):
            with suppress(dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                answer = resolver.resolve(f"{name}.", kind, lifetime=_QUERY_SECONDS)
                found |= {str(record) for record in answer}
                aliases = (alias.target for records in answer.chaining_result.cnames for alias in records)
                found |= {alias.to_text(omit_final_dot=True).lower() for alias in aliases}
    except (dns.exception.DNSException, OSError, ValueError) as error:  # ValueError: a resolv.conf that is none
        raise OperatorError(str(error)) from error
    return frozenset(found)
