"""Which server blocks our rules belong to. Pure."""

from collections.abc import Sequence
from enum import IntEnum

from hairpin_proxy.corefile.blocks import Block, Directive, address
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.scope import Files, expanded, options
from hairpin_proxy.hosts import is_within


class NoKubernetesError(CorefileError):
    """The one server block that answers `.` cannot answer the destination, so that a rule in it would do harm."""


def homes(blocks: Sequence[Block], destination: str, files: Files | None = None) -> list[Block]:
    """The server blocks that our rules belong to: those that answer `.` and can answer the destination.

    A rewritten query goes on in the same block, so without the `kubernetes` plugin for the destination's zone it would
    be sent upstream, and every host be NXDOMAIN (https://coredns.io/plugins/rewrite/). A zone from the environment is
    believed; what an imported file holds is known only if it is given. Raises CorefileError if there is none, and
    NoKubernetesError if there is but one that answers `.`.
    """
    roots = [block for block in blocks if block.answers_root]
    if not roots:
        raise CorefileError(1, "no server block answers '.', so there is no place for a rule that holds for all pods")
    answers = [(answer(block, blocks, destination, files or {}), block) for block in roots]
    best = max(each for each, _ in answers)
    if best is Answer.NO:
        kind = NoKubernetesError if len(roots) == 1 else CorefileError
        raise kind(
            roots[0].keys[0].line,
            f"{_subject(roots)} kubernetes plugin for a zone that holds {destination}, so every rewritten name "
            "would be NXDOMAIN; is --destination in this cluster's domain?",
        )
    return [block for each, block in answers if each is best]


def only_root(blocks: Sequence[Block]) -> list[Block]:
    """The server blocks that answer `.`, for whoever wants the rules there whatever they answer."""
    return [block for block in blocks if block.answers_root]


def answers(blocks: Sequence[Block], name: str, files: Files) -> bool:
    """Whether some server block that answers `.` may know this name by its kubernetes plugin."""
    return any(answer(block, blocks, name, files) is not Answer.NO for block in blocks if block.answers_root)


def cluster_zones(blocks: Sequence[Block], files: Files) -> frozenset[str]:
    """The zones of all kubernetes plugins, in normal form, but for the root: the cluster's own domains.

    Raises CorefileError for an imported file that cannot be read.
    """
    found = {
        zone
        for block in blocks
        if not block.is_snippet
        for placed in expanded(block, blocks, files)
        if placed.directive.words[0] == "kubernetes"
        for zone in _zones(placed.directive, block)
    }
    return frozenset(zone for zone in found if zone and "{" not in zone)


def _subject(roots: Sequence[Block]) -> str:
    if len(roots) == 1:
        return "the server block that answers '.' has no"
    return f"none of the {len(roots)} server blocks that answer '.' has a"


class Answer(IntEnum):
    """Whether a server block answers a name by its kubernetes plugin."""

    NO = 0
    PERHAPS = 1
    """If a zone from the environment is the right one."""
    YES = 2


def answer(block: Block, blocks: Sequence[Block], destination: str, files: Files) -> Answer:
    """Whether this block does. Raises CorefileError for an imported file that cannot be read."""
    directives = [placed.directive for placed in expanded(block, blocks, files)]
    plugins = [directive for directive in directives if directive.words[0] == "kubernetes"]
    shown = [each for each in plugins if _shows(list(options(each, blocks, files)), destination)]
    zones = [_zones(plugin, block) for plugin in shown]
    if any(_hold(names, destination) for names in zones):
        return Answer.YES
    return Answer.PERHAPS if any("{$" in name or "{%" in name for names in zones for name in names) else Answer.NO


def _shows(lines: Sequence[tuple[str, ...]], destination: str) -> bool:
    """Whether a kubernetes plugin with these options knows the destination's namespace.

    It knows all of them, or those that its option `namespaces` names; what an import brings that is not known may
    be that.
    """
    namespace = destination.partition(".svc.")[0].rpartition(".")[2]
    named = [name for line in lines if line[0] == "namespaces" for name in line[1:] if name != "}"]
    if any(line[0] == "import" for line in lines):
        return False
    return not named or any(name == namespace or name.startswith(("{$", "{%")) for name in named)


def _zones(kubernetes: Directive, block: Block) -> list[str]:
    """The zones of a kubernetes plugin in normal form, `.` being the empty name. Without any, they are the block's."""
    own = [address(name) for name in kubernetes.arguments]
    return [each.zone for each in own or block.addresses]


def _hold(zones: Sequence[str], destination: str) -> bool:
    """Whether a kubernetes plugin for these zones knows the destination.

    Of its zones the longest that fits counts, and there it knows a Service only as NAME.NAMESPACE.svc.ZONE (Kubernetes
    DNS specification §2.3): the root, though it holds every name, answers none.
    """
    _, service, domain = destination.partition(".svc.")
    longest = max((name for name in zones if name and is_within(destination, name)), key=len, default="")
    return longest == domain if service else bool(longest)
