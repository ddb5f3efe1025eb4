"""Which server blocks our rules belong to. Pure."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import takewhile

from hairpin_proxy.corefile.blocks import Block, Directive, zone
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.hosts import is_within


def homes(blocks: Sequence[Block], destination: str) -> list[Block]:
    """The server blocks that our rules belong to: those that answer `.` and can answer the destination.

    A rewritten query goes on in the same block, so without the `kubernetes` plugin for the destination's zone it would
    be sent upstream, and every host be NXDOMAIN (https://coredns.io/plugins/rewrite/). What cannot be seen from here, a
    zone from the environment or a plugin from an imported file, is believed. Raises CorefileError if there is none.
    """
    roots = [block for block in blocks if block.answers_root]
    if not roots:
        raise CorefileError(1, "no server block answers '.', so there is no place for a rule that holds for all pods")
    snippets = {block.keys[0].text[1:-1]: block for block in blocks if block.is_snippet}
    answers = [(_answers(block, _expanded(block, snippets), destination), block) for block in roots]
    best = max(answer for answer, _ in answers)
    if best is Answer.NO:
        raise CorefileError(
            roots[0].keys[0].line,
            f"the server block that answers '.' has no kubernetes plugin for a zone that holds {destination}, "
            "so every rewritten name would be NXDOMAIN; is --destination in this cluster's domain?",
        )
    return [block for answer, block in answers if answer is best]


class Answer(IntEnum):
    """Whether a server block answers a name by its kubernetes plugin."""

    NO = 0
    PERHAPS = 1
    YES = 2


def _answers(block: Block, directives: Sequence[Directive], destination: str) -> Answer:
    plugins = [directive for directive in directives if directive.words[0] == "kubernetes"]
    zones = [name for plugin in plugins for name in _zones(plugin, block)]
    if any(_holds(name, destination) for name in zones):
        return Answer.YES
    unseen = any("{$" in name or "{%" in name for name in zones)
    return Answer.PERHAPS if unseen or any(directive.words[0] == "import" for directive in directives) else Answer.NO


def _zones(kubernetes: Directive, block: Block) -> list[str]:
    """The zones of a kubernetes plugin in normal form, `.` being the empty name. Without any, they are the block's."""
    own = takewhile(lambda word: word != "{", kubernetes.words[1:])
    return [zone(name).lower().removesuffix(".") for name in list(own) or [key.text for key in block.keys]]


def _holds(name: str, destination: str) -> bool:
    """Whether a kubernetes plugin for this zone knows the destination.

    It knows a Service only as NAME.NAMESPACE.svc.ZONE (Kubernetes DNS specification §2.3), so that the root, though it
    holds every name, answers none.
    """
    _, service, domain = destination.partition(".svc.")
    return name == domain if service else is_within(destination, name)


def _expanded(block: Block, snippets: Mapping[str, Block]) -> list[Directive]:
    """A block's directives with those of the snippets that it imports; an import of files stays."""
    found: list[Directive] = []
    waiting, seen = list(block.directives), set[str]()
    while waiting:
        directive = waiting.pop(0)
        name = directive.words[1] if directive.words[0] == "import" else None
        if name is None or name not in snippets:
            found.append(directive)
        elif name not in seen:
            seen.add(name)
            waiting = [*snippets[name].directives, *waiting]
    return found
