"""The page and the plot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.dns.contenders import FORMS, HOSTS, LINES, PACKED, Start

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
AIMS = {1_000: 0.90, 8_000: 0.80}
"""The least that CoreDNS shall still do with the packed form of what it does bare, by the number of hosts."""
GOAL = 0.95
"""What to reach for at both."""
RULED = (LINES, PACKED, HOSTS)


@dataclass(frozen=True)
class Cost:
    """Of a query: the median in CPU microseconds, and queries per CPU second as a ratio to bare, with its quartiles."""

    micros: float
    ratio: float
    low: float
    high: float

    @property
    def with_quartiles(self) -> str:
        return f"{self.ratio:.2f} ({self.low:.2f}-{self.high:.2f})"


@dataclass(frozen=True)
class Figures:
    """Of one of the compared."""

    mixed: Cost
    foreign: Cost | None
    """When nobody asks for our hosts."""

    size: int
    rules: int
    start: Start
    memory_mib: float


@dataclass(frozen=True)
class Scene:
    """One comparison."""

    kind: str
    hosts: int
    cache: bool
    figures: Mapping[str, Figures]
    """By the form; without those whose rules do not fit into a ConfigMap."""


PAGE = """\
# What rules cost CoreDNS

`make bench ONLY=dns` measures all of this anew and writes this page. CoreDNS tries one rewrite rule after the other for
every query that it gets, also for those that are not for our hosts. So it matters how the rules are written:

- **lines**: one rule for each host, `--rules lines`; `--rules auto`, the default, does it for up to 50 hosts.
- **packed**: many hosts in each rule, as a regular expression, `--rules packed`; `auto` does it for more hosts.
- **hosts plugin**: for comparison, the names and the Service's address in a `hosts` block of the Corefile. The
  controller does not offer it: the address would have to follow the Service, a Corefile may have only one such block
  for each server, and MX, TXT and other questions for a host would come to nothing that is there.

## Queries per CPU second, as a ratio to those without any rule

Half of the queries ask for our hosts; the other half is what pods ask for besides: names of their search lists that do
not exist, Services, missing Services, and names outside. One half asks for A and one for AAAA. CoreDNS has kubeadm's
Corefile, without `cache`. In parentheses is where the middle half of the rounds lies.

| hosts | names | {ruled} |
|---:|---|{right}
{ratios}

![the same as curves](dns.svg)

{verdict}

In CPU microseconds of a query:

| hosts | names | {forms} |
|---:|---|---:|{right}
{micros}

## With CoreDNS's cache, and for the queries of others alone

The cache does not help: `rewrite` comes before it. "Others" is a run in which nobody asks for our hosts, also without
cache: what a cluster pays whose pods do not need us.

| hosts | names | measured | {ruled} |
|---:|---|---|{right}
{more}

## Size, start and memory

Each reload costs CoreDNS what a start costs it; meanwhile the old rules go on answering. A start ends with the first
answer. Memory is what the process holds (RSS) after all these queries. A ConfigMap holds 1,048,576 bytes.

| hosts | names | form | text, bytes | rules | start, s | its CPU, s | memory, MiB |
|---:|---|---|---:|---:|---:|---:|---:|
{sizes}

## How it is measured

All four run at once, each on a port of its own, with the kubernetes plugin on a real API server and one more CoreDNS
as the internet. In each of 12 rounds dnsperf asks each of them for 0.4 s, in an order that rotates, and the kernel says
how much CPU time its process took. A ratio is that of two bursts of the same round, and the table has the median: what
else the machine does comes and goes, and so falls on both. Absolute figures are those of one machine on one day, with
{cpus} CPUs; the ratios travel. Names are made of words and numbers, like `shop-api-42.apps.example.org`, under four
domains, or `www.shop-api-42.org`, each with a domain of its own.
"""


def write(scenes: Sequence[Scene]) -> str:
    """Writes the page and the plot; returns the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = page(scenes)
    (FOLDER / "dns.md").write_text(text)
    _plot([scene for scene in scenes if not scene.cache], FOLDER / "dns.svg")
    return text


