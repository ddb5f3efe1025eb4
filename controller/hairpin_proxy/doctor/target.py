"""The target: what `TARGET_SERVER` names, and whether it speaks PROXY, by what it answers. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.need import Balancer
from hairpin_proxy.names import HAPROXY, ServiceName

SERVER = "ingress-nginx-controller.ingress-nginx.svc.cluster.local"
"""What the image has."""

_DEFAULTS = {"TARGET_SERVER": SERVER, "TARGET_HTTP_PORT": "80", "TARGET_HTTPS_PORT": "443", "PROXY_PROTOCOL": "v1"}


class Target(NamedTuple):
    """Where HAProxy forwards to, and how."""

    server: str
    http_port: int
    https_port: int
    protocol: str
    """v1, v2 or off."""


class UnknownTargetError(ValueError):
    """Why it cannot be told what the target is."""


def target(environment: Mapping[str, str | None]) -> Target:
    """By what HAProxy's Deployment sets; None for a value that stands in another object. Raises UnknownTargetError."""
    values = {name: environment.get(name, default) for name, default in _DEFAULTS.items()}
    for name, value in values.items():
        if value is None:
            raise UnknownTargetError(f"{name} stands in another object")
    known = {name: str(value) for name, value in values.items()}
    try:
        ports = int(known["TARGET_HTTP_PORT"]), int(known["TARGET_HTTPS_PORT"])
    except ValueError as error:
        raise UnknownTargetError(f"a port is no number: {known}") from error
    return Target(known["TARGET_SERVER"].rstrip("."), *ports, known["PROXY_PROTOCOL"])


def told(text: str) -> Target | None:
    """By the page of HAProxy's own that has these settings; None for another page."""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        return target(pairs) if _DEFAULTS.keys() <= pairs.keys() else None
    except UnknownTargetError:
        return None


class Heard(NamedTuple):
    """What came back."""

    text: str
    """For people: `HTTP status 400`, `nothing`, `connection refused`."""

    connected: bool
    makes_sense: bool = False
    """Whether it is what a web server answers to what it understands."""


class Tried(NamedTuple):
    """What came back with the PROXY header and without it, on one port."""

    port: int
    with_header: Heard
    without: Heard

    @property
    def demands(self) -> bool | None:
        """Whether the header is demanded; None if nothing makes sense."""
        if self.without.makes_sense:
            return False
        return True if self.with_header.makes_sense else None


@dataclass(frozen=True, slots=True)
class Advice:
    """What may help when the target is wrong."""

    namespace: str
    likely: str | None
    """A better TARGET_SERVER."""

    def __str__(self) -> str:
        command = f"kubectl -n {self.namespace} set env deployment/{HAPROXY} TARGET_SERVER="
        if self.likely:
            return f"{command}{self.likely}"
        return f"{command}NAME.NAMESPACE.svc.cluster.local, the full name of your ingress controller's Service"


def advice(namespace: str, server: str, seen: Sequence[Balancer], domain: str) -> Advice:
    """By the load balancers of ingress controllers, of which another one is likely to be meant."""
    names = [f"{each.name.name}.{each.name.namespace}.svc.{domain}" for each in seen]
    return Advice(namespace, next((name for name in names if name != server), None))


def service(server: str) -> ServiceName | None:
    """The Service that a target names, if it does."""
    name, namespace, svc, *zone = (*server.lower().split("."), "", "")[:4]
    return ServiceName(namespace, name) if svc == "svc" and any(zone) else None


def findings(at: Target, tried: Tried, help_with: Advice) -> Iterator[Finding]:
    """By what came back."""
    with_header, without = tried.with_header, tried.without
    if not with_header.connected and not without.connected:
        yield found(texts.TARGET_REFUSES, target=at.server, port=tried.port, why=with_header.text, fix=help_with)
    elif tried.demands is None:
        yield found(
            texts.TARGET_SAYS_NOTHING,
            target=at.server,
            with_header=with_header.text,
            without=without.text,
            fix=help_with,
        )
    elif at.protocol == "off":
        yield _plain(at, tried, help_with)
    elif not with_header.makes_sense:
        yield found(texts.TARGET_SPEAKS_NO_PROXY, target=at.server, answer=f"with {with_header.text}", fix=help_with)
    else:
        speaks = "demands the PROXY header" if tried.demands else "takes the PROXY header, and does without it too"
        yield found(texts.TARGET, target=at.server, speaks=speaks)


def _plain(at: Target, tried: Tried, help_with: Advice) -> Finding:
    """Where HAProxy adds no header."""
    if tried.without.makes_sense:
        return found(
            texts.TARGET, target=at.server, speaks="answers without the PROXY header, as PROXY_PROTOCOL=off has it"
        )
    return found(texts.TARGET_GETS_NO_PROXY, target=at.server, namespace=help_with.namespace)
