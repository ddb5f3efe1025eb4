"""Many hosts in few rules: what an expression matches, what is read back from it, and how hosts are shared out."""

import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from hairpin_proxy import hosts
from hairpin_proxy.corefile import packing, read, render, rules
from hairpin_proxy.corefile.blocks import parse_file
from hairpin_proxy.corefile.render import Writing
from tests.corefiles import DESTINATION, KUBEADM, TAG, written

LONGEST_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])


def prefixes(name: str) -> list[str]:
    """All names that this one begins with."""
    return [name[:end] for end in range(1, len(name) + 1) if is_host(name[:end])]


def is_host(name: str) -> bool:
    try:
        return hosts.normal(name) == name
    except ValueError:
        return False


# ---- a reader of expressions that shares nothing with the one that is tested

Item = Any
"""A set of characters of which one comes, or a choice of sequences with whether it may be left out."""


def walked(expression: str) -> list[Item]:
    """The items between `^` and the final dot. Raises AssertionError for anything that is not of the syntax we use."""
    assert expression.startswith("^")
    assert expression.endswith(r"\.$")
    (sequence,), rest = _choice(expression[1:-3])
    assert not rest
    return sequence


def _choice(text: str) -> tuple[list[list[Item]], str]:
    sequences: list[list[Item]] = [[]]
    while text and not text.startswith(")"):
        if text.startswith("(?:"):
            choice, text = _choice(text[3:])
            assert text.startswith(")")
            optional = text.startswith(")?")
            text = text[2 if optional else 1 :]
            sequences[-1].append((choice, optional))
        elif text.startswith("|"):
            sequences.append([])
            text = text[1:]
        else:
            found = re.match(r"\\\.|[a-z0-9-]|\[-?[a-z0-9]+\]", text)
            assert found, text
            sequences[-1].append(frozenset(found[0].strip("\\[]")))
            text = text[found.end() :]
    return sequences, text


def language(sequence: Sequence[Item]) -> set[str]:
    """All words that a sequence matches."""
    words = {""}
    for item in sequence:
        if isinstance(item, frozenset):
            parts = set(item)
        else:
            parts = set().union(*map(language, item[0])) | ({""} if item[1] else set())
        words = {word + part for word in words for part in parts}
    return words


def begins_with(sequence: Sequence[Item], behind: frozenset[str]) -> frozenset[str]:
    """The characters that a sequence may begin with, if one of those follows it.

    Raises AssertionError where two ways begin with the same one, so that a matcher would have to try both.
    """
    for item in reversed(sequence):
        if isinstance(item, frozenset):
            behind = item
            continue
        choice, optional = item
        assert all(choice)
        ways = [begins_with(each, behind) for each in choice] + ([behind] if optional else [])
        assert len(frozenset().union(*ways)) == sum(map(len, ways)), choice
        behind = frozenset().union(*ways)
    return behind


# ---- patterns

