"""Hosts files for tests: one that a cloud's image has, a reader of hosts(5), and hypothesis strategies."""

from ipaddress import ip_address

from hypothesis import strategies as st

from hairpin_proxy.hostsfile import Address

TAG = "# Added by hairpin-proxy"
IPV4, IPV6 = ip_address("10.96.0.7"), ip_address("fd00:96::7")

NODE = """\
# Your system has configured 'manage_etc_hosts' as True.
127.0.1.1\tnode-1.example.net node-1
127.0.0.1 localhost

# The following lines are desirable for IPv6 capable hosts
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
"""


def line(host: str, address: Address = IPV4) -> str:
    """The line that README.md promises, written out once more so that a change of it is seen."""
    return f"{address} {host} # Added by hairpin-proxy"


def read(text: str) -> dict[str, list[str]]:
    """Every name in lower case with the first words of its lines, in order: hosts(5), without a word of our own code.

    A final dot counts for nothing, as in Go, which kubelet and containerd are written in.
    """
    names: dict[str, list[str]] = {}
    for row in text.encode(errors="surrogateescape").split(b"\n"):
        address, *aliases = [field.decode(errors="surrogateescape") for field in row.split(b"#")[0].split()] or [""]
        for alias in aliases:
            names.setdefault(alias.lower().removesuffix("."), []).append(address)
    return names


hosts = st.sets(st.sampled_from(["a.example.com", "b.example.com", "c.example.org", "z.example.net"]))
addresses = st.sets(st.sampled_from([IPV4, IPV6, ip_address("10.96.0.10"), ip_address("10.96.0.9")]), min_size=1)

_words = st.sampled_from(
    [
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "127.1",
        "localhost",
        "a.example.com",
        "A.Example.Com",
        "b.example.com.",
        "c.example.org#",
        "#",
        "# a comment",
        TAG,
        TAG + " for a friend",
        "# no: " + TAG,
        TAG.upper(),
        "#Added by hairpin-proxy",
        line("a.example.com"),
        line("a.example.com b.example.com gone.example.com"),
        line("z.example.net", IPV6),
        "é",
        "\ufeff",
        "\udcff\udcfe",
        "\0",
        "\x85",
        "\u2028",
    ]
)
_gaps = st.sampled_from([" ", " ", "\t", "\n", "\n", "\r\n", "\r\n", "\r", "\v", "\f", "", "\u00a0", "\x1c"])

soup = st.lists(st.tuples(_words, _gaps)).map(lambda pairs: "".join(word + gap for word, gap in pairs))
"""Anything at all, made of what a hosts file is made of, with and without a line break at its end."""

noise = st.binary().map(lambda content: content.decode(errors="surrogateescape"))

files = soup | soup | noise
