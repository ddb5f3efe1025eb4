"""CoreDNS's own lexer and parser as the judge of ours, and of what we write."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hairpin_proxy.corefile import CorefileError, render
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.lexer import tokens
from tests import corefiles
from tests.cluster.install import locate
from tests.corefiles import DESTINATION, KUBEADM, rendered

Verdict = dict[str, Any]


class Judge:
    """The program tests/cluster/go/coredns/judge, asked over its standard input."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, text: str) -> Verdict:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        verdict: Verdict = json.loads(self._process.stdout.readline())
        return verdict


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with subprocess.Popen([locate("judge")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Judge(process)
        process.terminate()


def test_the_judge_knows_a_corefile(judge: Judge) -> None:
    verdict = judge(KUBEADM)
    assert verdict["error"] == ""
    assert verdict["blocks"][0]["keys"] == [".:53"]
    assert judge(".:53 {")["error"]


@given(corefiles.soup | corefiles.stuffed | corefiles.corefiles | st.text())
def test_our_tokens_are_coredns_tokens(judge: Judge, text: str) -> None:
    assume("\x00" not in text)
    try:
        ours = [(token.text, token.line) for token in tokens(text)]
    except CorefileError as refused:
        assert "never closed" in str(refused)  # noqa: PT017 - the one thing that we refuse and CoreDNS does not
        return
    assert ours == [(token["text"], token["line"]) for token in judge(text)["tokens"]]


@given(corefiles.corefiles | corefiles.stuffed)
def test_our_server_blocks_are_coredns_server_blocks(judge: Judge, text: str) -> None:
    assume(not any(word in text for word in ("import", "{$", "{%")))  # what the judge would replace
    verdict = judge(text)
    try:
        blocks = parse(text)
    except CorefileError:
        return
    assert verdict["error"] == ""
    servers = [block for block in blocks if not block.keys[0].text.startswith("(")]
    assert [[key.text.removesuffix(",") for key in block.keys] for block in servers] == [
        block["keys"] for block in verdict["blocks"]
    ]
    assert [sorted({directive.words[0] for directive in block.directives}) for block in servers] == [
        sorted(block["directives"]) for block in verdict["blocks"]
    ]


REFUSALS = [
    "no server block answers '.'",
    "the server block that answers '.' has no kubernetes plugin for a zone that holds",
    "and never closed",  # a quote
    "is never closed",  # a last brace that is missing and that CoreDNS does not miss
    "a '}' that closes nothing",
    "a '{' without an address before it",  # CoreDNS drops such a block without a word
    "a '}' without a '{' before it",  # a snippet on one line
]


@given(corefiles.corefiles | corefiles.stuffed)
def test_we_refuse_what_coredns_accepts_only_for_known_reasons(judge: Judge, text: str) -> None:
    assume(judge(text)["error"] == "")
    try:
        render(text, {"a.example.com"}, DESTINATION)
    except CorefileError as refusal:
        assert any(reason in str(refusal) for reason in REFUSALS)  # noqa: PT017 - it need not be refused


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_what_coredns_accepts_it_still_accepts_and_reads_the_same_but_for_our_rules(
    judge: Judge, text: str, hosts: set[str]
) -> None:
    before = judge(rendered(text, set()))
    after = judge(rendered(text, hosts))
    if before["error"]:
        return
    assert after["error"] == ""
    assert [foreign(block) for block in after["blocks"]] == [foreign(block) for block in before["blocks"]]
    ours = [rule for block in after["blocks"] for rule in rewrites(block) if is_ours(rule)]
    assert {rule[2] for rule in ours} == hosts


def rewrites(block: Verdict) -> list[list[str]]:
    """The words of each rewrite directive of a block."""
    lines: list[list[str]] = []
    line = 0
    for token in block["directives"].get("rewrite", []):
        if not lines or (token["text"] == "rewrite" and token["line"] != line):
            lines.append([])
        lines[-1].append(token["text"])
        line = token["line"]
    return lines


def is_ours(words: list[str]) -> bool:
    return len(words) == 4 and words[:2] == ["rewrite", "name"] and words[3] == DESTINATION and "." in words[2]


def foreign(block: Verdict) -> dict[str, list[str]]:
    """All directives of a block without our rules, and without line numbers, which our rules move."""
    words = {name: [token["text"] for token in found] for name, found in block["directives"].items()}
    words["rewrite"] = [word for rule in rewrites(block) if not is_ours(rule) for word in rule]
    return {name: found for name, found in words.items() if found}
