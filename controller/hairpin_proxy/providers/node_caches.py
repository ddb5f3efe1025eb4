"""node-local-dns's Corefile: found, and read. What goes wrong here never holds up CoreDNS's own rules."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import ConfigMap, Key, NodeCorefile
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.locate import NodeCache, node_caches
from hairpin_proxy.names import COREDNS_NAMESPACE
from hairpin_proxy.providers import configmap
from hairpin_proxy.settings import ConfigMapName

COMPONENT = "deploy-node-local-dns.yml"
"""What gives the rights that this takes."""

_SECONDS = 600.0
"""How long it is good for where node-local-dns reads its Corefile, or that a write was refused."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read."""

    corefiles: tuple[NodeCorefile, ...] = ()
    remarks: tuple[Remark, ...] = ()
    """Why one was not."""


class _Refusal(NamedTuple):
    remark: Remark
    until: float


class NodeCaches:
    """Reads them: each poll if blocks are `wanted`, else only as long as some of before may stand."""

    def __init__(
        self,
        kube: Kube,
        *,
        wanted: bool,
        clock: Callable[[], float] = time.monotonic,
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self.wanted = wanted
        self._kube = kube
        self._clock = clock
        self._resolv_conf = resolv_conf
        self._found: list[NodeCache] | None = None
        self._since = 0.0
        self._refused: dict[ConfigMapName, _Refusal] = {}
        self._clean = False

    def read(self, destinations: Collection[str]) -> Seen:
        """Raises nothing."""
        try:
            return Seen() if self._clean else self._read_ours(destinations)
        except Exception as error:
            return _fault(error)

    def _read_ours(self, destinations: Collection[str]) -> Seen:
        seen = self._look(to_add=self.wanted)
        refusals = self._refusals()
        if self.wanted:
            return replace(seen, remarks=(*seen.remarks, *refusals))
        ours = tuple(each for each in seen.corefiles if _zones(each, destinations))
        # What we may not read, or cannot find, has no block that we could take out.
        self._clean = not ours and all(remark.calm for remark in seen.remarks)
        return Seen(ours, refusals)

    def look(self, *, to_add: bool) -> Seen:
        """All of them; to take blocks out, less has to be known. A remark is calm if it is no surprise.

        Raises nothing.
        """
        try:
            return self._look(to_add=to_add)
        except Exception as error:
            return _fault(error)

    def _look(self, *, to_add: bool) -> Seen:
        try:
            found = self._get()
        except KubeError as error:
            calm = not self.wanted and error.status == HTTPStatus.FORBIDDEN
            return Seen(remarks=(Remark(f"it cannot be seen whether there is node-local-dns: {error}", calm=calm),))
        if not found:
            absent = f"namespace {COREDNS_NAMESPACE} has no node-local-dns, so no block is added to its Corefile"
            return Seen(remarks=(Remark(absent, calm=True),))
        addresses = frozenset(address for cache in found for address in cache.addresses)
        nameservers = self._nameservers()
        corefiles: dict[tuple[ConfigMapName, str], NodeCorefile] = {}
        remarks = []
        for cache in found:
            try:
                corefile = self._corefile(cache, to_add=to_add)
                waits = self._waits(corefile.key.configmap.name)
                corefile = replace(corefile, addresses=addresses, nameservers=nameservers, waits=waits)
                corefiles[corefile.key.configmap.name, corefile.key.name] = corefile
            except OperatorError as error:
                calm = not self.wanted and not isinstance(error, KubeError)
                remarks.append(Remark(f"pods that ask {cache.workload} may be led past us: {error}", calm=calm))
        return Seen(tuple(corefiles.values()), tuple(remarks))

    def write(self, corefile: NodeCorefile, text: str) -> Remark | None:
        """Returns why it was not made, which is remembered so that it is not tried at every poll; None if it was."""
        key = corefile.key
        try:
            configmap.write(self._kube, key.configmap, key.name, text)
        except OperatorError as error:
            if isinstance(error, KubeError) and error.status == HTTPStatus.CONFLICT:
                return Remark(f"{key} is written by the next poll: {error}", calm=True)
            why = _without_right(key.configmap.name, error) if isinstance(error, configmap.ForbiddenError) else error
            remark = Remark(f"{key} could not be written, and pods that ask node-local-dns may be led past us: {why}")
            self._refused[key.configmap.name] = _Refusal(remark, self._clock() + _SECONDS)
            return remark
        return None

    def _waits(self, name: ConfigMapName) -> bool:
        return name in self._refused and self._clock() < self._refused[name].until

    def _refusals(self) -> tuple[Remark, ...]:
        """Also of those that may be tried again now, so that one that lasts is said once."""
        said = tuple(refusal.remark for refusal in self._refused.values())
        self._refused = {name: refusal for name, refusal in self._refused.items() if self._waits(name)}
        return said

    def _get(self) -> list[NodeCache]:
        if self._found is None or self._clock() - self._since > _SECONDS:
            path = f"/apis/apps/v1/namespaces/{COREDNS_NAMESPACE}/daemonsets"
            try:
                self._found = node_caches(COREDNS_NAMESPACE, self._kube.items(path, "DaemonSetList"))
            except KubeError:
                if self._found is None:
                    raise
            self._since = self._clock()
        return self._found

    def _nameservers(self) -> frozenset[str]:
        """The node's own, by `dnsPolicy: Default` in deploy.yml; none if they cannot be read."""
        try:
            return nodecache.nameservers(self._resolv_conf.read_text(errors="replace"))
        except OSError:
            return frozenset()

    def _corefile(self, cache: NodeCache, *, to_add: bool) -> NodeCorefile:
        """Raises OperatorError."""
        if not cache.configmap:
            raise OperatorError("no ConfigMap is seen to hold its Corefile")
        found = self._read(cache.configmap)
        if cache.key not in found.data:
            raise OperatorError(f"ConfigMap {cache.configmap} has no key {cache.key} with text")
        return NodeCorefile(Key(found, cache.key), frozenset(self._stub_domains(cache) if to_add else ()))

    def _stub_domains(self, cache: NodeCache) -> Iterator[str]:
        """node-cache refuses its whole configuration if one of them has a block too."""
        if not cache.stub_domains:
            return
        try:
            yield from nodecache.stub_domains(self._read(cache.stub_domains).data)
        except configmap.MissingError:
            return
        except ValueError as error:
            raise OperatorError(f"ConfigMap {cache.stub_domains}: {error}") from error

    def _read(self, name: ConfigMapName) -> ConfigMap:
        try:
            return configmap.read(self._kube, name)
        except configmap.MissingError as error:
            raise configmap.MissingError(f"there is no ConfigMap {name}") from error
        except configmap.ForbiddenError as error:
            raise _without_right(name, error) from error


def _without_right(name: ConfigMapName, error: configmap.ForbiddenError) -> configmap.ForbiddenError:
    return configmap.ForbiddenError(
        f"{error.__cause__}: kubectl apply -f {COMPONENT}, in which the Role has to name {name.name}"
    )


def _fault(error: Exception) -> Seen:
    """One of ours must not keep rules from being written, or taken out."""
    return Seen(remarks=(Remark(f"a fault in hairpin-proxy at node-local-dns, please report it: {error!r}"),))


def _zones(corefile: NodeCorefile, destinations: Collection[str]) -> frozenset[str]:
    """Those that have a block of ours; none of a text that cannot be read."""
    try:
        return nodecache.read(corefile.key.text, destinations).zones
    except OperatorError:
        return frozenset()
