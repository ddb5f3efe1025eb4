"""The public suffix list (https://publicsuffix.org/), as its library ships it."""

from collections.abc import Callable
from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def load() -> Callable[[str], bool]:
    """Whether everybody may register names directly below a name, by the list's ICANN section."""
    known = PublicSuffixList(only_icann=True, accept_unknown=False)
    return lambda name: bool(known.is_public(name))
