"""CoreDNS's own lexer and parser as the judge of ours, and of what we write."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hairpin_proxy.corefile import packing, rules
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.lexer import CorefileError, tokens
from hairpin_proxy.corefile.render import render
from tests import corefiles
from tests.cluster.cluster import LocalCluster
from tests.corefiles import APEX, DESTINATION, KUBEADM, TO_US, WILDCARD, rendered
from tests.fuzz.dns import Answers, Cluster
from tests.fuzz.judge import Judge
from tests.fuzz.laws import OUR_PLUGINS, REASONS, each, our_rules
from tests.unit.test_packing import LONGEST_NAME, prefixes
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


# ---- rules that many hosts share, at their largest


DEEPEST = tuple(prefixes(LONGEST_NAME))
"""Each of them begins with the one before it."""

MANY = sorted({f"h{number * 7919 % 10**6}.team{number % 70}.example.com" for number in range(4000)})


def longest_pack() -> tuple[str, ...]:
    """Hosts whose expression is exactly as long as it may be."""
    count = bisect_left(
        range(len(MANY)), packing.LONGEST - 200, key=lambda count: len(packing.pattern((*MANY[:count],)))
    )
    room = ((*MANY[:count], f"{'z' * 50}.{'z' * length}.example") for length in range(1, 63))
    more = ((*MANY[:count], f"{'z' * 50}.{'z' * 50}.{'z' * length}.example") for length in range(1, 63))
    return next(pack for pack in (*room, *more) if len(packing.pattern(pack)) == packing.LONGEST)


def packed_corefile(*packs: tuple[str, ...]) -> str:
    lines = [rules.passing(DESTINATION), *(rules.packed(pack, DESTINATION) for pack in packs)]
    return KUBEADM.replace("    loadbalance\n", "".join(f"    {line}\n" for line in ["loadbalance", *lines]))


def test_coredns_accepts_the_largest_rules_that_hosts_share(judge: Judge) -> None:
    assert len(DEEPEST) == 250
    for packs in ([DEEPEST], [longest_pack()], [DEEPEST, longest_pack(), (LONGEST_NAME,)]):
        (verdict,) = judge.judge([packed_corefile(*packs)], {})
        assert verdict.accepted, (verdict.error, verdict.refused)


def test_coredns_refuses_an_expression_that_is_much_longer(judge: Judge) -> None:
    (verdict,) = judge.judge([packed_corefile(tuple(MANY))], {})
    assert "regex pattern too long" in verdict.refused


def test_coredns_leads_the_hosts_of_the_largest_rules_to_us_and_no_others(cluster: LocalCluster) -> None:
    service = cluster.service_ip("hairpin-proxy", "hairpin-proxy")
    pack = longest_pack()
    hosts = {*DEEPEST, *pack}
    asked = {LONGEST_NAME[:end].removesuffix(".") for end in range(1, 254)} | {*pack[::10], *MANY[-50:]}
    asked |= {f"x{name}" for name in pack[::50]} | {f"{name}.x" for name in pack[::50]}
    questions = [(f"{name}.", "A") for name in sorted(asked)]
    with Answers(Cluster(cluster.kubeconfig, service)) as answers:
        (replies,) = answers.of(packed_corefile(DEEPEST, pack), {}, questions).values()
    led = {name for name in asked if [each["data"] for each in replies[f"{name}.", "A"]["records"]] == [f"A {service}"]}
    assert led == asked & hosts
    assert len(asked - hosts) > 50