SETS = {
    "one": ["a.com"],
    "a choice of letters": ["a.com", "b.com", "c.com"],
    "prefixes": ["a.com", "ab.com", "abc.com", "abcd.com"],
    "prefixes across a dot": ["a.co", "a.com", "a.com.br", "a.com.br.x"],
    "a label that another begins with": ["a.b", "a.b-c", "a.b.c", "a-b.c", "ab.c"],
    "hyphens": ["a-1.b", "a--1.b", "a-b.b", "a.b", "1-a.b"],
    "digits": ["0.x", "1.x", "10.x", "100.x", "x1.x"],
    "ends that begin alike": ["a.x.com", "b.x.com", "a.y.com", "b.y.com", "ab.x.com"],
    "the longest labels": [f"{'a' * 63}.x", f"{'a' * 62}b.x", f"{'a' * 62}.x"],
    "the longest names": [LONGEST_NAME, LONGEST_NAME[:-1] + "b", "b" + LONGEST_NAME[1:]],
    "no dot": ["a", "b", "ab"],
    "all that may be in a class": [f"{letter}.x" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"],
    "a hyphen in a class": ["a-1.x", "aa1.x", "a11.x"],
}

_labels = st.one_of(
    st.from_regex(r"[ab1](?:[ab1-]{0,3}[ab1])?", fullmatch=True),
    st.sampled_from(["com", "co", "br", "xn--a", "a" * 63, "a" * 62 + "b", "a" * 62]),
)
_names = st.lists(_labels, min_size=1, max_size=4).map(".".join).filter(is_host)
name_sets = st.one_of(
    st.sets(_names, min_size=1, max_size=30),
    st.tuples(st.sets(_names, max_size=8), _names).map(lambda pair: {*pair[0], *prefixes(pair[1])}),
    st.sets(st.sampled_from(prefixes(LONGEST_NAME)), min_size=1, max_size=60),
)


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_an_expression_stands_for_its_hosts_and_nothing_else(names: list[str]) -> None:
    check_pattern(names)


@given(name_sets)
def test_any_expression_stands_for_its_hosts_and_nothing_else(names: set[str]) -> None:
    check_pattern(names)


def check_pattern(names: Collection[str]) -> None:
    expression = packing.pattern(tuple(sorted(names)))
    assert packing.names(expression) == set(names)
    assert language(walked(expression)) == set(names)
    assert begins_with(walked(expression), frozenset("$")) <= set("abcdefghijklmnopqrstuvwxyz0123456789")
    assert len(expression) >= len(names)


@given(st.sets(_names.filter(lambda name: len(name) < 40), min_size=1, max_size=8))
def test_matchers_agree_on_hosts_and_on_what_is_nearly_one(names: set[str]) -> None:
    expression = packing.pattern(tuple(sorted(names)))
    for search in (re.compile(expression).search, re2.compile(expression).search):
        assert all(search(f"{name}.") for name in names)
        assert not any(search(name) for name in names)
        assert not [miss for name in names for miss in near_misses(name) if miss not in names and search(f"{miss}.")]


def near_misses(name: str) -> Iterator[str]:
    yield from (f"x{name}", f"{name}x", f"x.{name}", f"{name}.x", f"{name}.", f".{name}", f"{name}.cluster.local", "")
    yield from (name.partition(".")[2], name.rpartition(".")[0], f"{name}.\n{name}", f"\n{name}")
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]
        yield from (name[:at] + other + name[at + 1 :] for other in "x.-1")


def test_each_prefix_of_a_name_may_be_a_host() -> None:
    names = prefixes(LONGEST_NAME)
    assert len(names) == 250
    check_pattern(names)
    matches = re2.compile(packing.pattern(tuple(names))).search
    assert [name for name in (LONGEST_NAME[:end] for end in range(254)) if matches(f"{name}.")] == names


@pytest.mark.parametrize(
    ("names", "expression"),
    [
        (["a.example.com"], r"^a\.example\.com\.$"),
        (["a.example.com", "b.example.com"], r"^[ab]\.example\.com\.$"),
        (["a.example.com", "ab.example.com"], r"^a(?:\.example\.com|b\.example\.com)\.$"),
        (["a.example.com", "ab.example.com", "c.example.com"], r"^(?:c|a(?:b)?)\.example\.com\.$"),
        (["a.example.com", "a.example.org"], r"^a\.example\.(?:com|org)\.$"),
        (["a.com", "a.com.br"], r"^a\.com(?:\.br)?\.$"),
        (["a.x.com", "a.y.com", "ab.com"], r"^a(?:b|\.[xy])\.com\.$"),
        (["a.x.com", "bc.x.com", "d.x.com", "e.y.com"], r"^(?:(?:[ad]|bc)\.x\.com|e\.y\.com)\.$"),
    ],
)
def test_how_expressions_are_written(names: list[str], expression: str) -> None:
    assert packing.pattern(tuple(names)) == expression


def test_hosts_that_end_alike_share_their_end() -> None:
    names = [f"{kind}-{number}.team.example.com" for kind in ("shop", "mail") for number in range(100)]
    assert packing.pattern(tuple(sorted(names))).count("team") == 1


# ---- what is no expression of ours

