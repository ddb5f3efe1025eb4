"""The laws of render (docs/design.md), as properties of all sorts of Corefiles."""

from collections import Counter

from hypothesis import given, reject

from hairpin_proxy.corefile import CorefileError, read, read_file, render, render_file
from tests import corefiles
from tests.corefiles import DESTINATION, TAG, TO_US, rendered, rule_lines

OURS_ALONE = frozenset({DESTINATION})


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_rendering_twice_is_rendering_once(text: str, hosts: set[str]) -> None:
    once = rendered(text, hosts)
    assert render(once, hosts, TO_US) == once


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_leaving_restores_every_byte(text: str, hosts: set[str]) -> None:
    foreign = rendered(text, set())
    assert render(rendered(foreign, hosts), set(), TO_US) == foreign


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts, corefiles.hosts)
def test_what_was_there_before_does_not_matter(text: str, before: set[str], after: set[str]) -> None:
    assert rendered(rendered(text, before), after) == rendered(text, after)


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_only_our_lines_are_added_or_removed(text: str, hosts: set[str]) -> None:
    """What is not ours keeps its bytes and its order: taking our lines out of both leaves the same lines."""
    after = rendered(text, hosts)

    def foreign(document: str) -> list[str]:
        lines = [line.removesuffix("\r") for line in document.split("\n")]
        return [line for line in lines if DESTINATION not in line and TAG not in line]

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


@given(corefiles.corefiles | corefiles.stuffed, corefiles.hosts)
def test_the_hosts_that_have_a_rule_are_those_that_shall_have_one(text: str, hosts: set[str]) -> None:
    assert read(rendered(text, hosts), OURS_ALONE).hosts == hosts


@given(corefiles.soup, corefiles.hosts, corefiles.hosts)
def test_the_same_laws_hold_for_an_imported_file(text: str, before: set[str], after: set[str]) -> None:
    try:
        foreign = read_file(text, OURS_ALONE).bare
    except CorefileError:
        reject()
    once = render_file(foreign, before, TO_US)
    assert read_file(once, OURS_ALONE).hosts == before
    assert render_file(once, before, TO_US) == once
    assert render_file(once, after, TO_US) == render_file(foreign, after, TO_US)
    assert read_file(once, OURS_ALONE).bare == foreign
