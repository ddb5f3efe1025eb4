"""A node's hosts file, in which hosts have the addresses of our Service."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from hairpin_proxy import hostsfile, names
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hostsfile import Address
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import ServiceName
from hairpin_proxy.observe.log import quoted
from hairpin_proxy.policy import Facts
from hairpin_proxy.providers import in_place


def service(destination: str) -> ServiceName:
    """The Service that a destination names. Raises OperatorError if it names none."""
    found = names.service(destination)
    if not found:
        raise OperatorError(
            f"--etc-hosts needs the addresses of a Service, and the destination {destination} names none; "
            "it takes SERVICE.NAMESPACE.svc.ZONE"
        )
    return found


def remove(path: str, *, dry_run: bool = False) -> tuple[str, str]:
    """Takes every line of ours out of a hosts file, and returns its text before and after.

    Raises OperatorError, as HostsFile's read and write do.
    """
    before = _text(in_place.read(path))
    after = hostsfile.remove(before)
    if after != before and not dry_run:
        in_place.write(path, _bytes(before), _bytes(after))
    return before, after


@dataclass(frozen=True, slots=True)
class HostsDocument:
    """A hosts file as it was read, and what hosts shall be found at."""

    text: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class HostsFile:
    """A hosts file, and the Service that hosts are led to."""

    kube: Kube
    path: str
    service: ServiceName

    def __str__(self) -> str:
        return self.path

    def read(self) -> HostsDocument:
        """Raises OperatorError if the Service has no address or the file cannot be read; FinalError as `in_place`."""
        addresses = self._addresses()
        return HostsDocument(_text(in_place.read(self.path)), addresses)

    def owned(self, state: HostsDocument) -> frozenset[str]:
        """The hosts that have a line of ours."""
        return hostsfile.owned(state.text)

    def facts(self, state: HostsDocument) -> Facts:
        """What the file has to do with which hosts may have a line."""
        return Facts(self.owned(state), no_wildcards="is a wildcard, of which a hosts file knows nothing")

    def render(self, state: HostsDocument, hosts: Collection[str]) -> Edit:
        desired = hostsfile.render(state.text, hosts, state.addresses)
        return Edit(self.path, state.text, desired, hostsfile.owned(desired))

    def remarks(self, state: HostsDocument, hosts: Collection[str]) -> list[Remark]:
        """What an operator should know of the document, each said once."""
        taken = hostsfile.taken(state.text)
        return [
            Remark(f"{self}: host {host} is left out: the line {quoted(taken[host])} names it, and is not ours")
            for host in sorted(taken.keys() & hosts)
        ]

    def write(self, state: HostsDocument, edit: Edit) -> None:
        """Overwrites the file in place, unless it has changed since it was read. Raises OperatorError."""
        in_place.write(self.path, _bytes(edit.current), _bytes(edit.desired))

    def manager(self, state: HostsDocument, document: str) -> str:
        return f"something on this node writes {self.path} too"

    def room(self, state: HostsDocument) -> None:
        """A file has no limit of its own."""

    def _addresses(self) -> tuple[Address, ...]:
        path = self.service.path
        try:
            answer = self.kube.get(path, "Service")
        except KubeError as error:
            if error.status == 404:
                raise OperatorError(
                    f"{error}; without an address {self} is left as it is (apply deploy.yml, which has the Service, "
                    "or name another by --destination)"
                ) from error
            raise
        try:
            return self._cluster_ips(answer.get("spec") or {})
        except (AttributeError, TypeError) as error:
            raise KubeError(f"GET {path}", f"the answer is no Service: {error}") from error

    def _cluster_ips(self, spec: Mapping[str, Any]) -> tuple[Address, ...]:
        # An API server of before 1.20 knows only the one.
        values = spec.get("clusterIPs") or [spec.get("clusterIP")]
        try:
            return tuple(ip_address(str(value)) for value in values)
        except ValueError as error:
            raise OperatorError(
                f"Service {self.service} has no address of its own (type {spec.get('type')}, clusterIP {values[0]}), "
                f"and {self} is left as it is; --destination takes a Service with a cluster IP"
            ) from error


def _text(content: bytes) -> str:
    """Text from which `_bytes` makes the same bytes again, also where they are not UTF-8."""
    return content.decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
