"""Blocks in node-local-dns's Corefile: which zones, and what becomes of the text."""

import json
from collections.abc import Collection

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from hairpin_proxy import suffixes
from hairpin_proxy.corefile import CorefileError
from hairpin_proxy.locate import NodeCache, node_caches
from hairpin_proxy.nodecache import (
    MOST,
    Rendered,
    Writing,
    Zones,
    by_hand,
    read,
    render,
    stub_domains,
    with_stub_domains,
    zones,
)
from hairpin_proxy.settings import ConfigMapName
from tests import corefiles, distributions
from tests.corefiles import DESTINATION
from tests.nodecache import FOR, STANDARD, TAG, block, daemonset

PUBLIC = suffixes.load()
OURS = Writing(DESTINATION, PUBLIC)
OTHER = "hairpin-proxy.other.svc.cluster.local"
KUBESPRAY: str = distributions.configmap("kubespray", "kube-system/nodelocaldns")["data"]["Corefile"]
A, B = "a.example.com", "b.shop.example.org"


def after(hosts: Collection[str], text: str = STANDARD, writing: Writing = OURS, stubs: Collection[str] = ()) -> str:
    return render(text, hosts, writing, stubs).text


def untagged(text: str) -> str:
    return text.replace(f" {FOR}", "").replace(f" {TAG}", "")


# Which zones.


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ([], []),
        (["a.example.com", "b.example.com"], ["example.com"]),
        (["a.b.example.com"], ["b.example.com"]),
        (["a.b.example.com", "c.example.com"], ["example.com"]),
        (["*.b.example.com"], ["b.example.com"]),
        (["example.com"], ["example.com"]),
        (["example.co.uk", "a.example.co.uk"], ["example.co.uk"]),
        (["shop.co.uk"], ["shop.co.uk"]),
        (["a.corp.lan"], ["corp.lan"]),
        (["corp.lan"], ["corp.lan"]),
        (["a.example.com", "xexample.com"], ["example.com", "xexample.com"]),
    ],
)
def test_the_zones_are_the_parents_of_the_hosts(hosts: list[str], found: list[str]) -> None:
    assert zones(hosts, PUBLIC) == Zones(tuple(found), ())


def test_no_zone_is_everybodys() -> None:
    assert zones(["*.co.uk", "*.com"], PUBLIC) == Zones((), ("*.co.uk", "*.com"))


def test_many_zones_become_registered_domains_first() -> None:
    hosts = [f"a.{n}.example.com" for n in range(3)] + ["a.x.example.org", "a.y.example.org", "a.z.example.net"]
    assert len(zones(hosts, PUBLIC, most=6).zones) == 6
    assert zones(hosts, PUBLIC, most=5).zones == ("example.com", "x.example.org", "y.example.org", "z.example.net")
    assert zones(hosts, PUBLIC, most=3).zones == ("example.com", "example.org", "z.example.net")
    assert zones(hosts, PUBLIC, most=2) == Zones(("example.com", "example.org"), ("a.z.example.net",))


def test_what_stands_stays() -> None:
    hosts = [f"a.example-{n:02}.com" for n in range(60)]
    first = zones(hosts[10:], PUBLIC, most=40)
    again = zones(hosts, PUBLIC, first.zones, most=40)
    assert again.zones == first.zones
    assert len(again.left_out) == 20
    wide = [f"a.{n}.example.{end}" for n in range(2) for end in ("com", "net")]
    assert zones(wide, PUBLIC, ["example.net"], most=3).zones == ("0.example.com", "1.example.com", "example.net")


names = st.lists(st.sampled_from(["a", "b", "example", "shop"]), min_size=1, max_size=3).flatmap(
    lambda labels: st.sampled_from([".".join([*labels, end]) for end in ("com", "co.uk", "lan")])
)


@given(st.sets(names, max_size=12), st.sets(names, max_size=4), st.integers(1, 8))
def test_each_host_is_below_a_zone_or_said_to_be_left_out(hosts: set[str], standing: set[str], most: int) -> None:
    found = zones(hosts, PUBLIC, standing, most)
    assert len(found.zones) <= most
    assert not any(PUBLIC(zone) or "." not in zone for zone in found.zones)
    below = {host for host in hosts if any(f".{host}".endswith(f".{zone}") for zone in found.zones)}
    assert set(found.left_out) == hosts - below
    assert zones(hosts, PUBLIC, found.zones, most) == found


