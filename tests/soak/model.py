"""What is wanted, what others do to the documents, and what may stand in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.corefiles import KUBEADM, TAG, rule

HOSTS = tuple(f"h{number}.example.com" for number in range(8))
MANY = tuple(f"m{number}.example.org" for number in range(30))
INVALID = (
    "kubernetes.default.svc.cluster.local",
    f"{'x' * 64}.example.com",
    "",
    "x.example.com\n    forward . 192.0.2.1",
    *("under_score.example.com", "-dash.example.com", "192.0.2.1", "*.*.example.com", "bücher.example", "a..b"),
)
"""What nobody is led to us for."""

INTERVAL = 15.0


def spelled(host: str, spelling: int) -> str:
    """The same host as others write it."""
    return (host, host.upper(), host.title(), host + ".")[spelling % 4]


def normal(raw: str) -> str:
    return raw.lower().removesuffix(".")


def wanted(ingresses: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """The hosts that have to have a rule."""
    return frozenset(normal(host) for hosts in ingresses.values() for host in hosts if host not in INVALID)


# ---- the Corefile


def is_ours(line: str) -> bool:
    """Also a line that has lost its comment: it stands where ours do, and is as we write it."""
    fields = line.split()
    return len(fields) > 2 and line.rstrip("\n") in (rule(fields[2]), rule(fields[2]).removesuffix(f" {TAG}"))


def foreign(text: str) -> str:
    """A Corefile without the lines that are ours."""
    return "".join(line for line in text.splitlines(keepends=True) if not is_ours(line))


def ours(text: str) -> list[str]:
    return [line for line in text.splitlines(keepends=True) if is_ours(line)]


def rules_in(text: str) -> frozenset[str]:
    """The hosts that have a rule of ours."""
    return frozenset(line.split()[2] for line in ours(text))


def as_it_should_be(text: str, hosts: Collection[str]) -> bool:
    """Whether exactly these hosts have a rule, each one, in the server block of the cluster."""
    block = text[text.index(".:53 {\n") :].partition("\n}")[0] + "\n"
    return ours(text) == ours(block) == [f"{rule(host)}\n" for host in sorted(hosts)]


def _into_block(text: str, lines: str, pick: int) -> str:
    """Behind one of the lines that a kubeadm Corefile has, or at the end of the block."""
    head, brace, tail = text.partition("\n}")
    places = [
        place for place in ("    errors\n", "    ready\n", "    cache 30\n", "    loop\n") if place in head + "\n"
    ]
    if not brace or not places or pick % 5 == 4:
        return f"{head}\n{lines.removesuffix(chr(10))}{brace}{tail}" if brace else text
    place = places[pick % len(places)]
    return text.replace(place, place + lines, 1)


def _add_comment(text: str, pick: int) -> str:
    return _into_block(text, f"    # kept {pick}\n", pick)


def _add_rewrite(text: str, pick: int) -> str:
    return _into_block(text, f"    rewrite name a{pick}.internal.test b{pick}.internal.test\n", pick)


def _add_log(text: str, pick: int) -> str:
    return text if "    log\n" in text else _into_block(text, "    log\n", pick)


def _add_block(text: str, pick: int) -> str:
    block = f"zone{pick}.test:53 {{\n    errors # }} {{\n    forward . 192.0.2.{pick + 1}\n}}\n"
    return text if f"zone{pick}.test:53" in text or not text.endswith("}\n") else text + block


def _remove_theirs(text: str, _pick: int) -> str:
    """What was added by others."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(("    # kept", "    rewrite name a"))
    )


def _remove_ours(text: str, pick: int) -> str:
    """One line, or all."""
    lines = ours(text)
    gone = {lines[pick % len(lines)]} if lines and pick % 2 else set(lines)
    return "".join(line for line in text.splitlines(keepends=True) if line not in gone)


def _double_ours(text: str, pick: int) -> str:
    lines = ours(text)
    return text.replace(lines[pick % len(lines)], lines[pick % len(lines)] * 2, 1) if lines else text


def _strip_ours(text: str, pick: int) -> str:
    """The comments get lost, of some lines or of all."""
    return text.replace(f" {TAG}\n", "\n", pick % 3 or -1)


def _add_as_ours(text: str, pick: int) -> str:
    """A rule of ours that nobody wants any more, as an old backup has it."""
    return _into_block(text, f"{rule(f'gone{pick}.example.net')}\n", 4)


