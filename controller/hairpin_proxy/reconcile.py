"""The loop: the only place where source, decision and provider meet.

One poll:

- ask the source who wants which hosts, and decide which of them may be redirected;
- read what the provider keeps;
- leave out what comes new, while nobody would answer it;
- render it as it should be;
- write it back if, and only if, that changed it, and the guard does not tell it to wait.

A poll that fails at any of these has changed nothing, and the next poll is the retry.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from hairpin_proxy import guard
from hairpin_proxy.diff import changes
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.latest import Latest
from hairpin_proxy.observe.log import Failures, News, log, quoted
from hairpin_proxy.outcome import DRY_RUN, UNCHANGED, WRITTEN, Outcome, Room, reasons
from hairpin_proxy.policy import Asked, Decision, Facts


class Source(Protocol):
    """What asks for hosts."""

    def read(self, not_before: float) -> Asked:
        """By no list from before that time."""


Judged = tuple[Decision, tuple[Remark, ...]]
"""Which hosts may be redirected, and what an operator should know of them."""

StateT = TypeVar("StateT")


class Gate(Protocol):
    """What new hosts may have to wait for."""

    def shut(self, *, is_first: bool) -> tuple[bool, Remark | None]: ...


class Provider(Protocol[StateT]):
    """What keeps the rules, in one document or in several of which each write changes one."""

    def read(self) -> StateT: ...
    def owned(self, state: StateT) -> frozenset[str]: ...
    def facts(self, state: StateT) -> Facts: ...
    def render(self, state: StateT, hosts: Collection[str]) -> Edit: ...
    def remarks(self, state: StateT, hosts: Collection[str]) -> Iterable[Remark]: ...

    def write(self, state: StateT, edit: Edit) -> Remark | None:
        """Returns why it was not made, if that shall not fail the poll."""

    def manager(self, state: StateT, document: str) -> str: ...
    def room(self, state: StateT) -> Room | None: ...


class Remembered(Generic[StateT]):
    """A provider that works nothing out anew while its documents and the hosts stay the same."""

    def __init__(self, provider: Provider[StateT]) -> None:
        self._provider = provider
        self._state: StateT | None = None
        self.write, self.manager = provider.write, provider.manager
        self.owned, self.facts, self.render = Latest(provider.owned), Latest(provider.facts), Latest(provider.render)
        self.room = Latest(provider.room)
        self._said = Latest(lambda state, hosts: tuple(provider.remarks(state, hosts)))

    def read(self) -> StateT:
        """The same object as the last time if it is the same, so that what is large is in memory once."""
        state = self._provider.read()
        self._state = state if self._state is None or state != self._state else self._state
        return self._state

    def remarks(self, state: StateT, hosts: Collection[str]) -> Iterable[Remark]:
        return self._said(state, hosts)


@dataclass(slots=True)
class Memory:
    """What one poll leaves to the next."""

    missing: guard.Missing = field(default_factory=dict)
    reverts: guard.Reverts = field(default_factory=guard.Reverts)
    undone_by: str = ""
    """Who undid what was written, for people, as it was to be seen while it was undone."""

    written: float = -math.inf
    """When something was."""

    left_out: Callable[[Decision], list[Remark]] = field(default_factory=lambda: Latest(left_out))


@dataclass(frozen=True, slots=True)
class Poll(Generic[StateT]):
    """One poll after the other. Calling it makes one.

    Raises OperatorError, and has then written nothing; FinalError if the next one is bound to fail too.
    """

    source: Source
    decide: Callable[[Asked, Facts], Judged]
    gate: Gate
    provider: Provider[StateT]
    interval: float
    dry_run: bool = False
    min_write_interval: float = 0.0
    clock: Callable[[], float] = time.monotonic
    memory: Memory = field(default_factory=Memory)

    def __call__(self) -> Outcome:
        asked = self.source.read(guard.second_list(self.memory.missing, self.clock(), self.interval))
        state = self.provider.read()
        standing = self.provider.owned(state)
        decision, said = self.decide(asked, self.provider.facts(state))
        coming, going = decision.hosts - standing, standing - decision.hosts
        is_mass = guard.is_mass(standing, going)
        kept = self._kept(going, is_doubtful=is_mass or bool(asked.doubts))
        shut, why = self.gate.shut(is_first=not standing) if coming else (False, None)
        hosts = decision.hosts - coming if shut else decision.hosts
        hosts = hosts | kept if kept else hosts
        edit = self.provider.render(state, hosts)
        waits = self._waits(state, edit, standing)
        write = edit.current != edit.desired and not self.dry_run and not waits
        refused = self._write(state, edit) if write else None
        written = write and not refused
        guarded = (*filter(None, (refused, why)), *_stay(kept, standing, asked), *self._reverted())
        remarks = (
            *asked.remarks,
            *self.memory.left_out(decision),
            *said,
            *edit.remarks,
            *self.provider.remarks(state, hosts),
            *guarded,
        )
        return Outcome(
            edit,
            written,
            remarks,
            undone=bool(kept) or shut,
            doubted=bool(kept) and not is_mass,
            waits=waits or refused is not None,
            rest=self._rest(),
            decision=decision,
            hosts=edit.hosts if written or edit.current == edit.desired else standing,
            held=coming if shut else frozenset(),
            reverts=self.memory.reverts.seen,
            room=_room(self.provider.room(state), edit if written else None),
        )

    def _kept(self, going: frozenset[str], *, is_doubtful: bool) -> frozenset[str]:
        """Those that stay until a second list lacks them too."""
        verdict = guard.removal(self.memory.missing, going, self.clock(), self.interval, is_doubtful=is_doubtful)
        # Also if the poll fails later on, as each one may that has to write.
        self.memory.missing = verdict.missing
        return verdict.kept

    def _write(self, state: StateT, edit: Edit) -> Remark | None:
        refused = self.provider.write(state, edit)
        if not refused:
            self.memory.written = self.clock()
            self.memory.reverts = self.memory.reverts.wrote(_text(edit), edit.hosts, self.memory.written)
        return refused

    def _waits(self, state: StateT, edit: Edit, standing: frozenset[str]) -> bool:
        now = self.clock()
        wanted = _text(edit) if edit.current != edit.desired else None
        # Where writes are further apart than polls, it is by their distance that a few are counted.
        pace = max(self.interval, self.min_write_interval)
        self.memory.reverts = self.memory.reverts.wants(wanted, standing, now, pace)
        if self.memory.reverts.counted:
            self.memory.undone_by = self.provider.manager(state, self.memory.reverts.document)
        return wanted is not None and (self.memory.reverts.waits(now, edit.document) or self._rest() > 0)

    def _rest(self) -> float:
        return guard.rest(self.memory.written, self.clock(), self.min_write_interval)

    def _reverted(self) -> Iterator[Remark]:
        if self.memory.reverts.count > 1:
            yield Remark(
                f"what was written has been undone {self.memory.reverts.milestone} times or more; where that happens "
                f"within a few polls, it is written ever more seldom, down to every {guard.LONGEST / 60:.0f} minutes: "
                f"{self.memory.undone_by}",
                severe=True,
                about="reverts",
            )


def _stay(kept: frozenset[str], standing: frozenset[str], asked: Asked) -> Iterator[Remark]:
    """Of hosts that stay although a list lacks them."""
    if kept:
        why = f", for there are no {' and no '.join(asked.doubts)} any more" if asked.doubts else ""
        yield Remark(
            f"{len(kept)} of {len(standing)} hosts would go at once, such as {min(kept)}{why}: they stay until a poll "
            "that comes an interval later finds them gone too"
        )


def _room(read: Room | None, made: Edit | None) -> Room | None:
    """What is used of the document, after an edit that was made since it was read."""
    if read and made and made.document == read.document:
        return read._replace(size=len(made.desired.encode()))
    return read


def _text(edit: Edit) -> guard.Text:
    return guard.Text(edit.document, hash(edit.desired))


def left_out(decision: Decision) -> list[Remark]:
    """One sentence for each host that nobody is granted."""
    return [
        Remark(f"{where}: host {quoted(host)} is left out: it {reason.text} ({reason.code})", calm=reason.chosen)
        for host, (where, reason) in reasons(decision).items()
    ]


class Stop:
    """What a signal says: it ends a wait, and a poll that is under way.

    A poll can be given up anywhere: whether its one write was made shows at the next start, as after any failure.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._polling = False

    def set(self) -> None:
        """To be called by a signal handler, which Python runs between any two steps of the main thread."""
        self._event.set()
        if self._polling:
            raise Interrupted

    @property
    def is_polling(self) -> bool:
        """Whether `set` raises Interrupted now."""
        return self._polling

    def wait(self, seconds: float) -> bool:
        """Returns whether it was set, at once or after some seconds."""
        return self._event.wait(seconds)

    @contextmanager
    def polling(self) -> Iterator[None]:
        """While this lasts, `set` raises Interrupted. So does its beginning, if the signal came before."""
        self._polling = True
        try:
            if self._event.is_set():
                raise Interrupted
            yield
        finally:
            self._polling = False


