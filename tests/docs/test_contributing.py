"""docs/contributing.md names what is there: folders, files, modules, and the example; tests/unit has the commands."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.docs.pages import ROOT

TOKENS = MarkdownIt("commonmark").enable("table").parse((ROOT / "docs" / "contributing.md").read_text())


def spans(tokens: list[Token]) -> list[str]:
    """Code within lines."""
    inner = [child for token in tokens for child in token.children or []]
    return [token.content for token in inner if token.type == "code_inline"]


def test_files_and_folders() -> None:
    named = [code for code in spans(TOKENS) if re.fullmatch(r"[a-z_.-]+(/[a-z_.-]+)*/?", code) and "/" in code]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_example_is_one_of_the_trials() -> None:
    (example,) = (token.content for token in TOKENS if token.type == "fence")
    lines = [line.strip() for line in (ROOT / "tests/integration/faults/test_api.py").read_text().splitlines()]
    assert all(line.strip() in lines for line in example.splitlines())


def test_modules_that_are_run() -> None:
    blocks = [token.content.strip() for token in TOKENS if token.type == "code_block"]
    modules = [found for code in blocks for found in re.findall(r"-m (tests[\w.]+)", code)]
    assert modules
    assert all((ROOT / f"{module.replace('.', '/')}.py").exists() for module in modules)
