"""The loop: the only place where source, decision and provider meet.

One poll:

- ask the source who wants which hosts, and decide which of them may be redirected;
- read the document that the provider keeps;
- render it as it should be;
- write it back if, and only if, that changed it.

A poll that fails at any of these has changed nothing, and the next poll is the retry.
"""

import difflib
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.observe.log import Failures, News, log, quoted
from hairpin_proxy.policy import Claim, Decision

MAX_DIFF_LINES = 200
"""Lines of a diff that go into the log; a first write for thousands of hosts would drown all else."""


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
    def remarks(self, current: DocumentT) -> list[str]: ...
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

    @property
    def diff(self) -> str:
        """From current to desired, unified; empty if they are the same."""
        lines = list(
            difflib.unified_diff(self.current.split("\n"), self.desired.split("\n"), "current", "desired", lineterm="")
        )
        if len(lines) > MAX_DIFF_LINES:
            lines = [*lines[:MAX_DIFF_LINES], f"... and {len(lines) - MAX_DIFF_LINES} lines more"]
        return "\n".join(lines)


def run_once(
    source: Source, decide: Callable[[Iterable[Claim]], Decision], provider: Provider[DocumentT], *, dry_run: bool
) -> Outcome:
    """One poll. Raises OperatorError, and has then written nothing."""
    decision = decide(source.claims())
    current = provider.read()
    desired = provider.render(current, decision.hosts)
    write = desired != current.text and not dry_run
    if write:
        provider.write(current, desired)
    left_out = [
        f"{claim.object}: host {quoted(claim.host)} is left out: it {reason}"
        for claim, reason in decision.left_out.items()
    ]
    return Outcome(str(provider), current.text, desired, write, (*left_out, *provider.remarks(current)))


def run(poll: Callable[[], Outcome], *, interval: float, once: bool, stop: threading.Event) -> bool:
    """Polls at once and then every `interval` seconds, until `stop` is set or, with `once`, only that one time.

    Returns whether the last poll succeeded.
    """
    failures, news = Failures(), News()
    while True:
        succeeded = _attempt(poll, failures, news)
        if once or stop.wait(interval):
            return succeeded


def _attempt(poll: Callable[[], Outcome], failures: Failures, news: News) -> bool:
    try:
        outcome = poll()
    except OperatorError as error:
        failures.failed(str(error))
        return False
    except Exception:
        # A fault of ours must not end the loop: what stands in the document keeps working, and the next poll may pass.
        log.exception("poll failed by a fault in hairpin-proxy, please report it")
        failures.failed("a fault in hairpin-proxy")
        return False
    failures.succeeded()
    _report(outcome, news)
    return True


def _report(outcome: Outcome, news: News) -> None:
    remarks = list(outcome.remarks)
    if outcome.written:
        log.info("%s updated:\n%s", outcome.document, outcome.diff)
    elif outcome.desired != outcome.current:
        remarks.append(f"{outcome.document} would be updated, but this is a dry run:\n{outcome.diff}")
    else:
        log.debug("%s is as it should be", outcome.document)
    for remark in news.of(remarks):
        log.warning("%s", remark)
