"""The laws of render (docs/design.md), as properties of all sorts of Corefiles."""

from collections import Counter

import pytest
from hypothesis import given, reject

from hairpin_proxy.corefile import CorefileError, Writing, read, read_file, render, render_file
from tests import corefiles
from tests.corefiles import DESTINATION, PACKED, PASS, TAG, TO_US, rendered, rule_lines

OURS_ALONE = frozenset({DESTINATION})

in_each_form = pytest.mark.parametrize("writing", [TO_US, PACKED], ids=["lines", "packed"])


@in_each_form
@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_rendering_twice_is_rendering_once(writing: Writing, text: str, hosts: set[str]) -> None:
    once = rendered(text, hosts, writing)
    assert render(once, hosts, writing) == once


@in_each_form
@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_leaving_restores_every_byte(writing: Writing, text: str, hosts: set[str]) -> None:
    foreign = rendered(text, set())
    assert render(rendered(foreign, hosts, writing), set(), writing) == foreign


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts, corefiles.hosts)
def test_what_was_there_before_does_not_matter(text: str, before: set[str], after: set[str]) -> None:
    assert rendered(rendered(text, before), after) == rendered(text, after)


@in_each_form
@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_only_our_lines_are_added_or_removed(writing: Writing, text: str, hosts: set[str]) -> None:
    """What is not ours keeps its bytes and its order: taking our lines out of both leaves the same lines."""
    after = rendered(text, hosts, writing)

    def foreign(document: str) -> list[str]:
        lines = [line.removesuffix("\r") for line in document.split("\n")]
        return [line for line in lines if all(each not in line for each in (DESTINATION, TAG, PASS))]

    assert foreign(after) == foreign(text)


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_every_host_has_its_line_in_every_home_and_no_other_has_one(text: str, hosts: set[str]) -> None:
    foreign = rendered(text, set())
    lines = Counter(line.removesuffix("\r") for line in rendered(text, hosts).split("\n"))
    lines.subtract(line.removesuffix("\r") for line in foreign.split("\n"))
    added = {line: count for line, count in lines.items() if count}
    once = Counter(line for host in hosts for line in rule_lines(host))
    homes = max(added.values(), default=0) // max(once.values(), default=1)
    assert added == {line: count * homes for line, count in once.items()}


@in_each_form
@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_the_hosts_that_have_a_rule_are_those_that_shall_have_one(writing: Writing, text: str, hosts: set[str]) -> None:
    assert read(rendered(text, hosts, writing), OURS_ALONE).hosts == hosts


@in_each_form
@given(corefiles.soup, corefiles.hosts, corefiles.hosts)
def test_the_same_laws_hold_for_an_imported_file(
    writing: Writing, text: str, before: set[str], after: set[str]
) -> None:
    try:
        foreign = read_file(text, OURS_ALONE).bare
    except CorefileError:
        reject()
    once = render_file(foreign, before, writing)
    assert read_file(once, OURS_ALONE).hosts == before
    assert render_file(once, before, writing) == once
    # Rules that hosts share stay where they are, if others come or go.
    assert writing is PACKED or render_file(once, after, writing) == render_file(foreign, after, writing)
    assert read_file(render_file(once, after, writing), OURS_ALONE).hosts == after
    assert read_file(once, OURS_ALONE).bare == foreign
