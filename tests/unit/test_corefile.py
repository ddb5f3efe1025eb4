"""Corefiles before and after: what is added where, what is ours, and what is refused."""

import pytest

from hairpin_proxy.corefile import CorefileError, TooLargeError, reloads, remove, render, render_within, strangers
from hairpin_proxy.corefile.lexer import Token, tokens
from tests.corefiles import DESTINATION, KUBEADM, TAG, rule

A, B = rule("a.example.com"), rule("b.example.com")


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
    after = render(KUBEADM, {"b.example.com", "a.example.com"}, DESTINATION)
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
    "an import inside": (".:53 {\n import x\n}\n", f".:53 {{\n import x\n{A}\n}}\n"),
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
    "no braces, imports only": ("import x\n.:53\nimport y", f"import x\n.:53\nimport y\n{A}"),
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
    "an import of files is believed": (". {\n import x\n}\n", f". {{\n import x\n{A}\n}}\n"),
    "what is seen wins over what is believed": (
        ".:53 {\n import x\n}\n.:54 {\n kubernetes cluster.local\n}\n",
        f".:53 {{\n import x\n}}\n.:54 {{\n kubernetes cluster.local\n{A}\n}}\n",
    ),
    "kubernetes from a snippet": (
        "(k) {\n kubernetes cluster.local\n}\n(e) {\n errors\n}\n.:53 {\n import e\n}\n.:54 {\n import k\n}\n",
        f"(k) {{\n kubernetes cluster.local\n}}\n(e) {{\n errors\n}}\n.:53 {{\n import e\n}}\n.:54 {{\n import k\n{A}\n}}\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), BEFORE_AND_AFTER.values(), ids=BEFORE_AND_AFTER)
def test_before_and_after(before: str, after: str) -> None:
    assert render(before, {"a.example.com"}, DESTINATION) == after
    assert render(after, set(), DESTINATION) == before


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
    assert remove(text, DESTINATION) == without
    assert render(text, {"b.example.com"}, DESTINATION) == without.replace("cache", f"cache{newline}{B}")


NOT_OURS = {
    "tagged for another install": f"  rewrite name a.example.com proxy.other.svc.cluster.local {TAG}",
    "an administrator's rule": "  rewrite name a.example.com b.example.com",
    "not as we write it: a mode": f"  rewrite stop name a.example.com {DESTINATION}",
    "not as we write it: a type": f"  rewrite name exact a.example.com {DESTINATION}",
    "not as we write it: a final dot": f"  rewrite name a.example.com {DESTINATION}.",
    "not as we write it: capitals": f"  rewrite name A.example.com {DESTINATION}",
    "not as we write it: a cluster name": f"  rewrite name a.default.svc.cluster.local {DESTINATION}",
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
    assert remove(text, DESTINATION) == text
    assert render(text, {"b.example.com"}, DESTINATION) == text.replace("cache", f"cache\n{B}")


def test_an_untagged_rule_in_another_block_is_an_administrators() -> None:
    theirs = f"  rewrite name a.example.com {DESTINATION}\n"
    text = f"example.com {{\n  kubernetes cluster.local\n{theirs}}}\n(s) {{\n{theirs}}}\n. {{\n  kubernetes cluster.local\n{theirs}}}\n"
    assert remove(text, DESTINATION) == text.removesuffix(theirs + "}\n") + "}\n"


def test_a_rule_on_the_line_of_the_brace_is_not_touched() -> None:
    text = f".:53 {{ rewrite name a.example.com {DESTINATION} {TAG}\n}}\n"
    assert remove(text, DESTINATION) == text


def test_ours_are_removed_from_every_block() -> None:
    assert remove(f"(s) {{\n{A}\n}}\nexample.org {{\n{B}\n}}\n", DESTINATION) == "(s) {\n}\nexample.org {\n}\n"


def test_the_rules_of_v0_2_1_stand_first_and_move_to_the_end() -> None:
    before = KUBEADM.replace(".:53 {\n", f".:53 {{\n{B}\n{A}\n")
    assert render(before, {"a.example.com", "b.example.com"}, DESTINATION) == KUBEADM.replace("}\n", "}\n").replace(
        "    loadbalance\n", f"    loadbalance\n{A}\n{B}\n"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            f"rewrite name a.example.com x.y.svc.cluster.local {TAG}",
            ["rewrite name a.example.com x.y.svc.cluster.local"],
        ),
        (A, []),
        (f"rewrite name a.example.com x.y.svc.cluster.local # {TAG} not", []),
        (f"errors {TAG}", []),
    ],
)
def test_strangers(line: str, said: list[str]) -> None:
    assert strangers(f".:53 {{\n{line}\n}}\n", DESTINATION) == said