deep = st.builds(
    lambda labels, domain: ".".join([*labels, domain]),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4),
    st.sampled_from(["q.com", "x.com", "y.com", "z.co.uk", "corp.lan"]),
)
TOO_MANY = {
    *("b.b.b.z.co.uk", "b.b.z.co.uk", "d.c.d.z.co.uk", "d.c.z.co.uk", "b.b.q.com", "d.c.q.com", "c.a.b.x.com"),
}


@given(st.sets(deep, min_size=4, max_size=16), st.sets(deep | st.sampled_from(["q.com", "z.co.uk"])), st.integers(1, 5))
@example(TOO_MANY, {"q.com"}, 4)
def test_above_the_limit_the_same_hosts_come_to_the_same_zones(hosts: set[str], standing: set[str], most: int) -> None:
    found = zones(hosts, PUBLIC, standing, most)
    assert zones(hosts, PUBLIC, found.zones, most) == found
    writing = Writing(DESTINATION, PUBLIC, most=most)
    text = STANDARD + "".join(map(block, sorted(standing)))
    once = after(hosts, text, writing)
    assert after(hosts, once, writing) == once


# What becomes of the text.


def test_a_block_is_added_behind_all_others() -> None:
    found = render(STANDARD, [A, B], OURS)
    assert found.text == STANDARD + block("example.com") + block("shop.example.org")
    assert found == Rendered(
        found.text,
        ("example.com", "shop.example.org"),
        untagged(block("example.com") + block("shop.example.org")),
        (),
    )
    assert read(found.text, [DESTINATION]).zones == {"example.com", "shop.example.org"}


@pytest.mark.parametrize("text", [STANDARD, STANDARD + block("example.com")])
def test_by_hand_no_zone_has_two_blocks(text: str) -> None:
    mine = by_hand(text, render(text, [A, B], OURS), OURS)
    assert mine == STANDARD + untagged(block("example.com") + block("shop.example.org"))
    assert render(mine, [A, B], OURS) == Rendered(mine, (), "", ())


def test_what_the_root_has_is_copied_and_nothing_else() -> None:
    root = """\
(common) {
    errors {
        consolidate 5m ".* timeout$"
    }
    cache 30 {
      success 100 # some
      denial 5 }
}
cluster.local.:5353 { forward . 10.0.0.10 10.0.0.11 {
  max_concurrent 10
  } }
dns://.:5353 {
\timport common
\tbind 169.254.20.10
\tlog
\tloop
\tforward . /etc/resolv.conf
}
"""
    with pytest.raises(CorefileError):
        render(root, [A], OURS)  # a brace has to stand on its own
    root = root.replace("  } }", "  }\n}").replace("{ forward", "{\n forward").replace("denial 5 }", "denial 5\n }")
    assert untagged(after([A], root)) == root + (
        "dns://example.com:5353 {\n"
        "    errors {\n"
        '        consolidate 5m ".* timeout$"\n'
        "    }\n"
        "    cache 30 {\n"
        "        success 100\n"
        "        denial 5\n"
        "    }\n"
        "    bind 169.254.20.10\n"
        "    forward . 10.0.0.10 10.0.0.11 {\n"
        "        force_tcp\n"
        "    }\n"
        "}\n"
    )


def test_a_key_without_a_port_gets_none() -> None:
    text = STANDARD.replace(":53 {", " {")
    assert "\nexample.com { # for" in after([A], text)


def test_kubespray() -> None:
    found = after([A], KUBESPRAY)
    assert "    forward . 10.233.0.3 { # Added by hairpin-proxy\n" in found
    assert "    bind 169.254.25.10 # Added by hairpin-proxy\n" in found
    assert after([], found) == KUBESPRAY


FOREIGN = "{}:53 {{\n    bind 169.254.20.10\n    forward . {}\n}}\n"


@pytest.mark.parametrize("zone", ["a.example.com", "example.com", "com"])
def test_a_zone_of_somebody_else_is_left_to_him_and_said(zone: str) -> None:
    text = FOREIGN.format(zone, "10.1.1.1") + STANDARD
    found = render(text, [A], OURS)
    assert (found.text, found.zones) == (text, ())
    assert len(found.remarks) == 1
    assert f"for {zone} is somebody else's" in found.remarks[0]
    assert "host a.example.com" in found.remarks[0]
    assert render(text, [A, B], OURS).zones == ("shop.example.org",)


