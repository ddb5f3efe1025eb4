"""What CoreDNS surely refuses; tests/integration/test_coredns_judge.py asks CoreDNS itself about the same."""

import pytest

from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.refusals import check
from hairpin_proxy.corefile.scope import Files

VIEW = "view a {\n  expr type() == 'A'\n }"
REFUSED = {
    "a block twice": (
        ".:53 {\n errors\n}\n.:53 {\n log\n}\n",
        "Corefile:4: CoreDNS refuses a second server block for dns://.:53, of which the first is on line 1",
    ),
    "in other words": ("Example.org.:53 {\n errors\n}\ndns://example.org:53 {\n log\n}\n", "Corefile:4: "),
    "a key twice": (".:54 .:53 .:53 {\n errors\n}\n", "Corefile:1: "),
    "among other keys": ("a.test, .:53 {\n errors\n}\nb.test,\n.:53 {\n log\n}\n", "Corefile:5: "),
    "kubernetes twice": (".:53 {\n kubernetes cluster.local\n errors\n kubernetes b.test\n}\n", "Corefile:4: "),
    "hosts twice": (".:53 {\n hosts {\n }\n hosts\n}\n", "Corefile:4: "),
    "cache twice, once by a snippet": ("(c) {\n cache\n}\n.:53 {\n cache 30\n import c\n}\n", "Corefile:2: "),
}
ACCEPTED = {
    "other ports": ".:53 {\n errors\n}\n.:54 {\n errors\n}\n",
    "other zones": ".:53 {\n errors\n}\na.test {\n errors\n}\nb.a.test {\n errors\n}\n",
    "other transports": ".:53 {\n errors\n}\ntls://. {\n errors\n}\ngrpc://. {\n errors\n}\n",
    "an empty key from the environment": ".:53 {$NOTHING} {\n errors\n}\n.:54 {$NOTHING} {\n errors\n}\n",
    "other addresses": ".:53 {\n bind 127.0.0.1\n}\n.:53 {\n bind 127.0.0.2\n}\n",
    "a view": f".:53 {{\n {VIEW}\n errors\n}}\n.:53 {{\n errors\n}}\n",
    "another plugin twice": ".:53 {\n log\n log\n reload\n reload\n forward . 192.0.2.1\n forward a 192.0.2.1\n}\n",
    "once in each block": "".join(f".:{port} {{\n cache\n hosts\n kubernetes cluster.local\n}}\n" for port in (53, 54)),
    "a snippet that is not imported": "(c) {\n cache\n}\n.:53 {\n cache 30\n}\n",
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CorefileError) as error:
        check(parse(text), {})
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_accepted(text: str) -> None:
    check(parse(text), {})


def test_whether_a_key_without_a_port_is_a_second_one_is_believed() -> None:
    """`coredns -dns.port 5353` accepts it."""
    check(parse(". {\n errors\n}\n.:53 {\n errors\n}\n"), {})


def test_what_a_file_brings_counts_if_it_is_seen_and_is_believed_if_not() -> None:
    text = ".:53 {\n cache\n import x/*\n}\n.:53 {\n import x/*\n}\n"
    check(parse(text), {})
    files: Files = {"x/*": {"a.override": "log\ncache 30\n"}}
    with pytest.raises(CorefileError, match="^a.override:2: CoreDNS refuses a second cache in a server block"):
        check(parse(text), files)
