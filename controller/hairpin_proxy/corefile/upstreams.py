"""Which DNS servers a CoreDNS asks for what it does not know itself. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address

from hairpin_proxy.corefile.blocks import Block
from hairpin_proxy.corefile.scope import Files, expanded
from hairpin_proxy.hosts import is_address


def upstreams(blocks: Sequence[Block], files: Files) -> list[str]:
    """What the `forward` of any server block names: addresses, and files like /etc/resolv.conf.

    Raises CorefileError for an imported file that cannot be read.
    """
    found = (
        server
        for block in blocks
        if not block.is_snippet
        for placed in expanded(block, blocks, files)
        if placed.directive.words[0] == "forward"
        for server in placed.directive.arguments[1:]
    )
    return list(dict.fromkeys(found))


def server_address(server: str) -> str | None:
    """The IP address in `[TRANSPORT://]ADDRESS[%NAME][:PORT]`, in normal form; None without any."""
    host = (server.partition("://")[2] or server).partition("%")[0]
    for text in (host, host.strip("[]"), host.rpartition(":")[0].strip("[]")):
        if is_address(text):
            return str(ip_address(text))
    return None
