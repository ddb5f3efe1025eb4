"""Corefiles before and after: what is added where, what is ours, and what is refused."""

from dataclasses import replace
from functools import partial

import pytest

from hairpin_proxy.corefile import CorefileError, Writing, read, read_file, render, render_file
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.homes import NoKubernetesError, answers, homes, only_root
from hairpin_proxy.corefile.lexer import Token, tokens
from hairpin_proxy.corefile.scope import Files
from tests.corefiles import DESTINATION, KUBEADM, TAG, TO_US, rule, written

A, B = rule("a.example.com"), rule("b.example.com")
OURS_ALONE = frozenset({DESTINATION})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc\nd", ["a", "b", "c", "d"]),
        ("a\rb\r\nc", ["ab", "c"]),
        ("# a comment\na # b\nc", ["a", "c"]),
        ("a#b\nc", ["a", "c"]),
        ("a#b c", ["a", "c"]),
        ('"a b" c', ["a b", "c"]),
        ('"a"b', ["a", "b"]),
        ('a"b c', ['a"b', "c"]),
        (r'"a\"b\\.c\n"', [r'a"b\\.c\n']),
        ('""', [""]),
        ('"#"', ["#"]),
        ("\ufeffa \ufeffb", ["a", "\ufeffb"]),
        ("a\u00a0b\u2003c\u1680d\u3000e\u2028f\x85g\vh\fi", list("abcdefghi")),
        ("a\x1cb", ["a\x1cb"]),  # white space to Python, not to Go
        ("{ } {} a{", ["{", "}", "{}", "a{"]),
        ("", []),
    ],
)
def test_tokens(text: str, words: list[str]) -> None:
    assert [token.text for token in tokens(text)] == words


def test_a_token_knows_where_it_stands() -> None:
    text = 'a\n\n  "b\nc" d#e\n# f\ng'
    found = list(tokens(text))
    assert found == [Token("a", 1, 0, 1), Token("b\nc", 3, 5, 10), Token("d", 4, 11, 14), Token("g", 6, 19, 20)]
    assert [token.last_line for token in found] == [1, 4, 4, 6]


def test_kubeadm() -> None:
    after = render(KUBEADM, {"b.example.com", "a.example.com"}, TO_US)
    assert after == KUBEADM.replace("    loadbalance\n}\n", f"    loadbalance\n{A}\n{B}\n}}\n")


