"""What an operator is told of a Corefile: where our rules never run, or not always, or are read late."""

from collections.abc import Collection

import pytest

from hairpin_proxy.corefile import CorefileError, Writing, render
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.checks import left_to_others, named, passed_over, reloads, remarks
from hairpin_proxy.corefile.homes import homes
from hairpin_proxy.corefile.rewrites import Rewrite
from hairpin_proxy.corefile.scope import Files
from tests import distributions
from tests.corefiles import DESTINATION, KUBEADM, TO_US, written

A, B = "a.example.com", "b.example.com"


def said(text: str, hosts: Collection[str] = (A, B), files: Files | None = None) -> list[str]:
    blocks = parse(text)
    return list(remarks(blocks, homes(blocks, DESTINATION, files), hosts, files))


def home(*lines: str, key: str = ".:53") -> str:
    return "\n".join([f"{key} {{", " kubernetes cluster.local", " reload", *lines, "}\n"])


def test_of_kubeadms_there_is_nothing_to_say() -> None:
    assert said(KUBEADM) == []


@pytest.mark.parametrize("name", distributions.names())
def test_distributions_hide_and_overrule_nothing(name: str) -> None:
    """All of them reload, and what they rewrite are names of the cluster."""
    maps = [each.get("data") or {} for each in distributions.objects(name) if each["kind"] == "ConfigMap"]
    texts = [render(data["Corefile"], (), TO_US) for data in maps if "Corefile" in data]
    for text in texts:
        if "bind 169.254." not in text:  # node-local-dns
            assert said(text) == [], text


# ---- longer zones


def hidden(zone: str, hosts: str, line: int = 1) -> list[str]:
    said = f"the server block for {zone} answers {hosts}, so a rule in the block for '.' does nothing there"
    return [f"Corefile:{line}: {said}"]


@pytest.mark.parametrize(
    ("block", "said_of_it"),
    [
        ("example.com {\n}\n", hidden("example.com", f"2 hosts ({A}, {B})")),
        ("example.com:53 {\n}\n", hidden("example.com", f"2 hosts ({A}, {B})")),
        ("Example.COM. {\n}\n", hidden("example.com", f"2 hosts ({A}, {B})")),
        ("dns://a.example.com:53 {\n}\n", hidden(A, f"host {A}")),
        ("com {\n}\n", hidden("com", f"2 hosts ({A}, {B})")),
        ("# a comment\nother.org,\na.example.com {\n}\n", hidden(A, f"host {A}", line=2)),
        (
            "a.example.com b.example.com {\n}\n",
            [*hidden(A, f"host {A}"), *hidden(B, f"host {B}")],
        ),
        ("example.com {\n bind 127.0.0.1\n}\n", []),
        ("example.com:54 {\n}\n", []),
        ("example.com:{$PORT} {\n}\n", []),
        ("tls://example.com {\n}\n", []),
        ("tls://example.com:53 {\n}\n", []),
        ("xa.example.com {\n}\n", []),
        ("www.a.example.com {\n}\n", []),
        ("ple.com {\n}\n", []),
        ("cluster.local {\n}\n", []),
        ("(example.com) {\n}\n", []),
        ("(com) {\n}\n", []),
        (".:53 {\n bind 127.0.0.1\n}\n", []),
    ],
)
def test_a_block_with_a_longer_zone_that_listens_where_ours_does(block: str, said_of_it: list[str]) -> None:
    assert said(block + home()) == said_of_it
    assert said(block + home(), ["other.example.net"]) == []


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "together"),
    [
        ("tls://example.com {", home(key="tls://."), "", True),
        ("tls://example.com:853 {", home(key="tls://."), "", True),
        ("example.com:853 {", home(key="tls://."), "", False),
        ("https://example.com {", home(key="grpc://.:443"), "", False),
        ("example.com:54 {", home(key=".:53, .:54"), "", True),
        ("example.com:{$PORT} {", home(key=".:{$PORT}"), "", True),
        ("example.com:53 {", home(key="."), "", True),
        ("example.com {", home(" bind 127.0.0.1"), " bind 127.0.0.1 ::1", True),
        ("example.com {", home(" bind 127.0.0.1", " bind 192.0.2.1"), " bind 192.0.2.1", True),
        ("example.com {", home(" bind 127.0.0.1"), " bind 192.0.2.1", False),
        ("example.com {", home(" bind 127.0.0.1"), "", False),
    ],
)
def test_where_two_blocks_listen(key: str, ours: str, theirs: str, together: bool) -> None:
    assert bool(said(f"{key}\n{theirs}\n}}\n{ours}")) is together


