"""Random steps, and what must hold after each of them, whatever came before."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.cluster.api import ApiError
from tests.corefiles import KUBEADM
from tests.integration.conftest import CONFIGMAPS, INGRESSES, ingress
from tests.integration.faults.proxy import Fault, Write
from tests.soak import model
from tests.soak.faults import COREDNS, EMPTY, EMPTY_LISTS, NONE, TROUBLES, TRUE, Trouble
from tests.soak.ground import CONTROLLERS, FIRST, ON_NODE, SECOND, Ground, Trail
from tests.soak.model import HOSTS, HOSTS_EDITS, HOSTS_TEXT, INVALID, MANY

LIMIT = 1024 * 1024
CALM = Trouble(list, TRUE)
LONG = 1000.0
"""Seconds after which no controller remembers anything that could make a difference."""

controllers = st.sampled_from(CONTROLLERS)
seconds = st.sampled_from([0.0, 4.0, 16.0, 31.0, 100.0])
picks = st.integers(0, 9)
hosts = st.lists(st.tuples(st.sampled_from(HOSTS), st.integers(0, 3)), min_size=1, max_size=4)
edits = st.sampled_from(sorted(model.EDITS))
names = st.sampled_from(["a", "b", "c", "d"])


def step(function: Callable[..., None]) -> Callable[..., None]:
    """Remembers each call, so that the same can be done again with some of them left out."""

    @wraps(function)
    def remembered(self: Soak, **arguments: Any) -> None:
        if self.ground.ending:
            raise self.ground.ending
        self.trail.append((function.__name__, arguments))
        try:
            function(self, **arguments)
        except SystemExit as ending:
            # hypothesis would try that again as well.
            self.failed, self.ground.ending = True, ending
            raise
        except Exception as error:
            self.is_wrong(f"{type(error).__name__}: {error}")
            raise

    return remembered


class Soak(RuleBasedStateMachine):
    """One example: a cluster that is new, and the first controller, which is not."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.trail: Trail = []
        self.ingresses: dict[str, tuple[str, ...]] = {}
        self.texts: dict[str, str | None] = {}
        """The Corefile by the resourceVersions that it had."""
        self.version = ""
        self.history: list[str] = []
        """What others have made of it."""
        self.filled = self.tight = False
        self.seen = {name: model.Seen() for name in CONTROLLERS}
        self.disturbed = False
        """Whether anybody has undone what a controller wrote, or so it seems to one."""
        self.failed = False

    # ---- the beginning and the end

    @initialize(tight=st.sampled_from([False] * 9 + [True]))
    @step
    def begin(self, tight: bool) -> None:
        ground, self.tight = self.ground, tight
        ground.proxy.faults.clear()
        ground.forget()
        ground.api.delete(INGRESSES)
        self.make_anew(KUBEADM)
        ground.hosts_file.write_text(HOSTS_TEXT)
        for name in CONTROLLERS:
            if ground.is_spoilt or name not in ground.controllers:
                ground.begin(name)
            # It forgets what was.
            self.poll(name, LONG)
            self.poll(name, LONG)
        self.disturbed = ground.is_spoilt = False
        self.check(self.text == KUBEADM, f"an example begins with {self.text!r}")

    def teardown(self) -> None:
        if self.version and not self.failed:
            self.settled()

    # ---- steps: time, and polls

    @rule()
    @step
    def a_change(self) -> None:
        """And a poll, of which all is well. hypothesis likes best what needs no argument, and then the first name."""
        self.flip()
        self.poll(FIRST, 16.0)
        self.count("a host comes or goes, and a poll sees it")

    @rule(who=controllers, after=seconds)
    @step
    def a_poll(self, who: str, after: float) -> None:
        self.poll(who, after)
        self.count("polls")

    @rule(who=controllers, trouble=st.sampled_from(sorted(TROUBLES)), times=st.integers(1, 3), after=seconds)
    @step
    def a_poll_in_trouble(self, who: str, trouble: str, times: int, after: float) -> None:
        self.flip()
        for _ in range(times):
            self.poll(who, after, TROUBLES[trouble])
        self.count(f"polls, {trouble}")

    @rule(who=controllers, trouble=st.sampled_from(EMPTY_LISTS), times=st.integers(1, 3), after=seconds)
    @step
    def a_poll_with_an_empty_list(self, who: str, trouble: str, times: int, after: float) -> None:
        for _ in range(times):
            self.poll(who, after, TROUBLES[trouble])
        self.count(f"polls, {trouble}")

    @rule(who=controllers, after=seconds)
    @step
    def a_poll_refused(self, who: str, after: float) -> None:
        self.ground.proxy.refuse()
        self.poll(who, after, Trouble(list, NONE))
        self.ground.proxy.listen()
        self.count("polls, all connections refused")

    @rule(who=st.sampled_from([FIRST, SECOND]), after=seconds, edit=edits, pick=picks, before=st.booleans())
    @step
    def a_poll_while_another_writes(self, who: str, after: float, edit: str, pick: int, before: bool) -> None:
        """Somebody else writes between the controller's list and its read, or between its read and its write."""
        self.flip()
        fault = Fault("GET" if before else "PATCH", COREDNS, then=lambda: self.edit(edit, pick), times=1)
        self.poll(who, after, Trouble(lambda: [fault], TRUE, undoes=True))
        self.count("polls while somebody writes")

    @rule(after=seconds, call=st.integers(0, 7))
    @step
    def a_poll_that_is_killed(self, after: float, call: int) -> None:
        """At one of its calls, before or after the answer; and is started again."""
        controller = self.ground.controllers[SECOND]
        self.flip()

        def dies() -> None:
            controller.kill()
            raise ConnectionAbortedError

        if call < 2:
            fault = Fault("PATCH", COREDNS, then=controller.kill if call else dies, done=bool(call))
        else:
            fault = Fault("GET", "", then=dies, after=call - 2)
        self.poll(SECOND, after, Trouble(lambda: [fault], TRUE), dies=True)
        self.seen[SECOND] = model.Seen()
        self.ground.begin(SECOND)
        self.count("SIGKILL in a poll")

    # ---- steps: what is wanted

    @rule(name=names, hosts=hosts)
    @step
    def has_hosts(self, name: str, hosts: list[tuple[str, int]]) -> None:
        self.put(name, tuple(model.spelled(*host) for host in hosts))
        self.count("an Ingress comes or changes")

    @rule(count=st.sampled_from([5, 12, 30]))
    @step
    def has_many_hosts(self, count: int) -> None:
        self.put("many", MANY[:count])
        self.count("an Ingress with many hosts")

    @rule(host=st.sampled_from(HOSTS), invalid=st.sampled_from(INVALID))
    @step
    def has_an_invalid_host(self, host: str, invalid: str) -> None:
        self.put("invalid", (invalid, host))
        self.count("an Ingress with a host that is none")

    @rule(name=st.sampled_from(["a", "b", "c", "d", "many", "invalid"]))
    @step
    def goes(self, name: str) -> None:
        if name in self.ingresses:
            self.remove(name)
        self.count("an Ingress goes")

    @rule()
    @step
    def none_is_left(self) -> None:
        self.ground.api.delete(INGRESSES)
        self.ingresses = {}
        self.count("all Ingresses go")

    # ---- steps: neighbours

    @rule(edit=edits, pick=picks)
    @step
    def is_edited(self, edit: str, pick: int) -> None:
        self.edit(edit, pick)
        self.count(f"somebody {edit}")

    @rule(back=st.integers(1, 5))
    @step
    def is_reverted(self, back: int) -> None:
        self.write(self.history[-min(back, len(self.history))])
        self.count("somebody goes back to what was")

    @rule(how=st.sampled_from(["its key", "its text", "its syntax", "all of it", "all of it, and comes back"]))
    @step
    def is_lost(self, how: str) -> None:
        """What CoreDNS reads."""
        text = self.text
        if how == "its key":
            self.change({"data": {"Corefile": None}})
        elif how in ("its text", "its syntax"):
            self.write(model.broken(text or KUBEADM) if how == "its syntax" else "")
        else:
            self.delete()
            if how != "all of it":
                self.make_anew(text or self.history[-1])
        self.count(f"the ConfigMap loses {how}")

    @rule()
    @precondition(lambda self: not model.is_healthy(self.text))
    @step
    def is_brought_back(self) -> None:
        self.write(model.mended(self.text or self.history[-1]))
        self.count("somebody brings the Corefile back")

    @rule(room=st.sampled_from([0, 150, 400, 2000]))
    @precondition(lambda self: self.tight and self.version)
    @step
    def is_filled(self, room: int) -> None:
        """Only so many bytes are left."""
        if not self.version:
            return
        filler = LIMIT - len((self.text or "").encode()) - room
        self.change({"data": {"filler": "x" * filler}})
        self.filled = True
        self.count("the ConfigMap is filled up")

    @rule()
    @precondition(lambda self: self.filled)
    @step
    def is_emptied(self) -> None:
        self.change({"data": {"filler": None}})
        self.filled = False
        self.count("the ConfigMap has room again")

    # ---- steps: a node

    @rule(edit=st.sampled_from(sorted(HOSTS_EDITS)), pick=picks)
    @step
    def hosts_file_is_edited(self, edit: str, pick: int) -> None:
        self.disturbed = True
        self.ground.hosts_file.write_text(HOSTS_EDITS[edit](self.hosts_text or "", pick))
        self.count(f"somebody {edit} of a hosts file")

    @rule()
    @step
    def hosts_file_is_gone(self) -> None:
        self.disturbed = True
        self.ground.hosts_file.unlink(missing_ok=True)
        self.count("the hosts file is gone")

    # ---- what must be in the end

    @rule()
    @step
    def settles(self) -> None:
        self.settled()
        self.count("all is well, and two polls later all is right")

    def settled(self) -> None:
        """Two polls after all has ended, all is right."""
        if not self.version:
            self.make_anew(self.history[-1])
        # Who was undone again and again waits, but not for ever.
        first = LONG if self.disturbed else 16.0
        for after in (first, 16.0):
            for name in CONTROLLERS:
                self.poll(name, after if name == FIRST else 0.0)
        self.check_corefile()
        self.check_hosts_file()
        self.disturbed = False

    def check_corefile(self) -> None:
        text, truth = self.text, self.wanted
        if text is None or not model.is_healthy(text):
            self.check(text == self.history[-1] or not text, f"a Corefile that is none was changed: {text!r}")
        elif self.filled:
            self.check(model.rules_in(text) <= truth, f"rules for {model.rules_in(text)} in place of {truth}")
        else:
            self.check(
                model.as_it_should_be(text, truth), f"rules for {sorted(truth)}, and each one, should be in {text!r}"
            )

    def check_hosts_file(self) -> None:
        text = self.hosts_text
        if text is None:
            return
        should = self.wanted - model.taken(text)
        self.check(model.hosts_in(text) == should, f"the hosts {sorted(should)} should be in {text!r}")

    # ---- how

    @property
    def wanted(self) -> frozenset[str]:
        return model.wanted(self.ingresses)

    @property
    def text(self) -> str | None:
        """The Corefile as it is; None if there is none."""
        return self.texts[self.version] if self.version else None

    @property
    def hosts_text(self) -> str | None:
        path = self.ground.hosts_file
        return path.read_text() if path.exists() else None

    def count(self, name: str) -> None:
        self.ground.step(name)

    def check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.is_wrong(otherwise)
            raise AssertionError(otherwise)

    def is_wrong(self, said: str) -> None:
        """Keeps the first that is."""
        self.failed = self.ground.is_spoilt = True
        self.ground.failure = self.ground.failure or (said, self.trail)

    def put(self, name: str, hosts: tuple[str, ...]) -> None:
        item = ingress(name, *hosts)
        if all(host in (*HOSTS, *MANY) for host in hosts):
            self.ground.api.apply(f"{INGRESSES}/{name}", item)
        else:
            # An API server of today takes no such host; one of yesterday may have.
            item["metadata"] |= {"uid": f"00000000-0000-0000-0000-{len(self.texts):012}"}
            item["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
            self.ground.store(f"/registry/ingress/default/{name}", json.dumps(item).encode())
        self.ingresses[name] = hosts

    def flip(self) -> None:
        """One host comes or goes, so that there is something to write."""
        if "flips" in self.ingresses:
            self.remove("flips")
        else:
            self.put("flips", HOSTS[-1:])

    def remove(self, name: str) -> None:
        self.ground.api.delete(f"{INGRESSES}/{name}")
        del self.ingresses[name]

    def edit(self, edit: str, pick: int) -> None:
        """Changes the Corefile as somebody else would, if there is one."""
        if self.text is not None:
            self.write(model.EDITS[edit](self.text, pick))

    def write(self, text: str) -> None:
        if not self.version:
            self.make_anew(text)
        elif text != self.text:
            # No room: then it stays as it is.
            with suppress(ApiError):
                self.change({"data": {"Corefile": text}})
                self.history.append(text)

    def change(self, patch: dict[str, Any]) -> None:
        self.disturbed = True
        if self.version:
            self.keep(self.ground.api.merge_patch(COREDNS, patch))

    def delete(self) -> None:
        self.disturbed = True
        with suppress(ApiError):
            self.ground.api.delete(COREDNS)
        self.version, self.filled = "", False

    def make_anew(self, text: str) -> None:
        """The ConfigMap with this and nothing else."""
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns"}, "data": {"Corefile": text}}
        self.delete()
        self.keep(self.ground.api.create(CONFIGMAPS, item))
        self.history.append(text)

    def keep(self, item: dict[str, Any]) -> None:
        self.version = item["metadata"]["resourceVersion"]
        self.texts[self.version] = (item.get("data") or {}).get("Corefile")

    def poll(self, who: str, after: float, trouble: Trouble = CALM, *, dies: bool = False) -> None:
        """One poll, and a look at all that it did."""
        ground, proxy = self.ground, self.ground.proxy
        ground.clock += after
        self.disturbed |= who == SECOND or trouble.undoes
        view = {TRUE: self.wanted, EMPTY: frozenset[str](), NONE: None}[trouble.view]
        self.seen[who].list(view, ground.clock)
        before, healthy = self.hosts_text, self.is_healthy(who)
        proxy.writes.clear()
        proxy.calls.clear()
        proxy.faults[:] = trouble.faults()
        answer = ground.controllers[who].poll(ground.clock)
        proxy.faults.clear()
        ground.tally.things["polls"] += 1
        self.judge(answer, dies=dies, must_pass=trouble is CALM and healthy)
        self.check(view is not None or "failed" in (answer or {}), "a poll passed although nothing could be listed")
        for write in proxy.writes:
            self.judge_write(who, write)
        self.judge_hosts_file(who, before)

    def is_healthy(self, who: str) -> bool:
        """Whether there is no reason for a poll to fail."""
        if who == ON_NODE:
            return self.hosts_text is not None
        return model.is_healthy(self.text) and not self.filled

    def judge(self, answer: dict[str, str] | None, *, dies: bool, must_pass: bool) -> None:
        self.check(answer is not None or dies, f"a controller ended: {self.ground.log.read_text()[-2000:]}")
        found = answer or {}
        self.check("fault" not in found, f"a fault in hairpin-proxy: {found.get('fault')}")
        if must_pass:
            self.check("failed" not in found, f"a poll failed for no reason: {found.get('failed')}")
        self.ground.tally.things["polls that failed" if "failed" in found else "polls that passed"] += bool(found)
        self.ground.tally.things["processes killed"] += answer is None

    def judge_write(self, who: str, write: Write) -> None:
        """One that has reached the API server."""
        self.check(write.path == COREDNS and who != ON_NODE, f"{who} writes {write.path}")
        self.check(bool(write.based_on), "a write is for no resourceVersion")
        self.ground.tally.things["writes" if write.status == 200 else "writes that were refused"] += 1
        if write.status != 200:
            self.check(write.status in (404, 409), f"a write is refused with {write.status}")
            return
        before, after = self.texts.get(write.based_on), write.data.get("Corefile")
        self.check(before is not None and after is not None, f"{before!r} -> {after!r}")
        said = model.harm(str(before), str(after), self.seen[who], self.wanted)
        self.check(not said, f"{who}: {said}")
        self.keep(self.ground.api.get(COREDNS))

    def judge_hosts_file(self, who: str, before: str | None) -> None:
        after = self.hosts_text
        if after == before:
            return
        self.check(who == ON_NODE, f"{who} wrote the hosts file")
        self.check(before is not None and after is not None, f"the hosts file: {before!r} -> {after!r}")
        was, now = str(before), str(after)
        self.ground.tally.things["writes of a hosts file"] += 1
        self.check(model.foreign_hosts(was) == model.foreign_hosts(now), f"others' lines: {was!r} -> {now!r}")
        # Who is named by somebody else's line has none of ours.
        standing = model.hosts_in(was) - model.taken(was)
        said = model.harm_to_hosts(standing, model.hosts_in(now), self.seen[who], self.wanted)
        self.check(not said, f"{who}: {said}")


def machine(ground: Ground) -> type[Soak]:
    """What hypothesis makes for each example."""
    return type("Soak", (Soak,), {"ground": ground})
