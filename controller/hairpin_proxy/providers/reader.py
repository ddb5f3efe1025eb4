"""Reads CoreDNS's configuration: its Corefile, the key of ours that it may import, and what stands in the way."""

from collections.abc import Iterator
from dataclasses import dataclass

from hairpin_proxy import coredns, placement
from hairpin_proxy.configuration import CANARY, Configuration, Key, Rules
from hairpin_proxy.corefile import CorefileError
from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.corefile.homes import answers
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.corefile.version import RELOADS_IMPORTS, Version
from hairpin_proxy.edit import Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.providers import configmap
from hairpin_proxy.providers.hosts_file import service
from hairpin_proxy.providers.place import Place, Places


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

    def read(self) -> Configuration:
        """Raises KubeError, MissingError, or OperatorError if there is no Corefile or it cannot be understood."""
        place = self.places.get()
        try:
            found = configmap.read(self.kube, place.configmap)
        except configmap.MissingError:
            self.places.forget()
            raise
        found.text(place.key)
        corefile = Key(found, place.key)
        try:
            return self._configuration(place, corefile)
        except CorefileError as error:
            raise OperatorError(f"{corefile}: {error}") from error

    def _configuration(self, place: Place, corefile: Key) -> Configuration:
        view = placement.view(corefile.text, place.configmap, place.location)
        imported, trouble = self._imported(place, corefile, view)
        files = view.files(corefile.text, _data(corefile, imported))
        uses_import = imported is not None and not trouble and self._may_import(place, imported)
        live, unseen = self._live(place, corefile, imported) if imported and uses_import else (False, None)
        said = (place.remark, trouble if self.kind == "auto" else None, unseen, _not_updated(place))
        return Configuration(
            corefile,
            imported,
            uses_import=uses_import,
            live=live,
            files=files,
            problem=trouble if self.kind == "import" else None,
            remarks=(*(Remark(text) for text in said if text), *self._strangers(corefile, imported, files)),
        )

    def _may_import(self, place: Place, imported: Key) -> bool:
        """Where CoreDNS could not be seen, what it imports is a guess, good only for rules that stand there already."""
        if self.kind != "auto":
            return self.kind == "import"
        return place.location is not None or bool(self.rules.read_import(imported).hosts)

    def _imported(self, place: Place, corefile: Key, view: placement.View) -> tuple[Key | None, str | None]:
        """The key of ours, and why no rule can go there, if the Corefile imports one or has to."""
        target = placement.target(corefile.text, self.rules.destination, view, place.configmap)
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
            if not place.location and self.kind != "import":
                return None, None
            if isinstance(error, configmap.ForbiddenError):
                return None, f"{imports}, where the rules would last, but: {error}"
            command = f"kubectl -n {name.namespace} create configmap {name.name}"
            return None, f"{imports}, where the rules would last, but there is none; this makes it: {command}"

    def _too_old(self, place: Place) -> str | None:
        version = self.version or (place.location.version if place.location else None)
        if not version or version >= RELOADS_IMPORTS:
            return None
        return f"CoreDNS {version} notices no change of an imported file ({RELOADS_IMPORTS} does), so none is written"

    def _live(self, place: Place, corefile: Key, imported: Key) -> tuple[bool, str | None]:
        """Whether the imported key was seen to be at work, while that matters; and why it could not be seen."""
        if CANARY not in self.rules.read_import(imported).hosts or not self.rules.read(corefile).hosts:
            return False, None
        if not place.location:
            return False, f"it cannot be seen whether CoreDNS imports {imported}, so the rules stay in {corefile} too"
        try:
            servers = coredns.servers(self.kube, place.configmap.namespace, place.location.service)
            return coredns.agree(servers, CANARY, self.rules.destination), None
        except OperatorError as error:
            return False, f"the rules stay in {corefile} too until {imported} is seen to be at work: {error}"

    def _strangers(self, corefile: Key, imported: Key | None, files: Files) -> Iterator[Remark]:
        """Rules that bear our tag and lead elsewhere: another install's, or nobody's any more."""
        found = ((corefile, self.rules.read(corefile)), (imported, self.rules.read_import(imported)))
        for key, rules in ((key, reading.strangers) for key, reading in found):
            for other in sorted(set(rules.values())):
                theirs = [rule for rule, where in rules.items() if where == other]
                these = f"{key} has {counted(theirs, 'rule')} such as `{theirs[0]}`"
                known = answers(self.rules.read(corefile).blocks, other, files)
                yield self._stranger(these, other, known=known)

    def _stranger(self, these: str, destination: str, *, known: bool) -> Remark:
        if not self._is_orphan(destination, known=known):
            return Remark(f"{these}: another install of hairpin-proxy added them, and they are left alone")
        return Remark(
            f"{these}, and there is no Service {destination} (any more), so their hosts are NXDOMAIN: "
            f"--adopt-destination {destination} takes them over, in one write",
            severe=True,
        )

    def _is_orphan(self, destination: str, *, known: bool) -> bool:
        """Whether CoreDNS answers NXDOMAIN for a destination, whose zone its kubernetes plugin may know or not."""
        try:
            namespace, name = service(destination)
        except OperatorError:
            return False
        if not known:
            return True
        try:
            self.kube.get(f"/api/v1/namespaces/{namespace}/services/{name}", "Service")
        except KubeError as error:
            return error.status == 404
        return False


def _data(corefile: Key, imported: Key | None) -> dict[str, dict[str, str]]:
    """What ConfigMaps hold, by their names, without what is ours alone."""
    found = {key.configmap.name.name: dict(key.configmap.data) for key in (corefile, imported) if key}
    if imported:
        found[imported.configmap.name.name].pop(imported.name, None)
    return found


def _not_updated(place: Place) -> str | None:
    if not place.location or place.location.updates:
        return None
    return (
        f"{place.location.workload} mounts its Corefile by subPath, which kubelet never updates: CoreDNS reads a "
        "change only when its pods are started anew"
    )