JUNK = {
    "nothing": "",
    "no name": r"^\.$",
    "half": r"^\.",
    "only the end": r"\.$",
    "no start": r"a\.com\.$",
    "no end": r"^a\.com",
    "no final dot": r"^a\.com$",
    "a bare dot": r"^a.com\.$",
    "two starts": r"^^a\.com\.$",
    "two ends": r"^a\.com\.$\.$",
    "a final dot too much": r"^a\.com\.\.$",
    "capitals": r"^A\.com\.$",
    "a wildcard": r"^[^._][^.]*\.com\.$",
    "anything": r"^.*\.$",
    "a range": r"^[a-c]\.com\.$",
    "a class of nothing": r"^[]\.com\.$",
    "a class that is not closed": r"^[ab\.com\.$",
    "a group that is not closed": r"^(?:a|b\.com\.$",
    "a group that is not opened": r"^a|b)\.com\.$",
    "a group that captures": r"^(a|b)\.com\.$",
    "groups of nothing": rf"^a{'(?:)' * 2000}\.com\.$",
    "a group of nothing, or nothing": r"^a(?:|)?\.com\.$",
    "a question mark alone": r"^ab?\.com\.$",
    "a repetition": r"^(?:a|b)+\.com\.$",
    "a label that ends in a hyphen": r"^a-\.com\.$",
    "an empty label": r"^a\.\.com\.$",
    "an empty alternative": r"^(?:|a)\.\.$",
    "an address": r"^10\.0\.0\.1\.$",
    "a line break": "^a\\.com\\.$\n",
    "letters outside of ASCII": r"^ä\.com\.$",
    "a word that is too long": rf"^{'a.' * 130}com\.$".replace(".", r"\."),
    "a product too large": rf"^{'(?:a|b)' * 60}\.com\.$",
    "a product too large, of classes": rf"^{'[abcdefghij]' * 9}\.com\.$",
    "a product too large, of what may be left out": rf"^{'(?:a)?' * 60}b\.com\.$",
    "a product too large, again and again": rf"^{'|'.join(['(?:a|b)' * 13] * 90)}\.$",
    "a product that is carried along": rf"^{'(?:a|b)' * 13}{'(?:a)' * 1900}\.$",
    "groups in groups": rf"^{'(?:' * 400}a{')' * 400}\.com\.$",
    "groups in groups, never closed": "^" + "(?:" * 3000,
    "brackets": "(" * 10_000,
    "brackets between": rf"^{'(' * 10_000}\.$",
    "closing brackets": rf"^{')' * 10_000}\.$",
    "bars": rf"^{'|' * 10_000}\.$",
    "letters": rf"^{'a' * 10_000}\.$",
    "letters and bars": rf"^{'a.|' * 3000}\.$",
    "backslashes": "\\" * 10_000,
    "NUL": "^a\0\\.com\\.$",
}


@pytest.mark.parametrize("expression", JUNK.values(), ids=JUNK)
def test_of_what_is_no_expression_of_ours_there_are_no_hosts(expression: str) -> None:
    start = time.process_time()
    assert packing.names(expression) == frozenset()
    assert time.process_time() - start < 1


@given(st.text() | st.text(r"^$\.()?:|[]ab-1*+", max_size=60).map(lambda text: rf"^{text}\.$"))
def test_reading_an_expression_never_fails(expression: str) -> None:
    assert all(is_host(name) for name in packing.names(expression))


@given(name_sets, st.data())
def test_an_expression_with_a_character_more_or_less_stands_for_what_it_matches(
    names: set[str], data: st.DataObject
) -> None:
    expression = packing.pattern(tuple(sorted(names)))
    at = data.draw(st.integers(0, len(expression)))
    other = data.draw(st.sampled_from(["", *r"^$\.()?:|[]ab-1"]))
    changed = expression[:at] + other + expression[at + data.draw(st.integers(0, 1)) :]
    found = packing.names(changed)
    if found:
        matches = re2.compile(changed).search
        assert all(matches(f"{name}.") for name in found)


# ---- shared out


def firsts(packs: Sequence[tuple[str, ...]]) -> set[str]:
    return {pack[0] for pack in packs}