BEFORE_AND_AFTER = {
    "the line is exactly that of v0.2.1": (
        ". {\nkubernetes cluster.local\n}\n",
        ". {\nkubernetes cluster.local\n"
        "    rewrite name a.example.com hairpin-proxy.hairpin-proxy.svc.cluster.local # Added by hairpin-proxy\n"
        "}\n",
    ),
    "other blocks are left alone": (
        "example.org {\n kubernetes cluster.local\n}\n. {\n kubernetes cluster.local\n}\nexample.net {\n kubernetes cluster.local\n}\n",
        f"example.org {{\n kubernetes cluster.local\n}}\n. {{\n kubernetes cluster.local\n{A}\n}}\nexample.net {{\n kubernetes cluster.local\n}}\n",
    ),
    "any port": (".:8053 {\n kubernetes cluster.local\n}\n", f".:8053 {{\n kubernetes cluster.local\n{A}\n}}\n"),
    "a port alone": (":53 {\n kubernetes cluster.local\n}\n", f":53 {{\n kubernetes cluster.local\n{A}\n}}\n"),
    "a port from the environment": (
        ".:{$PORT} {\n kubernetes cluster.local\n}\n",
        f".:{{$PORT}} {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "with its transport": (
        "dns://.:53 {\n kubernetes cluster.local\n}\n",
        f"dns://.:53 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "several keys on a line": (
        "example.org .:53 {\n kubernetes cluster.local\n}\n",
        f"example.org .:53 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "several keys with commas over lines": (
        "example.org,\n.:53 {\n kubernetes cluster.local\n}\n",
        f"example.org,\n.:53 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "the key with a comma": (
        ".:53, example.org {\n kubernetes cluster.local\n}\n",
        f".:53, example.org {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "a comment after the brace": (
        ".:53 { # main\n kubernetes cluster.local\n}\n",
        f".:53 {{ # main\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "the brace on a line of its own": (
        ".:53\n{\n kubernetes cluster.local\n}\n",
        f".:53\n{{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "an empty key is none": (
        '"" .:53 {\n kubernetes cluster.local\n}\n',
        f'"" .:53 {{\n kubernetes cluster.local\n{A}\n}}\n',
    ),
    "braces in quotes inside of words": (
        '. {\n kubernetes cluster.local "} {"\n}\n',
        f'. {{\n kubernetes cluster.local "}} {{"\n{A}\n}}\n',
    ),
    "braces in comments": (
        ".:53 {\n kubernetes cluster.local # }\n # }\n}\n",
        f".:53 {{\n kubernetes cluster.local # }}\n # }}\n{A}\n}}\n",
    ),
    "nested blocks": (
        ".:53 {\n kubernetes cluster.local {\n b {\n c\n}\n}\n}\n",
        f".:53 {{\n kubernetes cluster.local {{\n b {{\n c\n}}\n}}\n{A}\n}}\n",
    ),
    "a block that opens on the next line": (
        ".:53 {\n kubernetes cluster.local\n {\n b\n }\n}\n",
        f".:53 {{\n kubernetes cluster.local\n {{\n b\n }}\n{A}\n}}\n",
    ),
    "an indented brace": (
        ".:53 {\n kubernetes cluster.local\n  }\n",
        f".:53 {{\n kubernetes cluster.local\n{A}\n  }}\n",
    ),
    "no final line break": (".:53 {\n kubernetes cluster.local\n}", f".:53 {{\n kubernetes cluster.local\n{A}\n}}"),
    "carriage returns": (
        ".:53 {\r\n kubernetes cluster.local\r\n}\r\n",
        f".:53 {{\r\n kubernetes cluster.local\r\n{A}\r\n}}\r\n",
    ),
    "a byte order mark": (
        "\ufeff.:53 {\n kubernetes cluster.local\n}\n",
        f"\ufeff.:53 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "text over lines before the brace": (
        '.:53 {\n kubernetes cluster.local "a\nb"\n}\n',
        f'.:53 {{\n kubernetes cluster.local "a\nb"\n{A}\n}}\n',
    ),
    "an import at the top": (
        "import x\n.:53 {\n kubernetes cluster.local\n}\n",
        f"import x\n.:53 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "an import at the end": (
        ".:53 {\n kubernetes cluster.local\n}\nimport x/*.server",
        f".:53 {{\n kubernetes cluster.local\n{A}\n}}\nimport x/*.server",
    ),
    "an import inside": (
        ".:53 {\n import x\n kubernetes cluster.local\n}\n",
        f".:53 {{\n import x\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "a snippet is no server": (
        "(.) {\n kubernetes cluster.local\n}\n. {\n import .\n}\n",
        f"(.) {{\n kubernetes cluster.local\n}}\n. {{\n import .\n{A}\n}}\n",
    ),
    "no braces": (".:53\nkubernetes cluster.local\n", f".:53\nkubernetes cluster.local\n{A}\n"),
    "no braces, no final line break": (".:53\nkubernetes cluster.local", f".:53\nkubernetes cluster.local\n{A}"),
    "no braces, a comment at the end": (
        ".:53\nkubernetes cluster.local # x",
        f".:53\nkubernetes cluster.local # x\n{A}",
    ),
    "no braces, carriage returns": (
        ".:53\r\nkubernetes cluster.local\r\n",
        f".:53\r\nkubernetes cluster.local\r\n{A}\r\n",
    ),
    "no braces, carriage returns, no end": (
        ".:53\r\nkubernetes cluster.local",
        f".:53\r\nkubernetes cluster.local\r\n{A}",
    ),
    "no braces, a stray carriage return": (
        ".:53\nkubernetes cluster.local\r",
        f".:53\nkubernetes cluster.local\r\r\n{A}",
    ),
    "no braces, an import at the end": (
        "import x\n.:53\nkubernetes cluster.local\nimport y",
        f"import x\n.:53\nkubernetes cluster.local\nimport y\n{A}",
    ),
    "several that answer the root: the one with kubernetes": (
        ".:53 {\n kubernetes cluster.local\n}\n.:54 {\n errors\n}\n",
        f".:53 {{\n kubernetes cluster.local\n{A}\n}}\n.:54 {{\n errors\n}}\n",
    ),
    "several with kubernetes: all of them": (
        ".:53 {\n kubernetes cluster.local\n}\n.:54 {\n kubernetes cluster.local\n}\n",
        f".:53 {{\n kubernetes cluster.local\n{A}\n}}\n.:54 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "kubernetes from a snippet of a snippet that imports itself": (
        "(a) {\n import b\n}\n(b) {\n import a\n kubernetes cluster.local\n}\n. {\n import a\n}\n",
        f"(a) {{\n import b\n}}\n(b) {{\n import a\n kubernetes cluster.local\n}}\n. {{\n import a\n{A}\n}}\n",
    ),
    "kubernetes for the cluster's domain": (
        ". {\n kubernetes Cluster.Local. in-addr.arpa {\n}\n}\n",
        f". {{\n kubernetes Cluster.Local. in-addr.arpa {{\n}}\n{A}\n}}\n",
    ),
    "kubernetes twice, the second for the cluster's domain": (
        ". {\n kubernetes corp.internal\n kubernetes cluster.local:53\n}\n",
        f". {{\n kubernetes corp.internal\n kubernetes cluster.local:53\n{A}\n}}\n",
    ),
    "kubernetes for the block's zones": (
        "cluster.local . {\n kubernetes\n}\n",
        f"cluster.local . {{\n kubernetes\n{A}\n}}\n",
    ),
    "a zone from the environment is believed": (
        ". {\n kubernetes {$DOMAIN}\n}\n",
        f". {{\n kubernetes {{$DOMAIN}}\n{A}\n}}\n",
    ),
    "a zone from the environment, the other way": (
        ". {\n kubernetes {%DOMAIN%}\n}\n",
        f". {{\n kubernetes {{%DOMAIN%}}\n{A}\n}}\n",
    ),
    "what is seen wins over what is believed": (
        ".:53 {\n kubernetes {$ZONE}\n}\n.:54 {\n kubernetes cluster.local\n}\n",
        f".:53 {{\n kubernetes {{$ZONE}}\n}}\n.:54 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "several that are believed: all of them": (
        ".:53 {\n kubernetes {$ZONE}\n}\n.:54 {\n kubernetes {%ZONE%}\n}\n",
        f".:53 {{\n kubernetes {{$ZONE}}\n{A}\n}}\n.:54 {{\n kubernetes {{%ZONE%}}\n{A}\n}}\n",
    ),
    "kubernetes from a snippet": (
        "(k) {\n kubernetes cluster.local\n}\n(e) {\n errors\n}\n.:53 {\n import e\n}\n.:54 {\n import k\n}\n",
        f"(k) {{\n kubernetes cluster.local\n}}\n(e) {{\n errors\n}}\n.:53 {{\n import e\n}}\n.:54 {{\n import k\n{A}\n}}\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), BEFORE_AND_AFTER.values(), ids=BEFORE_AND_AFTER)
def test_before_and_after(before: str, after: str) -> None:
    assert render(before, {"a.example.com"}, TO_US) == after
    assert render(after, set(), TO_US) == before


OURS = {
    "tagged": A,
    "tagged and indented otherwise": f"\trewrite  name\ta.example.com {DESTINATION} {TAG}  ",
    "tagged, of another type": f"  rewrite name exact a.example.com {DESTINATION} {TAG}",
    "tagged, for a name that is also a type": f"  rewrite name exact {DESTINATION} {TAG}",
    "tagged, with a mode": f"  rewrite stop name a.example.com {DESTINATION}. {TAG}",
    "tagged, a regular expression": rf"  rewrite stop name regex ^a\.example\.com\.$ {DESTINATION} answer auto {TAG}",
    "tagged, for a name we would not write": f"  rewrite name localhost {DESTINATION} {TAG}",
    "tagged, in capitals": f"  rewrite name a.example.com {DESTINATION.upper()} {TAG}",
    "untagged, as kubeadm upgrade leaves it": f"  rewrite name a.example.com {DESTINATION}",
    "untagged, with another comment": f"  rewrite name a.example.com {DESTINATION} # reprinted",
    "untagged, with a comment that touches": f"  rewrite name a.example.com {DESTINATION}#reprinted",
}


@pytest.mark.parametrize("line", OURS.values(), ids=OURS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_ours_is_removed_and_replaced(line: str, newline: str) -> None:
    text = f".:53 {{\n  kubernetes cluster.local\n{line}\n  cache\n}}\n".replace("\n", newline)
    without = ".:53 {\n  kubernetes cluster.local\n  cache\n}\n".replace("\n", newline)
    assert render(text, (), TO_US) == without
    assert render(text, {"b.example.com"}, TO_US) == without.replace("cache", f"cache{newline}{B}")


NOT_OURS = {
    "tagged for another install": f"  rewrite name a.example.com proxy.other.svc.cluster.local {TAG}",
    "an administrator's rule": "  rewrite name a.example.com b.example.com",
    "not as we write it: a comment among the words": f"  rewrite name#x a.example.com {DESTINATION}",
    "not as we write it: quotes": f'  rewrite name "a.example.com" {DESTINATION}',
    "not as we write it: a mode": f"  rewrite stop name a.example.com {DESTINATION}",
    "not as we write it: a type": f"  rewrite name exact a.example.com {DESTINATION}",
    "not as we write it: for no host that is known": f"  rewrite name suffix .a.example.com {DESTINATION}",
    "not as we write it: a final dot": f"  rewrite name a.example.com {DESTINATION}.",
    "not as we write it: capitals": f"  rewrite name A.example.com {DESTINATION}",
    "not as we write it: a cluster name": f"  rewrite name a.default.svc.cluster.local {DESTINATION}",
    "never written: a single label": f"  rewrite name intranet {DESTINATION}",
    "never written: everybody's names": rf"  rewrite name regex ^[^._][^.]*\.com\.$ {DESTINATION} answer auto",
    "not as we write it: more words": f"  rewrite name a.example.com {DESTINATION} answer auto",
    "another field": f"  rewrite class a.example.com {DESTINATION} {TAG}",
    "another plugin": f"  forward name a.example.com {DESTINATION} {TAG}",
    "another plugin, untagged": f"  forward name a.example.com {DESTINATION}",
    "cut shorter": f"  rewrite name a.example.com {TAG}",
    "cut short": f"  rewrite name {TAG}",
    "shorter still": f"  rewrite {TAG}",
    "a comment": f"  # rewrite name a.example.com {DESTINATION} {TAG}",
    "an argument over two lines": f'  rewrite name "a.example.com\nx" {DESTINATION} {TAG}',
    "inside of another directive": f"  x {{\n rewrite name a.example.com {DESTINATION} {TAG}\n }}",
    "with a block": f"  rewrite name a.example.com {DESTINATION} {{ {TAG}\n }}",
    "the tag is not at the end": f"  rewrite stop name a.example.com {DESTINATION} {TAG} (not)",
}


@pytest.mark.parametrize("line", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_not_ours_stays(line: str) -> None:
    text = f".:53 {{\n  kubernetes cluster.local\n{line}\n  cache\n}}\n"
    assert render(text, (), TO_US) == text
    assert render(text, {"b.example.com"}, TO_US) == text.replace("cache", f"cache\n{B}")


def test_an_untagged_rule_in_another_block_is_an_administrators() -> None:
    theirs = f"  rewrite name a.example.com {DESTINATION}\n"
    text = f"example.com {{\n  kubernetes cluster.local\n{theirs}}}\n(s) {{\n{theirs}}}\n. {{\n  kubernetes cluster.local\n{theirs}}}\n"
    assert render(text, (), TO_US) == text.removesuffix(theirs + "}\n") + "}\n"


def test_a_rule_on_the_line_of_the_brace_is_not_touched() -> None:
    text = f".:53 {{ rewrite name a.example.com {DESTINATION} {TAG}\n}}\n"
    assert render(text, (), TO_US) == text


PASS = "    rewrite stop ttl suffix .cluster.local. 0-4294967295"
SHARED = rf"    rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto"
THEIR_SHARED = SHARED.replace(DESTINATION, "x.y.svc.cluster.local")
UNSORTED = SHARED.replace("[ab]", "[ba]")

PASSING = {
    "along with a packed rule": ([f"{PASS} {TAG}", f"{SHARED} {TAG}"], []),
    "both without the tag": ([PASS, SHARED], []),
    "both with another comment": ([f"{PASS} # reprinted", f"{SHARED} # reprinted"], []),
    "alone": ([f"{PASS} {TAG}"], []),
    "alone, without the tag": ([PASS], [PASS]),
    "before something else": ([f"{PASS} {TAG}", "    log", f"{SHARED} {TAG}"], ["    log"]),
    "before an empty line": ([PASS, "", SHARED], [PASS, ""]),
    "twice": ([PASS, f"{PASS} {TAG}", f"{PASS} {TAG}", f"{SHARED} {TAG}"], [PASS]),
    "before a rule for one host": ([f"{PASS} {TAG}", A], []),
    "without the tag, before a tagged rule": ([PASS, f"{SHARED} {TAG}"], [PASS]),
    "tagged, before a rule without the tag": ([f"{PASS} {TAG}", SHARED], []),
    "before another install's": ([f"{PASS} {TAG}", f"{THEIR_SHARED} {TAG}"],) * 2,
    "without the tag, before another install's": ([PASS, f"{THEIR_SHARED} {TAG}"],) * 2,
    "tagged, before one that may be another install's": ([f"{PASS} {TAG}", THEIR_SHARED], [THEIR_SHARED]),
    "before a rule that we would not write": ([PASS, UNSORTED],) * 2,
    "for another domain": (
        [f"{PASS} {TAG}".replace("cluster", "corp"), f"{SHARED} {TAG}"],
        [f"{PASS} {TAG}".replace("cluster", "corp")],
    ),
    "with other bounds": ([f"{PASS}0 {TAG}", f"{SHARED} {TAG}"], [f"{PASS}0 {TAG}"]),
}


@pytest.mark.parametrize(("lines", "left"), PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("behind", [[], ["    errors"]], ids=["at the end", "before others"])
@pytest.mark.parametrize("hosts", [{"a.example.com"}, {"a.example.com", "b.example.org"}], ids=["one", "two"])
def test_whose_it_is_what_lets_names_pass(
    lines: list[str], left: list[str], behind: list[str], hosts: set[str]
) -> None:
    head = ".:53 {\n    kubernetes cluster.local\n"
    text, bare = (head + "\n".join([*some, *behind, "}\n"]) for some in (lines, left))
    assert render(text, (), TO_US) == bare
    packed = replace(TO_US, form="packed", longest=20, passing_from=2)
    once = render(text, hosts, packed)
    assert render(once, hosts, packed) == once
    assert render(once, (), TO_US) == bare


def test_in_another_block_what_lets_names_pass_is_ours_only_with_its_tag() -> None:
    text = "(s) {\n%s\n}\n.:53 {\n    kubernetes cluster.local\n}\n"
    for lines in ([PASS, SHARED], [PASS, PASS, SHARED]):
        assert render(text % "\n".join(lines), (), TO_US) == text % "\n".join(lines)
    assert render(text % f"{PASS} {TAG}\n    log\n{PASS} {TAG}\n{SHARED} {TAG}", (), TO_US) == text % "    log"


def test_ours_are_removed_from_every_block() -> None:
    assert render(f"(s) {{\n{A}\n}}\nexample.org {{\n{B}\n}}\n", (), TO_US) == "(s) {\n}\nexample.org {\n}\n"


def test_the_rules_of_v0_2_1_stand_first_and_move_to_the_end() -> None:
    before = KUBEADM.replace(".:53 {\n", f".:53 {{\n{B}\n{A}\n")
    assert render(before, {"a.example.com", "b.example.com"}, TO_US) == KUBEADM.replace("}\n", "}\n").replace(
        "    loadbalance\n", f"    loadbalance\n{A}\n{B}\n"
    )


STRANGER = "rewrite name a.example.com x.y.svc.cluster.local"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{STRANGER} {TAG}", {STRANGER: "x.y.svc.cluster.local"}),
        (f"rewrite stop name exact A.example.com X.y. {TAG}", {"rewrite stop name exact A.example.com X.y.": "x.y"}),
        (
            f"{STRANGER} {TAG}\n{A}\nrewrite name b c {TAG}",
            {STRANGER: "x.y.svc.cluster.local", "rewrite name b c": "c"},
        ),
        (A, {}),
        (f"{STRANGER} # {TAG} not", {}),
        (STRANGER, {}),
        (f"errors {TAG}", {}),
    ],
)
def test_strangers(line: str, said: dict[str, str]) -> None:
    assert read(f".:53 {{\n{line}\n}}\n", OURS_ALONE).strangers == said
    assert read_file(f"{line}\n", OURS_ALONE).strangers == said


def test_what_is_adopted_is_no_stranger() -> None:
    text = f".:53 {{\n{STRANGER} {TAG}\nrewrite name b.example.com c.d.svc.cluster.local {TAG}\n}}\n"
    assert read(text, OURS_ALONE | {"x.y.svc.cluster.local"}).strangers == {
        "rewrite name b.example.com c.d.svc.cluster.local": "c.d.svc.cluster.local"
    }


REFUSED = {
    "no block for the root": ("example.org {\n}\n", "Corefile:1: no server block answers '.'"),
    "nothing at all": ("", "Corefile:1: no server block answers '.'"),
    "no space before the brace": (".:53{\n}\n", "Corefile:2: a '}' that closes nothing"),
    "several roots, none with kubernetes": (
        "\n.:53 {\n}\n.:54 {\n}\n",
        "Corefile:2: none of the 2 server blocks that answer '.' has",
    ),
    "an import of files that are not seen": (
        ". {\n import x\n}\n",
        "Corefile:1: the server block that answers '.' has no kubernetes plugin",
    ),
    "no kubernetes plugin": (
        ". {\n forward . 192.0.2.1\n}\n",
        "Corefile:1: the server block that answers '.' has no kube",
    ),
    "kubernetes is in another block": (
        "cluster.local {\n kubernetes cluster.local\n}\n. {\n errors\n}\n",
        "Corefile:4: the server block that answers '.' has no kubernetes plugin",
    ),
    "kubernetes for the root only": (
        ". {\n kubernetes\n kubernetes . local\n}\n",
        "Corefile:1: the server block that answers '.' has no kubernetes plugin",
    ),
    "kubernetes for another domain": (
        ". {\n kubernetes corp.internal not-cluster.local {\n x cluster.local\n}\n}\n",
        f"Corefile:1: the server block that answers '.' has no kubernetes plugin for a zone that holds {DESTINATION}",
    ),
    "kubernetes for other namespaces": (
        ". {\n kubernetes cluster.local {\n namespaces default\n}\n}\n",
        "Corefile:1: the server block that answers '.' has no kubernetes plugin",
    ),
    "kubernetes for other namespaces, on the line of the brace": (
        ". {\n kubernetes cluster.local { namespaces default\n}\n}\n",
        "Corefile:1: the server block that answers '.' has no kubernetes plugin",
    ),
    "kubernetes for other namespaces, by a snippet": (
        "(o) {\n namespaces default\n}\n(p) {\n import o\n}\n. {\n kubernetes cluster.local {\n import p\n}\n}\n",
        "Corefile:7: the server block that answers '.' has no kubernetes plugin",
    ),
    "kubernetes with options that are not seen": (
        ". {\n kubernetes cluster.local {\n import x\n}\n}\n",
        "Corefile:1: the server block that answers '.' has no kubernetes plugin",
    ),
    "the line is that of the whole text": (
        f"example.org {{\n{A}\n{B}\n}}\n\n.:53 {{\n}}\n",
        "Corefile:6: the server block that answers '.' has no kubernetes plugin",
    ),
    "never closed": ("\n.:53 {\n errors\n", "Corefile:2: the server block that is opened here is never closed"),
    "closed by accident": (".:53 {\n a {\n }\n", "Corefile:1: the server block that is opened here is never closed"),
    "a directive is never closed": (".:53 {\n a {\n", "Corefile:2: the '{' of a is never closed"),
    "a brace after an argument": (".:53 {\n a }\n", "Corefile:2: a '}' without a '{' before it"),
    "a quote is never closed": ('.:53 {\n a\n}\n"x', "Corefile:4: a quote is opened here and never closed"),
    "a comma with nothing behind it": (".:53,", "Corefile:1: another address is expected after the comma"),
    "a comma before the brace": (".:53, {\n}\n", "Corefile:1: another address is expected after the comma"),
    "a block without an address": ("{\n}\n", "Corefile:1: a '{' without an address before it"),
    "a snippet twice": ("(s) {\n}\n(s) {\n}\n", "Corefile:3: the snippet (s) is there already"),
    "import of nothing": (".:53 {\n import\n}\n", "Corefile:2: import takes one argument"),
    "import of an empty name": ('.:53 {\n import ""\n}\n', "Corefile:2: import takes one argument"),
    "import of two": ("import a b\n.:53 {\n}\n", "Corefile:1: import takes one argument"),
}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (".:53 { }\n", "Corefile:1: the '}' of the server block has no line to itself"),
        ("example.org,\n.:53\n{ }\n", "Corefile:3: the '}' of the server block has no line to itself"),
        (".:53 }\n", "Corefile:1: a '}' stands among the addresses"),
    ],
)
def test_a_block_that_has_no_place_for_a_rule_is_refused_by_who_is_lenient_too(text: str, problem: str) -> None:
    with pytest.raises(CorefileError) as error:
        render(text, {"a.example.com"}, TO_US, homes=lambda blocks, _: only_root(blocks))
    assert str(error.value).startswith(problem)
    assert render(text, (), TO_US) == text


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(CorefileError) as error:
        render(text, {"a.example.com"}, TO_US)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "newline"), [(". \nkubernetes cluster.local", "\n"), (".\r\nkubernetes cluster.local", "\r\n")]
)
def test_several_rules_at_the_end_of_a_file_without_a_final_line_break(text: str, newline: str) -> None:
    after = render(text, {"a.example.com", "b.example.com"}, TO_US)
    assert after == text + newline + A + newline + B
    assert render(after, (), TO_US) == text


