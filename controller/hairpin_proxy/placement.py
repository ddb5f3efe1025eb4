"""Which key of which ConfigMap could hold our rules, so that the Corefile itself stays as it is. Pure."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hairpin_proxy.corefile.blocks import Block, parse
from hairpin_proxy.corefile.homes import homes, only_root
from hairpin_proxy.corefile.imports import imports_of
from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.scope import Files
from hairpin_proxy.locate import Location, Mount, files_of, import_target
from hairpin_proxy.settings import ConfigMapName

CUSTOM = "coredns-custom"
"""The ConfigMap that a distribution leaves to its users, as nearly all of them name it."""

INSTALL = "hairpin-proxy"

_FOLDER = "/etc/coredns"


@dataclass(frozen=True, slots=True)
class Target:
    """A key of ours, which the Corefile imports as soon as it is there."""

    configmap: ConfigMapName
    key: str
    pattern: str
    """The argument of that `import`."""


@dataclass(frozen=True, slots=True)
class View:
    """The ConfigMaps that CoreDNS sees as files."""

    folder: str
    """Of the Corefile."""

    mounts: tuple[Mount, ...]

    def files(self, text: str, data: Mapping[str, Mapping[str, str]]) -> Files:
        """What a Corefile imports from ConfigMaps whose data is given by their names; nothing of what is elsewhere."""
        found = {pattern: files_of(self.mounts, self.folder, pattern, data) for pattern in _patterns(text)}
        return {
            pattern: files
            for pattern, files in found.items()
            if files or any(mount.configmap in data for mount in self._at(pattern))
        }

    def configmaps(self, text: str) -> set[str]:
        """The ConfigMaps that it may import something from."""
        return {mount.configmap for pattern in _patterns(text) for mount in self._at(pattern)}

    def _at(self, pattern: str) -> list[Mount]:
        folder = posixpath.dirname("/".join(_parts(pattern, self.folder)))
        return [mount for mount in self.mounts if mount.folder == folder]


def _patterns(text: str) -> tuple[str, ...]:
    found = imports_of(text, only_root(parse(text)))
    return (*found.by_homes, *found.by_others)


def view(text: str, corefile: ConfigMapName, location: Location | None) -> View:
    """What is mounted where; if that could not be seen, what is usual: every imported folder is CUSTOM."""
    if location:
        return View(location.folder, location.mounts)
    patterns = imports_of(text, only_root(parse(text))).by_homes
    folders = {posixpath.dirname("/".join(_parts(pattern, _FOLDER))) for pattern in patterns} - {_FOLDER}
    custom = (Mount(folder, CUSTOM, None, optional=True, updates=True) for folder in sorted(folders))
    return View(_FOLDER, (Mount(_FOLDER, corefile.name, None, optional=False, updates=True), *custom))


def target(text: str, destination: str, view: View, corefile: ConfigMapName) -> Target | None:
    """The key that rules for this destination could stand in; None if there is none that would do no harm.

    Raises CorefileError if the Corefile cannot be read.
    """
    found = imports_of(text, _homes(parse(text), destination))
    for pattern in found.by_homes:
        place = import_target(view.folder, view.mounts, pattern, stem(destination))
        if place and place.configmap != corefile.name:
            file = posixpath.join(posixpath.dirname(pattern), place.key)
            others = (*(each for each in found.by_homes if each != pattern), *found.by_others)
            if not any(_matches(other, file, view.folder) for other in others):
                return Target(ConfigMapName(corefile.namespace, place.configmap), place.key, pattern)
    return None


def stem(destination: str) -> str:
    """What our key is named after: the install, so that two installs never share one.

    That is the namespace of the Service which the rules lead to.
    """
    service, svc, _ = destination.partition(".svc.")
    return service.partition(".")[2] or INSTALL if svc else INSTALL


def _homes(blocks: Sequence[Block], destination: str) -> list[Block]:
    try:
        return homes(blocks, destination)
    except CorefileError:
        return only_root(blocks)


def _matches(pattern: str, file: str, folder: str) -> bool:
    globs, names = _parts(pattern, folder), _parts(file, folder)
    return len(globs) == len(names) and all(map(fnmatchcase, names, globs))


def _parts(path: str, folder: str) -> list[str]:
    # POSIX lets two leading slashes stand, Go does not.
    return ["", *posixpath.normpath(posixpath.join(folder, path)).lstrip("/").split("/")]