def check_packs(packs: Sequence[tuple[str, ...]], wanted: Collection[str], longest: int) -> None:
    assert [name for pack in packs for name in pack] == sorted(wanted)
    assert all(packs) or not wanted
    assert all(len(packing.pattern(pack)) <= longest or len(pack) == 1 for pack in packs)
    for one, other in pairwise(packs):
        assert len(packing.pattern(one)) + len(packing.pattern(other)) > longest * 3 // 4


@given(name_sets, st.sets(_names, max_size=10), st.sampled_from([30, 60, 100, 400, 9_900]))
def test_hosts_are_shared_out_and_stay_where_they_are(names: set[str], edges: set[str], longest: int) -> None:
    found = packing.packs(names, edges, longest)
    check_packs(found, names, longest)
    assert packing.packs(names, firsts(found), longest) == found


def test_hosts_are_shared_out_evenly_and_with_room_for_more() -> None:
    names = [f"{number * 7919 % 10**6}.team{number % 9}.example.com" for number in range(10_000)]
    packs = packing.packs(names, ())
    sizes = [len(pack) for pack in packs]
    assert len(sizes) > 1
    assert max(sizes) - min(sizes) <= len(sizes)
    assert max(len(packing.pattern(pack)) for pack in packs) < packing.LONGEST * 19 // 20


def test_one_host_has_a_rule_of_its_own_however_long_it_is() -> None:
    assert packing.packs([LONGEST_NAME], (), 60) == [(LONGEST_NAME,)]


def some_host(rng: random.Random) -> str:
    end = rng.choice(["example.com", "example.org", "shop.example.com", "a.b.c.internal.corp", "x.io"])
    return f"{rng.choice(['api', 'www', 'shop-', 'a', 'b', ''])}{rng.randrange(3000)}.{end}"


def around(packs: Sequence[tuple[str, ...]], gone: Collection[tuple[str, ...]]) -> bool:
    """Whether these of the packs stand side by side."""
    places = [place for place, pack in enumerate(packs) if pack in gone]
    return not places or places[-1] - places[0] == len(places) - 1


