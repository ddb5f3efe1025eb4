"""Corefiles for tests: the one that kubeadm writes, and hypothesis strategies for all sorts of others."""

from collections.abc import Collection
from dataclasses import replace

from hypothesis import reject
from hypothesis import strategies as st

from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.render import Writing, render, render_file

DESTINATION = "hairpin-proxy.hairpin-proxy.svc.cluster.local"
TAG = "# Added by hairpin-proxy"
WILDCARD = "*.wild.example.org"
APEX = "apex.example"
TO_US = Writing(DESTINATION, is_apex=APEX.__eq__)
PACKED = replace(TO_US, form="packed", longest=40, passing_from=2)
"""Few hosts share rules, and it takes several of those for them."""

PASS = "rewrite stop ttl suffix .cluster.local. 0-4294967295"
"""What stands before rules that hosts share, if there are several."""


KUBEADM = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


def written(hosts: Collection[str], writing: Writing = TO_US) -> list[str]:
    """The rules for these hosts, without an indent."""
    return render_file("", hosts, writing).splitlines()


def rule(host: str, destination: str = DESTINATION) -> str:
    """The line that design.md promises, written out once more so that a change of it is seen."""
    return f"    rewrite name {host} {destination} # Added by hairpin-proxy"


def rule_lines(host: str, destination: str = DESTINATION) -> list[str]:
    """The lines of a rule, those of a wildcard and of an apex written out once more as well."""
    if host == WILDCARD:
        return [rf"    rewrite name regex ^[^._][^.]*\.wild\.example\.org\.$ {destination} answer auto {TAG}"]
    if host == APEX:
        return [f"    {line} {TAG}" for line in apex_lines(destination)]
    return [rule(host, destination)]


def apex_lines(destination: str) -> list[str]:
    """Those of an apex, without an indent and the tag."""
    return [
        line
        for rdtype in ("A", "AAAA", "HTTPS")
        for line in (
            f"template IN {rdtype} apex.example {{",
            r"    match ^apex\.example\.$",
            f'    answer "{{{{ .Name }}}} 30 IN CNAME {destination}."',
            "    fallthrough",
            "}",
        )
    ]


def rendered(text: str, hosts: set[str], writing: Writing = TO_US) -> str:
    """For properties: what we make of it, or no example at all if we refuse it."""
    try:
        return render(text, hosts, writing)
    except CorefileError:
        reject()


hosts = st.sets(
    st.sampled_from(
        ["a.example.com", "b.example.com", "c.example.org", "xn--bcher-kva.example", "z.example.net", WILDCARD, APEX]
    )
)

_words = st.sampled_from(
    [
        "errors",
        "rewrite",
        "name",
        "a.example.com",
        DESTINATION,
        "x.svc.cluster.local",
        "stop",
        "import",
        "snip",
        ".",
        ".:53",
        "{",
        "}",
        "{}",
        ".:53{",
        "(snip)",
        "example.org,",
        "#",
        "#x",
        "a#b",
        '"',
        '"a b"',
        '"{"',
        '"}"',
        '"#"',
        '\\"',
        "\\",
        "kubernetes",
        "cluster.local",
        "{$ENV}",
        "{%ENV%}",
        "é",
        "\ufeff",
        TAG,
        rule("a.example.com"),
    ]
)
_gaps = st.sampled_from([" ", " ", "\n", "\n", "\r\n", "\t", "\r", "", "\u00a0", "\u2003", "\x1c", "\v"])

soup = st.lists(st.tuples(_words, _gaps)).map(lambda pairs: "".join(word + gap for word, gap in pairs))
"""Anything at all, made of what the grammar cares about. Most of it is no Corefile."""

stuffed = soup.map(lambda text: f". {{\n kubernetes cluster.local\n{text}\n}}\n")
"""The same inside of a server block that rules can go to: about half of it is a Corefile."""


def _indented(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["    ", "\t", "", "  "]).map(lambda indent: indent + text)


_arguments = st.lists(
    st.sampled_from(
        ["a", "/etc/resolv.conf", '"two words"', '"#"', '"\\""', "b#c", "cluster.local", "{$ENV}", "\u00e9"]
    ),
    max_size=3,
).map(" ".join)
_comments = st.sampled_from(["", "", "", " # a comment", " #", " # } {", ' # "'])
_plain = st.tuples(
    st.sampled_from(["errors", "cache", "forward", "log", "kubernetes cluster.local"]), _arguments, _comments
).map(lambda parts: f"{parts[0]} {parts[1]}{parts[2]}")
_lines = st.one_of(
    _plain,
    st.sampled_from(["kubernetes", "kubernetes cluster.local in-addr.arpa", "kubernetes {$DOMAIN}", "import snip"]),
    _plain.map(lambda head: head.partition(" #")[0] + " {\n  option one\n  nested {\n two\n }\n }"),
    st.sampled_from(
        [
            "",
            "# only a comment",
            "# rewrite name a.example.com " + DESTINATION + " " + TAG,
            "rewrite name a.example.com b.example.com",
            "rewrite name a.example.com b.svc.cluster.local " + TAG,
            "rewrite name regex (.*) " + DESTINATION + " answer auto",
            "rewrite stop name a.example.com " + DESTINATION,
            "rewrite name a.example.com " + DESTINATION + ".",
            "rewrite name localhost " + DESTINATION,
            PASS,
            f"{PASS} {TAG}",
            rf"rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto {TAG}",
            rf"rewrite stop name regex ^[ab]\.example\.com\.$ {DESTINATION}. answer auto",
            rf"{PASS} {TAG}"
            + "\n"
            + rf"rewrite stop name regex ^[ab]\.example\.com\.$ b.svc.cluster.local. answer auto {TAG}",
            'text "over\n} two lines"',
            "import /etc/coredns/custom/*.override",
        ]
    ),
).flatmap(_indented)

_keys = st.sampled_from(
    [
        ".:53",
        ".",
        "dns://.:53",
        "tls://.",
        ".:{$PORT}",
        "example.org:53",
        "a.com b.com",
        "example.org,\n.:53",
        ".:53 b",
        "(snip)",
        "10.0.0.0/8",
    ]
)


def _block(parts: tuple[str, str, list[str], str]) -> str:
    key, opening, lines, closing = parts
    return "".join([key, opening, *(line + "\n" for line in lines), closing])


_blocks = st.tuples(
    _keys,
    st.sampled_from([" {\n", " { # opened\n", "\n{\n", " {\n\n"]),
    st.lists(_lines, max_size=5),
    st.sampled_from(["}\n", "  }\n", "} # closed\n", "}", "}\n\n# between\n"]),
).map(_block)

_ends = st.sampled_from(["", "\n", "# the end", "import custom/*.server\n"])
_with_braces = st.tuples(st.lists(_blocks, min_size=1, max_size=3), _ends).map(lambda p: "\n".join(p[0]) + "\n" + p[1])
_without_braces = st.tuples(st.sampled_from([".:53", ". "]), st.lists(_lines, max_size=4), _ends).map(
    lambda parts: "\n".join([parts[0], *parts[1]]) + parts[2]
)


def _dressed(parts: tuple[str, str, str]) -> str:
    text, newline, mark = parts
    return mark + text.replace("\n", newline)


corefiles = st.tuples(
    st.one_of(_with_braces, _with_braces, _without_braces),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "", "\ufeff"]),
).map(_dressed)
"""Corefiles that CoreDNS's parser accepts, nearly all of them, with everything in it that makes editing hard."""
