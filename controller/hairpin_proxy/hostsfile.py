"""A hosts file as it should be: the one given, with exactly our lines for exactly these hosts. Pure.

The format is that of hosts(5) as glibc reads it (nss/nss_files/files-hosts.c): a line is an address and its names with
white space between them, and `#` starts a comment wherever it stands. Nobody else's line is parsed and printed again:
ours are cut out and put in as text, so every other byte stays. A file that a process of ours was killed over is taken
for what it was, or was to become (see `journal`).
"""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address

from hairpin_proxy import journal
from hairpin_proxy.hosts import TAG, is_address

Address = IPv4Address | IPv6Address

_SPACE = " \t\n\v\f\r"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FIELD = re.compile(rf"[^{_SPACE}]+")


def render(text: str, hosts: Collection[str], addresses: Collection[Address]) -> str:
    """The file in which exactly these hosts have these addresses; hosts are in normal form.

    A host that somebody else's line names keeps what that line says (see `taken`). Ours follow the last line that has a
    line break: one without it stays the last, so that nothing which is appended to the file ever joins a line of ours.
    """
    text = recovered(text)
    bare = remove(text)
    wanted = _wanted(set(hosts) - taken(text).keys(), addresses)
    if _as_wanted(text, wanted):
        return text
    position = bare.rfind("\n") + 1
    newline = "\r\n" if bare[:position].endswith("\r\n") else "\n"
    return bare[:position] + "".join(line + newline for line in wanted) + bare[position:]


def remove(text: str) -> str:
    """The file without any line of ours."""
    return "".join(line for line in _lines(text) if not _is_ours(line))


def owned(text: str) -> frozenset[str]:
    """The hosts that have a line of ours."""
    return frozenset(name for line in _lines(text) if _is_ours(line) for name in _fields(line)[1:])


def taken(text: str) -> dict[str, str]:
    """The names on lines that are not ours, in normal form, each with the first such line."""
    names: dict[str, str] = {}
    for line in _lines(text):
        if not _is_ours(line):
            for name in _fields(line)[1:]:
                names.setdefault(name.lower().removesuffix("."), line.strip(_SPACE))
    return names


def recovered(text: str) -> str:
    """The file without what is left of a journal."""
    if not journal.is_suspect(text):
        return text
    content = journal.recovered(text.encode(errors="surrogateescape"))
    return content.decode(errors="surrogateescape")


def _lines(text: str) -> list[str]:
    return _LINE.findall(recovered(text))


def _wanted(hosts: Collection[str], addresses: Collection[Address]) -> list[str]:
    """Our lines, without line breaks."""
    ordered = sorted(set(addresses), key=lambda address: (address.version, address.packed))
    return [f"{address} {host} {TAG}" for host in sorted(hosts) for address in ordered]


def _as_wanted(text: str, wanted: list[str]) -> bool:
    """Whether the file has exactly these lines of ours, wherever they stand and whichever its line breaks are."""
    ours = [line.replace("\r\n", "\n") for line in _LINE.findall(text) if _is_ours(line)]
    return sorted(ours) == sorted(line + "\n" for line in wanted)


def _is_ours(line: str) -> bool:
    """Whether the whole comment is our tag, and what it is a comment to starts with an address."""
    _, mark, comment = line.partition("#")
    fields = _fields(line)
    return (mark + comment).rstrip(_SPACE) == TAG and bool(fields) and is_address(fields[0])


def _fields(line: str) -> list[str]:
    return _FIELD.findall(line.partition("#")[0])
