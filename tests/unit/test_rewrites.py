"""What rules of others do to our hosts, as CoreDNS's rewrite plugin reads them."""

import pytest

from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.rewrites import Rewrite, rewrites
from hairpin_proxy.corefile.scope import expanded

A, B, LONG = "a.example.com", "b.example.com", "web.a.example.com"
HOSTS = {A, B, LONG}


def read(*lines: str) -> list[Rewrite]:
    blocks = parse("\n".join([". {", *lines, "}"]))
    return rewrites(expanded(blocks[0], blocks, {}))


TAKEN = {
    "name a.example.com x": {A},
    "name A.Example.com. x": {A},
    "name exact a.example.com x": {A},
    "name exact a.example.com x answer auto": {A},
    "stop name a.example.com x": {A},
    "continue name a.example.com x": {A},
    "CONTINUE NAME EXACT a.example.com x": {A},
    "name other.example.com x": set(),
    "name example.com x": set(),
    "name suffix example.com x": HOSTS,
    "name suffix .example.com. x": HOSTS,
    "name suffix a.Example.com. x": {A, LONG},
    "name SUFFIX b.example.com x": {B},
    "name suffix a.example x": set(),
    # CoreDNS puts a final dot to the pattern, so that a prefix ends with a label.
    "name prefix a. x": {A},
    "name prefix a x": {A},
    "name prefix WEB.a x": {LONG},
    "name prefix example x": set(),
    "name substring a.example x": {A, LONG},
    "name substring example x": HOSTS,
    "name substring ample x": HOSTS,
    "name substring xample. x": HOSTS,
    "name substring org x": set(),
    "name regex (.*) x": HOSTS,
    r"name regex (^|\.)a\.example\.com\.$ x": {A, LONG},
    r"name regex ^a\.example\.com$ x": set(),
    r"name regex ^A\. x": set(),
    r"name regex (?i)^A\. x": {A},
    r"name regex ^[[:alpha:]]{3}\..*\.\z x": {LONG},
    r"name regex ^[[:lower:][:digit:]]\.[[:word:]]+\. x": {A, B},
    "name regex .* x answer name x a": HOSTS,
    r"name regex ^\pL\. x": {A, B},
    # Python would take hours for this one.
    r"name regex ^([a-z.]+)*!$ x": set(),
    "name regex ( x": set(),
    "name unknown a.example.com x": set(),
    "name": set(),
    "name a.example.com": {A},
    "ttl a.example.com 30": {A},
    "ttl regex .* 30": HOSTS,
    "ttl suffix a.example.com 30-60": {A, LONG},
    "continue ttl regex .* 30": set(),
    "rcode a.example.com NXDOMAIN NOERROR": {A},
    "rcode regex .* NXDOMAIN NOERROR": HOSTS,
    "rcode prefix b NXDOMAIN NOERROR": {B},
    "continue rcode a.example.com NXDOMAIN NOERROR": set(),
    "cname a.example.com b.example.com": set(),
    "type ANY HINFO": set(),
    "edns0 local set 0xffee a.example.com": set(),
    "answer name a.example.com x": set(),
    "unheard a.example.com x": set(),
}


@pytest.mark.parametrize(("line", "taken"), TAKEN.items(), ids=TAKEN)
def test_the_hosts_that_a_rule_takes(line: str, taken: set[str]) -> None:
    assert set(read(f"rewrite {line}")[0].taken(HOSTS)) == taken


def test_a_rule_takes_nothing_but_what_is_asked_about() -> None:
    (rule,) = read("rewrite name regex .* x")
    assert rule.taken([B]) == [B]
    assert rule.taken([]) == []


IN_BRACES = """\
rewrite stop {
  name regex (.*)\\.example\\.com\\. {1}.example.org
  answer auto
}"""


def test_a_rule_in_braces() -> None:
    (rule,) = read(IN_BRACES)
    assert (rule.where, rule.continues, rule.renames) == ("Corefile:2", False, True)
    assert set(rule.taken(HOSTS)) == HOSTS
    assert str(rule) == "`rewrite name regex (.*)\\.example\\.com\\. {1}.example.org answer auto` (Corefile:2)"


def test_a_rule_that_continues_in_braces() -> None:
    (rule,) = read("rewrite continue {", "ttl regex .* 30", "}")
    assert (rule.continues, rule.field, rule.taken(HOSTS)) == (True, "ttl", [])


WIDE = {
    "edns0 local set 0xffee abcd": True,
    "EDNS0 nsid append": True,
    "stop edns0 subnet set 24 56": True,
    "continue edns0 local set 0xffee abcd": False,
    "cname a.example.org b.example.org": True,
    "cname regex .* b.example.org": True,
    "continue cname a.example.org b.example.org": False,
    "class IN CH": True,
    "class in ch": True,
    "class CH IN": False,
    "continue class IN CH": False,
    "type A AAAA": True,
    "type aaaa a": True,
    "type ANY A": False,
    "type HINFO AAAA": False,
    "type": False,
    "name regex .* x": False,
    "ttl regex .* 30": False,
    "name class IN": False,
    "": False,
}


@pytest.mark.parametrize(("line", "wide"), WIDE.items(), ids=WIDE)
def test_what_takes_every_name(line: str, wide: bool) -> None:
    (rule,) = read(f"rewrite {line}")
    assert rule.takes_every_name is wide


@pytest.mark.parametrize(("line", "renames"), [("name a b", True), ("stop Name a b", True), ("ttl a 30", False)])
def test_what_leads_elsewhere(line: str, renames: bool) -> None:
    assert read(f"rewrite {line}")[0].renames is renames


def test_only_rewrites_count_each_with_its_line() -> None:
    found = read("errors", "rewrite name a b", "forward . 192.0.2.1", "", "rewrite continue ttl c 30")
    assert found == [
        Rewrite("Corefile:3", ("name", "a", "b"), continues=False),
        Rewrite("Corefile:6", ("ttl", "c", "30"), continues=True),
    ]
