"""What all stations found, for people and for programs. Pure."""

import json
from collections.abc import Iterator, Sequence

from hairpin_proxy.doctor.findings import Finding, Result, Status
from hairpin_proxy.doctor.texts import SECTIONS

FORMS = ("table", "json")

_MARKS = {Status.OK: "√", Status.WARN: "‼", Status.FAIL: "×", Status.UNKNOWN: "?", Status.SKIPPED: "-"}  # noqa: RUF001 (as others have it)


def report(results: Sequence[Result], form: str) -> str:
    """One of FORMS."""
    return _json(results) if form == "json" else "\n".join(_table(results)) + "\n"


def _json(results: Sequence[Result]) -> str:
    """One object a check, of its worst status, with all that is of that status."""
    return json.dumps([_entry(result) for result in results], indent=2, ensure_ascii=False) + "\n"


def _entry(result: Result) -> dict[str, str]:
    worst = [finding for finding in result.findings if finding.status is result.status]
    return {
        "check": result.check,
        "status": str(result.status),
        "message": "; ".join(dict.fromkeys(finding.message for finding in worst)),
        "fix": "; ".join(dict.fromkeys(finding.fix for finding in worst if finding.fix)),
    }


def _table(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        yield f"{SECTIONS[result.check].title} [{result.check}]"
        for finding in result.findings:
            yield from _lines(finding)
        yield ""
    yield _summary(results)


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{_MARKS[finding.status]} {finding.message}"
    if finding.fix:
        yield f"    {finding.fix}"
        yield f"    see {finding.link}"


def _summary(results: Sequence[Result]) -> str:
    by_status = {
        status: [result.check for result in results if result.status is status]
        for status in (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.SKIPPED)
    }
    said = [f"{_MARKS[status]} {', '.join(checks)}" for status, checks in by_status.items() if checks]
    return "Status: " + ("; ".join(said) if said else "√ all is well")
