"""node-local-dns's Corefile: server blocks of ours that have CoreDNS asked for the domains of our hosts. Pure.

node-local-dns is CoreDNS on each node, in front of the cluster's. Only what its Corefile names goes to that one; all
else goes to the node's own DNS servers, past our rules. What it reads is a template: its program node-cache looks at
the mounted `Corefile.base` every 10 seconds and replaces `__PILLAR__CLUSTER__DNS__`, `__PILLAR__LOCAL__DNS__` and the
like, so they are copied as they stand; and it puts a block behind it for each of the `stubDomains` in the ConfigMap
kube-dns (github.com/kubernetes/dns, cmd/node-cache/app/configmap.go). The blocks are like those of the standard
manifest (github.com/kubernetes/kubernetes, cluster/addons/dns/nodelocaldns/nodelocaldns.yaml).

A block is ours if it is, each line with our tag, exactly what we write for what it says, and names our destination.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from hairpin_proxy.corefile import refusals
from hairpin_proxy.corefile.blocks import Address, Block, Directive, address, imports, parse
from hairpin_proxy.corefile.checks import named
from hairpin_proxy.corefile.lexer import SPACE, CorefileError, Token
from hairpin_proxy.corefile.scope import expanded, imported, snippets
from hairpin_proxy.corefile.upstreams import server_address
from hairpin_proxy.hosts import TAG, base, is_within

MOST = 50
"""Blocks of ours: each has a cache of its own in the memory of every node."""

_COPIED = ("errors", "cache", "reload", "bind", "prometheus")
"""Plugins that our blocks have as the block that answers `.` has them; `loop` would ask each block at every start."""

_QUOTED = re.compile(rf'["#\r{SPACE}]')
"""What a word can have only in quotes."""

IsPublicSuffix = Callable[[str], bool]
"""Whether everybody may register names directly below a name."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Whose blocks, and for what."""

    destination: str
    """Where our rules lead: tells the cluster's domain, and our blocks from those of another install."""

    is_public_suffix: IsPublicSuffix
    adopted: tuple[str, ...] = ()
    """Destinations whose blocks count as ours."""

    most: int = MOST


class Zones(NamedTuple):
    """What hosts need a block for."""

    zones: tuple[str, ...]
    left_out: tuple[str, ...]
    """Hosts that none of them holds."""


class Reading(NamedTuple):
    """A Corefile taken apart."""

    bare: str
    """Without any block of ours."""

    zones: frozenset[str]
    """Those that have a block of ours."""


class Rendered(NamedTuple):
    """A Corefile as it should be."""

    text: str
    zones: tuple[str, ...]
    """Those that have a block of ours."""

    blocks: str
    """These blocks alone, without our tag: for somebody who puts them in himself, and to whom they belong then."""

    remarks: tuple[str, ...]
    """Which hosts are left to others, or left out."""


def zones(
    hosts: Collection[str], is_public_suffix: IsPublicSuffix, standing: Collection[str] = (), most: int = MOST
) -> Zones:
    """The parent domain of each host, and none below another.

    More than `most` are made fewer by registered domains in place of several names below them; if they still are more,
    those that stand come first. A public suffix is never one: there the host has a zone of its own.
    """
    wanted = {host: zone for host in hosts if (zone := _zone(host, is_public_suffix))}
    found = _outermost(wanted.values())
    if len(found) > most:
        found = _fewer(found, is_public_suffix, standing, most)
    kept = sorted(found, key=lambda zone: (zone not in standing, zone))[:most]
    return Zones(tuple(sorted(kept)), tuple(sorted(host for host in hosts if not _longest(base(host), kept))))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What blocks of ours are made from."""

    prefix: str
    suffix: str
    """Of a key, around its zone."""

    directives: tuple[tuple[str, ...], ...]
    """Each as its lines, the `forward` among them."""

    standing: Mapping[str, bool]
    """Zones of other blocks, and whether each is answered by the cluster's CoreDNS."""


def read(text: str, destinations: Collection[str]) -> Reading:
    """Raises CorefileError for a text that cannot be read."""
    kept, zones_found, position = [], set(), 0
    for block in parse(text):
        if span := _span(text, block, destinations):
            kept.append(text[position : span[0]])
            position = span[1]
            zones_found.add(block.addresses[0].zone)
    bare = "".join(kept) + text[position:]
    if position == len(text) and not text.endswith("\n") and not bare.endswith(("\n\n", "\n\r\n")):
        # The last line of all was ours and had no line break, so the line before it ends without one again.
        bare = bare.removesuffix("\r\n") if bare.endswith("\r\n") else bare.removesuffix("\n")
    return Reading(bare, frozenset(zones_found))


