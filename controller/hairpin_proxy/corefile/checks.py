"""What an operator should know of a Corefile: where our rules never run, or not always, or are read late. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized

from hairpin_proxy.corefile.blocks import Block, parse
from hairpin_proxy.corefile.rewrites import Rewrite, rewrites
from hairpin_proxy.corefile.scope import Files, Placed, expanded, imported, snippets
from hairpin_proxy.hosts import is_within

_NARROWING = ("labels", "namespace_labels", "ignore")
"""Options of the kubernetes plugin by which it knows only some Services (https://coredns.io/plugins/kubernetes/)."""

_NAMED = 3
"""Hosts that one sentence names."""


def remarks(
    blocks: Sequence[Block], homes: Sequence[Block], hosts: Collection[str], files: Files | None = None
) -> Iterator[str]:
    """One sentence for each thing that keeps the rules in the home blocks from doing their work.

    The blocks are those of a Corefile without our rules. Raises CorefileError for a file that cannot be read.
    """
    yield from _hidden(blocks, homes, hosts, files or {})
    for home in homes:
        directives = list(expanded(home, blocks, files or {}))
        yield from _overruled(rewrites(directives), hosts)
        yield from _bypassed(directives)
        yield from _narrowed(directives)
    if not reloads(blocks):
        yield "no server block has the reload plugin, so CoreDNS reads no change until it is restarted"


def reloads(blocks: Sequence[Block]) -> bool:
    """Whether CoreDNS reads a changed Corefile by itself (https://coredns.io/plugins/reload/).

    An import of files counts, for what comes from there may say so.
    """
    directives = [directive for block in blocks for directive in block.directives]
    known = snippets(blocks)
    return any(
        directive.words[0] == "reload" and directive.words[1:2] not in (("0",), ("0s",)) for directive in directives
    ) or any(name and name not in known for name in map(imported, directives))


def left_to_others(rules: Iterable[Rewrite], hosts: Collection[str]) -> dict[str, Rewrite]:
    """The hosts that others' rules lead elsewhere, each with the first rule that does."""
    found: dict[str, Rewrite] = {}
    for rule in rules:
        if rule.renames:
            for host in rule.taken(hosts):
                found.setdefault(host, rule)
    return found


def counted(things: Sized, what: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def named(hosts: Collection[str]) -> str:
    """Some hosts, for people: `host a.example.com`, or `12 hosts (a.example.com, ...)`."""
    if len(hosts) == 1:
        return f"host {next(iter(hosts))}"
    more = ", ..." if len(hosts) > _NAMED else ""
    return f"{len(hosts)} hosts ({', '.join(sorted(hosts)[:_NAMED])}{more})"


def _hidden(blocks: Sequence[Block], homes: Sequence[Block], hosts: Collection[str], files: Files) -> Iterator[str]:
    """Of all blocks that listen where a query comes in, the one with the longest zone answers it."""
    ours = [_places(home, blocks, files) for home in homes]
    others = [("Corefile", block) for block in blocks if block not in homes and not block.is_snippet]
    for where, block in (*others, *_imported_blocks(blocks, files)):
        if not any(_places(block, blocks, files) & home for home in ours):
            continue
        for address in block.addresses:
            below = [host for host in hosts if address.zone and is_within(host, address.zone)]
            if below:
                yield (
                    f"{where}:{block.keys[0].line}: the server block for {address.zone} answers {named(below)}, so a "
                    "rule in the block for '.' does nothing there"
                )


def _imported_blocks(blocks: Sequence[Block], files: Files) -> Iterator[tuple[str, Block]]:
    """The server blocks in files that are imported beside those of the Corefile."""
    inside = {name for block in blocks for name in map(imported, block.directives)}
    for pattern, found in files.items():
        for name, text in found.items() if pattern not in inside else ():
            yield from ((name, block) for block in parse(text) if not block.is_snippet)


def _places(block: Block, blocks: Sequence[Block], files: Files) -> set[tuple[str, str, str]]:
    """Where it listens: transport, port, and address, which is empty for all (https://coredns.io/plugins/bind/)."""
    binds = [placed.directive for placed in expanded(block, blocks, files) if placed.directive.words[0] == "bind"]
    hosts = {word for bind in binds for word in bind.words[1:]} or {""}
    return {(address.transport, address.port, host) for address in block.addresses for host in hosts}


def _overruled(rules: Sequence[Rewrite], hosts: Collection[str]) -> Iterator[str]:
    for rule in rules:
        if rule.takes_every_name:
            yield f"{rule} stops at every query it matches, so the rules after it, ours among them, do not run then"
        elif taken := rule.taken(hosts):
            does = "leads" if rule.renames else "stops at"
            where = " elsewhere" if rule.renames else ", before our rule for it is tried"
            yield f"{rule} {does} {named(taken)}{where}; it stands first and wins"


def _bypassed(directives: Iterable[Placed]) -> Iterator[str]:
    for placed in directives:
        if placed.directive.words[0] == "autopath":
            yield (
                f"{placed.where}: autopath tries the bare name behind the rewrite rules, so a pod that asks for a host "
                "through its search path is not led to us"
            )


def _narrowed(directives: Iterable[Placed]) -> Iterator[str]:
    for placed in directives:
        options = placed.directive.options if placed.directive.words[0] == "kubernetes" else []
        for option in options:
            if option[0] in _NARROWING:
                yield (
                    f"{placed.where}: the option `{' '.join(option)}` of the kubernetes plugin may leave out the "
                    "Service that the rules lead to, and then every host is NXDOMAIN"
                )
