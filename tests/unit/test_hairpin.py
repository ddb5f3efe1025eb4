"""Which hosts reach the cluster through its own load balancer."""

import pytest

from hairpin_proxy.edit import Remark
from hairpin_proxy.hairpin import Answers, judge, name_for, names, verdict
from hairpin_proxy.policy import Claim, Decision, Reason

HOST = "a.example.com"
BALANCER = "192.0.2.1"
NAMED = "lb-1.example.net"

HAIRPINS, UNKNOWN, ELSEWHERE = True, None, False


def claim(*addresses: str, host: str = HOST, of: str = "Ingress shop/web") -> Claim:
    return Claim(host, of, "shop", addresses)


def answers(**found: set[str] | None) -> Answers:
    """By the names, with `_` for a dot and `__` for a hyphen, as keywords have neither."""
    return {
        name.replace("__", "-").replace("_", "."): None if each is None else frozenset(each)
        for name, each in found.items()
    }


@pytest.mark.parametrize(
    ("balancers", "known", "expected"),
    [
        pytest.param([BALANCER], answers(a_example_com={BALANCER}), HAIRPINS, id="its address"),
        pytest.param([BALANCER], answers(a_example_com={"198.51.100.9"}), ELSEWHERE, id="another address"),
        pytest.param([BALANCER], answers(a_example_com={"198.51.100.9", BALANCER}), HAIRPINS, id="one of several"),
        pytest.param(["192.0.2.9", BALANCER], answers(a_example_com={BALANCER}), HAIRPINS, id="one of its several"),
        pytest.param(["2001:DB8:0::1"], answers(a_example_com={"2001:db8::1"}), HAIRPINS, id="IPv6, spelt otherwise"),
        pytest.param([BALANCER], answers(a_example_com={"2001:db8::1"}), ELSEWHERE, id="IPv6 only, of somebody else"),
        pytest.param([], answers(a_example_com={BALANCER}), UNKNOWN, id="no load balancer"),
        pytest.param([BALANCER], answers(), UNKNOWN, id="never asked"),
        pytest.param([BALANCER], answers(a_example_com=None), UNKNOWN, id="no answer yet"),
        pytest.param([BALANCER], answers(a_example_com=set()), UNKNOWN, id="no public address"),
        pytest.param(
            [NAMED], answers(a_example_com={BALANCER}, lb__1_example_net={BALANCER}), HAIRPINS, id="a balancer's name"
        ),
        pytest.param(
            [NAMED], answers(a_example_com={BALANCER}, lb__1_example_net={"192.0.2.9"}), ELSEWHERE, id="another's name"
        ),
        pytest.param(
            [NAMED], answers(a_example_com={BALANCER}, lb__1_example_net=None), UNKNOWN, id="its name has no answer"
        ),
        pytest.param(
            [NAMED], answers(a_example_com={BALANCER}, lb__1_example_net=set()), UNKNOWN, id="its name has no address"
        ),
        pytest.param(
            [NAMED, BALANCER],
            answers(a_example_com={BALANCER}, lb__1_example_net=None),
            HAIRPINS,
            id="one of them is known, and it is that",
        ),
        pytest.param(
            [NAMED, BALANCER],
            answers(a_example_com={"198.51.100.9"}, lb__1_example_net=None),
            UNKNOWN,
            id="one of them is known, and it is not that",
        ),
        pytest.param(
            [NAMED],
            answers(a_example_com={NAMED, "192.0.2.7"}, lb__1_example_net={"192.0.2.8"}),
            HAIRPINS,
            id="an alias of its name, whose addresses change",
        ),
        pytest.param(
            [NAMED], answers(a_example_com={NAMED, BALANCER}), HAIRPINS, id="an alias of a name not asked for"
        ),
        pytest.param(
            [BALANCER], answers(a_example_com={"x.cdn.example", "198.51.100.9"}), ELSEWHERE, id="an alias of a CDN"
        ),
    ],
)
def test_what_is_known_of_a_host(balancers: list[str], known: Answers, expected: bool | None) -> None:
    found = verdict(HOST, [claim(*balancers)], known)
    assert found.hairpins is expected
    assert bool(found.text) is (expected is not HAIRPINS)


@pytest.mark.parametrize("name", ["LB-1.Example.NET", "lb-1.example.net."])
def test_a_load_balancers_name_is_spelt_as_dns_has_it(name: str) -> None:
    known = answers(a_example_com={BALANCER}, lb__1_example_net={BALANCER})
    assert verdict(HOST, [claim(name)], known).hairpins is HAIRPINS
    assert names(decision(claim(name))) == {HOST, NAMED}


def test_any_load_balancer_of_whoever_asks_is_enough() -> None:
    known = answers(a_example_com={BALANCER})
    assert verdict(HOST, [claim("192.0.2.9"), claim(BALANCER, of="Gateway shop/web")], known).hairpins is HAIRPINS
    assert verdict(HOST, [claim(), claim("192.0.2.9")], known).hairpins is ELSEWHERE


