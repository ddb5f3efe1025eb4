"""Runs the soak, and says what came of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.soak.ground import Ground, Tally, Trail
from tests.soak.machine import machine

STEPS = 50
"""Of an example."""

BATCH = 5000
"""Steps that have a seed."""

HEAD = """\
# The soak

What a run of `make soak` came to. Two controllers with the same settings keep one Corefile of a real API server,
through a proxy that answers wrongly at times, and a third keeps a hosts file. Each step is chosen at random: a poll,
with or without a fault; an Ingress that comes, changes or goes; somebody who edits, undoes or loses what the
controllers keep; the second controller killed in the middle of a poll. After each of them a model is asked what must
hold: each write left what is not ours as it was, and lost and added no rule against what the lists said. Every few
steps all faults end, and after two polls everything has to be right. The first controller lives through all of it.

"""


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
            if ground.ending:
                raise ground.ending from error
            report.broken, report.broken_seed = _shortest(ground, error), number
        number += 1
        report.seconds = time.monotonic() - report.begun
    return report


def _run(ground: Ground, steps: int, number: int) -> None:
    run_state_machine_as_test(
        seed(number)(machine(ground)),
        settings=settings(
            max_examples=max(1, steps // STEPS),
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _shortest(ground: Ground, error: Exception) -> str:
    """What is wrong, and the steps that lead there."""
    if not ground.failure:
        return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    said, trail = ground.failure
    if not (again := replay(ground, trail)):
        return f"{said}\n{_calls(trail)}\n(done again, these steps do no harm: it took what came before them)"
    trail = shrunk(trail, lambda each: _kind(replay(ground, each)) == _kind(again))
    return f"{replay(ground, trail)}\n{_calls(trail)}"


def replay(ground: Ground, trail: Trail) -> str:
    """Takes these steps; what is wrong then, or nothing."""
    ground.failure, ground.is_spoilt = None, True
    state = machine(ground)()
    with suppress(Exception):
        try:
            for name, arguments in trail:
                getattr(state, name)(**arguments)
        finally:
            state.teardown()
    return ground.failure[0] if ground.failure else ""


def shrunk(trail: Trail, is_broken: Callable[[Trail], bool]) -> Trail:
    """With as few steps as it takes; the first is always one of them. hypothesis's own way takes far more examples."""
    size = len(trail) // 2
    while size:
        start = len(trail) - size
        smaller = False
        while start > 0:
            shorter = trail[:start] + trail[start + size :]
            if is_broken(shorter):
                trail, smaller = shorter, True
            start = min(start, len(trail)) - size
        size = size if smaller and size == 1 else size // 2
    return trail


def _kind(said: str) -> str:
    """What is wrong, without with what."""
    return re.split(r"[\[{'\"(]", said)[0]


def _calls(trail: Trail) -> str:
    return "\n".join(
        f"state.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
        for name, arguments in trail
    )
