"""Reads CoreDNS's configuration: its Corefile, the key of ours that it may import, and what stands in the way."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hairpin_proxy import coredns, placement
from hairpin_proxy.configuration import MARK, ConfigMap, Configuration, Key, Rules, is_canary
from hairpin_proxy.corefile import CorefileError, Reading
from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.corefile.homes import answers
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.corefile.version import RELOADS_IMPORTS, Version
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import ServiceName, service
from hairpin_proxy.placement import Target
from hairpin_proxy.providers import configmap
from hairpin_proxy.providers.node_caches import NodeCaches, Seen
from hairpin_proxy.providers.place import Place, Places
from hairpin_proxy.settings import ConfigMapName


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads it."""

    kube: Kube
    places: Places
    kind: str
    """One of settings.PROVIDERS."""

    rules: Rules
    version: Version | None = None
    """Of CoreDNS; None for what its image says."""

    node_caches: NodeCaches | None = None
    """None if nobody looks at node-local-dns."""

    def read(self) -> Configuration:
        """Raises KubeError, MissingError, or OperatorError if there is no Corefile or it cannot be understood."""
        place, corefile = self._corefile()
        try:
            return self._configuration(place, corefile)
        except CorefileError as error:
            raise OperatorError(f"{corefile}: {error}") from error

    def read_ours(self) -> Configuration:
        """Only where rules of ours may stand, to take them out: nothing else is looked at that could go wrong.

        Raises as `read` does, and ForbiddenError if rules may stand where they cannot be seen.
        """
        place, corefile = self._corefile()
        try:
            bare = self.rules.read(corefile).bare
            view = placement.view(bare, place.configmap, place.location)
            target = placement.target(bare, self.rules.destination, view, place.configmap)
            imported, _ = self._imported(place, corefile, target, removing=True)
        except CorefileError as error:
            raise OperatorError(f"{corefile}: {error}") from error
        leftovers = self._leftovers(imported, self._others(place, view.configmaps(bare), target, removing=True))
        return Configuration(corefile, imported, leftovers=leftovers)

    def _corefile(self) -> tuple[Place, Key]:
        place = self.places.get()
        try:
            found = configmap.read(self.kube, place.configmap)
        except configmap.MissingError:
            self.places.forget()
            raise
        found.text(place.key)
        return place, Key(found, place.key)

    def _configuration(self, place: Place, corefile: Key) -> Configuration:
        # Thousands of rules of ours import nothing, and each look would parse them anew.
        bare = self.rules.read(corefile).bare
        view = placement.view(bare, place.configmap, place.location)
        target = placement.target(bare, self.rules.destination, view, place.configmap)
        imported, trouble = self._imported(place, corefile, target)
        files = view.files(bare, self._data(corefile, imported))
        uses_import = imported is not None and not trouble and self._may_import(place, imported)
        live, unseen = self._live(place, corefile, imported) if imported and uses_import else (False, None)
        said = (place.remark, trouble if self.kind == "auto" else None, unseen, _not_updated(place))
        strangers = self._strangers(corefile, imported, files)
        elsewhere = {where for found in strangers.values() for where in found.values()}
        orphans = {where for where in elsewhere if self._is_orphan(corefile, where, files)}
        installs = elsewhere - orphans
        on_nodes = self.node_caches.read(self.rules.destinations) if self.node_caches else Seen()
        return Configuration(
            corefile,
            imported,
            uses_import=uses_import,
            live=live,
            files=files,
            leftovers=self._leftovers(imported, self._others(place, view.configmaps(bare), target)),
            node_corefiles=on_nodes.corefiles,
            addresses=frozenset(place.location.addresses if place.location else ()),
            installs=frozenset(installs),
            orphans=frozenset(orphans),
            version=self._version(place),
            problem=trouble if self.kind == "import" else None,
            remarks=(*(Remark(text) for text in said if text), *on_nodes.remarks),
            strangers=tuple(_said_of(strangers, orphans)),
        )

    def _data(self, corefile: Key, imported: Key | None) -> dict[str, dict[str, str]]:
        """What ConfigMaps hold, by their names, with MARK in place of our rules in the imported key."""
        found = {key.configmap.name.name: dict(key.configmap.data) for key in (corefile, imported) if key}
        if imported:
            theirs = self.rules.read_import(imported).bare
            found[imported.configmap.name.name][imported.name] = f"{theirs}\n{MARK}\n"
        return found

    def _others(
        self, place: Place, names: Collection[str], target: Target | None, *, removing: bool = False
    ) -> list[ConfigMap]:
        """What else may be imported, where rules of ours may stand since before the Corefile has changed."""
        known = {place.configmap.name, "", *({target.configmap.name} if target else ())}
        found = []
        for name in sorted(set(names) - known):
            try:
                other = ConfigMapName(place.configmap.namespace, name)
                found.append(configmap.read(self.kube, other, optional=not removing))
            except configmap.MissingError:
                continue
            except configmap.ForbiddenError:
                # Only in the one that deploy.yml gives the right to can there be a rule of ours.
                if removing and name == placement.CUSTOM:
                    raise
            except OperatorError:
                if removing:
                    raise
        return found

    def _leftovers(self, imported: Key | None, others: Collection[ConfigMap]) -> tuple[Key, ...]:
        """Also where no rule would go any more."""
        keys = [Key(each, name) for each in others for name in sorted(each.data)]
        if imported:
            beside = sorted(imported.configmap.data.keys() - {imported.name})
            keys = [*(Key(imported.configmap, name) for name in beside), *keys]
        return tuple(key for key in keys if _read_others(self.rules, key).hosts)

    def _may_import(self, place: Place, imported: Key) -> bool:
        """Where CoreDNS could not be seen, what it imports is a guess, good only for rules that stand there already."""
        if self.kind != "auto":
            return self.kind == "import"
        return place.location is not None or bool(self.rules.read_import(imported).hosts)

    def _imported(
        self, place: Place, corefile: Key, target: Target | None, *, removing: bool = False
    ) -> tuple[Key | None, str | None]:
        """The key of ours, and why no rule can go there, if the Corefile imports one or has to."""
        if not target:
            return None, (
                f"{corefile} imports no folder, among the plugins of each server block that the rules belong to, at "
                "which a whole ConfigMap is mounted; --provider corefile writes into the Corefile"
                if self.kind == "import"
                else None
            )
        name, imports = target.configmap, f"the Corefile imports {target.pattern} from ConfigMap {target.configmap}"
        try:
            return Key(configmap.read(self.kube, name), target.key), self._too_old(place)
        except (configmap.MissingError, configmap.ForbiddenError) as error:
            if removing and place.location and isinstance(error, configmap.ForbiddenError):
                raise
            if not place.location and self.kind != "import":
                return None, None
            if isinstance(error, configmap.ForbiddenError):
                return None, f"{imports}, where the rules would last, but: {error}"
            command = f"kubectl -n {name.namespace} create configmap {name.name}"
            return None, f"{imports}, where the rules would last, but there is none; this makes it: {command}"

    def _version(self, place: Place) -> Version | None:
        return self.version or (place.location.version if place.location else None)

    def _too_old(self, place: Place) -> str | None:
        version = self._version(place)
        if not version or version >= RELOADS_IMPORTS:
            return None
        return f"CoreDNS {version} notices no change of an imported file ({RELOADS_IMPORTS} does), so none is written"

    def _live(self, place: Place, corefile: Key, imported: Key) -> tuple[bool, str | None]:
        """Whether the imported key was seen to be at work, while that matters; and why it could not be seen."""
        canaries = list(filter(is_canary, self.rules.read_import(imported).hosts))
        if not canaries or not self.rules.read(corefile).hosts:
            return False, None
        if not place.location:
            return False, f"it cannot be seen whether CoreDNS imports {imported}, so the rules stay in {corefile} too"
        try:
            servers = coredns.servers(self.kube, ServiceName(place.configmap.namespace, place.location.service))
            if all(coredns.agree(servers, each, self.rules.destination) for each in canaries):
                return True, None
            return False, (
                f"the rules stay in {corefile} too until each CoreDNS has read {imported}; should that take more than "
                f"three minutes: kubectl -n {place.configmap.namespace} rollout restart "
                f"{place.location.workload.partition(' ')[0].lower()}/{place.location.workload.rpartition('/')[2]}"
            )
        except OperatorError as error:
            return False, f"the rules stay in {corefile} too until {imported} is seen to be at work: {error}"

    def _strangers(self, corefile: Key, imported: Key | None, files: Files) -> dict[str, Mapping[str, str]]:
        """By the document: the rules that bear our tag and lead elsewhere, each with where that is."""
        found = {str(corefile): self.rules.read(corefile).strangers}
        if imported:
            names = {name for texts in files.values() for name in texts} & imported.configmap.data.keys()
            keys = (Key(imported.configmap, name) for name in sorted({imported.name, *names}))
            found |= {str(key): _read_others(self.rules, key).strangers for key in keys}
        return found

    def _is_orphan(self, corefile: Key, destination: str, files: Files) -> bool:
        """Whether it is known that CoreDNS answers NXDOMAIN for what these rules lead to."""
        theirs = service(destination)
        if not theirs:
            return False
        if not answers(self.rules.read(corefile).blocks, destination, files):
            return True
        try:
            self.kube.get(theirs.path, "Service", optional=True)
        except KubeError as error:
            return error.status == 404
        return False


