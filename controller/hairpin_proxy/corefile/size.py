"""How many rules fit where they are kept. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

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


def fit(hosts: Collection[str], standing: Collection[str], limit: int, put: Put) -> Fitted:
    """The text with rules for these hosts, or if that had more than `limit` bytes of UTF-8, for as many as fit.

    What stands already comes first. Raises TooLargeError if not even that fits.
    """
    text = put(hosts)
    if _size(text) <= limit:
        return Fitted(text, frozenset(hosts))
    ranked = sorted(hosts, key=lambda host: (host not in standing, host))
    fitting = _fitting(ranked, limit, put)
    if fitting < sum(host in standing for host in hosts):
        raise TooLargeError(
            f"the rules for {len(hosts)} hosts make a text of {_size(text)} bytes, and {limit} is the most that its "
            f"ConfigMap can hold: {fitting} hosts fit; nothing was written"
        )
    return Fitted(put(ranked[:fitting]), frozenset(ranked[:fitting]), tuple(ranked[fitting:]))


def _fitting(ranked: Sequence[str], limit: int, put: Put) -> int:
    """How many of the first make a text that fits; all of one more do not. Without any, it is what it is."""
    sizes = range(1, len(ranked) + 1)
    return bisect_left(sizes, True, key=lambda count: _size(put(ranked[:count])) > limit)


def _size(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))
