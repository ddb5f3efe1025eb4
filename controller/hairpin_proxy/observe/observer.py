"""Stands beside the loop and tells metrics and health of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from hairpin_proxy.observe.health import Health, Loop
from hairpin_proxy.observe.metrics import CONTENT_TYPE, Metrics
from hairpin_proxy.observe.serving import Page, Pages
from hairpin_proxy.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Observer:
    """Changes nothing of what it looks at."""

    metrics: Metrics
    loop: Loop

    def poll(self, poll: Callable[[], Outcome]) -> Outcome:
        """One poll, as the function makes it."""
        self.loop.polls()
        begun = time.monotonic()
        try:
            outcome = poll()
        except Exception:
            self.metrics.failed(time.monotonic() - begun)
            raise
        self.metrics.polled(outcome, time.monotonic() - begun)
        self.loop.succeeded()
        return outcome

    def pause(self, pause: Callable[[float, float], None], seconds: float, quiet: float) -> None:
        """One pause, as the function makes it."""
        self.loop.pauses(seconds)
        pause(seconds, quiet)

    def pages(self) -> Pages:
        """What is served of it."""
        return {
            "/metrics": lambda: Page(self.metrics.page(), content_type=CONTENT_TYPE),
            "/healthz": lambda: _page(self.loop.turns()),
            "/readyz": lambda: _page(self.loop.ready()),
        }


def watching(version: str, interval: float) -> Observer:
    """An observer of a loop that has not begun."""
    return Observer(Metrics(version), Loop(interval))


def _page(health: Health) -> Page:
    status = HTTPStatus.OK if health.good else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(f"{health.why}\n".encode(), status)