def test_a_destination_that_is_no_service_lies_in_the_zone() -> None:
    text = ". {\n kubernetes . example.org\n}\n"
    assert "rewrite name a.example.com proxy.example.org" in render(
        text, {"a.example.com"}, Writing("proxy.example.org")
    )
    with pytest.raises(CorefileError, match="has no kubernetes plugin for a zone that holds proxy.example.net"):
        render(text, {"a.example.com"}, Writing("proxy.example.net"))


def test_without_hosts_no_place_for_them_is_needed() -> None:
    assert render("example.org {\n}\n", set(), TO_US) == "example.org {\n}\n"


@pytest.mark.parametrize("text", [". {\n}\n", ".:53 {\n}\n.:54 {\n}\n", "example.org {\n}\n"])
def test_only_one_root_without_kubernetes_is_a_case_by_itself(text: str) -> None:
    with pytest.raises(CorefileError) as error:
        render(text, {"a.example.com"}, TO_US)
    assert isinstance(error.value, NoKubernetesError) is (text == ". {\n}\n")


# ---- imported files


FILES: Files = {
    "custom/*": {"a": "errors\n", "b": "# none\n(not) a snippet\nimport more/x"},
    "more/x": {"x": "kubernetes cluster.local\n"},
    "round": {"round": "import round\n"},
    "environment": {"c": "kubernetes {$ZONE}\n"},
}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (". {\n import more/x\n}\n", f". {{\n import more/x\n{A}\n}}\n"),
        (". {\n import custom/*\n}\n", f". {{\n import custom/*\n{A}\n}}\n"),
        (
            "(s) {\n import custom/*\n}\n. {\n import s\n}\n",
            f"(s) {{\n import custom/*\n}}\n. {{\n import s\n{A}\n}}\n",
        ),
        (". {\n import round\n import more/x\n}\n", f". {{\n import round\n import more/x\n{A}\n}}\n"),
        (". {\n import environment\n}\n", f". {{\n import environment\n{A}\n}}\n"),
        (
            ".:53 {\n import environment\n}\n.:54 {\n import more/x\n}\n",
            f".:53 {{\n import environment\n}}\n.:54 {{\n import more/x\n{A}\n}}\n",
        ),
    ],
)
def test_kubernetes_from_an_imported_file_that_is_seen(before: str, after: str) -> None:
    found = partial(homes, files=FILES)
    assert render(before, {"a.example.com"}, TO_US, homes=found) == after
    with pytest.raises(CorefileError, match="has no kubernetes plugin|none of the 2"):
        render(before, {"a.example.com"}, TO_US)