@pytest.mark.parametrize("zone", ["a.example.com", "EXAMPLE.com.", "com", "."])
def test_a_host_whose_zone_asks_coredns_already_needs_nothing(zone: str) -> None:
    text = FOREIGN.format(zone, "__PILLAR__CLUSTER__DNS__") + STANDARD
    if zone == ".":
        text = STANDARD.replace("__PILLAR__UPSTREAM__SERVERS__", "__PILLAR__CLUSTER__DNS__")
    assert render(text, [A], OURS) == Rendered(text, (), "", ())


def test_a_narrower_zone_of_somebody_else_keeps_its_hosts() -> None:
    text = FOREIGN.format("x.example.com", "10.1.1.1") + STANDARD
    found = render(text, [A, "b.x.example.com"], OURS)
    assert found.text == text + block("example.com")
    assert "host b.x.example.com" in found.remarks[0]


def test_a_stub_domain_is_a_block_too() -> None:
    found = render(STANDARD, [A, B], OURS, ["Example.com."])
    assert found.text == STANDARD + block("shop.example.org")
    assert "stubDomain for example.com" in found.remarks[0]


def test_a_block_of_ours_goes_when_somebody_else_has_that_zone() -> None:
    text = after([A])
    assert after([A], text, stubs=["example.com"]) == STANDARD
    theirs = FOREIGN.format("example.com", "10.1.1.1")
    assert after([A], theirs + text) == theirs + STANDARD


def test_at_most_fifty() -> None:
    hosts = [f"a.example-{n:02}.com" for n in range(MOST + 2)]
    found = render(STANDARD, hosts, OURS)
    assert len(found.zones) == found.text.count(f"{FOR} {TAG}") == 50
    assert found.remarks == (
        "no more than 50 server blocks are added, for each costs memory on every node; pods are led past us to "
        "2 hosts (a.example-50.com, a.example-51.com)",
    )
    assert render(found.text, hosts, OURS) == found


def test_another_installs_block_is_a_strangers() -> None:
    theirs = after([A], writing=Writing(OTHER, PUBLIC))
    assert theirs == after([A]).replace(DESTINATION, OTHER)
    assert after([], theirs) == theirs
    assert after([A, B], theirs) == theirs + block("shop.example.org")
    assert after([A], theirs, Writing(DESTINATION, PUBLIC, adopted=(OTHER,))) == STANDARD + block("example.com")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f" {TAG}", ""),
        (f"    cache 30 {TAG}\n", "    cache 30\n"),
        (f"    cache 30 {TAG}\n", f"    cache 30 {TAG}\n    log\n"),
        (f"    cache 30 {TAG}\n", f"    # mine\n    cache 30 {TAG}\n"),
        (f"    cache 30 {TAG}\n", f"\tcache 30 {TAG}\n"),
        (f" {FOR}", ""),
        (f"}} {TAG}", f"}} # mine {TAG}"),
        ("example.com:53", "example.com:53 example.org:53"),
        ("example.com:53", "(example.com:53)"),
        ("forward .", "forward example.com"),
        (f"    forward . __PILLAR__CLUSTER__DNS__ {{ {TAG}\n        force_tcp {TAG}\n    }} {TAG}\n", ""),
    ],
)
def test_what_is_not_exactly_as_we_write_it_is_not_ours(old: str, new: str) -> None:
    theirs = block("example.com").replace(old, new)
    assert theirs != block("example.com")
    text = STANDARD + theirs
    assert read(text, [DESTINATION]) == (text, frozenset())
    assert after([], text) == text


def test_ours_with_other_values_is_ours() -> None:
    """The address of the cluster's DNS may have changed."""
    text = STANDARD + block("example.com").replace("__PILLAR__CLUSTER__DNS__", "10.9.9.9").replace("30", "300")
    assert after([], text) == STANDARD
    assert after([A], text) == STANDARD + block("example.com")


def test_an_empty_line_of_somebody_else_stays() -> None:
    assert after([], f"{STANDARD}\n{block('example.com')}".removesuffix("\n")) == STANDARD + "\n"


