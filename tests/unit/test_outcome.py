"""What one poll came to, and what is counted of it."""

import pytest

from hairpin_proxy.edit import Edit
from hairpin_proxy.outcome import RESULTS, Outcome, by_reason, by_source
from hairpin_proxy.policy import Asked, Claim, Decision, Facts, Policy, Reason, decide


def edit(desired: str = "text", *hosts: str) -> Edit:
    return Edit("a document", "text", desired, frozenset(hosts))


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome(edit("new"), True, ()), "written"),
        (Outcome(edit(), False, ()), "unchanged"),
        (Outcome(edit(), False, (), waits=True), "unchanged"),
        (Outcome(edit("new"), False, (), waits=True), "waiting"),
        (Outcome(edit("new"), False, ()), "dry-run"),
    ],
)
def test_the_result(outcome: Outcome, result: str) -> None:
    assert outcome.result == result
    assert result in RESULTS


def decided(*claims: Claim) -> Decision:
    return decide(Asked(claims), Policy("proxy.example.org", deny=("denied.example",)), Facts())


def test_a_host_that_two_sources_ask_for_counts_for_both_and_one_that_nobody_asks_for_for_none() -> None:
    decision = decided(
        Claim("a.example.com", "Ingress default/a"),
        Claim("a.example.com", "HTTPRoute default/a"),
        Claim("a.example.com", "Gateway default/a"),
        Claim("b.example.com", "Ingress default/b"),
        Claim("no-rule.example.com", "Ingress default/b"),
    )
    found = by_source(decision, ["a.example.com", "b.example.com", "gone.example.com"])
    assert found == {"ingress": 2, "gateway": 1, "none": 1}
    assert by_source(decision, []) == {"ingress": 0, "gateway": 0, "none": 0}


def test_hosts_without_a_rule_count_once_by_their_reason() -> None:
    chosen = Reason("ignored", "is ignored", chosen=True)
    decision = decided(
        Claim("x.denied.example", "Ingress default/a"),
        Claim("x.denied.example", "Ingress default/b"),
        Claim("y.denied.example", "Ingress default/b"),
        Claim("a_b!", "Ingress default/b"),
        Claim("i.example.com", "Ingress default/b", refusal=chosen),
        Claim("ok.example.com", "Ingress default/b", refusal=chosen),
        *(Claim(f"{name}.example.com", "Ingress default/b") for name in ("ok", "held", "full")),
    )
    found = by_reason(decision, {"held.example.com"}, edit("text", "ok.example.com", "kept.example.com"))
    assert {tuple(why): number for why, number in found.items()} == {
        ("denied-domain", False): 2,
        ("invalid-name", False): 1,
        ("ignored", True): 1,
        ("not-ready", False): 1,
        ("document", False): 1,
    }
