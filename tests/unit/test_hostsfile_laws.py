"""The laws of a hosts file's render, as properties of all sorts of files."""

from hypothesis import given

from hairpin_proxy.hostsfile import Address, owned, remove, render, taken
from tests import hostsfiles
from tests.hostsfiles import TAG, read


@given(hostsfiles.files, hostsfiles.hosts, hostsfiles.addresses)
def test_rendering_twice_is_rendering_once(text: str, hosts: set[str], addresses: set[Address]) -> None:
    once = render(text, hosts, addresses)
    assert render(once, hosts, addresses) == once


@given(hostsfiles.files, hostsfiles.hosts, hostsfiles.addresses)
def test_leaving_restores_every_byte(text: str, hosts: set[str], addresses: set[Address]) -> None:
    foreign = remove(text)
    assert remove(foreign) == foreign
    assert remove(render(foreign, hosts, addresses)) == foreign
    assert render(render(foreign, hosts, addresses), set(), addresses) == foreign


@given(hostsfiles.soup, hostsfiles.hosts, hostsfiles.hosts, hostsfiles.addresses, hostsfiles.addresses)
def test_what_was_there_before_does_not_matter(
    text: str, before: set[str], after: set[str], old: set[Address], new: set[Address]
) -> None:
    foreign = remove(text)
    assert render(render(foreign, before, old), after, new) == render(foreign, after, new)


@given(hostsfiles.soup, hostsfiles.hosts, hostsfiles.addresses)
def test_only_lines_with_our_tag_are_added_or_removed(text: str, hosts: set[str], addresses: set[Address]) -> None:
    def foreign(document: str) -> list[str]:
        return [row for row in document.split("\n") if not row.rstrip().endswith(TAG)]

    # A line of ours without a line break at the end of the text goes with what was before it.
    after = render(text, hosts, addresses)
    assert [row for row in foreign(after) if row] == [row for row in foreign(text) if row]


@given(hostsfiles.soup, hostsfiles.hosts, hostsfiles.addresses)
def test_every_host_is_found_at_our_addresses_or_at_the_administrators(
    text: str, hosts: set[str], addresses: set[Address]
) -> None:
    before = read(remove(text))
    ordered = [str(address) for address in sorted(addresses, key=lambda address: (address.version, int(address)))]
    assert read(render(text, set(), addresses)) == before
    assert read(render(remove(text), hosts, addresses)) == dict.fromkeys(hosts, ordered) | before


@given(hostsfiles.soup, hostsfiles.hosts, hostsfiles.addresses)
def test_what_somebody_adds_behind_ours_does_not_make_us_write(
    text: str, hosts: set[str], addresses: set[Address]
) -> None:
    ours = render(text, hosts, addresses)
    for added in ("\n10.0.0.1 new.example.net\n", "\r\n10.0.0.1 new.example.net", "\n# Added by somebody\n"):
        assert render(ours + added, hosts, addresses) == ours + added


@given(hostsfiles.files, hostsfiles.hosts, hostsfiles.addresses)
def test_every_line_of_ours_has_its_line_break(text: str, hosts: set[str], addresses: set[Address]) -> None:
    """Or `echo ... >>` would be glued to it."""
    last = render(text, hosts, addresses).rpartition("\n")[2]
    assert remove(last) == last


@given(hostsfiles.soup, hostsfiles.hosts, hostsfiles.addresses)
def test_the_hosts_that_have_a_line_are_those_that_shall_have_one(
    text: str, hosts: set[str], addresses: set[Address]
) -> None:
    after = render(text, hosts, addresses)
    assert owned(after) == (hosts - taken(after).keys() if addresses else set())