class Interrupted(BaseException):
    """A poll was given up because the process shall end."""


_NO_MEMORY = (
    "memory ran out: if that lasts, this many objects take more than resources.limits.memory of the container allows"
)

Pause = Callable[[float, float], None]
"""What happens between two polls: returns after some seconds, the first number, or sooner if something has changed; for
the second number of seconds it does not matter what changes."""


def run(poll: Callable[[], Outcome], *, interval: float, once: bool, stop: Stop, pause: Pause | None = None) -> bool:
    """Polls every `interval` seconds until `stop` is set or, with `once`, one time, and again to confirm an empty list.

    It polls sooner where `pause` ends sooner, and when the time has come for a write that had to wait for the last one.
    Returns whether the last poll succeeded, and with `once` left nothing undone. Raises FinalError, which nobody has
    logged yet.
    """
    failures, news, pauses = Failures("poll"), News(), Failures("pause")
    while True:
        outcome, retry_after = _attempt(poll, stop, failures, news)
        if once and outcome and outcome.doubted and not stop.wait(guard.SECOND_LOOK):
            continue
        rest = outcome.rest if outcome else retry_after
        seconds = min(interval, rest) if outcome and outcome.waits and rest else max(interval, retry_after)
        if once or (_paused(partial(pause, seconds, rest), stop, seconds, pauses) if pause else stop.wait(seconds)):
            return outcome is not None and not (once and outcome.undone)
        del outcome  # its texts may be large, and so are those of the next