def page(scenes: Sequence[Scene]) -> str:
    plain = [scene for scene in scenes if not scene.cache]
    return PAGE.format(
        ruled=" | ".join(RULED),
        forms=" | ".join(FORMS),
        right="---:|" * len(RULED),
        ratios="\n".join(_row(scene, [_ratio(scene, form) for form in RULED]) for scene in plain),
        verdict="\n".join(_verdict(plain)),
        micros="\n".join(_row(scene, [_micros(scene, form) for form in FORMS]) for scene in plain),
        more="\n".join(_more(scenes)),
        sizes="\n".join(row for scene in plain for row in _sizes(scene)),
        cpus=os.cpu_count(),
    )


def line(scene: Scene) -> str:
    """For who waits."""
    found = ", ".join(
        f"{form} {figures.mixed.micros:.1f} µs {figures.mixed.with_quartiles}"
        for form, figures in scene.figures.items()
    )
    return f"{scene.hosts:,} hosts {scene.kind}{', cache' if scene.cache else ''}: {found}"


def _row(scene: Scene, cells: Sequence[str]) -> str:
    return f"| {scene.hosts:,} | {scene.kind} | {' | '.join(cells)} |"


def _ratio(scene: Scene, form: str) -> str:
    return scene.figures[form].mixed.with_quartiles if form in scene.figures else "does not fit"


def _micros(scene: Scene, form: str) -> str:
    return f"{scene.figures[form].mixed.micros:.1f}" if form in scene.figures else "does not fit"


def _more(scenes: Sequence[Scene]) -> Iterator[str]:
    for scene in scenes:
        if scene.cache:
            yield _row(scene, ["with cache", *(_ratio(scene, form) for form in RULED)])
        alone = [figures.foreign for form, figures in scene.figures.items() if form in RULED and figures.foreign]
        if alone:
            yield _row(scene, ["others", *(cost.with_quartiles for cost in alone)])


def _sizes(scene: Scene) -> Iterator[str]:
    for form in FORMS:
        figures = scene.figures.get(form)
        if not figures:
            yield _row(scene, [form, "more than a ConfigMap holds", "", "", "", ""])
            continue
        rules = f"{figures.rules:,}" if figures.rules else ""
        start = f"{figures.start.seconds:.2f} | {figures.start.cpu_seconds:.2f}"
        yield _row(scene, [form, f"{figures.size:,}", rules, start, f"{figures.memory_mib:.0f}"])


def _verdict(scenes: Sequence[Scene]) -> Iterator[str]:
    """What was aimed at, and whether it was met."""
    for hosts, aim in AIMS.items():
        for scene in scenes:
            if scene.hosts == hosts and PACKED in scene.figures:
                ratio = round(scene.figures[PACKED].mixed.ratio, 2)
                found = "met" if ratio >= aim else f"missed by {aim - ratio:.2f}"
                further = "reached too" if ratio >= GOAL else "not reached"
                yield (
                    f"- {hosts:,} hosts {scene.kind}, packed: {ratio:.2f}; the aim of {aim:.2f} is {found}, "
                    f"the goal of {GOAL:.2f} is {further}."
                )


def _plot(scenes: Sequence[Scene], path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("svg")
    kinds = list(dict.fromkeys(scene.kind for scene in scenes))
    figure, grid = plt.subplots(1, len(kinds), figsize=(9, 3.8), layout="constrained", sharey=True)
    for axes, kind in zip(grid, kinds, strict=True):
        for form in RULED:
            mine = [scene for scene in scenes if scene.kind == kind and form in scene.figures]
            ratios = [scene.figures[form].mixed.ratio for scene in mine]
            axes.plot([scene.hosts for scene in mine], ratios, marker="o", label=form)
        axes.plot(list(AIMS), list(AIMS.values()), "_", color="black", markersize=14, label="aim for packed")
        axes.axhline(1, color="grey", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel=f"hosts, {kind}", ylim=(0, None))
    grid[0].set(ylabel="queries per CPU second, to bare")
    grid[0].legend(fontsize="small", loc="lower left")
    figure.savefig(path, metadata={"Date": None})