@pytest.mark.parametrize(
    ("public", "said"),
    [
        ({"198.51.100.9"}, "198.51.100.9"),
        ({"198.51.100.9", "198.51.100.8"}, "198.51.100.8, 198.51.100.9"),
        ({f"192.0.2.{number}" for number in range(2, 8)}, "192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, ..."),
        ({"x.cdn.example", "198.51.100.9"}, "x.cdn.example"),
    ],
)
def test_the_text_names_what_differs_and_an_alias_rather_than_its_changing_addresses(
    public: set[str], said: str
) -> None:
    found = verdict(HOST, [claim("203.0.113.9", "203.0.113.1")], answers(a_example_com=public))
    text = f"does not hairpin: its public address {said} is none of its load balancer 203.0.113.1, 203.0.113.9"
    assert found.text == text


@pytest.mark.parametrize(
    ("balancers", "known", "why"),
    [
        ([], answers(), "whoever asks for it has no load balancer in its status"),
        ([BALANCER], answers(), "its public address is not known (yet)"),
        ([BALANCER], answers(a_example_com=set()), "it has no public address"),
        ([NAMED], answers(a_example_com={BALANCER}), f"its load balancer {NAMED} has no known address (yet)"),
    ],
)
def test_why_it_cannot_be_told(balancers: list[str], known: Answers, why: str) -> None:
    assert verdict(HOST, [claim(*balancers)], known).text == f"cannot be told to hairpin: {why}"


@pytest.mark.parametrize(
    ("host", "name"),
    [(HOST, HOST), ("example.com", "example.com"), ("*.example.com", "hairpin-proxy-check.example.com")],
)
def test_the_name_whose_address_counts(host: str, name: str) -> None:
    assert name_for(host) == name
    assert verdict(host, [claim(BALANCER)], {name: frozenset({BALANCER})}).hairpins is HAIRPINS


def test_a_wildcard_that_the_public_dns_does_not_have_is_warned_of() -> None:
    """Names below it that have a record of their own may lead anywhere: to a VPN, or to a mail server."""
    asked = decision(claim(BALANCER, host="*.example.com"))
    known = {name_for("*.example.com"): frozenset[str]()}
    found, (remark,) = judge(asked, known, (), require=False)
    assert found == asked
    assert remark.text.startswith(
        "Ingress shop/web: host *.example.com is none in the public DNS, where each name below it has an address of "
        "its own: it may have worked without us, and be broken by us; "
    )
    for standing, hosts in (((), set()), (("*.example.com",), {"*.example.com"})):
        assert judge(asked, known, standing, require=True)[0].hosts == hosts


def decision(*claims: Claim) -> Decision:
    by_host = {each.host: tuple(other for other in claims if other.host == each.host) for each in claims}
    left_out = {Claim("localhost", "Ingress shop/bad", "shop"): Reason("protected", "is localhost")}
    return Decision(frozenset(by_host), left_out, by_host)


def test_only_what_can_be_compared_is_looked_up() -> None:
    asked = decision(
        claim(BALANCER, NAMED),
        claim(BALANCER, host="*.example.org"),
        claim("2001:db8::1", host="b.example.com"),
        claim(host="no-balancer.example.com"),
    )
    assert names(asked) == {HOST, NAMED, "hairpin-proxy-check.example.org", "b.example.com"}
    assert names(decision()) == set()


GOOD, CDN, SILENT, BARE = (f"{name}.example.com" for name in ("good", "cdn", "silent", "bare"))
ASKED = decision(
    claim(BALANCER, host=GOOD),
    claim(BALANCER, host=CDN, of="Ingress shop/b"),
    claim("192.0.2.9", host=CDN, of="Ingress shop/c"),
    claim(BALANCER, host=SILENT),
    claim(host=BARE),
)
KNOWN = {GOOD: frozenset({BALANCER}), CDN: frozenset({"198.51.100.9"}), SILENT: None}


def test_required_only_what_is_known_to_hairpin_gets_a_rule() -> None:
    judged, remarks = judge(ASKED, KNOWN, standing=(), require=True)
    assert judged.hosts == {GOOD} == judged.claims.keys()
    assert remarks == ()
    reasons = {(where.host, where.object): (why.code, why.chosen) for where, why in judged.left_out.items()}
    assert reasons == {
        ("localhost", "Ingress shop/bad"): ("protected", False),
        (CDN, "Ingress shop/b"): ("not-hairpinned", False),
        (CDN, "Ingress shop/c"): ("not-hairpinned", False),
        (SILENT, "Ingress shop/web"): ("not-hairpinned", True),
        (BARE, "Ingress shop/web"): ("not-hairpinned", True),
    }


def test_required_what_cannot_be_told_keeps_the_rule_that_it_has() -> None:
    judged, _ = judge(ASKED, KNOWN, standing=(GOOD, CDN, SILENT, BARE), require=True)
    assert judged.hosts == {GOOD, SILENT, BARE}
    assert {where.host for where in judged.left_out} == {"localhost", CDN}


def test_a_warning_takes_nothing_away_and_names_what_does_not_hairpin() -> None:
    judged, remarks = judge(ASKED, KNOWN, standing=(), require=False)
    assert judged is ASKED
    assert remarks == (
        Remark(
            f"Ingress shop/b: host {CDN} does not hairpin: its public address 198.51.100.9 is none of its load "
            "balancer 192.0.2.1, 192.0.2.9: it may have worked without us, and be broken by us; --only-hairpinned "
            "require leaves it out (not-hairpinned)"
        ),
    )
