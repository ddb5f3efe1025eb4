"""README.md, or a page of docs, as a script: its code blocks that are marked, run as a reader would run them.

A mark is a comment before a block: `<!-- e2e: 3, within 150 s -->` makes it block "3", whose commands are tried again
until they show what they promise. In a `console` block, commands follow `$ ` and the lines after them are what they
promise to show; all of a `sh` block is one script.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
DOCS = README.parent / "docs"
TWO_INSTALLS, UNINSTALL = DOCS / "two-installs.md", DOCS / "uninstall.md"
_BLOCK = re.compile(
    r"^<!-- e2e: (?P<mark>[^\n]*) -->\n```(?P<kind>console|sh)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_WITHIN = re.compile(r", within (\d+) s$")

Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Command:
    """What a reader types, and what it promises to show."""

    text: str
    promised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A marked block. Without `within` its commands are run once."""

    commands: tuple[Command, ...]
    within: float

    def run(self, shell: Shell, example: str = "", real: str = "") -> None:
        """Fails if a command shows something else than promised, or fails itself.

        An example that stands on the page is another value here, the real one.
        """
        for command in self.commands:
            self._run(command, [line.replace(example, real) if example else line for line in command.promised], shell)

    def _run(self, command: Command, promised: list[str], shell: Shell) -> None:
        deadline = time.monotonic() + self.within
        while True:
            done = shell(command.text)
            shown = done.stdout + done.stderr
            kept = all(line in shown for line in promised)
            # A command that promises an error message may end as it likes.
            if kept and (promised or done.returncode == 0):
                print(f"$ {command.text}\n{shown}", flush=True)
                return
            assert time.monotonic() < deadline, (
                f"$ {command.text}\n{shown}\n(status {done.returncode}), not as promised"
            )
            time.sleep(1)


def blocks(page: Path = README) -> dict[str, Block]:
    """The marked blocks, in the order of the page."""
    return dict(_block(found) for found in _BLOCK.finditer(page.read_text()))


def _block(found: re.Match[str]) -> tuple[str, Block]:
    within = _WITHIN.search(found["mark"])
    text: str = found["text"]
    commands = _transcript(text) if found["kind"] == "console" else (Command(f"set -e\n{text}"),)
    return _WITHIN.sub("", found["mark"]), Block(commands, float(within[1]) if within else 0)


def _transcript(text: str) -> tuple[Command, ...]:
    first, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not first, "a console block begins with a command"
    lines = [part.splitlines() for part in parts]
    return tuple(Command(command, tuple(promised)) for command, *promised in lines)