@pytest.mark.parametrize("before", ["", "(s) {\n}\n", "example.org {\n}\n", "example.com:54 {\n}\n"])
def test_it_may_stand_anywhere(before: str) -> None:
    line = before.count("\n") + home().count("\n") + 1
    assert said(before + home() + "example.com {\n}\n", [A]) == hidden("example.com", f"host {A}", line)


def test_any_of_several_homes_counts_and_each_block_is_said_once() -> None:
    text = "example.com:54 example.com:55 {\n}\n" + home(key=".:53") + home(key=".:54") + home(key=".:55")
    assert said(text, [A]) == hidden("example.com", f"host {A}") * 2
    assert said("example.com:56 {\n}\n" + home(key=".:53") + home(key=".:54")) == []


def test_a_home_that_has_the_longer_zone_itself_hides_nothing() -> None:
    assert said(home(key="example.com, .:53")) == []


# ---- rules of others


def leads(rule: str, hosts: str, line: int = 4) -> str:
    return f"`{rule}` (Corefile:{line}) leads {hosts} elsewhere; it stands first and wins"


def stops(rule: str, hosts: str, line: int = 4) -> str:
    return f"`{rule}` (Corefile:{line}) stops at {hosts}, before our rule for it is tried; it stands first and wins"


def all_of_it(rule: str, line: int = 4) -> str:
    return (
        f"`{rule}` (Corefile:{line}) stops at every query it matches, so the rules after it, ours among them, do not "
        "run then"
    )


def about_template(hosts: str) -> str:
    return (
        f"Corefile:4: this template may be about {hosts}, too: it answers before a rule of ours that is a template, "
        "and behind any other"
    )


BOTH = f"2 hosts ({A}, {B})"
RULES = {
    f"rewrite name {A} x.example.org": [leads(f"rewrite name {A} x.example.org", f"host {A}")],
    f"rewrite stop name exact {A} x.example.org": [leads(f"rewrite name exact {A} x.example.org", f"host {A}")],
    f"rewrite continue name {A} x.example.org": [leads(f"rewrite name {A} x.example.org", f"host {A}")],
    "rewrite name suffix example.com x": [leads("rewrite name suffix example.com x", BOTH)],
    "rewrite ttl regex .* 30": [stops("rewrite ttl regex .* 30", BOTH)],
    f"rewrite ttl {B} 30": [stops(f"rewrite ttl {B} 30", f"host {B}")],
    f"rewrite rcode {B} NXDOMAIN NOERROR": [stops(f"rewrite rcode {B} NXDOMAIN NOERROR", f"host {B}")],
    "rewrite edns0 nsid set": [all_of_it("rewrite edns0 nsid set")],
    "rewrite cname x y": [all_of_it("rewrite cname x y")],
    "rewrite class IN CH": [all_of_it("rewrite class IN CH")],
    "rewrite type AAAA A": [all_of_it("rewrite type AAAA A")],
    "rewrite continue edns0 nsid set": [],
    "rewrite continue ttl regex .* 30": [],
    "rewrite type ANY HINFO": [],
    "rewrite name other.example.org x": [],
    "forward . 192.0.2.1": [],
    f"template IN A {A}": [about_template(f"host {A}")],
    "template IN A example.com {\n}": [about_template(BOTH)],
    "template IN AAAA .": [],
    "template IN AAAA": [],
    "template IN A example.org": [],
    f"hosts {{\n192.0.2.1 x.example.org {A}.\nfallthrough\n}}": [
        f"Corefile:4: hosts has an address for host {A}, and our rule comes before it"
    ],
    "hosts {\n192.0.2.1 x.example.org\n}": [],
    f"hosts {{\nfallthrough {A}\n}}": [],
    "\n".join(written({A}, Writing("x.y.svc.cluster.local", is_apex=A.__eq__))): [],
}


