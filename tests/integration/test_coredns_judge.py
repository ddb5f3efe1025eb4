"""CoreDNS's own lexer and parser as the judge of ours, and of what we write."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.lexer import CorefileError, tokens
from hairpin_proxy.corefile.render import render
from tests import corefiles
from tests.corefiles import APEX, KUBEADM, TO_US, WILDCARD, rendered
from tests.fuzz.judge import Judge
from tests.fuzz.laws import OUR_PLUGINS, REASONS, each, our_rules
from tests.unit.test_refusals import ACCEPTED, REFUSED

Block = dict[str, Any]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as running:
        yield running


def test_the_judge_knows_a_corefile(judge: Judge) -> None:
    verdict = judge(KUBEADM)
    assert verdict.error == ""
    assert verdict.blocks[0]["keys"] == [".:53"]
    assert judge(".:53 {").error


def test_the_judge_sets_plugins_and_servers_up(judge: Judge) -> None:
    unknown, twice, clash, fine = judge.judge(
        [
            ".:53 {\n    nothing\n}\n",
            ".:53 {\n    kubernetes\n    kubernetes\n}\n",
            ".:53 {\n    log\n}\n. {\n    log\n}\n",
            KUBEADM,
        ],
        {},
    )
    assert fine.accepted
    assert not unknown.error
    assert "Unknown directive 'nothing'" in unknown.refused
    assert "plugin/kubernetes: this plugin can only be used once" in twice.refused
    assert "cannot serve dns://.:53 - it is already defined" in clash.refused


def test_the_judge_imports_files(judge: Judge) -> None:
    text = ".:53 {\n    import custom/*.override\n}\n"
    assert judge.judge([text], {"custom/a.override": "log\n"})[0].blocks[0]["directives"].keys() == {"log"}
    assert judge.judge([text], {"custom/a.override": "nothing\n"})[0].refused
    assert judge.judge([text], {})[0].accepted


@given(corefiles.soup | corefiles.stuffed | corefiles.corefiles | st.text())
def test_our_tokens_are_coredns_tokens(judge: Judge, text: str) -> None:
    assume("\x00" not in text)
    try:
        ours = [(token.text, token.line) for token in tokens(text)]
    except CorefileError as refused:
        assert "never closed" in str(refused)  # noqa: PT017 - the one thing that we refuse and CoreDNS does not
        return
    assert ours == [(token["text"], token["line"]) for token in judge(text).tokens]


@given(corefiles.corefiles | corefiles.stuffed)
def test_our_server_blocks_are_coredns_server_blocks(judge: Judge, text: str) -> None:
    assume(not any(word in text for word in ("import", "{$", "{%")))  # what the judge would replace
    verdict = judge(text)
    try:
        blocks = parse(text)
    except CorefileError:
        return
    assert verdict.error == ""
    servers = [block for block in blocks if not block.keys[0].text.startswith("(")]
    assert [[key.text.removesuffix(",") for key in block.keys] for block in servers] == [
        block["keys"] for block in verdict.blocks
    ]
    assert [sorted({directive.words[0] for directive in block.directives}) for block in servers] == [
        sorted(block["directives"]) for block in verdict.blocks
    ]


@given(corefiles.corefiles | corefiles.stuffed)
def test_we_refuse_what_coredns_accepts_only_for_known_reasons(judge: Judge, text: str) -> None:
    assume(judge(text).error == "")
    try:
        render(text, {"a.example.com"}, TO_US)
    except CorefileError as refusal:
        assert any(reason in str(refusal) for reason in REASONS)  # noqa: PT017 - it need not be refused


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_what_coredns_accepts_it_still_accepts_and_reads_the_same_but_for_our_rules(
    judge: Judge, text: str, hosts: set[str]
) -> None:
    before = judge(rendered(text, set()))
    after = judge(rendered(text, hosts))
    if before.error:
        return
    assert after.error == ""
    assert [foreign(block) for block in after.blocks] == [foreign(block) for block in before.blocks]
    ours = [words for block in after.blocks for name in OUR_PLUGINS for words in each(name, block)]
    for name in OUR_PLUGINS:
        assert {words for words in ours if words in our_rules(ALL, name)} == set(our_rules(hosts, name))


ALL = ["a.example.com", "b.example.com", "c.example.org", "xn--bcher-kva.example", "z.example.net", WILDCARD, APEX]


def foreign(block: Block) -> dict[str, list[str]]:
    """All directives of a block without our rules, and without line numbers, which our rules move."""
    words = {name: [token["text"] for token in found] for name, found in block["directives"].items()}
    for name in OUR_PLUGINS:
        words[name] = [word for rule in each(name, block) if rule not in our_rules(ALL, name) for word in rule]
    return {name: found for name, found in words.items() if found}


# ---- what is surely refused


@pytest.mark.parametrize("text", [text for text, _ in REFUSED.values()], ids=REFUSED)
def test_coredns_refuses_what_we_say_that_it_does(judge: Judge, text: str) -> None:
    assert not judge.judge([text], {})[0].accepted


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_coredns_accepts_what_we_believe(judge: Judge, text: str) -> None:
    (verdict,) = judge.judge([text], {})
    assert verdict.accepted, (verdict.error, verdict.refused)