def test_blocks_have_the_line_breaks_of_the_text() -> None:
    text = STANDARD.replace("\n", "\r\n")
    assert after([A], text) == text + block("example.com").replace("\n", "\r\n")
    assert after([A], text.removesuffix("\r\n")) == (text + block("example.com").replace("\n", "\r\n")).removesuffix(
        "\r\n"
    )


def test_the_longest_zone_is_the_clusters_own() -> None:
    text = FOREIGN.format("local", "10.1.1.1") + STANDARD
    assert after([A], text) == text + block("example.com")


def test_what_pods_do_not_ask_does_not_count() -> None:
    text = FOREIGN.format("tls://.", "10.1.1.1") + FOREIGN.format("example.com", "10.1.1.1").replace(":53", ":54")
    assert after([A], text + STANDARD) == text + STANDARD + block("example.com")


def test_what_stands_behind_ours_stays_there() -> None:
    theirs = "corp.test:53 {\n    whoami\n}"
    assert after([], STANDARD + block("example.com") + theirs) == STANDARD + theirs


ROOT = ".:53 {\n    forward . /etc/resolv.conf\n}\n"
CLUSTER = "cluster.local:53 {\n    forward . 10.96.0.10\n}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no server block answers '.'"),
        (CLUSTER, "no server block answers '.'"),
        (CLUSTER + ROOT + ROOT.replace(":53", ":54"), "several server blocks answer '.'"),
        (ROOT, "no server block is for the cluster's own domain"),
        (CLUSTER.replace("cluster.local", "__PILLAR__DNS__DOMAIN__") + ROOT, "cluster's own domain"),
        (CLUSTER.replace("forward . 10.96.0.10", "errors") + ROOT, "no `forward .`"),
        (CLUSTER.replace("10.96", "tls://10.96") + ROOT, "no `forward .`"),
        (CLUSTER.replace("forward .", "forward cluster.local") + ROOT, "no `forward .`"),
        (ROOT + "cluster.local:53\nforward . 10.96.0.10\n", "has no braces"),
        (CLUSTER + ROOT + "import custom/*.server\n", "nobody sees for which zones"),
        (CLUSTER + ROOT.replace("forward", "import x\n    forward"), "nobody sees where it binds"),
        (CLUSTER + ROOT + "{$ZONE}:53 {\n    whoami\n}\n", "nobody sees which zone"),
        (CLUSTER + ROOT + CLUSTER, "refuses a second server block"),
        (CLUSTER + ROOT.replace("forward", 'errors "a\nb"\n    forward'), "cannot be copied"),
        (CLUSTER + ROOT + "}", "has no braces"),
    ],
)
def test_what_cannot_be_done_safely_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(CorefileError, match=reason):
        render(text, [A], OURS)


# The laws of render.

cluster_blocks = st.sampled_from([CLUSTER, STANDARD.partition("in-addr")[0], "", "# none\n"])
roots = st.sampled_from(
    [
        ROOT,
        ".:53 {\n\tcache 30 {\n\t\tprefetch 5 10m 10%\n\t}\n    forward . 1.1.1.1\n}",
        "(s) {\n  errors\n bind 1.2.3.4\n}\n. {\n  import s\n  forward . 1.1.1.1 \n}\n# end",
        STANDARD[STANDARD.index(".:53") :],
    ]
)
others = st.sampled_from(
    [
        "",
        "example.com {\n    whoami\n}\n",
        block("example.com"),
        "\n\n",
        "# x",
        block("x.test").replace(DESTINATION, OTHER),
    ]
)
texts = st.builds(
    lambda parts, ending, crlf: ("\n".join(parts) + ending).replace("\n", "\r\n" if crlf else "\n"),
    st.tuples(others, cluster_blocks, others, roots, others).flatmap(st.permutations),
    st.sampled_from(["", "\n", "\n\n", "\r", " ", "\n#", "\t\n"]),
    st.booleans(),
)
hosts = st.sets(st.sampled_from([A, B, "*.example.com", "c.example.net", "example.co.uk", "x.corp.lan"]))


def rendered(text: str, wanted: Collection[str], writing: Writing = OURS) -> str:
    try:
        return render(text, wanted, writing).text
    except CorefileError:
        reject()


@given(texts | corefiles.corefiles | corefiles.stuffed, hosts)
def test_rendering_twice_is_rendering_once(text: str, wanted: set[str]) -> None:
    once = rendered(text, wanted)
    assert rendered(once, wanted) == once