@pytest.mark.parametrize(("line", "said_of_it"), RULES.items(), ids=RULES)
def test_an_administrators_rule(line: str, said_of_it: list[str]) -> None:
    assert said(home(line)) == said_of_it
    assert said(f"example.org {{\n{line}\n}}\n" + home()) == []


def test_a_rule_in_a_snippet_or_in_an_imported_file_is_named_where_it_stands() -> None:
    text = f"(s) {{\n rewrite name {A} x\n}}\n" + home(" import s", " import custom/*.override")
    files: Files = {"custom/*.override": {"a.override": "log\n", "b.override": f"\nrewrite name {B} x\n"}}
    assert said(text, files=files) == [
        leads(f"rewrite name {A} x", f"host {A}", line=2),
        f"`rewrite name {B} x` (b.override:2) leads host {B} elsewhere; it stands first and wins",
    ]
    with pytest.raises(CorefileError, match="^c.override:1: "):
        said(text, files={"custom/*.override": {"c.override": "}"}})


def test_each_home_is_looked_at() -> None:
    rule = f"rewrite name {A} x"
    assert said(home(key=".:54") + home(rule)) == [leads(rule, f"host {A}", line=8)]
    assert said(home(rule, key=".:54") + home()) == [leads(rule, f"host {A}")]


AUTOPATH = (
    "autopath tries the bare name behind the rewrite rules, so a pod that asks for a host through its search path"
)


def test_autopath_goes_round_our_rules() -> None:
    assert said(home(" autopath @kubernetes")) == [f"Corefile:4: {AUTOPATH} is not led to us"]
    assert said("example.org {\n autopath @kubernetes\n}\n" + home()) == []
    files = {"x": {"x.conf": "autopath @kubernetes\n"}}
    assert said(home(" import x"), files=files) == [f"x.conf:1: {AUTOPATH} is not led to us"]


# ---- reload


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (".:53 {\n    reload\n}\n", True),
        (".:53 {\n    reload 10s\n}\n", True),
        (".:53 {\n    reload 0s\n}\n", False),
        (".:53 {\n    reload 0\n}\n", False),
        (".:53 {\n    reload 0s 5s\n}\n", False),
        (".:53 {\n    reload 0s\n    reload 10s 5s\n}\n", True),
        (".:53 {\n    errors\n    # reload\n}\n", False),
        (".:53 {\n    hosts /etc/hosts {\n        reload 15s\n    }\n}\n", False),
        ("example.org {\n    reload\n}\n. {\n    errors\n}\n", True),
        ("(common) {\n    reload\n}\n. {\n    import common\n}\n", True),
        ("(common) {\n    errors\n}\n. {\n    import common\n}\n", False),
        (". {\n    import /etc/coredns/custom/*.override\n}\n", True),
    ],
)
def test_whether_coredns_reads_a_change_by_itself(text: str, answer: bool) -> None:
    assert reloads(parse(text)) is answer


@pytest.mark.parametrize("reload", ["", "    reload 0s\n"])
def test_a_corefile_that_is_read_only_at_the_start(reload: str) -> None:
    assert said(KUBEADM.replace("    reload\n", reload)) == [
        "no server block has the reload plugin, so CoreDNS reads no change until it is restarted"
    ]