def broken(text: str) -> str:
    """One that is no Corefile any more."""
    return text.replace("    ready\n", "    ready {\n", 1)


def mended(text: str) -> str:
    return text.replace("    ready {\n", "    ready\n", 1) or KUBEADM


EDITS: dict[str, Callable[[str, int], str]] = {
    "adds a comment": _add_comment,
    "adds a rewrite": _add_rewrite,
    "adds a plugin": _add_log,
    "adds a server block": _add_block,
    "removes own lines": _remove_theirs,
    "removes our lines": _remove_ours,
    "doubles our lines": _double_ours,
    "strips our comments": _strip_ours,
    "brings back an old rule": _add_as_ours,
    "starts from scratch": lambda _text, _pick: KUBEADM,
}
"""What others do to a Corefile."""


def is_healthy(text: str | None) -> bool:
    """Whether rules can be written."""
    return bool(text) and "ready {" not in str(text)


# ---- the hosts file

HOSTS_TEXT = "127.0.0.1 localhost\n"


def is_our_address(line: str) -> bool:
    return line.rstrip("\n").endswith(TAG)


def foreign_hosts(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not is_our_address(line))


def hosts_in(text: str) -> frozenset[str]:
    """The hosts that have a line of ours."""
    return frozenset(line.split()[1] for line in text.splitlines() if is_our_address(line))


def taken(text: str) -> frozenset[str]:
    """The hosts that a line of somebody else's names."""
    lines = foreign_hosts(text).splitlines()
    return frozenset(name for line in lines for name in line.partition("#")[0].split()[1:])


HOSTS_EDITS: dict[str, Callable[[str, int], str]] = {
    "appends a line": lambda text, pick: f"{text}192.0.2.{pick} other{pick}.example.com\n",
    "appends half a line": lambda text, pick: f"{text}192.0.2.{pick} half{pick}.example.com",
    "appends a host of ours": lambda text, pick: f"{text}192.0.2.{pick} {HOSTS[pick % len(HOSTS)]}\n",
    "puts a line first": lambda text, pick: f"192.0.2.{pick} first{pick}.example.com # not ours\n{text}",
    "removes our lines": lambda text, pick: "".join(
        line
        for number, line in enumerate(text.splitlines(keepends=True))
        if not is_our_address(line) or (pick % 2 and number % 2)
    ),
    "starts from scratch": lambda _text, _pick: HOSTS_TEXT,
    "empties it": lambda _text, _pick: "",
}
"""What others do to a hosts file."""


# ---- what a controller has seen


@dataclass
class Seen:
    """What the lists said that were given to one controller since its start."""

    hosts: frozenset[str] | None = None
    """The last one; None if it could not be had."""

    now: float = 0.0
    missing: dict[str, float] = field(default_factory=dict)
    """Hosts that each list lacks, since when."""

    def list(self, hosts: frozenset[str] | None, now: float) -> None:
        self.hosts, self.now = hosts, now
        for host in (*HOSTS, *MANY) if hosts is not None else ():
            if host in (hosts or ()):
                self.missing.pop(host, None)
            else:
                self.missing.setdefault(host, now)

    def may_go(self, host: str, truth: Collection[str]) -> bool:
        """Whether it has been told often enough that this host is not wanted, which in truth these are."""
        if host not in (*HOSTS, *MANY):
            return True
        return host in self.missing and (host not in truth or self.now - self.missing[host] >= INTERVAL)


def harm(before: str, after: str, seen: Seen, truth: Collection[str]) -> str:
    """What is wrong with a write of a Corefile that turns one text into another; nothing if it is right."""
    if foreign(before) != foreign(after):
        return f"what is not ours has changed: {foreign(before)!r} -> {foreign(after)!r}"
    return harm_to_hosts(rules_in(before), rules_in(after), seen, truth)


def harm_to_hosts(before: frozenset[str], after: frozenset[str], seen: Seen, truth: Collection[str]) -> str:
    """What is wrong with a write of rules for other hosts than before."""
    if seen.hosts is None:
        return "it was written although nothing could be listed"
    if added := after - before - seen.hosts:
        return f"rules came that nobody wants: {sorted(added)}"
    if lost := {host for host in before - after if not seen.may_go(host, truth)}:
        return f"rules went that are wanted: {sorted(lost)}"
    return ""
