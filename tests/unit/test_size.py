"""How many rules fit: bytes are counted, what stands already goes first, and only new hosts are left out."""

from collections.abc import Callable, Collection
from functools import partial

import pytest

from hairpin_proxy.corefile import CorefileError, render, render_file
from hairpin_proxy.corefile.size import Fitted, TooLargeError, fit
from tests.corefiles import KUBEADM, TO_US, rule

TEN = [f"{number}.example.com" for number in range(10, 20)]
TWO_HOMES = "# é\n.:53 {\n kubernetes cluster.local\n}\n.:54 {\n kubernetes cluster.local\n}\n"


def corefile(text: str, hosts: Collection[str]) -> str:
    return render(text, hosts, TO_US)


def file(text: str, hosts: Collection[str]) -> str:
    return render_file(text, hosts, TO_US)


PUTS: dict[str, Callable[[Collection[str]], str]] = {
    "a Corefile": partial(corefile, KUBEADM),
    "two blocks, and letters of two bytes": partial(corefile, TWO_HOMES),
    "no braces, no final line break": partial(corefile, ".\nkubernetes cluster.local"),
    "a file": partial(file, ""),
    "a file with other lines": partial(file, "log\r\nerrors"),
    "what is not UTF-8": lambda hosts: "\udce9" + file("", hosts),
}


Put = Callable[[Collection[str]], str]


def fitted(put: Put, hosts: Collection[str], left_out: Collection[str] = ()) -> Fitted:
    """With rules for exactly these hosts."""
    return Fitted(put(hosts), frozenset(hosts), tuple(left_out))


def size_of(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
def test_the_limit_is_in_bytes_and_inclusive(put: Put) -> None:
    size = size_of(put(TEN))
    assert fit(TEN, (), size, put) == fitted(put, TEN)
    assert fit(TEN, (), size - 1, put) == fitted(put, TEN[:9], TEN[9:])
    assert fit(set(TEN), (), size_of(put(TEN[:3])), put) == fitted(put, TEN[:3], TEN[3:])


def test_nothing_is_larger_than_the_limit_where_blocks_end_their_lines_otherwise() -> None:
    text = ".:53 {\r\n kubernetes cluster.local\r\n}\r\n.:54 {\n kubernetes cluster.local\n}\n"
    put = partial(corefile, text)
    for limit in range(size_of(text), size_of(put(TEN)) + 1):
        assert size_of(fit(TEN, (), limit, put).text) <= limit


def test_the_length_of_each_name_counts() -> None:
    put = PUTS["a Corefile"]
    hosts = ["a.example.com", "b.department.example.com", "c.com"]
    size = size_of(put(hosts))
    assert fit(hosts, (), size - 1, put).left_out == ("c.com",)
    assert fit(hosts, ("c.com",), size - 1, put).left_out == ("b.department.example.com",)
    limit = size - len(rule("b.department.example.com")) - 1
    assert fit(hosts, ("c.com",), limit, put) == fitted(put, ["a.example.com", "c.com"], ["b.department.example.com"])


def test_what_stands_already_stays_and_the_new_are_left_out() -> None:
    put = PUTS["a file"]
    standing = {"17.example.com", "19.example.com", "gone.example.com"}
    there = ["17.example.com", "19.example.com", "10.example.com", "11.example.com"]
    left_out = [host for host in TEN if host not in there]
    assert fit(TEN, standing, size_of(put(TEN[:4])), put) == fitted(put, there, left_out)


def test_what_stands_already_does_not_count_twice() -> None:
    text = render(KUBEADM, ["old.example.com", *TEN], TO_US)
    limit = len(KUBEADM) + 4 * (len(rule("10.example.com")) + 1)
    put = partial(corefile, text)
    assert fit(TEN, (), limit, put) == fitted(put, TEN[:4], TEN[4:])
    assert fit(TEN, TEN[:4], limit, put).left_out == tuple(TEN[4:])
    assert len(fit(TEN, TEN[:3], limit - 1, put).left_out) == 7


def test_it_is_an_error_if_not_even_what_stands_fits() -> None:
    put = PUTS["a Corefile"]
    size = size_of(put(TEN))
    with pytest.raises(TooLargeError) as error:
        fit(TEN, TEN, size - 1, put)
    assert str(error.value) == (
        f"the rules for 10 hosts make a text of {size} bytes, and {size - 1} is the most that its ConfigMap can hold: "
        "9 hosts fit; nothing was written"
    )
    with pytest.raises(TooLargeError, match=": 3 hosts fit"):
        fit(TEN, TEN[:4], len(put(TEN[:3])), put)


def test_a_text_that_is_too_large_by_itself_fits_no_host() -> None:
    put = PUTS["a Corefile"]
    for limit in (-5, 0, 10, len(KUBEADM), len(KUBEADM) + 10):
        assert fit(TEN, (), limit, put) == fitted(put, (), TEN)
        assert fit((), (), limit, put) == fitted(put, ())
        with pytest.raises(TooLargeError, match=": 0 hosts fit"):
            fit(TEN, TEN[-1:], limit, put)


def test_no_place_is_needed_for_no_host() -> None:
    put = partial(corefile, "example.org {\n}\n")
    assert fit((), (), 100, put) == fitted(put, ())
    with pytest.raises(CorefileError, match="no server block answers"):
        fit(TEN, (), 100, put)
