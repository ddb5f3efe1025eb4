"""CoreDNS's own parser and plugin set-up as the judge of a Corefile: the program tests/cluster/go/coredns/judge."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.cluster.install import locate
from tests.fuzz.cases import ENVIRONMENT

Token = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How CoreDNS reads one Corefile."""

    tokens: list[Token]
    blocks: list[dict[str, Any]]
    error: str
    """Why its parser refuses it."""

    refused: str
    """Why the set-up of its plugins and servers does, if that was asked for."""

    @property
    def accepted(self) -> bool:
        return not self.error and not self.refused


class Judge:
    """The running program, asked over its standard input."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [locate("judge")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
        )

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def __call__(self, text: str) -> Verdict:
        """How the parser reads a text, whatever its plugins are."""
        return self.judge([text], {}, set_up=False)[0]

    def judge(self, texts: list[str], files: Mapping[str, str], *, set_up: bool = True) -> list[Verdict]:
        """The verdicts on several Corefiles that lie beside the same files."""
        assert self._process.stdin
        assert self._process.stdout
        asked = {"texts": texts, "files": dict(files), "set_up": set_up}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return [Verdict(**found) for found in json.loads(self._process.stdout.readline())]