def test_a_problem_in_an_imported_file_bears_its_name() -> None:
    found = partial(homes, files={"x/*": {"good": "errors", "bad.override": "errors\n}\n"}})
    with pytest.raises(CorefileError, match="^bad.override:2: a '}' that closes nothing$"):
        render(". {\n import x/*\n}\n", {"a.example.com"}, TO_US, homes=found)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (". {\n kubernetes cluster.local\n}\n", True),
        (". {\n kubernetes {$ZONE}\n}\n", True),
        (".:53 {\n errors\n}\n.:54 {\n kubernetes cluster.local\n}\n", True),
        (". {\n kubernetes corp.internal\n}\n", False),
        ("cluster.local {\n kubernetes cluster.local\n}\n", False),
        ("", False),
    ],
)
def test_whether_any_block_may_know_a_name(text: str, answer: bool) -> None:
    assert answers(parse(text), DESTINATION, {}) is answer


RULE_A, RULE_B = A.strip(), B.strip()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{RULE_A}\n{RULE_B}\n"),
        ("log\n", f"log\n{RULE_A}\n{RULE_B}\n"),
        ("log", f"log\n{RULE_A}\n{RULE_B}"),
        ("# only a comment", f"# only a comment\n{RULE_A}\n{RULE_B}"),
        ("log\r\nerrors\r\n", f"log\r\nerrors\r\n{RULE_A}\r\n{RULE_B}\r\n"),
        ("log {\n class error\n}\n\n", f"log {{\n class error\n}}\n\n{RULE_A}\n{RULE_B}\n"),
    ],
)
def test_an_imported_file_before_and_after(before: str, after: str) -> None:
    hosts = frozenset({"b.example.com", "a.example.com"})
    assert render_file(before, hosts, TO_US) == after
    assert render_file(after, hosts, TO_US) == after
    taken_apart, untouched = read_file(after, OURS_ALONE), read_file(before, OURS_ALONE)
    assert (taken_apart.bare, taken_apart.hosts) == (before, hosts)
    assert (untouched.bare, untouched.hosts) == (before, frozenset())


