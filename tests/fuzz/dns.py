"""What a started CoreDNS answers before and after, by the program tests/cluster/go/coredns/answers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.install import locate
from tests.corefiles import APEX, DESTINATION, WILDCARD
from tests.fuzz.cases import ENVIRONMENT, HOSTS, MORE_HOSTS, OTHERS, Case
from tests.fuzz.laws import BrokenLawError, Outcome, is_another_installs

TYPES = ("A", "AAAA", "TXT", "MX")
APEX_TYPES = ("A", "AAAA", "HTTPS")
"""What an apex leads to us for; every other type is answered as before."""

BELOW_WILDCARD = "one.wild.example.org"

NEAR = (
    "xa.example.com",
    "a.example.com.x",
    "x.a.example.com",
    "ab.example.com",
    "axexample.com",
    "a.example",
    "com",
)
"""Names that are nearly hosts."""

CLUSTER_NAMES = (
    "Kubernetes.Default.svc.Cluster.Local",
    "KUBERNETES.DEFAULT.SVC.CLUSTER.LOCAL",
    "Nothing.default.svc.CLUSTER.local",
    "_https._tcp.Kubernetes.default.svc.cluster.local",
    "A.example.com.default.svc.cluster.local",
    "Default.svc.cluster.local",
    "cluster.local",
    "dns-version.Cluster.local",
    "NotCluster.local",
    "x.notcluster.local",
    "cluster.local.example.com",
)
"""Names of the cluster's own, and nearly such, as somebody may ask for them."""

Question = tuple[str, str]
Reply = dict[str, Any]
Replies = dict[Question, Reply]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the DNS of a cluster needs to know, and we of it."""

    kubeconfig: Path
    service: str
    """The address of the Service that our rules lead to."""


class Answers:
    """The running program, asked over its standard input."""

    def __init__(self, cluster: Cluster) -> None:
        argv = [locate("answers"), str(cluster.kubeconfig)]
        self._process = subprocess.Popen(
            argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        self.service = cluster.service

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def of(self, text: str, files: Mapping[str, str], questions: list[Question]) -> dict[str, Replies]:
        """The address of each server of a Corefile, with what it answers to each question."""
        assert self._process.stdin
        assert self._process.stdout
        asked = [{"name": name, "type": rdtype} for name, rdtype in questions]
        request = {"text": text, "files": dict(files), "questions": asked}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        if found["error"]:
            raise BrokenLawError(f"law 4: CoreDNS does not start: {found['error']}")
        return {server: dict(zip(questions, replies, strict=True)) for server, replies in found["replies"].items()}


def questions(case: Case) -> list[Question]:
    """Everything that a server is asked in one case; each name once in capital letters."""
    names = [BELOW_WILDCARD if host == WILDCARD else host for host in sorted(case.hosts)]
    ours = [(f"{name}.", rdtype) for name in (*names, DESTINATION) for rdtype in (*TYPES, "HTTPS")]
    others = [name for name in (*HOSTS, BELOW_WILDCARD, APEX) if name not in names]
    foreign = [(f"{name}.", rdtype) for name in (*OTHERS, *others) for rdtype in ("A", "AAAA")]
    loud = [(f"{name.title()}.", "A") for name in (*names, "old.example.com")]
    return [
        *ours,
        *loud,
        *foreign,
        *(_questions_of_packed(case) if case.packed else ()),
        ("example.com.", "MX"),
        ("old.example.com.", "TXT"),
        ("1.0.96.127.in-addr.arpa.", "PTR"),
    ]


def _questions_of_packed(case: Case) -> Iterator[Question]:
    """What rules that hosts share, and what lets the cluster's own names pass them, could take for something else."""
    for name in (*NEAR, *(host for host in MORE_HOSTS if host not in case.hosts)):
        yield f"{name}.", "A"
    for name in CLUSTER_NAMES:
        yield from ((f"{name}.", rdtype) for rdtype in ("A", "AAAA", "SRV", "SOA"))
    yield from (("1.0.96.127.IN-ADDR.arpa.", "PTR"), ("9.9.96.127.in-addr.arpa.", "PTR"))


def check_answers(case: Case, outcome: Outcome, answers: Answers) -> int:
    """Raises BrokenLawError if a host does not lead to the Service, or if something else changed.

    Returns how many questions were led to the Service.
    """
    asked = questions(case)
    before = answers.of(outcome.bare, case.files, asked)
    after = answers.of(outcome.after, case.files, asked)
    if before.keys() != after.keys():
        raise BrokenLawError(f"law 4: the servers {sorted(before)} became {sorted(after)}")
    led = 0
    for server, old in before.items():
        for question in asked:
            place = _Place(case, outcome, server, question, old[question], after[server])
            led += place.check(answers.service)
    return led


