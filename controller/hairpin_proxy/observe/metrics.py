"""What the controller counts of itself, for Prometheus."""

import threading
import time
from collections.abc import Collection

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from hairpin_proxy.edit import Edit
from hairpin_proxy.latest import Latest
from hairpin_proxy.outcome import RESULTS, Outcome, Room, Why, by_reason, by_source
from hairpin_proxy.policy import Decision

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of `Metrics.page`."""

_FAILED = "failed"
_CODES = ("none", "401", "403", "409", "429", "500", "503")
"""API errors that are there from the start, with 0, so that the first one is seen to come."""

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Seconds: an idle poll takes some hundredths, and a list of 50,000 objects some seconds."""


class Metrics:
    """All of them. Any thread may call any method."""

    def __init__(self, version: str) -> None:
        # When a counter was made is of no use to Prometheus, and would double their number.
        disable_created_metrics()
        self._registry = registry = CollectorRegistry()
        self._polls = Counter(
            "hairpin_proxy_polls_total", "Polls, by what they came to.", ["result"], registry=registry
        )
        self._seconds = Histogram(
            "hairpin_proxy_poll_duration_seconds", "How long polls took.", buckets=_BUCKETS, registry=registry
        )
        self._succeeded = Gauge(
            "hairpin_proxy_last_successful_poll_timestamp_seconds",
            "When a poll last succeeded, in Unix time; 0 if none has.",
            registry=registry,
        )
        self._hosts = Gauge(
            "hairpin_proxy_hosts",
            "Hosts that have a rule, by the kind of source that asks for them; one that both ask for counts for both.",
            ["source"],
            registry=registry,
        )
        self._left_out = Gauge(
            "hairpin_proxy_hosts_left_out",
            "Hosts that somebody asks for and that have no rule, by the reason, and whether somebody wants it so.",
            ["reason", "chosen"],
            registry=registry,
        )
        self._writes = Counter(
            "hairpin_proxy_writes_total", "Writes, by the document.", ["document"], registry=registry
        )
        self._reverts = Counter(
            "hairpin_proxy_reverts_total", "Writes that somebody undid within minutes.", registry=registry
        )
        self._size = Gauge(
            "hairpin_proxy_corefile_bytes", "Bytes of the document that rules go into.", ["document"], registry=registry
        )
        self._limit = Gauge(
            "hairpin_proxy_corefile_limit_bytes", "Bytes that it may have at the most.", ["document"], registry=registry
        )
        self._errors = Counter(
            "hairpin_proxy_api_errors_total",
            "Calls of the API server that failed, by HTTP status; none if no answer came.",
            ["code"],
            registry=registry,
        )
        Info("hairpin_proxy_build", "The version that runs.", registry=registry).info({"version": version})
        ProcessCollector(registry=registry)
        self._by_source, self._by_reason = Latest(by_source), Latest(by_reason)
        self._reasons: set[Why] = set()
        self._reverted = 0
        self._document = ""
        self._documents: set[str] = set()
        self._first_writes: list[str] = []
        self._first_writes_lock = threading.Lock()
        for result in (*RESULTS, _FAILED):
            self._polls.labels(result)
        for code in _CODES:
            self._errors.labels(code)

    def page(self) -> bytes:
        """All of them in Prometheus's text format."""
        with self._first_writes_lock:
            page = generate_latest(self._registry)
            for document in self._first_writes:
                self._writes.labels(document).inc()
            self._first_writes.clear()
        return page

    def polled(self, outcome: Outcome, seconds: float) -> None:
        """A poll succeeded."""
        self._ended(outcome.result, seconds)
        self._succeeded.set(time.time())
        self._wrote(outcome.edit.document, outcome.written)
        self._reverts.inc(outcome.reverts - self._reverted)
        self._reverted = outcome.reverts
        if outcome.decision:
            self._count(outcome.decision, outcome.hosts, outcome.held, outcome.edit)
        if outcome.room:
            self._measure(outcome.room)

    def failed(self, seconds: float) -> None:
        """A poll failed."""
        self._ended(_FAILED, seconds)

    def call_failed(self, status: int | None) -> None:
        """A call of the API server failed; None if no answer came."""
        self._errors.labels(str(status or "none")).inc()

    def _ended(self, result: str, seconds: float) -> None:
        self._polls.labels(result).inc()
        self._seconds.observe(seconds)

    def _wrote(self, document: str, written: bool) -> None:
        writes = self._writes.labels(document)
        if document in self._documents:
            writes.inc(written)
        elif written:
            # increase() sees no write of a series that begins with 1, so its first page has 0.
            with self._first_writes_lock:
                self._first_writes.append(document)
        self._documents.add(document)

    def _count(self, decision: Decision, hosts: Collection[str], held: Collection[str], edit: Edit) -> None:
        for source, number in self._by_source(decision, hosts).items():
            self._hosts.labels(source).set(number)
        left_out = self._by_reason(decision, held, edit)
        self._reasons |= left_out.keys()
        # One that went back to none says 0, for a series that ends looks like one that was not scraped.
        for why in self._reasons:
            self._left_out.labels(why.code, str(why.chosen).lower()).set(left_out.get(why, 0))

    def _measure(self, room: Room) -> None:
        if room.document != self._document:
            self._size.clear()
            self._limit.clear()
        self._document = room.document
        self._size.labels(room.document).set(room.size)
        self._limit.labels(room.document).set(room.limit)