@pytest.mark.parametrize("sizes", [(400, 400), (50, 800), (800, 50)], ids=["as many", "more and more", "ever fewer"])
def test_a_host_more_or_less_changes_one_rule(sizes: tuple[int, int]) -> None:
    rng, longest = random.Random(1), 400
    wanted: set[str] = set()
    while len(wanted) < sizes[0]:
        wanted.add(some_host(rng))
    packs = packing.packs(wanted, (), longest)
    for step in range(2000):
        target = sizes[0] + (sizes[1] - sizes[0]) * step // 2000
        grows = len(wanted) < target + rng.randrange(-3, 4)
        host = some_host(rng) if grows else rng.choice(sorted(wanted))
        wanted ^= {host}
        before, packs = packs, packing.packs(wanted, firsts(packs), longest)
        check_packs(packs, wanted, longest)
        gone, new = set(before) - set(packs), set(packs) - set(before)
        assert (len(gone), len(new)) in {(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (0, 1), (1, 0), (2, 2)}
        assert around(before, gone)
        assert around(packs, new)
        assert {name for pack in gone for name in pack} ^ {name for pack in new for name in pack} == {host}
    assert len(packs) <= 2.2 * len(packing.packs(wanted, (), longest))


# ---- rules


def test_the_rules_that_hosts_share() -> None:
    assert rules.packed(("a.example.com", "b.example.com"), DESTINATION) == (
        r"rewrite stop name regex ^[ab]\.example\.com\.$ hairpin-proxy.hairpin-proxy.svc.cluster.local. answer auto "
        "# Added by hairpin-proxy"
    )
    assert rules.passing(DESTINATION) == (
        "rewrite stop ttl suffix .cluster.local. 0-4294967295 # Added by hairpin-proxy"
    )


@pytest.mark.parametrize(
    ("destination", "domain"),
    [
        ("a.b.svc.cluster.local", ".cluster.local."),
        ("a.b.svc.k8s.corp.example", ".k8s.corp.example."),
        ("a.example.com", ""),
        ("a.b.svc", ""),
        ("a.b.svc.", ""),
        ("", ""),
    ],
)
def test_the_clusters_domain_is_told_by_the_destination(destination: str, domain: str) -> None:
    words = f"rewrite stop ttl suffix {domain} 0-4294967295"
    assert rules.passing(destination) == (f"{words} {TAG}" if domain else "")
    assert rules.lets_pass(tuple(words.split()), destination) is bool(domain)


def test_only_a_regular_expression_is_for_the_hosts_that_it_stands_for() -> None:
    expression = packing.pattern(("a.example.com", "b.example.com"))
    kinds = {
        kind: rules.ends(("rewrite", "name", kind, expression, DESTINATION)) for kind in ("exact", "suffix", "regex")
    }
    assert {kind for kind, (found, _) in kinds.items() if found} == {"regex"}


@given(name_sets)
def test_whose_and_for_what_a_packed_rule_is(names: set[str]) -> None:
    rule = rules.packed(tuple(sorted(names)), DESTINATION)
    (directive,) = parse_file(rule, "import").directives
    assert rules.ends(directive.words) == (frozenset(names), DESTINATION)
    assert rules.is_packed(directive.words)
    assert not rules.is_wildcard(directive.words)
    assert not rules.is_what_we_write(directive, "x.y.svc.cluster.local")
    assert rules.is_what_we_write(directive, DESTINATION) is all("." in name for name in names)


@pytest.mark.parametrize(
    "rule",
    [
        rf"rewrite stop name regex ^[ba]\.example\.com\.$ {DESTINATION}. answer auto",
        rf"rewrite stop name regex ^(?:a|b)\.example\.com\.$ {DESTINATION}. answer auto",
        rf"rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION} answer auto",
        rf"rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto answer value a b",
        rf"rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION}.",
        rf"rewrite name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto",
        rf"rewrite continue name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto",
        rf"rewrite stop name regex ^[ab]\.default\.svc\.cluster\.local\.$ {DESTINATION}. answer auto",
        rf"rewrite stop name regex ^(?:a\.example\.com|localhost)\.$ {DESTINATION}. answer auto",
    ],
)
def test_what_is_nearly_a_packed_rule_is_not_what_we_write(rule: str) -> None:
    (directive,) = parse_file(rule, "import").directives
    assert not rules.is_what_we_write(directive, DESTINATION)


def test_packed_rules_are_shown_with_a_line_for_each_host() -> None:
    text = (
        f"log\n  {rules.packed(('a.example.com', 'b.example.com'), DESTINATION)}\n"
        f"{rules.passing(DESTINATION)}\n{rules.packed(('c.example.com',), 'x.y')}\nerrors\n"
    )
    assert rules.unfolded(text) == (
        f"log\n  packed: a.example.com -> {DESTINATION}\n  packed: b.example.com -> {DESTINATION}\n"
        f"{rules.passing(DESTINATION)}\npacked: c.example.com -> x.y\nerrors\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        rf"rewrite stop name regex ^a.example.com\.$ x.y. answer auto {TAG}",
        r"rewrite stop name regex ^a\.example\.com\.$ x.y. answer auto",
        rf"rewrite stop name regex ^a\.example\.com\.$ x.y answer auto {TAG}",
        rf"log rewrite stop name regex ^a\.example\.com\.$ x.y. answer auto {TAG}",
        KUBEADM,
    ],
)
def test_nothing_else_is_unfolded(text: str) -> None:
    assert rules.unfolded(text) == text


def test_of_a_rule_people_are_shown_its_beginning() -> None:
    words = ("rewrite", "a" * 300, "b" * 301)
    assert rules.shown(words) == f"rewrite {'a' * 300} {'b' * 300}..."


# ---- from how many hosts on


def many(count: int) -> list[str]:
    return [f"{number}.example.com" for number in range(count)]


OURS_ALONE = frozenset({DESTINATION})


