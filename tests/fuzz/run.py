"""Runs many cases and counts what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.fuzz.cases import FEATURES, Case, make
from tests.fuzz.dns import Answers, Cluster, check_answers
from tests.fuzz.judge import Judge
from tests.fuzz.laws import BrokenLawError, Outcome, check

SHOWN = 20
"""Broken laws that a report shows."""


@dataclass
class Report:
    """What became of some cases. Reports can be added up."""

    tried: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    """Of the cases that CoreDNS accepts and we render."""

    compared: int = 0
    """Cases whose answers before and after were compared."""

    led: int = 0
    """Questions that were led to our Service in these."""

    compared_features: Counter[str] = field(default_factory=Counter)
    broken: dict[str, Case] = field(default_factory=dict)
    """What is wrong, and the smallest case of it."""

    def add(self, other: Report) -> None:
        self.tried += other.tried
        self.verdicts += other.verdicts
        self.features += other.features
        self.compared += other.compared
        self.led += other.led
        self.compared_features += other.compared_features
        for problem, case in other.broken.items():
            self.note(problem, case)

    def note(self, problem: str, case: Case) -> None:
        if problem not in self.broken or len(case.text) < len(self.broken[problem].text):
            self.broken[problem] = case

    def table(self) -> str:
        lines = [f"{self.tried} cases tried by the judge of acceptance"]
        lines += [f"{self.compared} cases compared by their DNS, {self.led} questions led to the Service"]
        lines += [f"{len(self.broken)} laws broken", "", "   count  verdict"]
        lines += [f"{count:8}  {verdict}" for verdict, count in self.verdicts.most_common()]
        lines += ["", "rendered  compared  feature"]
        lines += [f"{self.features[f]:8}  {self.compared_features[f]:8}  {f}" for f in FEATURES]
        for problem, case in list(self.broken.items())[:SHOWN]:
            lines += [
                "",
                f"BROKEN {problem}",
                f"case {case.name}{', packed' * case.packed}, hosts {sorted(case.hosts)}, files {dict(case.files)}",
            ]
            lines += [repr(line) for line in case.text.splitlines(keepends=True)]
        return "\n".join(lines)


def run(seed: int, numbers: Iterable[int]) -> Report:
    """Tries the laws on these cases of a seed."""
    report = Report()
    with Judge() as judge:
        for number in numbers:
            case = make(seed, number)
            report.tried += 1
            try:
                outcome = check(case, judge)
            except BrokenLawError as broken:
                law = str(broken).partition(":")[0]
                report.verdicts[f"BROKEN: {law}"] += 1
                if law not in {problem.partition(":")[0] for problem in report.broken}:
                    case = shrunk(case, judge, law)
                report.note(str(broken), case)
            else:
                report.verdicts[outcome.verdict] += 1
                if outcome.accepted and outcome.after:
                    report.features.update(outcome.features)
    return report


def run_dns(seed: int, numbers: Iterable[int], cluster: Cluster) -> Report:
    """Compares the answers for those of these cases that CoreDNS accepts and that have hosts."""
    report = Report()
    with Judge() as judge, Answers(cluster) as answers:
        for number in numbers:
            case = make(seed, number)
            try:
                outcome = check(case, judge)
            except BrokenLawError:
                continue  # `run` has it
            if outcome.homes:
                _compare(report, case, outcome, answers)
    return report


def _compare(report: Report, case: Case, outcome: Outcome, answers: Answers) -> None:
    report.compared += 1
    report.compared_features.update(outcome.features)
    try:
        report.led += check_answers(case, outcome, answers)
    except BrokenLawError:
        # Once more, for on a busy machine an answer may be late.
        try:
            report.led += check_answers(case, outcome, answers)
        except BrokenLawError as broken:
            report.note(str(broken), case)


def shrunk(case: Case, judge: Judge, law: str) -> Case:
    """A case with fewer lines and hosts that breaks the same law."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(case):
            if _breaks(candidate, judge, law):
                case, smaller = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterable[Case]:
    for host in sorted(case.hosts):
        yield replace(case, hosts=case.hosts - {host})
    for name in case.files:
        yield replace(case, files={other: text for other, text in case.files.items() if other != name})
    lines = case.text.split("\n")
    for count in (8, 4, 2, 1):
        for place in range(len(lines)):
            if lines[place : place + count]:
                yield replace(case, text="\n".join(lines[:place] + lines[place + count :]))


def _breaks(case: Case, judge: Judge, law: str) -> bool:
    try:
        check(case, judge)
    except BrokenLawError as broken:
        return str(broken).partition(":")[0] == law
    return False
