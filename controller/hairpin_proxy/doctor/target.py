"""The target: what `TARGET_SERVER` names, and whether it speaks PROXY, by what it answers. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.need import Balancers
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
    def connected(self) -> bool:
        """Whether anybody accepts there."""
        return self.with_header.connected or self.without.connected

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
    likely: str | None = None
    """A better TARGET_SERVER."""

    is_right: bool = False
    """Whether the name is that of an ingress controller behind a load balancer, so that something else is wrong."""

    def __str__(self) -> str:
        if self.is_right:
            return "the name is right: look at its ports, at NetworkPolicies, and at whether its program expects PROXY"
        command = f"kubectl -n {self.namespace} set env deployment/{HAPROXY} TARGET_SERVER="
        if self.likely:
            return f"{command}{self.likely}"
        return f"with the full name of your ingress controller's Service: {command}NAME.NAMESPACE.svc.cluster.local"


def advice(namespace: str, server: str, those: Balancers, domain: str) -> Advice:
    """By the load balancers of ingress controllers, if any of them surely is one."""
    names = [f"{each.name.name}.{each.name.namespace}.svc.{domain}" for each in those.seen] if those.surely else []
    if server in names:
        return Advice(namespace, is_right=True)
    return Advice(namespace, next(iter(names), None))


def service(server: str) -> ServiceName | None:
    """The Service that a target names, if it does."""
    name, namespace, svc, *zone = (*server.lower().split("."), "", "")[:4]
    return ServiceName(namespace, name) if svc == "svc" and any(zone) else None


def findings(at: Target, tried: Sequence[Tried], help_with: Advice) -> Iterator[Finding]:
    """By what came back on each port."""
    connected = [each for each in tried if each.connected]
    if not connected:
        yield found(
            texts.TARGET_REFUSES, target=at.server, port=tried[0].port, why=tried[0].with_header.text, fix=help_with
        )  # fmt: skip
        return
    said = [finding for each in connected for finding in _of_port(at, each, help_with)]
    yield from said or [found(texts.TARGET, target=at.server, speaks=_speaks(at, connected[0]))]
    for each in tried:
        if not each.connected:
            variable = "TARGET_HTTP_PORT" if each.port == at.http_port else "TARGET_HTTPS_PORT"
            yield found(
                texts.TARGET_REFUSES_ONE,
                target=at.server, port=each.port, why=each.without.text,
                variable=variable, namespace=help_with.namespace,
            )  # fmt: skip


def _of_port(at: Target, tried: Tried, help_with: Advice) -> Iterator[Finding]:
    """What is wrong with it."""
    with_header, without = tried.with_header, tried.without
    where = {"target": at.server, "port": tried.port}
    if tried.demands is None:
        heard = {"with_header": with_header.text, "without": without.text}
        yield found(texts.TARGET_SAYS_NOTHING, **where, **heard, fix=help_with)
    elif at.protocol == "off":
        if not without.makes_sense:
            yield found(texts.TARGET_GETS_NO_PROXY, **where, namespace=help_with.namespace)
    elif not with_header.makes_sense:
        yield found(texts.TARGET_SPEAKS_NO_PROXY, **where, answer=f"with {with_header.text}", fix=help_with)


def _speaks(at: Target, tried: Tried) -> str:
    if at.protocol == "off":
        return "answers without the PROXY header, as PROXY_PROTOCOL=off has it"
    return "demands the PROXY header" if tried.demands else "takes the PROXY header, and does without it too"