@pytest.mark.parametrize(
    ("form", "before", "count", "packed"),
    [
        ("auto", 0, 1, False),
        ("auto", 0, 50, False),
        ("auto", 0, 51, True),
        ("auto", 50, 51, True),
        ("auto", 45, 50, False),
        ("auto", 51, 50, True),
        ("auto", 51, 41, True),
        ("auto", 51, 40, False),
        ("auto", 40, 41, False),
        ("lines", 0, 51, False),
        ("lines", 0, 1000, False),
        ("packed", 0, 1, True),
        ("packed", 0, 51, True),
    ],
)
def test_from_how_many_hosts_on_they_share_rules(form: str, before: int, count: int, packed: bool) -> None:
    once = render(KUBEADM, many(before), Writing(DESTINATION))
    after = render(once, many(count), Writing(DESTINATION, form=form))
    assert (rules.packed(tuple(sorted(many(count))), DESTINATION) in after) is packed
    assert (written(many(count)[:1])[0] in after) is not packed
    assert read(after, OURS_ALONE).hosts == set(many(count))
    assert render(after, many(count), Writing(DESTINATION, form=form)) == after


def test_rules_that_lead_elsewhere_do_not_keep_hosts_packed() -> None:
    text = render(KUBEADM, many(51), Writing("x.y.svc.cluster.local"))
    assert "regex" not in render(text, many(41), Writing(DESTINATION)).replace(f"{text.splitlines()[-2]}\n", "")


@pytest.mark.parametrize(("passing_from", "passes"), [(None, False), (4, False), (3, True), (1, True)])
def test_from_how_many_packed_rules_on_names_pass(passing_from: int | None, passes: bool) -> None:
    hosts = many(60)
    longest = next(size for size in range(20, 999) if len(packing.packs(hosts, (), size)) == 3)
    lines = written(hosts, Writing(DESTINATION, passing_from=passing_from, longest=longest))
    assert len(lines) == 3 + passes
    assert (lines[0] == rules.passing(DESTINATION)) is passes
    assert all("name regex" in line for line in lines[passes:])


def test_wildcards_and_apexes_share_no_rule() -> None:
    writing = Writing(DESTINATION, is_apex="example.com".__eq__, form="packed")
    lines = written(["b.example.com", "*.example.com", "example.com", "a.example.com"], writing)
    assert lines[0] == rules.packed(("a.example.com", "b.example.com"), DESTINATION)
    assert [line.split()[0] for line in lines[1:-1]].count("template") == 3
    assert lines[-1] == written(["*.example.com"])[0]


# ---- what changes with a host


def changed(before: str, after: str) -> int:
    """Bytes of the longer text between what both begin with and what both end with."""
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    end = next((at for at in range(shorter - start) if before[-1 - at] != after[-1 - at]), shorter - start)
    return max(len(before), len(after)) - start - end


def a_host(rng: random.Random) -> str:
    return f"{rng.choice(['app', 'api', 'shop'])}-{rng.randrange(10**6)}.team{rng.randrange(200)}.example.com"


@pytest.fixture(scope="module")
def wanted() -> set[str]:
    rng = random.Random(1)
    found: set[str] = set()
    while len(found) < 8000:
        found.add(a_host(rng))
    return found


def test_one_host_of_8000_changes_few_bytes(wanted: set[str], record_property: Callable[[str, object], None]) -> None:
    rng, writing = random.Random(2), Writing(DESTINATION)
    text = render(KUBEADM, wanted, writing)
    figures: dict[str, int] = {}
    for host in rng.sample(sorted(wanted), 5):
        less, new = render(text, wanted - {host}, writing), a_host(rng)
        figures[f"without {host}"] = changed(text, less)
        figures[f"with {host} again"] = changed(less, render(less, wanted, writing))
        figures[f"with {new}"] = changed(text, render(text, {*wanted, new}, writing))
    print(f"{len(text)} bytes for {len(wanted)} hosts; bytes that changed: {figures}")
    record_property("changed_bytes", figures)
    assert sorted(figures.values())[len(figures) // 2] <= 60, figures
    assert max(figures.values()) <= 400, figures


@pytest.mark.parametrize("host", ["a.example.com", "new.example.org", "zz.example", f"{'p' * 63}.example.com"])
def test_a_host_unlike_all_others_changes_one_rule_of_8000(wanted: set[str], host: str) -> None:
    text = render(KUBEADM, wanted, Writing(DESTINATION))
    lines = set(render(text, {*wanted, host}, Writing(DESTINATION)).splitlines()) ^ set(text.splitlines())
    assert len(lines) in (1, 2)
