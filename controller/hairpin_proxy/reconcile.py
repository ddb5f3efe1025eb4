"""The loop: the only place where source, decision and provider meet.

One poll:

- ask the source who wants which hosts, and decide which of them may be redirected;
- read the document that the provider keeps;
- render it as it should be;
- write it back if, and only if, that changed it.

A poll that fails at any of these has changed nothing, and the next poll is the retry.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hairpin_proxy.diff import diff
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.observe.log import Failures, News, log, quoted
from hairpin_proxy.policy import Claim, Decision


class Source(Protocol):
    """What asks for hosts."""

    def claims(self) -> Iterable[Claim]: ...


class Text(Protocol):
    """A document as it was read."""

    @property
    def text(self) -> str: ...


DocumentT = TypeVar("DocumentT", bound=Text)


class Provider(Protocol[DocumentT]):
    """What keeps a document. str() of it names the document for people."""

    def read(self) -> DocumentT: ...
    def render(self, current: DocumentT, hosts: Collection[str]) -> str: ...
    def remarks(self, current: DocumentT, hosts: Collection[str]) -> list[str]: ...
    def write(self, current: DocumentT, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one poll found and did."""

    document: str
    current: str
    desired: str
    written: bool
    remarks: tuple[str, ...]
    """What an operator should know as long as it is so."""


def run_once(
    source: Source, decide: Callable[[Iterable[Claim]], Decision], provider: Provider[DocumentT], *, dry_run: bool
) -> Outcome:
    """One poll. Raises OperatorError, and has then written nothing; FinalError if the next one is bound to fail too."""
    decision = decide(source.claims())
    current = provider.read()
    desired = provider.render(current, decision.hosts)
    write = desired != current.text and not dry_run
    if write:
        provider.write(current, desired)
    remarks = (*_left_out(decision), *provider.remarks(current, decision.hosts))
    return Outcome(str(provider), current.text, desired, write, remarks)


def _left_out(decision: Decision) -> list[str]:
    """One sentence for each host that is left out; if several objects name it, for the first."""
    first = {claim.host: (claim.object, reason) for claim, reason in reversed(list(decision.left_out.items()))}
    return [f"{where}: host {quoted(host)} is left out: it {reason}" for host, (where, reason) in first.items()]


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


def run(poll: Callable[[], Outcome], *, interval: float, once: bool, stop: Stop, delay: float = 0) -> bool:
    """Polls after `delay` seconds and then every `interval`, until `stop` is set or, with `once`, only that one time.

    Returns whether the last poll succeeded. Raises FinalError, which nobody has logged yet.
    """
    failures, news = Failures(), News()
    if delay and stop.wait(delay):
        return False
    while True:
        succeeded = _attempt(poll, stop, failures, news)
        if once or stop.wait(interval):
            return succeeded


def _attempt(poll: Callable[[], Outcome], stop: Stop, failures: Failures, news: News) -> bool:
    try:
        with stop.polling():
            outcome = poll()
        _report(outcome, news)
    except Interrupted:
        return False
    except FinalError:
        raise
    except OperatorError as error:
        failures.failed(str(error))
        return False
    except Exception as error:
        # A fault of ours must not end the loop: what stands in the document keeps working, and the next poll may pass.
        failures.failed(f"a fault in hairpin-proxy, please report it: {error!r}", error)
        return False
    failures.succeeded()
    return True


def _report(outcome: Outcome, news: News) -> None:
    remarks = list(outcome.remarks)
    changes = diff(outcome.current, outcome.desired)
    if outcome.written:
        log.info("%s updated:\n%s", outcome.document, changes)
    elif changes:
        remarks.append(f"{outcome.document} would be updated, but this is a dry run:\n{changes}")
    else:
        log.debug("%s is as it should be", outcome.document)
    for remark in news.of(remarks):
        log.warning("%s", remark)
