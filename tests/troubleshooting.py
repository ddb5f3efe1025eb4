"""Writes docs/troubleshooting.md from what the doctor can say: `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mdit_py_plugins.anchors.index import slugify

from hairpin_proxy.doctor.findings import Status, Text
from hairpin_proxy.doctor.texts import SECTIONS, all_texts

PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"

HEAD = """\
# Troubleshooting

`hairpin-proxy doctor` walks the whole way that a request goes, says at each station what it saw, and changes nothing:

    hairpin-proxy doctor                                                                       # on your own machine
    kubectl -n hairpin-proxy exec deployment/hairpin-proxy-controller -- hairpin-proxy doctor  # where pods are reached

From your own machine it sees all that you may see, and asks pods only if it can reach them. In the controller's pod it
reaches all pods, and sees no more than the controller may: each of the two skips what only the other one can tell.
`--output json` is for programs. It ends with 1 if a check fails (×), else with 2 if one could not be made (?), else 0.
A check that cannot be told before another one is mended is skipped (-), so mend the first × first.

This page has all that it can say, station by station. Names in capitals stand for what it saw.

{stations}
"""

ANY = "At any station"
WORDS = {
    Status.FAIL: "×, fails",
    Status.UNKNOWN: "?, could not be looked at",
    Status.WARN: "‼, a warning",
    Status.SKIPPED: "-, skipped",
}


def page() -> str:
    """The whole page."""
    texts = [text for text in all_texts().values() if text.fix]
    titles = {check: f"{section.title} [{check}]" for check, section in SECTIONS.items()}
    ways = [f"[{check}](#{slugify(title)})" for check, title in titles.items()]
    lines = [HEAD.format(stations=" · ".join([*ways, f"[at any](#{slugify(ANY)})"]))]
    for check, section in SECTIONS.items():
        lines += [f"## {titles[check]}", "", section.about, ""]
        lines += [line for text in texts if text.check == check for line in part(text)]
    lines += [f"## {ANY}", ""]
    lines += [line for text in texts if not text.check for line in part(text)]
    return "\n".join(lines).rstrip("\n") + "\n"


def part(text: Text) -> Iterator[str]:
    """What the page says of one text."""
    yield from (f"### {text.title}", "")
    yield from (f"{WORDS[text.status]}:", "", f"> {named(text.message)}", "")
    yield from ("What to do:", "", f"> {named(text.fix)}", "")
    if text.more:
        yield from (text.more, "")


def named(template: str) -> str:
    """With names in capitals for what is filled in."""
    # What is filled in behind a word begins with a space of its own.
    spaced = re.sub(r"(?<=\w)(?=\{)", " ", template)
    return re.sub(r"\{(\w+)(:[^}]*)?\}", lambda match: match[1].upper(), spaced)


if __name__ == "__main__":
    PAGE.write_text(page())