def test_in_an_imported_file_a_rule_without_the_tag_is_ours_too() -> None:
    text = f"log\nrewrite name a.example.com {DESTINATION}\nrewrite name b.example.com c.example.com\n"
    assert read_file(text, OURS_ALONE).bare == "log\nrewrite name b.example.com c.example.com\n"


@pytest.mark.parametrize("text", ["}\n", "log {\n", '"', "import a b"])
def test_an_imported_file_that_cannot_be_read(text: str) -> None:
    with pytest.raises(CorefileError, match="^import:1: "):
        render_file(text, {"a.example.com"}, TO_US)


# ---- whose rules stand there


def test_the_hosts_that_have_a_rule() -> None:
    text = f"""\
(s) {{
  rewrite name snippet.example.com {DESTINATION} {TAG}
}}
.:53 {{
  kubernetes cluster.local
  rewrite name untagged.example.com {DESTINATION}
  rewrite stop name exact Stop.example.com. {DESTINATION.upper()}. {TAG}
  rewrite name theirs.example.com x.example.com
  rewrite name other.example.com x.y.svc.cluster.local {TAG}
{A}
}}
"""
    ours = {"snippet.example.com", "untagged.example.com", "stop.example.com", "a.example.com"}
    assert read(text, OURS_ALONE).hosts == ours
    assert read(text, OURS_ALONE | {"x.y.svc.cluster.local"}).hosts == {*ours, "other.example.com"}
    assert read(KUBEADM, OURS_ALONE).hosts == set()


