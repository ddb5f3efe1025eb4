"""The page and the plot."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.dns.contenders import FORMS, HOSTS, LINES, PACKED
from bench.kernel import Taken

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
AIMS = {1_000: 0.90, 8_000: 0.80}
"""The least that CoreDNS shall still do with the packed form of what it does bare, by the number of hosts."""
GOAL = 0.95
"""What to reach for at both."""
DEEPER = (10, *AIMS)
"""Numbers of hosts with which also the queries of others and the cache are measured."""
ROUNDS = 24
"""A multiple of how many are compared, so that each is at each place of the order equally often."""
SECONDS = 0.2
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
    start: Taken
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
every query that it gets, also for those that are not for our hosts. So it matters how rules are written:

- **lines**: one rule for each host, `--rules lines`. It is what `--rules auto`, the default, does for up to 50 hosts.
- **packed**: many hosts in each rule, as a regular expression, `--rules packed`; `auto` does it for more hosts.
- **hosts plugin**: for comparison, the names and the Service's address in a `hosts` block of the Corefile. The
  controller does not offer it: the address would not follow the Service, and a server block can have only one such
  block, which k3s and others use already.

## Queries per CPU second, as a ratio to those without any rule

Half of the queries ask for our hosts; the other half is what pods ask for besides: names of their search lists that do
not exist, Services, missing Services, and names outside. Half of all ask for A, the others for AAAA. CoreDNS has
kubeadm's Corefile, without `cache`. More than 1 is possible: without rules it has to ask the internet for our hosts,
and with them it has the answer itself. In parentheses is where the middle half of the rounds lies.

| hosts | names | {ruled} |
|---:|---|{right}
{ratios}

![the same as curves](dns.svg)

## For the queries of others, and with CoreDNS's cache

"Others" is a run in which nobody asks for our hosts, also without `cache`: it is what those pay who do not need us.
`cache` saves no rule from being tried, for `rewrite` comes before it. It makes bare cheaper, which then answers our
hosts from its cache; an answer that leads to our Service comes anew from the kubernetes plugin each time, as kubeadm's
Corefile keeps cluster.local out of the cache. The rows with {few} hosts show what that alone costs.

| hosts | names | measured | {ruled} |
|---:|---|---|{right}
{more}

The aims for the packed form, in the first table and in this one, are at least
{aims}; the goal to reach is {goal:.2f}:

{verdict}

## The same in CPU microseconds of a query

| hosts | names | {forms} |
|---:|---|---:|{right}
{micros}

## Size, start and memory

A reload costs CoreDNS what a start costs it, but goes on answering by the old rules meanwhile. A start ends with the
first answer. Memory is what the process holds (RSS) after all these queries. A ConfigMap holds 1,048,576 bytes.

| hosts | names | form | text, bytes | rules | start, s | its CPU, s | memory, MiB |
|---:|---|---|---:|---:|---:|---:|---:|
{sizes}

## How it is measured

All four run at once, each on a port of its own, with the kubernetes plugin on a real API server, and with one more
CoreDNS as the internet. In each of {rounds} rounds dnsperf asks each of them for {seconds} s, in an order that rotates,
and the kernel says how much CPU time its process took. A ratio is that of two bursts of the same round, and the table
has the median: what else the machine does comes and goes, and so falls on both. Absolute figures are those of one
machine on one day, with {cpus} CPUs; the ratios travel. Names are made of words and numbers: under four domains, like
`shop-api-42.apps.example.org`, or each with its own domain, like `www.shop-api-42.org`.
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
        few=DEEPER[0],
        more="\n".join(_more(scenes)),
        aims=" and ".join(f"{aim:.2f} with {hosts:,} hosts" for hosts, aim in AIMS.items()),
        goal=GOAL,
        verdict="\n".join(_verdict(scenes)),
        micros="\n".join(_row(scene, [_micros(scene, form) for form in FORMS]) for scene in plain),
        sizes="\n".join(row for scene in plain for row in _sizes(scene)),
        rounds=ROUNDS,
        seconds=SECONDS,
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
    few = {
        scene.kind: scene.figures[PACKED].mixed.ratio for scene in scenes if scene.cache and scene.hosts == DEEPER[0]
    }
    for hosts, aim in AIMS.items():
        for scene in scenes:
            packed = scene.figures.get(PACKED)
            if scene.hosts == hosts and packed:
                what, apart = "half of the queries ours", ""
                if scene.cache and scene.kind in few:
                    what += ", with cache"
                    apart = f" With {DEEPER[0]} hosts it is {few[scene.kind]:.2f}."
                yield f"- {hosts:,} hosts {scene.kind}, {what}: {_met(packed.mixed.ratio, aim)}{apart}"
                if packed.foreign:
                    yield f"- {hosts:,} hosts {scene.kind}, others: {_met(packed.foreign.ratio, aim)}"


def _met(ratio: float, aim: float) -> str:
    ratio = round(ratio, 2)
    if ratio >= GOAL:
        return f"{ratio:.2f}, the goal is reached."
    short = f"the goal is missed by {GOAL - ratio:.2f}"
    return f"{ratio:.2f}, the aim is met, {short}." if ratio >= aim else f"{ratio:.2f}, **the aim is missed**, {short}."


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
        axes.set(xscale="log", xlabel=f"hosts, {kind}")
    grid[0].set(ylabel="queries per CPU second, to bare", ylim=(0, None))
    grid[0].legend(fontsize="small", loc="lower left")
    figure.savefig(path, metadata={"Date": None})
