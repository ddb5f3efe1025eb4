"""How many rules fit where the Corefile is kept. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Collection
from itertools import accumulate

from hairpin_proxy.corefile.render import remove, render
from hairpin_proxy.errors import OperatorError


class TooLargeError(OperatorError):
    """The rendered Corefile does not fit."""


def render_within(text: str, hosts: Collection[str], destination: str, limit: int) -> str:
    """The rendered Corefile, if it has at most `limit` bytes of UTF-8.

    Raises TooLargeError with the count of hosts that fits, before anything of that size is made.
    """
    bare = remove(text, destination)
    cost = _cost(bare, destination) if hosts else len
    sizes = list(accumulate(map(cost, sorted(hosts)), initial=_size(bare)))
    if sizes[-1] > limit:
        fitting = max(0, bisect_right(sizes, limit) - 1)
        raise TooLargeError(
            f"the rules for {len(hosts)} hosts make a Corefile of {sizes[-1]} bytes, and {limit} is the most that its "
            f"ConfigMap can hold: {fitting} hosts fit; nothing was written"
        )
    return render(bare, hosts, destination)


def _cost(bare: str, destination: str) -> Callable[[str], int]:
    """What the rule for a host adds, in bytes: the same for all of them but for the length of the name."""
    without, short, longer = (_size(render(bare, hosts, destination)) for hosts in ((), ("a",), ("aa",)))
    return lambda host: short - without + (longer - short) * (len(host) - 1)


def _size(text: str) -> int:
    return len(text.encode())