def _paused(pause: Callable[[], None], stop: Stop, seconds: float, failures: Failures) -> bool:
    """Whether `stop` was set, at once or during the pause."""
    try:
        with stop.polling():
            pause()
    except Interrupted:
        return True
    except Exception as error:
        # Nothing depends on it, so that a fault of ours must not end the loop.
        failures.failed(_fault(error), error)
        return stop.wait(seconds)
    failures.succeeded()
    return False


def _fault(error: Exception) -> str:
    return f"a fault in hairpin-proxy, please report it: {error!r}"


def _attempt(poll: Callable[[], Outcome], stop: Stop, failures: Failures, news: News) -> tuple[Outcome | None, float]:
    """What one poll came to, or None if it failed; and for how many seconds the server wants to be left alone."""
    try:
        with stop.polling():
            outcome = poll()
        _report(outcome, news)
    except Interrupted:
        return None, 0.0
    except FinalError:
        raise
    except OperatorError as error:
        failures.failed(str(error))
        return None, error.retry_after
    except MemoryError:
        failures.failed(_NO_MEMORY)
        return None, 0.0
    except Exception as error:
        # A fault of ours must not end the loop: what stands in the document keeps working, and the next poll may pass.
        failures.failed(_fault(error), error)
        return None, 0.0
    failures.succeeded()
    return outcome, 0.0


def _report(outcome: Outcome, news: News) -> None:
    remarks = list(outcome.remarks)
    edit = outcome.edit
    if outcome.result == WRITTEN:
        log.info("%s updated:\n%s", edit.document, changes(edit.current, edit.desired))
    elif outcome.result == DRY_RUN:
        changed = changes(edit.current, edit.desired)
        remarks.append(Remark(f"{edit.document} would be updated, but this is a dry run:\n{changed}"))
    else:
        becomes = "is as it should be" if outcome.result == UNCHANGED else "is to be updated later"
        log.debug("%s %s", edit.document, becomes)
    for remark in news.of(remarks):
        level = logging.ERROR if remark.severe else logging.INFO if remark.calm else logging.WARNING
        log.log(level, "%s", remark.text)
