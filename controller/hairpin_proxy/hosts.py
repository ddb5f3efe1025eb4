"""What a host is: its normal form, and what is not one. Pure."""

import re
from ipaddress import ip_address

TAG = "# Added by hairpin-proxy"
"""The comment of every line of ours, in a Corefile and in a hosts file, as hairpin-proxy v0.2.1 wrote it."""

MAX_LENGTH = 253
"""Longest name in characters, without the final dot (RFC 1035 §2.3.4: 255 octets on the wire)."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def normal(raw: str) -> str:
    """The one spelling of a host name: lower case, no final dot.

    Accepted are letters, digits and hyphens in labels of 1 to 63 characters (RFC 1123 §2.1), which is what the
    Kubernetes API accepts for a host. Raises ValueError with the reason for anything else.
    """
    if not raw:
        raise ValueError("is empty")
    if not raw.isascii():
        # Before lower(): the Kelvin sign, for one, becomes an ordinary "k" there.
        raise ValueError("has letters outside ASCII; write the A-label (xn--...)")
    host = raw.lower().removesuffix(".")
    if "*" in host:
        raise ValueError("is a wildcard; only *.DOMAIN is served")
    if len(host) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is no DNS name (RFC 1123: labels of 1 to 63 letters, digits and inner hyphens)")
    if labels[-1].isdigit():
        raise ValueError("ends in a number, so it is an IP address and no name")
    return raw if raw == host else host  # ten thousand of them are in memory once then


def pattern(raw: str) -> str:
    """The normal form of a host name, or of a wildcard `*.DOMAIN`, which stands for one label. Raises ValueError."""
    if not raw.startswith("*."):
        return normal(raw)
    host = f"*.{normal(raw.removeprefix('*.'))}"
    if len(host) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    return host


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_wildcard(host: str) -> bool:
    """Whether a host in normal form stands for many."""
    return host.startswith("*.")


def base(host: str) -> str:
    """The domain of a wildcard, or the host itself."""
    return host.removeprefix("*.")


def covers(wildcard: str, host: str) -> bool:
    """Whether a wildcard stands for this host; both in normal form. One that is none stands for nothing else."""
    return is_wildcard(wildcard) and host.partition(".")[2] == base(wildcard)


def is_within(host: str, domain: str) -> bool:
    """Whether host is domain or a name below it; both in normal form."""
    return host == domain or host.endswith("." + domain)
