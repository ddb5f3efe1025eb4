"""Versions of CoreDNS, and what they can do. Pure."""

import re
from typing import NamedTuple

_VERSION = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})([-+._].*)?")


class Version(NamedTuple):
    """Of CoreDNS."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


RELOADS_IMPORTS = Version(1, 7, 0)
"""From this on, the reload plugin notices a change of an imported file (https://coredns.io/plugins/reload/)."""

CURRENT = Version(1, 14, 7)
"""The one that this was tried with."""

TTL_RANGE = Version(1, 9, 4)
"""From this on, a rewrite rule takes a TTL's bounds (https://github.com/coredns/coredns/pull/5508)."""

ANSWER_AUTO = Version(1, 8, 4)
"""From this on, a rewrite rule takes `answer auto` (https://coredns.io/plugins/rewrite/). One of before refuses it at a
reload, and does not start with it."""


def version(text: str) -> Version | None:
    """The version that a text starts with, like `1.8.4` or `v1.11.4-eksbuild.2`; None if it is another text."""
    match = _VERSION.fullmatch(text)
    return Version(*map(int, match.groups()[:3])) if match else None
