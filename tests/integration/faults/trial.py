"""A controller at work while something goes wrong, and what must be seen whatever that is.

- no rule lost that should be there, none added that should not;
- nothing touched that is not ours;
- no crash, and no fault of the program's own;
- one line in the log that names it;
- two polls after it has ended, all is as it should be.
"""

import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.cluster.processes import Process, free_port, wait_until
from tests.corefiles import rule
from tests.integration.conftest import CONFIGMAPS, World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy

KEPT, GOES, COMES = "kept.example.com", "goes.example.com", "comes.example.com"
"""Hosts that are wanted all the time, until something goes wrong, and from then on."""

COREDNS = f"{CONFIGMAPS}/coredns"
Seen = Callable[[str, str], None]
"""Keeps a line of the log, and how it ended."""

POLLS = 2
"""After which all is as it should be."""


@dataclass
class Trial:
    """One controller, through a proxy, with its rules for KEPT and GOES written."""

    world: World
    proxy: FaultProxy
    controller: Process
    metrics_port: int
    seen: Seen
    start: Callable[[], Process]
    """Starts the controller again."""
    begun: str = ""
    """The ConfigMap's resourceVersion when the trial began."""
    allowed: set[str] = field(default_factory=lambda: {KEPT, GOES, COMES})
    """Hosts that may have a rule."""
    always: set[str] = field(default_factory=lambda: {KEPT})
    """Hosts that have one in all that the controller writes."""
    forgets: bool = False
    """Whether the API server starts again and knows no more what the ConfigMap was: what was read counts then."""
    lines: int = 1
    """How many may name it: what comes in the middle of a poll is named for that call, and then for the first one."""
    failures: int = 1
    """How many lines with ERROR there may be."""
    watched: str = "/ingresses?"
    """What is watched, of all that is, of which the list is to be asked for anew."""

    # ---- what is done

    def change(self) -> None:
        """From now on other hosts are wanted."""
        self.world.apply(ingress("comes", COMES))
        self.world.delete("goes")

    def meets(self, fault: Fault, said: str) -> None:
        """All of it for an answer of the API server: it comes, it is named, it ends."""
        self.comes(fault)
        self.change()
        self.goes(fault, said)

    def meets_at_its_start(self, fault: Fault, said: str) -> None:
        """The same for a controller that is started meanwhile, for calls that are made seldom."""
        self.controller.stop()
        self.proxy.faults.append(fault)
        self.change()
        self.controller = self.start()
        self.goes(fault, said)

    def comes(self, fault: Fault) -> None:
        """From now on this goes wrong, and all is asked for anew."""
        self.between_polls()
        self.await_watch()
        self.proxy.faults.append(fault)
        self.proxy.end_watches()

    def goes(self, fault: Fault, said: str) -> None:
        """It is named, it ends, and all is as it should be again."""
        eventually(lambda: bool(self.named(said)), 40)
        if not (fault.stall or fault.hush or fault.drip):
            eventually(lambda: self.proxy.met(fault) >= (fault.times or 4))
        with self.recovering(said):
            self.proxy.faults.remove(fault)

    def list_anew(self) -> None:
        """Ends all watches until the list has come that follows: none follows a watch that ends by itself just then."""
        lists = self.lists()

        def listed() -> bool:
            self.await_watch()
            self.proxy.end_watches()
            return wait_until(lambda: self.lists() > lists, 3)

        eventually(listed)

    @contextmanager
    def recovering(self, said: str, *wanted: str) -> Iterator[None]:
        """What is done in the with-block ends it, and then these hosts are wanted; without any, as `change` has it."""
        yield
        polls = self.right_again(self.polls(), *wanted)
        self.check()
        self.is_named_once(said)
        self.seen(self.named(said)[0], polls)

    def right_again(self, ended: int, *wanted: str) -> str:
        """Waits until the rules are those of the hosts that are wanted, soon after so many polls; says how soon."""
        eventually(lambda: self.is_right(ended + POLLS, *wanted), 30)
        return f"right again within {POLLS} polls"

    def is_right(self, polls: int, *wanted: str) -> bool:
        """Whether all is as it should be, and fails if it is not after so many polls."""
        made = self.polls()
        found = self.standing()
        assert found == (set(wanted) or self.wanted) or made <= polls, f"after {made - polls + POLLS} polls: {found}"
        return found == (set(wanted) or self.wanted)

    def start_again(self) -> None:
        """As kubelet does it, once it has ended."""
        eventually(lambda: not self.controller.running)
        self.controller = self.start()

    def is_served(self) -> bool:
        """Whether it has come so far that it says how many polls it has made."""
        with suppress(OSError):
            return self.polls() >= 0
        return False

    def goes_unnoticed(self) -> None:
        """No call has failed, and all is as it should be."""
        assert self.standing() == self.wanted
        self.check()
        assert not self.warned(), self.log
        self.seen("nothing, for no call fails", "right all the time")

    # ---- what is looked at

    def between_polls(self) -> None:
        """Returns when one has just ended: what begins now meets none half-way, which would be a failure more."""
        polls = self.polls()
        eventually(lambda: self.polls() > polls)

    def await_watch(self) -> None:
        """Returns while there is a watch: between two there is none whose end has all listed anew."""
        eventually(lambda: any(self.watched in path for path in list(self.proxy.streams.values())))

    def lists(self) -> int:
        """How many lists of what is watched were asked for."""
        return sum(self.watched in call and "watch=true" not in call for call in list(self.proxy.calls))

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
        assert 1 <= len(self.named(said)) <= self.lines, self.log
        most = max(self.failures, self.lines)
        assert len([line for line in self.warned() if " ERROR " in line]) <= most, self.log

    def check(self) -> None:
        """What holds at any time: it runs, and no write of it has done harm."""
        assert self.controller.running, self.log
        assert "Traceback" not in self.log
        assert "a fault in hairpin-proxy" not in self.log
        self.check_writes()

    def check_writes(self) -> None:
        check_writes(self.proxy, self.history(), self.always, self.allowed)

    def history(self) -> dict[str, str]:
        """The Corefile by the resourceVersions that it has had since the trial began."""
        if self.forgets:
            return {}
        return history(self.world, self.begun)


