"""A controller at work while something goes wrong, and what must be seen whatever that is.

- no rule lost that should be there, none added that should not;
- nothing touched that is not ours;
- no crash, and no fault of the program's own;
- one line in the log that names it;
- two polls after it has ended, all is as it should be.
"""

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.processes import Process, free_port, wait_until
from tests.corefiles import rule
from tests.integration.conftest import CONFIGMAPS, World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy

KEPT, GOES, COMES = "kept.example.com", "goes.example.com", "comes.example.com"
"""Hosts that are wanted all the time, until something goes wrong, and from then on."""

COREDNS = f"{CONFIGMAPS}/coredns"
POLLS = 2
"""After which all is as it should be."""


@dataclass
class Trial:
    """One controller, through a proxy, with its rules for KEPT and GOES written."""

    world: World
    proxy: FaultProxy
    controller: Process
    metrics_port: int
    record: Callable[[str, object], None]
    """Keeps what was seen, for docs/reliability.md."""
    begun: str = ""
    """The ConfigMap's resourceVersion when the trial began."""
    allowed: set[str] = field(default_factory=lambda: {KEPT, GOES, COMES})
    """Hosts that may have a rule."""
    always: set[str] = field(default_factory=lambda: {KEPT})
    """Hosts that have one in all that the controller writes."""

    # ---- what is done

    def change(self) -> None:
        """From now on other hosts are wanted."""
        self.world.apply(ingress("comes", COMES))
        self.world.delete("goes")

    def meets(self, fault: Fault, said: str) -> None:
        """All of it for an answer of the API server: it comes, it is named, it ends."""
        self.proxy.faults.append(fault)
        self.proxy.hang_up()
        self.change()
        eventually(lambda: bool(self.named(said)), 40)
        if fault.times is None and not (fault.stall or fault.hush or fault.drip):
            eventually(lambda: self.proxy.met(fault) > 3)
        with self.recovering(said):
            self.proxy.faults.remove(fault)

    @contextmanager
    def recovering(self, said: str) -> Iterator[None]:
        """What is done in the with-block ends it."""
        yield
        ended = self.polls()
        eventually(lambda: self.standing() == self.wanted, 30)
        polls = self.polls() - ended
        assert polls <= POLLS, f"{polls} polls until it was as it should be"
        self.check()
        self.is_named_once(said)
        self.seen(self.named(said)[0], f"right again after {polls or 1} {'polls' if polls > 1 else 'poll'}")

    def seen(self, line: str, recovered: str) -> None:
        """Keeps the line of the log and how it ended."""
        self.record("seen", line.strip())
        self.record("recovered", recovered)

    # ---- what is looked at

    @property
    def wanted(self) -> set[str]:
        """The hosts that shall have a rule in the end."""
        return {KEPT, COMES}

    def standing(self) -> set[str]:
        """The hosts that have one."""
        return rules_in(self.world.cluster.corefile())

    def polls(self) -> int:
        """How many it has made."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return int(sum(float(n) for n in re.findall(r"^hairpin_proxy_polls_total\{.*\} (\S+)$", text, re.MULTILINE)))

    @property
    def log(self) -> str:
        return self.controller.log.read_text()

    def warned(self) -> list[str]:
        """Warnings and errors."""
        return [line for line in self.log.splitlines() if " WARNING " in line or " ERROR " in line]

    def named(self, said: str) -> list[str]:
        """The lines of the log that name it."""
        return [line for line in self.log.splitlines() if re.search(said, line)]

    def is_named_once(self, said: str) -> None:
        assert len(self.named(said)) == 1, self.log
        assert len([line for line in self.warned() if " ERROR " in line]) <= 1, self.log

    def check(self) -> None:
        """What holds at any time: it runs, and no write of it has done harm."""
        assert self.controller.running, self.log
        assert "Traceback" not in self.log
        assert "a fault in hairpin-proxy" not in self.log
        check_writes(self.proxy, self.history(), self.always, self.allowed)

    def history(self) -> dict[str, str]:
        """The Corefile by the resourceVersions that it has had since the trial began."""
        return history(self.world, self.begun)


def history(world: World, since: str) -> dict[str, str]:
    """The Corefile by the resourceVersions that the ConfigMap has had, from this one on."""
    with world.cluster.api() as api:
        items = api.versions(CONFIGMAPS, "coredns", since)
    return {item["metadata"]["resourceVersion"]: (item.get("data") or {}).get("Corefile", "") for item in items}


def check_writes(proxy: FaultProxy, history: dict[str, str], always: set[str], allowed: set[str]) -> None:
    """Each write that was made left what is not ours as it was, lost no rule and added none."""
    for write in proxy.writes:
        if write.status != 200 or write.based_on not in history or "Corefile" not in write.data:
            continue
        before, after = history[write.based_on], write.data["Corefile"]
        assert foreign(after) == foreign(before)
        assert always <= rules_in(after) <= allowed, rules_in(after)


def foreign(text: str) -> str:
    """A Corefile without the lines that are ours."""
    return "".join(line for line in text.splitlines(keepends=True) if not _is_ours(line))


def rules_in(text: str) -> set[str]:
    """The hosts that have a line that is ours."""
    return {line.split()[2] for line in text.splitlines() if _is_ours(line)}


def _is_ours(line: str) -> bool:
    fields = line.split()
    return len(fields) > 2 and line.rstrip("\r\n") == rule(fields[2])


@contextmanager
def controlled(
    world: World, proxy: FaultProxy, record: Callable[[str, object], None], start: Callable[[str], Process], **spec: Any
) -> Iterator[Trial]:
    """A trial in which `start` starts the controller, which is given the address that metrics are served on.

    The Ingresses have this beside what all have.
    """
    world.apply(ingress("kept", KEPT, **spec), ingress("goes", GOES, **spec))
    port = free_port()
    begun = world.version()
    controller = start(f"127.0.0.1:{port}")
    try:
        assert wait_until(lambda: rules_in(world.cluster.corefile()) == {KEPT, GOES}, 20), controller.tail()
        yield Trial(world, proxy, controller, port, record, begun)
    finally:
        controller.stop()


def settled(world: World, seconds: float = 1.0) -> str:
    """The Corefile, when nobody has written it for some seconds."""
    version = world.version()
    while True:
        time.sleep(seconds)
        now = world.version()
        if now == version:
            return world.cluster.corefile()
        version = now


def any_of(*texts: Any) -> str:
    """A pattern for exactly these texts."""
    return "|".join(re.escape(str(text)) for text in texts)
