"""How many rules fit where the Corefile is kept. Pure."""

from bisect import bisect_right
from collections.abc import Collection

from hairpin_proxy.corefile.render import remove, render
from hairpin_proxy.errors import OperatorError


class TooLargeError(OperatorError):
    """The rendered Corefile does not fit."""


def render_within(text: str, hosts: Collection[str], destination: str, limit: int) -> str:
    """The rendered Corefile, if it has at most `limit` bytes of UTF-8.

    Raises TooLargeError with the count of hosts that fits.
    """
    desired = render(text, hosts, destination)
    if _size(desired) <= limit:
        return desired
    bare = remove(text, destination)
    ordered = sorted(hosts)
    fitting = bisect_right(
        range(len(ordered)), limit, key=lambda count: _size(render(bare, ordered[: count + 1], destination))
    )
    raise TooLargeError(
        f"the rules for {len(hosts)} hosts make a Corefile of {_size(desired)} bytes, and {limit} is the most that its "
        f"ConfigMap can hold: {fitting} hosts fit; nothing was written"
    )


def _size(text: str) -> int:
    return len(text.encode())