def render(text: str, hosts: Collection[str], writing: Writing, stub_domains: Collection[str] = ()) -> Rendered:
    """node-local-dns's Corefile in which CoreDNS is asked for all of these hosts, as far as nobody else answers them.

    `stub_domains` are zones for which node-cache puts blocks behind the text. Raises CorefileError if blocks are needed
    and cannot be written safely.
    """
    bare, standing = read(text, {writing.destination, *writing.adopted})
    if not hosts:
        return Rendered(bare, (), "", ())
    frame = _frame(bare, writing.destination, stub_domains)
    around = {host: _longest(base(host), frame.standing) for host in hosts}
    theirs = {host: zone for host, zone in around.items() if zone and not frame.standing[zone]}
    astray = {host for host, zone in around.items() if not zone and not frame.standing[""]}
    found, left_out = zones(astray, writing.is_public_suffix, standing, writing.most)
    comment = f" # for {writing.destination}"
    tagged = [line for zone in found for line in _tagged(_lines(frame, zone), comment)]
    plain = [line for zone in found for line in _lines(frame, zone)]
    remarks = (*_left_to_others(theirs), *_left_out(left_out, writing))
    return Rendered(_appended(bare, tagged), found, "".join(f"{line}\n" for line in plain), remarks)


def by_hand(text: str, rendered: Rendered, writing: Writing) -> str:
    """The same Corefile as somebody would write it himself, without our tag. Raises CorefileError.

    Blocks of ours make room for his: two of one zone would stop node-local-dns.
    """
    bare = read(text, {writing.destination, *writing.adopted}).bare
    return _appended(bare, rendered.blocks.splitlines())


def asked_at(text: str, destination: str) -> frozenset[str]:
    """Addresses where node-local-dns is asked, or asks CoreDNS, as far as its Corefile says them as numbers.

    Raises CorefileError.
    """
    blocks = parse(text)
    found = (
        server_address(word)
        for block in blocks
        if not block.is_snippet
        for placed in expanded(block, blocks, {})
        if placed.directive.words[0] in (("bind", "forward") if _holds(block, destination) else ("bind",))
        for word in placed.directive.arguments
    )
    return frozenset(filter(None, found))


def nameservers(resolv_conf: str) -> frozenset[str]:
    """The addresses that a resolv.conf names."""
    lines = (line.split() for line in resolv_conf.splitlines())
    found = (server_address(words[1]) for words in lines if words[:1] == ["nameserver"] and len(words) > 1)
    return frozenset(filter(None, found))


def loop(upstreams: Iterable[str], ours: Collection[str], of_the_node: Collection[str]) -> str | None:
    """Why CoreDNS and node-local-dns would ask each other in a circle if blocks led there; None if nothing tells it.

    CoreDNS forwards to `upstreams`; `ours` are addresses that lead back to either, and `of_the_node` are those that its
    resolv.conf names.
    """
    normal = {str(ip_address(each)) for each in ours}
    for server in upstreams:
        is_file = server.endswith("resolv.conf")
        back = normal & (set(of_the_node) if is_file else {server_address(server)})
        if back:
            where = f"{server}, which on this pod's node names {min(back)}" if is_file else server
            return (
                f"CoreDNS forwards to {where}, and that leads back to node-local-dns or CoreDNS: with server blocks "
                "of ours they would ask each other in a circle for the names beside our hosts, so there are none; in "
                "CoreDNS's Corefile, name the DNS servers behind them, as in `forward . 192.0.2.53`"
            )
    return None


def stub_domains(data: Mapping[str, str]) -> dict[str, list[str]]:
    """Those of the ConfigMap kube-dns: zones and their DNS servers. Raises ValueError if they cannot be read."""
    try:
        found = json.loads(data.get("stubDomains") or "{}")
    except RecursionError as error:
        raise ValueError("stubDomains is nested too deeply") from error
    if not isinstance(found, dict) or not all(isinstance(servers, list) for servers in found.values()):
        raise ValueError("stubDomains is no JSON object of lists")
    return {zone: [str(server) for server in servers] for zone, servers in found.items()}


def with_stub_domains(data: Mapping[str, str], found: Collection[str], server: str) -> dict[str, str]:
    """What to merge into the data of the ConfigMap kube-dns so that `server` is asked for these zones too.

    What stands there stays, also for the same zone. Raises ValueError if that cannot be read.
    """
    standing = stub_domains(data)
    known = {address(zone).zone for zone in standing}
    return {"stubDomains": json.dumps(standing | {zone: [server] for zone in sorted(found) if zone not in known})}


