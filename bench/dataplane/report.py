"""The page and the plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.dataplane.contenders import BULK_MIB
from bench.dataplane.loads import CONNECTIONS, STREAMS

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
OURS = "ours, "
AIMS = {"Go relay": (0.95, 0.75, 0.75, 0.40), "nginx stream": (1.15, 1.00, 0.20, 0.75)}
"""The most that ours may cost of what they do: a request, a connection, a GiB, and memory with few idle clients."""
WHAT = ("CPU of a keep-alive request", "CPU of a new connection", "CPU of a GiB", "memory")


@dataclass(frozen=True)
class Figures:
    """Medians of one contender."""

    request_us: float
    connection_us: float
    gib_s: float
    request_p99_ms: float
    connection_p99_ms: float
    memory_mib: tuple[float, ...]
    """With few idle clients and with many."""

    @property
    def compared(self) -> tuple[float, float, float, float]:
        """In the order of WHAT."""
        return self.request_us, self.connection_us, self.gib_s, self.memory_mib[0]


PAGE = """\
# What the data plane costs

`make bench-dataplane` (as root) measures all of this anew and writes this page. The proxy has one core; the load, and
the nginx that answers it, have another. Absolute figures are those of one machine on one day; the ratios travel.

- **ours**: `haproxy/haproxy.cfg` with its defaults, on the HAProxy of Debian 12 and of Debian 13.
- **nginx stream**: `proxy_pass` and `proxy_protocol on`, one worker.
- **Go relay**: [what a straightforward Go program does](../../bench/dataplane/relay/main.go): goroutines and `io.Copy`,
  which the Go runtime turns into splice(2).
- **direct**: no proxy in between.

| | CPU of a keep-alive request, µs | of a new connection, µs | of a GiB, s \
| p99 of requests, ms | of new connections, ms | memory with {few:,} idle clients, MiB | with {many:,} |
|---|---:|---:|---:|---:|---:|---:|---:|
{rows}

As ratios, and what was aimed at:

| | {what} |
|---|---:|---:|---:|---:|
{ratios}

![the same as bars](dataplane.png)

{misses}
CPU is what the scheduler gave to the proxy's threads while {connections} clients asked for a few bytes, over and over
or each time anew, and while {streams} of them read {bulk} MiB each. Memory is what its processes hold (RSS) when that
many clients have had an answer and stay; file-backed pages, which pods share, count. Medians of interleaved rounds, in
a network namespace with the congestion control {control}{limit}.

Why the settings in `haproxy/haproxy.cfg` are what they are, each measured here alone:

- `option splice-response` with pipes of 1 MiB takes a GiB from 0.6 to 0.1 s, and costs a small request 4 %.
- To look at a target's first answer costs 5 µs of a connection. So ten connections a second are looked at, for the log,
  and the others are not.
- TCP keep-alives with times of their own are ten system calls for each connection, 3 µs; there are none.
- `SOCKET_BUFFER=65536`, which bounds what streams keep in their sockets, would take a GiB to 0.2 s.
- `tcp-smart-accept` and `tcp-smart-connect` save 2 µs of a connection, a second thread would cost 1, and a master
  process (`-W`) 6 MiB.

Measured with {versions}.
"""

REASONS = {
    "memory": "11 MiB of ours are pages of shared libraries, above all OpenSSL's, which no setting avoids; what it "
    "takes for each connection is 3.5 KiB, a sixth of the Go relay's.",
    "CPU of a new connection": "of its time, 92 % is the kernel's, for the same few packets.",
}


def write(found: Mapping[str, Figures], clients: Sequence[int], control: str, versions: Sequence[str]) -> str:
    """Writes the page and the plot; returns the page. `clients`: how many are idle, few and many."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    few, many = clients
    limit = (
        f"; {many:,} as a process may open no more files here, of which the relay takes six for each"
        if many < 20_000
        else ""
    )
    page = PAGE.format(
        few=few,
        many=many,
        rows="\n".join(_row(name, figures) for name, figures in found.items()),
        what=" | ".join(WHAT),
        ratios="\n".join(_ratios(found)),
        misses=_misses(found),
        connections=CONNECTIONS,
        streams=STREAMS,
        bulk=BULK_MIB,
        control=control,
        limit=limit,
        versions=", ".join(versions),
    )
    (FOLDER / "dataplane.md").write_text(page)
    _plot(found, few, FOLDER / "dataplane.png")
    return page


def _row(name: str, figures: Figures) -> str:
    proxied = figures.memory_mib
    cpu = f"{figures.request_us:.1f} | {figures.connection_us:.1f} | {figures.gib_s:.3f}" if proxied else "| |"
    memory = " | ".join("-" if math.isnan(mib) else f"{mib:.0f}" for mib in proxied) if proxied else "|"
    return f"| {name} | {cpu} | {figures.request_p99_ms:.2f} | {figures.connection_p99_ms:.2f} | {memory} |"


def _ours(found: Mapping[str, Figures]) -> dict[str, Figures]:
    return {name: figures for name, figures in found.items() if name.startswith(OURS)}


def _quotients(mine: Figures, theirs: Figures) -> list[float]:
    return [one / other for one, other in zip(mine.compared, theirs.compared, strict=True)]


def _ratios(found: Mapping[str, Figures]) -> list[str]:
    lines = []
    for rival, aims in AIMS.items():
        for name, mine in _ours(found).items():
            values = " | ".join(f"{value:.2f}" for value in _quotients(mine, found[rival]))
            lines.append(f"| {name}, to {rival} | {values} |")
        lines.append(f"| *the aim* | {' | '.join(f'*{aim:.2f}*' for aim in aims)} |")
    return lines


def _misses(found: Mapping[str, Figures]) -> str:
    """What was not reached, by how much, and why."""
    lines = []
    for rival, aims in AIMS.items():
        for name, mine in _ours(found).items():
            for what, value, aim in zip(WHAT, _quotients(mine, found[rival]), aims, strict=True):
                if round(value, 2) > aim:
                    reason = REASONS.get(what, "within what two runs differ by.")
                    lines.append(f"- {what} of {name}, to {rival}: {value:.2f} and not {aim:.2f}; {reason}")
    return "Where the aim was not reached:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _plot(found: Mapping[str, Figures], few: int, path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("agg")
    proxies = {name: figures for name, figures in found.items() if figures.memory_mib}
    titles = (
        "CPU µs of a keep-alive request",
        "CPU µs of a new connection",
        "CPU seconds of a GiB",
        f"MiB with {few:,} idle clients",
    )
    colours = ["tab:blue" if name.startswith(OURS) else "tab:grey" for name in proxies]
    figure, grid = plt.subplots(2, 2, figsize=(9, 5), layout="constrained")
    for index, (axes, title) in enumerate(zip(grid.flat, titles, strict=True)):
        bars = axes.barh(list(proxies), [figures.compared[index] for figures in proxies.values()], color=colours)
        axes.bar_label(bars, fmt="%.3g", padding=3)
        axes.set(title=title)
        axes.invert_yaxis()
        axes.margins(x=0.15)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