def history(world: World, since: str) -> dict[str, str]:
    """The Corefile by the resourceVersions that the ConfigMap has had, from this one on."""
    with world.cluster.api() as api:
        items = api.versions(CONFIGMAPS, "coredns", since)
    return {item["metadata"]["resourceVersion"]: (item.get("data") or {}).get("Corefile", "") for item in items}


def check_writes(proxy: FaultProxy, history: dict[str, str], always: set[str], allowed: set[str]) -> None:
    """Each write that was made left what is not ours as it was, lost no rule and added none."""
    for write in proxy.writes:
        before, after = history.get(write.based_on, write.before), write.data.get("Corefile")
        if write.status != 200 or before is None or after is None:
            continue
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
    world: World, proxy: FaultProxy, seen: Seen, start: Callable[[str], Process], **spec: Any
) -> Iterator[Trial]:
    """A trial in which `start` starts the controller, which is given the address that metrics are served on.

    The Ingresses have this beside what all have.
    """
    world.apply(ingress("kept", KEPT, **spec), ingress("goes", GOES, **spec))
    port = free_port()
    begun = world.version()
    again = partial(start, f"127.0.0.1:{port}")
    trial = Trial(world, proxy, again(), port, seen, again, begun)
    try:
        assert wait_until(lambda: rules_in(world.cluster.corefile()) == {KEPT, GOES}, 40), trial.controller.tail()
        yield trial
    finally:
        trial.controller.stop()


@contextmanager
def repeatedly(seconds: float, act: Callable[[int], object]) -> Iterator[list[int]]:
    """Somebody does this again and again; yields how often it was done, as a list of so many."""
    done: list[int] = []
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            act(len(done))
            done.append(len(done))

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