def test_what_is_left_without_our_rules_knows_on_which_lines_of_the_whole_text_it_stands() -> None:
    bare = "(s) {\n import x\n}\n.:53 {\n kubernetes cluster.local\n errors\n}\n"
    text = bare.replace(" import", f"{A}\n import").replace(" errors", f"{B}\n{A}\n errors")
    found = read(text, OURS_ALONE)
    assert (found.bare, [[each.words[0] for each in block.directives] for block in found.blocks]) == (
        bare,
        [["import"], ["kubernetes", "errors"]],
    )
    assert [each.tokens[0].line for block in found.blocks for each in block.directives] == [3, 6, 9]
    assert read(bare, OURS_ALONE).blocks == tuple(parse(bare))


@pytest.mark.parametrize("tag", ["", f" {TAG}"])
def test_what_is_adopted_is_removed_and_replaced(tag: str) -> None:
    old = "hairpin-proxy.old.svc.cluster.local"
    theirs = f"    rewrite name a.example.com {old}{tag}\n"
    text = KUBEADM.replace("    cache 30\n", f"    cache 30\n{theirs}")
    assert render(text, {"a.example.com"}, Writing(DESTINATION, (old,))) == render(KUBEADM, {"a.example.com"}, TO_US)
    assert render(text, (), Writing(DESTINATION, (old,))) == KUBEADM
    assert render(text, (), TO_US) == text
    assert render_file(f"log\n{theirs}", {"b.example.com"}, Writing(DESTINATION, (old,))) == f"log\n{RULE_B}\n"
    assert read_file(theirs, OURS_ALONE | {old}).hosts == {"a.example.com"}