@given(texts | corefiles.corefiles | corefiles.stuffed, hosts)
def test_leaving_restores_every_byte(text: str, wanted: set[str]) -> None:
    foreign = rendered(text, set())
    assert rendered(rendered(foreign, wanted), set()) == foreign


@given(texts, hosts, hosts)
def test_what_was_there_before_does_not_matter(text: str, before: set[str], wanted: set[str]) -> None:
    foreign = rendered(text, set())
    assert rendered(rendered(foreign, before), wanted) == rendered(foreign, wanted)


@given(texts, hosts)
def test_what_is_not_ours_keeps_its_bytes(text: str, wanted: set[str]) -> None:
    once = rendered(text, wanted)
    found = read(text, [DESTINATION])
    assert once.startswith(found.bare)
    assert all(line.endswith(TAG) for line in once[len(found.bare) :].splitlines() if line)


# node-cache's stub domains.


def test_stub_domains_are_merged() -> None:
    data = {"stubDomains": '{"corp.test": ["10.1.1.1"], "Example.com.": ["10.2.2.2"]}', "upstreamNameservers": "[]"}
    patch = with_stub_domains(data, ["example.com", "example.org"], "10.96.0.10")
    assert patch.keys() == {"stubDomains"}
    assert json.loads(patch["stubDomains"]) == {
        "corp.test": ["10.1.1.1"],
        "Example.com.": ["10.2.2.2"],
        "example.org": ["10.96.0.10"],
    }
    assert with_stub_domains({}, ["example.com"], "10.96.0.10") == {"stubDomains": '{"example.com": ["10.96.0.10"]}'}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}', "[" * 100_000])
def test_stub_domains_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        stub_domains({"stubDomains": text})


# Where it is.

FOUND = NodeCache(
    "DaemonSet kube-system/node-local-dns",
    ("169.254.20.10", "10.96.0.10"),
    ConfigMapName("kube-system", "node-local-dns"),
    "Corefile",
    ConfigMapName("kube-system", "kube-dns"),
)


def test_the_standard_manifest_is_found() -> None:
    assert node_caches("kube-system", [daemonset()]) == [FOUND]


def test_kubespray_is_found() -> None:
    items = [item for item in distributions.objects("kubespray") if item["kind"] == "DaemonSet"]
    found = node_caches("kube-system", items)
    assert found == [
        NodeCache(
            "DaemonSet kube-system/nodelocaldns",
            ("169.254.25.10",),
            ConfigMapName("kube-system", "nodelocaldns"),
            "Corefile",
            None,
        )
    ]


def test_by_its_argument_alone() -> None:
    item = daemonset(
        image="example.com/dns:1", args=["-localip=169.254.20.10", "-basecorefile=/etc/coredns/Corefile.base"]
    )
    item["metadata"]["labels"] = item["spec"]["template"]["metadata"]["labels"] = {}
    assert node_caches("kube-system", [item])[0].addresses == ("169.254.20.10",)
    assert node_caches("kube-system", [item])[0].configmap == FOUND.configmap


def test_a_plain_coredns_in_its_place_reads_what_is_mounted() -> None:
    item = daemonset(image="coredns/coredns:1.12.0", args=["-conf", "/etc/coredns/Corefile"])
    item["spec"]["template"]["spec"]["volumes"][1]["configMap"]["items"] = None
    found = node_caches("kube-system", [item])
    assert [(each.configmap, each.key, each.addresses) for each in found] == [(FOUND.configmap, "Corefile", ())]


def test_an_address_that_is_none_yet() -> None:
    item = daemonset(args=["-localip", "169.254.20.10,__PILLAR__DNS__SERVER__"])
    assert node_caches("kube-system", [item])[0].addresses == ("169.254.20.10",)


def test_what_mounts_no_template_reads_none() -> None:
    item = daemonset(volumeMounts=[])
    assert [(each.configmap, each.stub_domains) for each in node_caches("kube-system", [item])] == [(None, None)]


def test_another_daemonset_is_none() -> None:
    item = daemonset(image="example.com/proxy", args=["-conf", "/etc/x"])
    item["metadata"]["labels"] = item["spec"]["template"]["metadata"]["labels"] = {"k8s-app": "other"}
    assert node_caches("kube-system", [item, {}]) == []