def _zone(host: str, is_public_suffix: IsPublicSuffix) -> str | None:
    """None of a wildcard that stands for names everybody may register."""
    parent = host.partition(".")[2]
    if not _is_wide(parent, is_public_suffix):
        return parent
    return host if base(host) == host else None


def _is_wide(domain: str, is_public_suffix: IsPublicSuffix) -> bool:
    return "." not in domain or is_public_suffix(domain)


def _registered(zone: str, is_public_suffix: IsPublicSuffix) -> str:
    """The widest domain above a zone, or itself, that is no public suffix."""
    while not _is_wide(parent := zone.partition(".")[2], is_public_suffix):
        zone = parent
    return zone


def _longest(name: str, among: Collection[str]) -> str | None:
    """The longest of these zones that holds the name: whose block CoreDNS has it answered by."""
    while name:
        if name in among:
            return name
        name = name.partition(".")[2]
    return None


def _outermost(found: Collection[str]) -> set[str]:
    among = set(found)
    return {zone for zone in among if not _longest(zone.partition(".")[2], among)}


def _fewer(found: set[str], is_public_suffix: IsPublicSuffix, standing: Collection[str], most: int) -> set[str]:
    """With registered domains in place of several zones below them, until they are no more than `most`.

    One that stands was made wider once and stays so, or the same hosts would come to other zones the next time.
    """
    below = defaultdict[str, set[str]](set)
    for zone in found:
        below[_registered(zone, is_public_suffix)].add(zone)
    for domain in sorted(below, key=lambda domain: (domain not in standing, -len(below[domain]), domain)):
        if len(found) <= most and domain not in standing:
            break
        found = found - below[domain] | {domain} if len(below[domain]) > 1 else found
    return found


def _frame(bare: str, destination: str, stubs: Collection[str]) -> _Frame:
    """Raises CorefileError with what is missing or cannot be seen."""
    blocks = parse(bare)
    refusals.check(blocks, {})
    _check_what_is_seen(bare, blocks)
    root, key = _root(blocks)
    port = address(key).port
    beside = [(zone, block) for block in blocks if not block.is_snippet for zone in _zones(block, port)]
    holding = [(zone, block) for zone, block in beside if zone and is_within(destination, zone)]
    if not holding:
        raise CorefileError(1, f"no server block is for the cluster's own domain, which {destination} is in")
    _, cluster = max(holding, key=lambda pair: len(pair[0]))
    servers = _servers(cluster, blocks)
    if not servers:
        raise CorefileError(
            cluster.keys[0].line, "the server block for the cluster's own domain has no `forward .` to be copied"
        )
    forward = (f"forward . {' '.join(map(_word, servers))} {{", "    force_tcp", "}")
    own = [_directive_lines(directive) for directive in _copied(root, blocks)]
    prefix = "dns://" if key.startswith("dns://") else ""
    standing = {zone: False for zone in (each.zone for each in map(address, stubs)) if zone}
    standing |= {zone: _servers(block, blocks) == servers for zone, block in beside}
    return _Frame(prefix, key.removeprefix(prefix).removeprefix("."), (*own, forward), standing)


def _holds(block: Block, name: str) -> bool:
    return any(each.zone and is_within(name, each.zone) for each in block.addresses)


def _copied(root: Block, blocks: Sequence[Block]) -> list[Directive]:
    """Raises CorefileError if what is imported may have more of them, such as where to listen."""
    directives = [placed.directive for placed in expanded(root, blocks, {})]
    found = [directive for directive in directives if directive.words[0] in _COPIED]
    if any(map(imported, directives)) and not any(directive.words[0] == "bind" for directive in found):
        raise CorefileError(root.keys[0].line, "the server block for '.' imports files, and nobody sees where it binds")
    return sorted(found, key=lambda directive: _COPIED.index(directive.words[0]))


def _check_what_is_seen(bare: str, blocks: Sequence[Block]) -> None:
    """Raises CorefileError where a block could be one too many, or be none, and that could not be told."""
    if any(block.closing is None for block in blocks):
        raise CorefileError(blocks[-1].keys[0].line, "the only server block has no braces, so none can stand behind it")
    inside = Counter(name for block in blocks for name in map(imported, block.directives) if name)
    if (Counter(imports(bare)) - inside).keys() - snippets(blocks).keys():
        raise CorefileError(1, "it imports files with server blocks, and nobody sees for which zones they are")
    for block in blocks:
        for key in block.keys:
            if "{$" in key.text or "{%" in key.text:
                raise CorefileError(key.line, f"nobody sees which zone {key.text} is")