def test_our_rules_go_behind_those_of_another_install_and_stay_before_what_comes_later() -> None:
    theirs, later = rule("a.example.com", "x.other.svc.cluster.local"), rule("b.example.com", "a.new.svc.cluster.local")
    text = KUBEADM.replace("    loadbalance\n}\n", f"    loadbalance\n{theirs}\n}}\n")
    once = render(text, {"a.example.com"}, TO_US)
    assert once == text.replace(f"{theirs}\n", f"{theirs}\n{A}\n")
    then = once.replace(f"{A}\n", f"{A}\n{later}\n")
    assert render(then, {"a.example.com"}, TO_US) == then
    assert render(then, {"b.example.com"}, TO_US) == then.replace(A, B)
    own = then.replace(f"{later}\n", f"{later}\n    errors\n")
    assert render(own, {"a.example.com"}, TO_US).endswith(f"{later}\n    errors\n{A}\n}}\n")


SECOND = "hairpin-proxy.second.svc.cluster.local"
WILD = {destination: written({"*.example.com"}, Writing(destination))[0] for destination in (DESTINATION, SECOND)}
THEIRS = rule("c.example.org", SECOND)


@pytest.mark.parametrize(
    ("theirs", "after"),
    [
        ([f"    {WILD[SECOND]}"], [A, f"    {WILD[SECOND]}", f"    {WILD[DESTINATION]}"]),
        ([THEIRS, f"    {WILD[SECOND]}"], [THEIRS, A, f"    {WILD[SECOND]}", f"    {WILD[DESTINATION]}"]),
        ([f"    {WILD[SECOND]}", THEIRS], [A, f"    {WILD[SECOND]}", THEIRS, f"    {WILD[DESTINATION]}"]),
        ([f"    {WILD[SECOND]}", "    errors"], [f"    {WILD[SECOND]}", "    errors", A, f"    {WILD[DESTINATION]}"]),
    ],
    ids=["alone", "behind an exact one", "before an exact one", "not at the end"],
)
@pytest.mark.parametrize("braces", [True, False])
def test_exact_hosts_stand_before_another_installs_wildcard(theirs: list[str], after: list[str], braces: bool) -> None:
    head, foot = (
        (".:53 {\n    kubernetes cluster.local\n", "\n}\n") if braces else (".\n    kubernetes cluster.local\n", "")
    )
    text = head + "\n".join(theirs) + foot
    found = render(text, {"a.example.com", "*.example.com"}, TO_US)
    assert found == head + "\n".join(after) + foot
    assert render(found, {"a.example.com", "*.example.com"}, TO_US) == found
    assert render(found, (), TO_US) == text


