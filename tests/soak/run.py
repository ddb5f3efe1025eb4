"""Runs the soak, and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import run_state_machine_as_test

from tests.soak.ground import Ground, Tally
from tests.soak.machine import machine

STEPS = 50
"""Of an example."""

BATCH = 5000
"""Steps that have a seed."""


SHRINKING = 60
"""Seconds that are spent at the most on a shorter sequence; five minutes are hypothesis's own choice."""


@dataclass
class Report:
    """What came of it."""

    seed: int
    tally: Tally
    seconds: float = 0.0
    broken: str = ""
    """The shortest sequence of steps that was found for what is wrong."""

    broken_seed: int = 0
    begun: float = field(default_factory=time.monotonic)

    def table(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        steps = self.tally.total
        lines = [
            f"{steps:,} steps with seed {self.seed} in {self.seconds:.0f} s, "
            f"{1000 * self.seconds / max(1, steps):.1f} ms each",
            "",
            "| What | How often |",
            "| --- | ---: |",
        ]
        lines += [f"| {thing} | {count:,} |" for thing, count in sorted(self.tally.things.items())]
        lines += ["", "| Steps | Memory of the controller that lives through all of it |", "| ---: | ---: |"]
        lines += [f"| {after:,} | {kib / 1024:.1f} MiB |" for after, kib in _some(self.tally.memory)]
        lines += ["", "| Step | How often |", "| --- | ---: |"]
        lines += [f"| {step} | {count:,} |" for step, count in sorted(self.tally.steps.items())]
        return lines


def _some(samples: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first, the last, and eight of those between them."""
    if len(samples) <= 10:
        return samples
    return [samples[number * (len(samples) - 1) // 9] for number in range(10)]


def run(ground: Ground, steps: int, first: int, tell: Callable[[Report], None] = lambda _: None) -> Report:
    """So many steps. Ends early when something is wrong."""
    report = Report(first, ground.tally)
    ground.tell = lambda: tell(report)
    number = first
    while ground.tally.total < steps and not report.broken:
        try:
            _run(ground, min(BATCH, steps - ground.tally.total), number)
        except Exception as error:
            report.broken, report.broken_seed = _said(error), number
            if ground.failures and ground.failures[0] not in report.broken:
                report.broken += f"\n\nAt first it was: {ground.failures[0]}"
        number += 1
        report.seconds = time.monotonic() - report.begun
    return report


def _run(ground: Ground, steps: int, number: int) -> None:
    vars(engine)["MAX_SHRINKING_SECONDS"] = SHRINKING
    run_state_machine_as_test(
        seed(number)(machine(ground)),
        settings=settings(
            max_examples=max(1, steps // STEPS),
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def _said(error: Exception) -> str:
    """What is wrong, and the steps that lead there."""
    return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