# ---- what is left to others, and how hosts are named


def test_the_hosts_that_others_lead_elsewhere_each_with_the_first_rule() -> None:
    suffix = Rewrite("Corefile:1", ("name", "suffix", A, "x"), continues=False)
    exact = Rewrite("Corefile:2", ("name", A, "x"), continues=False)
    other = Rewrite("Corefile:3", ("name", B, "x"), continues=True)
    ttl = Rewrite("Corefile:4", ("ttl", "c.example.com", "30"), continues=False)
    wide = Rewrite("Corefile:5", ("edns0", "nsid", "set"), continues=False)
    hosts = {A, B, "c.example.com"}
    assert left_to_others([suffix, exact, other, ttl, wide], hosts) == {A: suffix, B: other}
    assert left_to_others([exact, suffix], hosts) == {A: exact}
    assert left_to_others([], hosts) == {}


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        (["a"], "host a"),
        (["b", "a"], "2 hosts (a, b)"),
        ({"c", "b", "a"}, "3 hosts (a, b, c)"),
        ({"d", "c", "b", "a"}, "4 hosts (a, b, c, ...)"),
    ],
)
def test_how_hosts_are_named(hosts: Collection[str], text: str) -> None:
    assert named(hosts) == text


# ---- blocks that are passed over, and files that cannot be read


def test_a_block_whose_zone_comes_from_the_environment_is_told_that_it_gets_no_rules() -> None:
    text = ".:53 {\n kubernetes {$DOMAIN}\n}\n.:5353 {\n kubernetes cluster.local\n}\n.:54 {\n errors\n}\n"
    blocks = parse(text)
    assert list(passed_over(blocks, homes(blocks, DESTINATION), DESTINATION, {})) == [
        "Corefile:1: this server block gets no rules, for the zone of its kubernetes plugin comes from the "
        "environment, and another block surely has the right one"
    ]
    alone = blocks[:1]
    assert list(passed_over(alone, homes(alone, DESTINATION), DESTINATION, {})) == []


def test_a_broken_file_beside_the_corefile_is_named_and_hides_nothing_else() -> None:
    files: Files = {"custom/*.server": {"corp.server": "corp.test {\n log\n"}}
    assert said(home("autopath @kubernetes") + "import custom/*.server\n", files=files) == [
        "corp.server:1: the server block that is opened here is never closed",
        "Corefile:4: autopath tries the bare name behind the rewrite rules, so a pod that asks for a host through its "
        "search path is not led to us",
    ]


def test_binds_with_options_do_not_meet_in_their_words() -> None:
    bind = "bind {} {{\n  except 127.0.0.9\n }}"
    text = home(bind.format("127.0.0.1")) + f"example.com {{\n {bind.format('127.0.0.2')}\n}}\n"
    assert said(text) == []
    assert said(text.replace("127.0.0.2", "127.0.0.1")) != []


# ---- a kubernetes plugin that does not know every Service


@pytest.mark.parametrize("option", ["labels app=x", "namespace_labels team=dns", "ignore empty_service"])
@pytest.mark.parametrize(
    "text",
    [
        ".:53 {{\n reload\n kubernetes cluster.local {{\n  pods insecure\n  {}\n }}\n}}\n",
        ".:53 {{\n reload\n kubernetes cluster.local {{ {}\n }}\n}}\n",
        ".:53 {{\n reload\n kubernetes cluster.local {{\n  import o\n }}\n}}\n(o) {{\n pods insecure\n {}\n}}\n",
    ],
    ids=["an option", "on the line of the brace", "in a snippet"],
)
def test_a_kubernetes_plugin_that_may_leave_us_out(option: str, text: str) -> None:
    assert said(text.format(option)) == [
        f"Corefile:3: the option `{option}` of the kubernetes plugin may leave out the Service that the rules lead to, "
        "and then every host is NXDOMAIN"
    ]
