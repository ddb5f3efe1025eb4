"""Whom CoreDNS asks, and whether that leads in a circle."""

import pytest

from hairpin_proxy import nodecache
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.upstreams import server_address, upstreams
from tests.corefiles import DESTINATION
from tests.nodecache import STANDARD


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("169.254.20.10", "169.254.20.10"),
        ("169.254.20.10:53", "169.254.20.10"),
        ("dns://169.254.20.10:53", "169.254.20.10"),
        ("tls://1.1.1.1%dns.example", "1.1.1.1"),
        ("fd00:0::1", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("[fd00::1]:53", "fd00::1"),
        ("/etc/resolv.conf", None),
        ("__PILLAR__CLUSTER__DNS__", None),
        ("{$UPSTREAM}", None),
    ],
)
def test_the_address_of_a_server(server: str, address: str | None) -> None:
    assert server_address(server) == address


def test_every_forward_counts_those_in_snippets_and_files_too() -> None:
    text = (
        "(s) {\n  forward . 10.0.0.1\n}\n"
        ".:53 {\n  import s\n  import f\n  forward . /etc/resolv.conf {\n  policy random\n}\n}\n"
        "corp.test {\n  forward corp.test 10.0.0.1 10.0.0.3\n}\n"
    )
    found = upstreams(parse(text), {"f": {"x": "forward a.test 10.0.0.2\n"}})
    assert found == ["10.0.0.1", "10.0.0.2", "/etc/resolv.conf", "10.0.0.3"]


def test_what_node_local_dns_itself_says_of_addresses() -> None:
    assert nodecache.asked_at(STANDARD, DESTINATION) == set()
    text = STANDARD.replace("__PILLAR__CLUSTER__DNS__", "10.96.0.11").replace("__PILLAR__LOCAL__DNS__", "169.254.20.10")
    text = text.replace("__PILLAR__UPSTREAM__SERVERS__", "192.0.2.53")
    assert nodecache.asked_at(text, DESTINATION) == {"10.96.0.11", "169.254.20.10"}


def test_the_nameservers_of_a_node() -> None:
    text = "# nameserver 1.2.3.4\nsearch a.test\n"
    text += "nameserver 169.254.20.10\nnameserver\t fd00:0::1 \nnameserver\nnameserver x\n"
    assert nodecache.nameservers(text) == {"169.254.20.10", "fd00::1"}


@pytest.mark.parametrize(
    ("servers", "of_the_node", "said"),
    [
        (["192.0.2.53", "169.254.20.10:53"], (), "forwards to 169.254.20.10:53, and that leads back"),
        (["[fd00::1]:53"], (), "forwards to [fd00::1]:53, and"),
        (
            ["/etc/resolv.conf"],
            ("169.254.20.10",),
            "forwards to /etc/resolv.conf, which on this pod's node names 169.254",
        ),
        (["/etc/resolv.conf"], ("192.0.2.53",), None),
        (["192.0.2.53"], ("169.254.20.10",), None),
        ([], ("169.254.20.10",), None),
    ],
)
def test_what_leads_back_is_a_loop(servers: list[str], of_the_node: tuple[str, ...], said: str | None) -> None:
    found = nodecache.loop(servers, ["169.254.20.10", "fd00:0::1"], of_the_node)
    assert (said is None) == (found is None)
    assert said is None or said in str(found)