def _root(blocks: Sequence[Block]) -> tuple[Block, str]:
    """The block that answers `.`, and its key. Raises CorefileError if there is none, or several."""
    found = [
        (block, key.text.removesuffix(","))
        for block in blocks
        if not block.is_snippet
        for key, each in zip(block.keys, block.addresses, strict=True)
        if not each.zone and each.transport == "dns"
    ]
    if len(found) != 1:
        many = "several server blocks answer" if found else "no server block answers"
        raise CorefileError(1, f"{many} '.', and one block has to show how pods ask")
    return found[0]


def _zones(block: Block, port: str) -> Iterator[str]:
    yield from (each.zone for each in block.addresses if _is_asked(each, port))


def _is_asked(each: Address, port: str) -> bool:
    return each.transport == "dns" and each.port == port


def _servers(block: Block, blocks: Sequence[Block]) -> list[str]:
    """Where a block forwards everything to; nothing if it does not, or not in a way that we could copy."""
    for placed in expanded(block, blocks, {}):
        if placed.directive.words[:2] == ("forward", "."):
            servers = placed.directive.arguments[1:]
            return [] if any("://" in server and not server.startswith("dns://") for server in servers) else servers
    return []


def _lines(frame: _Frame, zone: str) -> list[str]:
    """A block."""
    inner = [f"    {line}" for directive in frame.directives for line in directive]
    return [f"{frame.prefix}{zone}{frame.suffix} {{", *inner, "}"]


def _tagged(lines: Sequence[str], comment: str) -> list[str]:
    """Each line has the tag, so that whatever takes tagged lines out leaves no half of a block."""
    return [f"{lines[0]}{comment} {TAG}", *(f"{line} {TAG}" for line in lines[1:])]


def _directive_lines(directive: Directive) -> tuple[str, ...]:
    """Raises CorefileError for a word that we cannot write."""
    by_line = defaultdict[int, list[Token]](list)
    for token in directive.tokens:
        by_line[token.line].append(token)
    found, depth = [], 0
    for tokens in by_line.values():
        words = [token.text for token in tokens]
        depth -= words.count("}") if words[0] == "}" else 0
        found.append("    " * depth + " ".join(map(_word, words)))
        depth += words.count("{") - (words.count("}") if words[0] != "}" else 0)
    return tuple(found)


def _word(text: str) -> str:
    if text and not _QUOTED.search(text):
        return text
    if "\n" in text or "\\" in text:
        raise CorefileError(1, f"the word {text!r} cannot be copied into another server block")
    return '"' + text.replace('"', '\\"') + '"'


def _span(text: str, block: Block, destinations: Collection[str]) -> tuple[int, int] | None:
    """Where a block of ours stands, with its line breaks; None if it is not ours."""
    if block.is_snippet or block.closing is None:
        return None
    start = text.rfind("\n", 0, block.keys[0].start) + 1
    newline = text.find("\n", block.closing.end)
    end = newline + 1 if newline >= 0 else len(text)
    lines = [line.removesuffix("\r") for line in text[start:end].removesuffix("\n").split("\n")]
    if not any(directive.words[:2] == ("forward", ".") for directive in block.directives):
        return None
    try:
        directives = tuple(map(_directive_lines, block.directives))
    except CorefileError:
        return None
    written = [f"{block.keys[0].text} {{", *(f"    {line}" for each in directives for line in each), "}"]
    as_ours = (_tagged(written, f" # for {destination}") for destination in destinations)
    return (start, end) if any(lines == each for each in as_ours) else None


def _appended(text: str, lines: Sequence[str]) -> str:
    """In the line breaks that the document has at its end."""
    if text and not text.endswith("\n"):
        newline = "\r\n" if "\r\n" in text or text.endswith("\r") else "\n"
        return text + "".join(newline + line for line in lines)
    newline = "\r\n" if text.endswith("\r\n") else "\n"
    return text + "".join(line + newline for line in lines)


def _left_to_others(theirs: Mapping[str, str]) -> Iterator[str]:
    for zone in sorted(set(theirs.values())):
        below = sorted(host for host, where in theirs.items() if where == zone)
        yield (
            f"the server block or stubDomain for {zone} is somebody else's, and as far as can be seen it does not ask "
            f"the cluster's CoreDNS; it is left alone, and pods may be led past us to {named(below)}"
        )


def _left_out(hosts: Sequence[str], writing: Writing) -> Iterator[str]:
    if hosts:
        yield (
            f"no more than {writing.most} server blocks are added, for each costs memory on every node; pods are led "
            f"past us to {named(hosts)}"
        )
