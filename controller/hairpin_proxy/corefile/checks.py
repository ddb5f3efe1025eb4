"""What an operator should know of a Corefile: where our rules never run, or not always, or are read late. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from functools import partial

from hairpin_proxy.corefile import rules
from hairpin_proxy.corefile.blocks import Block, Directive, address, parse
from hairpin_proxy.corefile.homes import Answer, answer
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.rewrites import Rewrite, rewrites
from hairpin_proxy.corefile.scope import Files, Placed, expanded, imported, options, snippets
from hairpin_proxy.hosts import base, covers, is_address, is_within

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
    yield from answered_first(blocks, homes, hosts, files or {})
    yield from doubts(blocks, homes, hosts, files or {})
    if not reloads(blocks):
        yield "no server block has the reload plugin, so CoreDNS reads no change until it is restarted"


def answered_first(
    blocks: Sequence[Block], homes: Sequence[Block], hosts: Collection[str], files: Files
) -> Iterator[str]:
    """What surely answers some of the hosts before our rules do: a longer zone, or others' rules.

    Raises as `remarks` does.
    """
    yield from _hidden(blocks, homes, hosts, files)
    for home in homes:
        yield from _overruled(rewrites(expanded(home, blocks, files)), hosts)


def doubts(blocks: Sequence[Block], homes: Sequence[Block], hosts: Collection[str], files: Files) -> Iterator[str]:
    """What may do so for some questions, or keep our rules from working. Raises as `remarks` does."""
    for home in homes:
        directives = list(expanded(home, blocks, files))
        yield from _bypassed(directives)
        yield from _narrowed(directives, blocks, files)
        yield from _answered(directives, hosts, partial(options, blocks=blocks, files=files))


def passed_over(blocks: Sequence[Block], homes: Sequence[Block], destination: str, files: Files) -> Iterator[str]:
    """One sentence for each server block that answers `.` and might have been a home. Raises as `remarks` does."""
    for block in blocks:
        if block.answers_root and block not in homes and answer(block, blocks, destination, files) is Answer.PERHAPS:
            yield (
                f"Corefile:{block.keys[0].line}: this server block gets no rules, for the zone of its kubernetes "
                "plugin comes from the environment, and another block surely has the right one"
            )


def reloads(blocks: Sequence[Block]) -> bool:
    """Whether CoreDNS reads a changed Corefile by itself (https://coredns.io/plugins/reload/).

    An import of files counts, for what comes from there may say so.
    """
    directives = [directive for block in blocks for directive in block.directives]
    known = snippets(blocks)
    return any(
        directive.words[0] == "reload" and directive.words[1:2] not in (("0",), ("0s",)) for directive in directives
    ) or any(name and name not in known for name in map(imported, directives))


def left_to_others(others: Iterable[Rewrite], hosts: Collection[str]) -> dict[str, Rewrite]:
    """The hosts that others' rules lead elsewhere, each with the first rule that does."""
    found: dict[str, Rewrite] = {}
    for rule in others:
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
    imports = list(_imported_blocks(blocks, files))
    yield from (found for found in imports if isinstance(found, str))
    for where, block in (*others, *(found for found in imports if not isinstance(found, str))):
        if not any(_places(block, blocks, files) & home for home in ours):
            continue
        for zone in (each.zone for each in block.addresses):
            below = [host for host in hosts if zone and (is_within(host, zone) or covers(host, zone))]
            if below:
                yield (
                    f"{where}:{block.keys[0].line}: the server block for {zone} answers {named(below)}, so a "
                    "rule in the block for '.' does nothing there"
                )


def _imported_blocks(blocks: Sequence[Block], files: Files) -> Iterator[tuple[str, Block] | str]:
    """The server blocks in files that are imported beside those of the Corefile, or what is wrong with such a file."""
    inside = {name for block in blocks for name in map(imported, block.directives)}
    for pattern, found in files.items():
        for name, text in found.items() if pattern not in inside else ():
            try:
                yield from ((name, block) for block in parse(text) if not block.is_snippet)
            except CorefileError as error:
                yield str(CorefileError(error.line, error.problem, name))


def _places(block: Block, blocks: Sequence[Block], files: Files) -> set[tuple[str, str, str]]:
    """Where it listens: transport, port, and address, which is empty for all (https://coredns.io/plugins/bind/)."""
    binds = [placed.directive for placed in expanded(block, blocks, files) if placed.directive.words[0] == "bind"]
    hosts = {word for bind in binds for word in bind.arguments} or {""}
    return {(each.transport, each.port, host) for each in block.addresses for host in hosts}


def _overruled(found: Sequence[Rewrite], hosts: Collection[str]) -> Iterator[str]:
    for rule in found:
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


def _answered(
    directives: Iterable[Placed], hosts: Collection[str], lines: Callable[[Directive], Iterable[tuple[str, ...]]]
) -> Iterator[str]:
    """By plugins that come behind rewrite (https://coredns.io/plugins/hosts/, https://coredns.io/plugins/template/)."""
    for placed in directives:
        plugin = placed.directive.words[0]
        if plugin == "hosts":
            entries = (line for line in lines(placed.directive) if is_address(line[0]))
            theirs = {name.lower().removesuffix(".") for line in entries for name in line[1:]}
            if overridden := sorted(theirs.intersection(hosts)):
                yield f"{placed.where}: hosts has an address for {named(overridden)}, and our rule comes before it"
        elif plugin == "template" and not rules.ends(placed.directive.words)[1]:
            zones = {address(word).zone for word in placed.directive.arguments[2:]} - {""}
            if covered := sorted(host for host in hosts if any(is_within(base(host), zone) for zone in zones)):
                yield (
                    f"{placed.where}: this template may be about {named(covered)}, too: it answers before a rule of "
                    "ours that is a template, and behind any other"
                )


def _narrowed(directives: Iterable[Placed], blocks: Sequence[Block], files: Files) -> Iterator[str]:
    for placed in directives:
        if placed.directive.words[0] != "kubernetes":
            continue
        for option in options(placed.directive, blocks, files):
            if option[0] in _NARROWING:
                yield (
                    f"{placed.where}: the option `{' '.join(option)}` of the kubernetes plugin may leave out the "
                    "Service that the rules lead to, and then every host is NXDOMAIN"
                )