@pytest.mark.parametrize(
    "hosts", [{"a.example.com", "b.example.com"}, {"a.example.com", "*.example.com"}, {"*.example.com"}]
)
@pytest.mark.parametrize(
    "others", [{"a.example.com"}, {"b.example.com", "*.example.com"}, {"*.example.com", "*.example.org"}]
)
def test_two_installs_in_one_corefile_come_to_rest(hosts: set[str], others: set[str]) -> None:
    """Or each would undo what the other wrote, and CoreDNS reload, with every poll."""
    for start in ({DESTINATION: hosts, SECOND: others}, {SECOND: others, DESTINATION: hosts}):
        text, changes = KUBEADM, 0
        for destination, wanted in [*start.items()] * 4:
            before, text = text, render(text, wanted, Writing(destination))
            changes += before != text
        assert changes <= 3
        assert text == before
        assert read(text, OURS_ALONE).hosts == hosts
        assert read(text, frozenset({SECOND})).hosts == others


def test_a_line_with_our_tag_that_is_no_rule_does_not_stay_behind_ours() -> None:
    text = f".:53 {{\n    kubernetes cluster.local\n{A}\n    log {TAG}\n}}\n"
    assert render(text, {"a.example.com"}, TO_US) == (
        f".:53 {{\n    kubernetes cluster.local\n    log {TAG}\n{A}\n}}\n"
    )


def test_an_exact_host_that_stood_behind_another_installs_wildcard_moves_once() -> None:
    text = f".:53 {{\n    kubernetes cluster.local\n    {WILD[SECOND]}\n{A}\n}}\n"
    moved = render(text, {"a.example.com"}, TO_US)
    assert moved == f".:53 {{\n    kubernetes cluster.local\n{A}\n    {WILD[SECOND]}\n}}\n"
    assert render(moved, {"*.example.com"}, Writing(SECOND)) == moved
    assert render(moved, {"a.example.com"}, TO_US) == moved