@dataclass(frozen=True, slots=True)
class _Place:
    """One question to one server."""

    case: Case
    outcome: Outcome
    server: str
    question: Question
    before: Reply
    replies: Replies

    @property
    def after(self) -> Reply:
        return self.replies[self.question]

    def check(self, service: str) -> bool:
        """Whether the question was led to the Service, as it had to be."""
        if self.after["block"] != self.before["block"]:
            raise self.broken("is answered by another server block")
        if self._is_for_an_apex():
            return self._check_apex(service)
        if not self._is_for_us() and not self._comes_before_another_install():
            if not _same(self.before, self.after):
                raise self.broken("is answered otherwise than before")
            return False
        if "rewrite that stops everything" in self.case.features and _same(self.before, self.after):
            return False
        self._check_led()
        return self._has_arrived(service)

    def _is_for_us(self) -> bool:
        """Whether our rules see one of our hosts: in one of their blocks, behind the rules that stand before them."""
        return self._is_at_home() and self._host() in self.case.hosts and self._reaches_us()

    def _is_at_home(self) -> bool:
        return self.before["block"] in self.outcome.homes

    def _host(self) -> str:
        """The host that a rewrite rule of ours would be for; of an apex there is none."""
        seen = self._seen()
        return WILDCARD if seen == BELOW_WILDCARD else "" if seen == APEX else seen

    def _is_for_an_apex(self) -> bool:
        return self._is_at_home() and self._seen() == APEX in self.case.hosts and self._type() in APEX_TYPES

    def _type(self) -> str:
        return str(self.before["seen"]["type"] or self.question[1])

    def _check_apex(self, service: str) -> bool:
        """It leads to the Service by an alias, unless an earlier template of somebody else's answers in its place."""
        if "template IN" in self.case.text and _same(self.before, self.after):
            return False
        alias = f"CNAME {DESTINATION}."
        if alias not in _data(self.after):
            raise self.broken("does not lead to our destination by an alias")
        return self._type() == "A" and f"A {service}" in _data(self.after)

    def _comes_before_another_install(self) -> bool:
        """Whether ours stands before the rule of another install for the same host, which is as good as behind it."""
        asked = _plain(self.question[0])
        host = WILDCARD if asked == BELOW_WILDCARD else asked
        elsewhere = is_another_installs(self.case, self._seen()) and host in self.case.hosts
        return elsewhere and _plain(self.after["seen"]["name"]) == DESTINATION

    def _seen(self) -> str:
        """The name behind the Corefile's own rules; a block without any rule is not observed."""
        return _plain(self.before["seen"]["name"] or self.question[0])

    def _reaches_us(self) -> bool:
        """What the Corefile itself renames by a rule that stops does not come to our rules."""
        if self._seen() == _plain(self.question[0]):
            return True
        return _plain(self.after["seen"]["name"]) == DESTINATION and "rewrite continue" in self.case.features

    def _check_led(self) -> None:
        if _plain(self.after["seen"]["name"]) != DESTINATION:
            raise self.broken("does not lead to our destination")
        rdtype = self.after["seen"]["type"]
        direct = self.replies[f"{DESTINATION}.", rdtype]
        known = direct["block"] == self.after["block"]  # and not in the block of a longer zone, or of another view
        if known and (self.after["rcode"], _data(self.after)) != (direct["rcode"], _data(direct)):
            raise self.broken(f"is not answered as the destination is: {direct}")
        names = {_plain(record["name"]) for record in self.after["records"] if record["section"] == "answer"}
        if names - {_plain(self.question[0]), self._seen()}:
            raise self.broken("is answered with another name")

    def _has_arrived(self, service: str) -> bool:
        """Whether the Service's address is answered.

        A `hosts` without `fallthrough`, say, lets no name through to the kubernetes plugin; then nothing may have
        worked before. A `template` for every name answers in place of the Service itself.
        """
        arrived = self.after["seen"]["type"] != "A" or f"A {service}" in _data(self.after)
        known = f"A {service}" in _data(self.replies[f"{DESTINATION}.", "A"])
        if not arrived and known and _data(self.before):
            raise self.broken("was answered, and is not answered with the Service's address")
        return arrived

    def broken(self, what: str) -> BrokenLawError:
        name, rdtype = self.question
        return BrokenLawError(
            f"law 4: {name} {rdtype} {what} (server {self.server}; before {self.before}; after {self.after})"
        )


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _data(reply: Reply) -> list[str]:
    return sorted(record["data"] for record in reply["records"] if record["section"] == "answer")


_SERIAL = re.compile(r"(SOA \S+ \S+) [0-9]+")
"""The time is part of what the kubernetes plugin says of its zone."""


def _told(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "ttl": 0, "data": _SERIAL.sub(r"\1", record["data"])}


def _same(one: Reply, other: Reply) -> bool:
    """Whether two replies say the same; one may come from a cache, some seconds later."""
    if one.get("error") or other.get("error") or one["rcode"] != other["rcode"]:
        return bool(one.get("error") and other.get("error"))
    pairs = list(_pairs(one, other))
    return len(one["records"]) == len(other["records"]) and all(
        _told(a) == _told(b) and abs(a["ttl"] - b["ttl"]) <= 10 for a, b in pairs
    )


def _pairs(one: Reply, other: Reply) -> Iterator[tuple[Any, Any]]:
    return zip(one["records"], other["records"], strict=False)
