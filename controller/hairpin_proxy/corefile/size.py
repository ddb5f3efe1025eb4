"""How many rules fit where they are kept. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import accumulate

from hairpin_proxy.errors import OperatorError


class TooLargeError(OperatorError):
    """Not even the rules that stand already fit any more."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text with as many rules as it may have."""

    text: str
    hosts: frozenset[str]
    """Those that have one."""

    left_out: tuple[str, ...] = ()
    """The others, sorted: none of them had one before."""


Put = Callable[[Collection[str]], str]
"""Makes the text for some hosts."""

Lines = Callable[[Collection[str]], list[str]]
"""Makes the rules alone, without line breaks and an indent."""


def fit(hosts: Collection[str], standing: Collection[str], limit: int, put: Put, lines: Lines) -> Fitted:
    """The text with rules for these hosts, or if that had more than `limit` bytes of UTF-8, for as many as fit.

    What stands already comes first. Raises TooLargeError if not even that fits, before anything of that size is made.
    """
    ranked = sorted(hosts, key=lambda host: (host not in standing, host))
    cost = _cost(put, lines) if hosts else len
    sizes = list(accumulate(map(cost, ranked), initial=_size(put(()))))
    fitting = max(0, bisect_right(sizes, limit) - 1)
    if fitting < sum(host in standing for host in hosts):
        raise TooLargeError(
            f"the rules for {len(hosts)} hosts make a text of {sizes[-1]} bytes, and {limit} is the most that its "
            f"ConfigMap can hold: {fitting} hosts fit; nothing was written"
        )
    return Fitted(put(ranked[:fitting]), frozenset(ranked[:fitting]), tuple(ranked[fitting:]))


def _cost(put: Put, lines: Lines) -> Callable[[str], int]:
    """What the rule for a host adds, in bytes: its lines, each with what it is put in, as often as the text has it."""
    without, short, longer = (_size(put(hosts)) for hosts in ((), ("a",), ("aa",)))
    times = longer - short
    around = -((without - short) // times) - len(lines(("a",))[0])  # rounded up: blocks may end their lines otherwise

    def cost(host: str) -> int:
        rule = lines((host,))
        return times * (sum(map(len, rule)) + around * len(rule))

    return cost


def _size(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))
