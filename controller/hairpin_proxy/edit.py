"""What a provider would change, and what it has to say of it."""

from typing import NamedTuple


class Remark(NamedTuple):
    """What an operator should know as long as it is so."""

    text: str
    severe: bool = False
    """Whether hosts fail until somebody acts."""

    calm: bool = False
    """Whether it is as somebody wants it, and nothing to be warned of."""

    about: str = ""
    """What stays the same where the text changes with a number in it; else the text itself does."""


class Edit(NamedTuple):
    """One document as it is and as it should be; the same if nothing is to be done."""

    document: str
    """Its name, for people."""

    current: str
    desired: str
    hosts: frozenset[str]
    """Those that have a rule once it is made, in whatever document."""

    remarks: tuple[Remark, ...] = ()