def _read_others(rules: Rules, key: Key) -> Reading:
    """A key of an imported ConfigMap taken apart, or nothing if it is none that could be: somebody else's."""
    try:
        return rules.read_others(key)
    except OperatorError:
        return rules.read_import(None)


def _said_of(strangers: Mapping[str, Mapping[str, str]], orphans: Collection[str]) -> Iterator[Remark]:
    """Rules that bear our tag and lead elsewhere: another install's, or nobody's any more."""
    for document, rules in strangers.items():
        for destination in sorted(set(rules.values())):
            theirs = [rule for rule, where in rules.items() if where == destination]
            these = f"{document} has {counted(theirs, 'rule')} such as `{theirs[0]}`"
            if destination in orphans:
                yield Remark(
                    f"{these}, and there is no Service {destination} (any more), so their hosts are NXDOMAIN: "
                    f"--adopt-destination {destination} takes them over",
                    severe=True,
                    about=f"orphans {document} {destination}",
                )
            else:
                yield Remark(f"{these}: another install of hairpin-proxy added them, and they are left alone")


def _not_updated(place: Place) -> str | None:
    if not place.location or place.location.updates:
        return None
    return (
        f"{place.location.workload} mounts its Corefile by subPath, which kubelet never updates: CoreDNS reads a "
        "change only when its pods are started anew"
    )
