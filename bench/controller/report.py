"""The page and the plot."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.kernel import Taken
from bench.poll import Cost

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
OURS, STRAIGHT = "hairpin-proxy", "the list once an interval"
AIMED = 10_000
"""The number of Ingresses that the aims are for."""
LIST_SECONDS = 600
"""How often the controller lists everything anew."""
PEAK_AIM, IDLE_AIM, REACTION_AIM = 80, 1.0, 1.0
"""MiB at the most, and below these: per cent of a core, and seconds."""


@dataclass(frozen=True)
class Idle:
    """A minute in which nothing happens."""

    cpu_seconds: float
    megabytes: float


@dataclass(frozen=True)
class Figures:
    """Of one program."""

    start: Taken
    """From the process's start to its first write or its first list."""
    idle: Idle
    peak_mib: float
    reactions: tuple[Taken, ...] = ()
    """From a new Ingress to the write."""
    """None of a program that writes nothing."""

    @property
    def reaction(self) -> Taken:
        """The medians."""
        seconds = statistics.median(each.seconds for each in self.reactions)
        return Taken(seconds, statistics.median(each.cpu_seconds for each in self.reactions))

    @property
    def core(self) -> float:
        """Per cent of a core that it takes while nothing happens."""
        return self.idle.cpu_seconds / 60 * 100

    @property
    def core_with_lists(self) -> float:
        """The same with what a minute rarely has in it; a start costs more than the list that is part of it."""
        return self.core + self.start.cpu_seconds / LIST_SECONDS * 100


@dataclass(frozen=True)
class Row:
    """One program at one number of Ingresses."""

    ingresses: int
    name: str
    figures: Figures


PAGE = """\
# What the controller costs

`make bench ONLY=controller` measures all of this anew and writes this page: the controller as it runs in the cluster,
on a real API server, with its ServiceAccount's rights and the default interval of 15 seconds. Beside it, at the same
time, runs a straightforward program on the same client, which lists all Ingresses, unpaged and typed, once an interval.
The Ingresses name 10,000 hosts at the most, and are of an ordinary size, about 1.5 KB each.

{table}

![the same as curves](controller.svg)

{verdict}

- **start**: from the start of the process to its first write of all the rules, or to the end of its first list. The
  import of the Kubernetes client alone, which is in it, takes {import_cpu:.2f} s of CPU and {import_peak:.0f} MiB.
- **idle**: in a minute in which nothing happens, as a part of one core, and what the process reads, nearly all of it
  from the API server. What comes less often than once a minute is not in it: a list of all objects, as at the start,
  every ten minutes.
- **peak memory**: the most that the process has held at any time (VmHWM).
- **reaction**: from the request that creates an Ingress with a new host to the write of the Corefile; the median, and
  in parentheses the longest, of {times}. These are lone changes; of several in a row, the later ones wait longer: for
  `--min-write-interval`, here set to 0, and for four times as long as the poll before took.

Absolute figures are those of one machine on one day, with Python {python} on {cpus} CPUs; the ratios travel.
"""
HEAD = (
    "| Ingresses | program | start, s | its CPU, s | idle, % of a core | idle, MB a minute | peak memory, MiB "
    "| reaction, s | its CPU, s |",
    "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
)


def write(rows: Sequence[Row], alone: Cost) -> str:
    """Writes the page and the plot; returns the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = page(rows, alone)
    (FOLDER / "controller.md").write_text(text)
    _plot(rows, FOLDER / "controller.svg")
    return text


def page(rows: Sequence[Row], alone: Cost) -> str:
    return PAGE.format(
        table="\n".join(table(rows)),
        verdict="\n".join(_verdict(rows)),
        import_cpu=alone.cpu_seconds,
        import_peak=alone.peak_mib,
        times=max(len(row.figures.reactions) for row in rows),
        python=".".join(map(str, sys.version_info[:2])),
        cpus=os.cpu_count(),
    )


def table(rows: Sequence[Row]) -> list[str]:
    return [*HEAD, *map(_row, rows)]


def _row(row: Row) -> str:
    figures = row.figures
    reaction = " | "
    if figures.reactions:
        longest = max(each.seconds for each in figures.reactions)
        reaction = f"{figures.reaction.seconds:.2f} ({longest:.2f}) | {figures.reaction.cpu_seconds:.2f}"
    return (
        f"| {row.ingresses:,} | {row.name} | {figures.start.seconds:.1f} | {figures.start.cpu_seconds:.2f} "
        f"| {figures.core:.2f} | {figures.idle.megabytes:.2f} | {figures.peak_mib:.0f} | {reaction} |"
    )


def _verdict(rows: Sequence[Row]) -> Iterator[str]:
    """What was aimed at, and whether it was met."""
    for row in rows:
        if (row.ingresses, row.name) == (AIMED, OURS):
            found = row.figures
            yield f"The aims are for {AIMED:,} Ingresses:\n"
            peak = found.peak_mib
            yield f"- peak memory of at most {PEAK_AIM} MiB: {peak:.0f} MiB, {_met(peak <= PEAK_AIM)}"
            core = f"{found.core:.2f} %, with the list every ten minutes at most {found.core_with_lists:.2f} %"
            yield f"- below {IDLE_AIM:g} % of a core while idle: {core}, {_met(found.core_with_lists < IDLE_AIM)}"
            seconds = found.reaction.seconds
            yield f"- a reaction in less than {REACTION_AIM:g} s: {seconds:.2f} s, {_met(seconds < REACTION_AIM)}"


def _met(there: bool) -> str:
    return "met." if there else "missed."


def _plot(rows: Sequence[Row], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    figure, (memory, core) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name in (OURS, STRAIGHT):
        mine = [row for row in rows if row.name == name]
        sizes = [row.ingresses for row in mine]
        memory.plot(sizes, [row.figures.peak_mib for row in mine], marker="o", label=name)
        core.plot(sizes, [row.figures.core for row in mine], marker="o", label=name)
    for axes, title, aim in ((memory, "peak memory, MiB", PEAK_AIM), (core, "idle, % of a core", IDLE_AIM)):
        axes.plot([AIMED], [aim], "_", color="black", markersize=14, label="aim")
        axes.set(xscale="log", yscale="log", xlabel="Ingresses", title=title)
    memory.legend(fontsize="small", loc="upper left")
    figure.savefig(path, metadata={"Date": None})
