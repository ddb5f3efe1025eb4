"""A node's hosts file, before and after."""

from ipaddress import ip_address

import pytest

from hairpin_proxy.hostsfile import owned, remove, render, taken
from tests.hostsfiles import IPV4, IPV6, NODE, TAG, line

HOSTS = {"b.example.com", "a.example.com"}
OURS = f"{line('a.example.com')}\n{line('b.example.com')}\n"


def rendered(text: str) -> str:
    return render(text, HOSTS, [IPV4])


def test_one_line_a_host_sorted_after_the_last_one() -> None:
    assert rendered(NODE) == (
        NODE + "10.96.0.7 a.example.com # Added by hairpin-proxy\n10.96.0.7 b.example.com # Added by hairpin-proxy\n"
    )


def test_ipv4_comes_before_ipv6_and_each_address_once_in_its_normal_form() -> None:
    addresses = [ip_address("FD00:0096::0007"), IPV4, IPV6]
    assert render("", {"b.example.com", "a.example.com"}, addresses) == (
        "10.96.0.7 a.example.com # Added by hairpin-proxy\n"
        "fd00:96::7 a.example.com # Added by hairpin-proxy\n"
        "10.96.0.7 b.example.com # Added by hairpin-proxy\n"
        "fd00:96::7 b.example.com # Added by hairpin-proxy\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", OURS),
        ("\n", "\n" + OURS),
        ("::1 x", OURS + "::1 x"),
        ("::1 x\n", "::1 x\n" + OURS),
        ("::1 x\n::1 y", "::1 x\n" + OURS + "::1 y"),
        ("::1 x\n\n", "::1 x\n\n" + OURS),
        ("::1 x\r\n", "::1 x\r\n" + OURS.replace("\n", "\r\n")),
        ("::1 x\r\n::1 y", "::1 x\r\n" + OURS.replace("\n", "\r\n") + "::1 y"),
        ("::1 x\r\n::1 y\n", "::1 x\r\n::1 y\n" + OURS),
        ("\t::1\tx\t# c\n", "\t::1\tx\t# c\n" + OURS),
        ("::1 x\n\0\0\0", "::1 x\n" + OURS + "\0\0\0"),
    ],
)
def test_where_our_lines_go(before: str, after: str) -> None:
    assert rendered(before) == after
    assert remove(after) == before


def test_the_one_line_of_v0_2_1_is_replaced() -> None:
    assert rendered(NODE + f"10.96.0.3\tb.example.com gone.example.com {TAG}\n") == NODE + OURS


@pytest.mark.parametrize(
    "row",
    [
        f"10.96.0.7 a.example.com {TAG}",
        f"10.96.0.7 a.example.com {TAG} \t\r",
        f"\t10.96.0.7\ta.example.com{TAG}",
        f"10.1.1.1 {TAG}",
        f"fe80::1 a b {TAG}",
    ],
)
def test_what_is_ours(row: str) -> None:
    for end in ("", "\n"):
        assert remove("::1 x\n" + row + end) == "::1 x\n"


@pytest.mark.parametrize(
    "row",
    [
        f"10.96.0.7 a.example.com {TAG} and kept by me",
        f"10.96.0.7 a.example.com # mine {TAG}",
        f"10.96.0.7 a.example.com #{TAG}",
        "10.96.0.7 a.example.com # added by hairpin-proxy",
        "10.96.0.7 a.example.com #Added by hairpin-proxy",
        "10.96.0.7 a.example.com Added by hairpin-proxy",
        f"# 10.96.0.7 a.example.com {TAG}",
        TAG,
        f"a.example.com {TAG}",
        f"\ufeff10.96.0.7 a.example.com {TAG}",
        f"\0\0\n\0 10.96.0.7 a.example.com {TAG}",
        f"10.96.0.7 a.example.com {TAG}\u00a0",
    ],
)
def test_what_is_not_ours(row: str) -> None:
    assert remove(row) == row
    assert rendered(row + "\n").startswith(row + "\n")


@pytest.mark.parametrize(
    "row",
    [
        "192.0.2.1 a.example.com",
        "fe80::1\tx\tA.Example.COM\t# mine",
        "192.0.2.1 a.example.com.",
        "  192.0.2.1 a.example.com#mine",
        f"192.0.2.1 a.example.com {TAG} once",
    ],
)
def test_a_host_that_an_administrators_line_names_is_the_administrators(row: str) -> None:
    for newline in ("\n", "\r\n"):
        text = row + newline
        assert rendered(text) == text + line("b.example.com") + newline
    assert rendered(row) == line("b.example.com") + "\n" + row
    assert taken(NODE + row)["a.example.com"] == row.strip()


@pytest.mark.parametrize("row", ["# 192.0.2.1 a.example.com", "192.0.2.1 xa.example.com", "a.example.com"])
def test_a_host_that_is_no_name_of_a_line_is_not_taken(row: str) -> None:
    assert rendered(row + "\n") == row + "\n" + OURS


def test_the_hosts_that_have_a_line_of_ours() -> None:
    several = f"10.96.0.3\tc.example.com d.example.com {TAG}\nfe80::1 a.example.com{TAG}"
    assert owned(OURS + "192.0.2.1 x.example.com # mine\n" + several) == {*HOSTS, "c.example.com", "d.example.com"}
    assert owned(NODE) == set()


def test_our_own_lines_take_no_name_and_of_several_the_first_is_shown() -> None:
    text = OURS + "10.0.0.1 x y\n10.0.0.2 y\n"
    assert taken(text) == {"x": "10.0.0.1 x y", "y": "10.0.0.1 x y"}


@pytest.mark.parametrize(
    "text",
    [
        OURS + NODE,
        line("b.example.com") + "\n" + NODE + line("a.example.com") + "\n::1 x",
        OURS.replace("\n", "\r\n") + NODE,
    ],
)
def test_the_right_lines_stay_wherever_they_stand(text: str) -> None:
    assert rendered(text) == text


@pytest.mark.parametrize(
    "text",
    [
        NODE + OURS.removesuffix("\n"),
        NODE + OURS + line("a.example.com") + "\n",
        NODE + line("a.example.com") + "\n",
        NODE + OURS.replace(" a.", "  a."),
        NODE + OURS.replace("10.96.0.7", "10.96.0.8"),
        OURS.replace("b.", "c.") + NODE,
    ],
)
def test_wrong_lines_are_replaced_by_the_right_ones_at_the_end(text: str) -> None:
    assert rendered(text) == NODE + OURS