REFUSED = {
    "no block for the root": ("example.org {\n}\n", "Corefile:1: no server block answers '.'"),
    "nothing at all": ("", "Corefile:1: no server block answers '.'"),
    "no space before the brace": (".:53{\n}\n", "Corefile:2: a '}' that closes nothing"),
    "several roots, none with kubernetes": (
        "\n.:53 {\n}\n.:54 {\n}\n",
        "Corefile:2: the server block that answers '.' has no",
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


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(CorefileError) as error:
        render(text, {"a.example.com"}, DESTINATION)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("text", "newline"), [(". \nkubernetes cluster.local", "\n"), (".\r\nkubernetes cluster.local", "\r\n")]
)
def test_several_rules_at_the_end_of_a_file_without_a_final_line_break(text: str, newline: str) -> None:
    after = render(text, {"a.example.com", "b.example.com"}, DESTINATION)
    assert after == text + newline + A + newline + B
    assert remove(after, DESTINATION) == text


def test_a_destination_that_is_no_service_lies_in_the_zone() -> None:
    text = ". {\n kubernetes . example.org\n}\n"
    assert "rewrite name a.example.com proxy.example.org" in render(text, {"a.example.com"}, "proxy.example.org")
    with pytest.raises(CorefileError, match="has no kubernetes plugin for a zone that holds proxy.example.net"):
        render(text, {"a.example.com"}, "proxy.example.net")


def test_without_hosts_no_place_for_them_is_needed() -> None:
    assert render_within("example.org {\n}\n", set(), DESTINATION, 100) == "example.org {\n}\n"
    assert render("example.org {\n}\n", set(), DESTINATION) == "example.org {\n}\n"


def test_the_size_limit_is_in_bytes_and_inclusive() -> None:
    hosts = {f"{number}.example.com" for number in range(10, 20)}
    text = "# é\n.:53 {\n kubernetes cluster.local\n}\n"
    size = len(render(text, hosts, DESTINATION).encode())
    assert render_within(text, hosts, DESTINATION, size) == render(text, hosts, DESTINATION)
    with pytest.raises(
        TooLargeError, match=rf"10 hosts make a Corefile of {size} bytes, and {size - 1} .*: 9 hosts fit"
    ):
        render_within(text, hosts, DESTINATION, size - 1)


def test_what_stands_already_does_not_count_twice_against_the_limit() -> None:
    hosts = {f"{number}.example.com" for number in range(10, 20)}
    text = render(KUBEADM, {"old.example.com", *hosts}, DESTINATION)
    line = len(rule("10.example.com")) + 1
    limit = len(KUBEADM) + 4 * line
    with pytest.raises(TooLargeError, match="10 hosts make .*: 4 hosts fit; nothing was written"):
        render_within(text, hosts, DESTINATION, limit)
    with pytest.raises(TooLargeError, match=": 3 hosts fit"):
        render_within(text, hosts, DESTINATION, limit - 1)


def test_a_corefile_that_is_too_large_by_itself_fits_no_host() -> None:
    with pytest.raises(TooLargeError, match=": 0 hosts fit"):
        render_within(KUBEADM, {"a.example.com"}, DESTINATION, 10)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (".:53 {\n    reload 10s\n}\n", True),
        (".:53 {\n    errors\n    # reload\n}\n", False),
        ("(common) {\n    reload\n}\n. {\n    import common\n}\n", True),
        (". {\n    import /etc/coredns/custom/*.override\n}\n", True),
    ],
)
def test_whether_coredns_reads_a_change_by_itself(text: str, answer: bool) -> None:
    assert reloads(text) is answer
