"""Services and workloads: where CoreDNS reads its text, and which ConfigMaps its imports read. Pure.

Objects are raw JSON; what is null, or of another type than the API's, counts as missing.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from hairpin_proxy.corefile.version import Version, version
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import is_address
from hairpin_proxy.settings import ConfigMapName

_KEY = re.compile(r"(?!\.\.|\.$)[-._a-zA-Z0-9]{1,253}")
"""What Kubernetes takes for a ConfigMap's key (apimachinery, validation.IsConfigMapKey)."""
_NODE_CACHES = ("node-local-dns", "nodelocaldns")
_BASE_COREFILE, _STUB_DOMAINS = "/etc/coredns/Corefile.base", "/etc/kube-dns"
"""Where node-cache reads its template and the ConfigMap kube-dns (github.com/kubernetes/dns, cmd/node-cache)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A ConfigMap in the file system of a container."""

    folder: str
    """Absolute."""
    configmap: str
    keys: Mapping[str, str] | None
    """The key of each file, by its path within the folder; None if every key is a file of its own name."""
    optional: bool
    updates: bool
    """Whether a change of the ConfigMap shows there: never with a `subPath`, which is one file by itself."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where CoreDNS reads its text."""

    workload: str
    """Kind, namespace and name, for people: `Deployment kube-system/coredns`."""
    service: str
    configmap: ConfigMapName
    key: str
    folder: str
    """Of the Corefile in the container, from where relative imports count."""
    mounts: tuple[Mount, ...]
    """Of all ConfigMaps of that container."""
    version: Version | None
    updates: bool
    """Whether CoreDNS sees a change of the ConfigMap without a new pod."""
    addresses: tuple[str, ...] = ()
    """Of the Service."""


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """A key of our own that the Corefile imports as soon as it is there."""

    configmap: str
    key: str
    optional: bool
    """Whether CoreDNS runs without that ConfigMap, so that it may be missing still."""


@dataclass(frozen=True, slots=True)
class NodeCache:
    """Where node-local-dns, a cache on each node in front of CoreDNS, reads its Corefile."""

    workload: str
    """Kind, namespace and name, for people: `DaemonSet kube-system/node-local-dns`."""
    addresses: tuple[str, ...]
    """Those that it listens on, where pods ask; empty if they are not numbers, or not given."""
    configmap: ConfigMapName | None
    """None if it reads no ConfigMap."""
    key: str
    stub_domains: ConfigMapName | None
    """The ConfigMap kube-dns, if node-cache sees its `stubDomains`."""


class AmbiguousError(OperatorError):
    """The DNS Service leads to several Corefiles."""


def image_version(image: str) -> Version | None:
    """The version in the tag of an image reference; None without such a tag, as with a digest alone."""
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return version(tag)


def locate(
    namespace: str, services: Iterable[Mapping[str, Any]], workloads: Iterable[tuple[str, Mapping[str, Any]]]
) -> Location | None:
    """The Corefile of the CoreDNS behind the DNS Service of one namespace; None if there is none.

    `workloads` are Deployments and DaemonSets with their kind, which items of an API list lack. One that is scaled to 0
    counts only if no other is behind the Service. Raises AmbiguousError.
    """
    pairs = [(kind, workload) for kind, workload in workloads if isinstance(workload, Mapping)]
    for service in sorted(filter(_is_dns, _objects(list(services))), key=_rank):
        behind = [pair for pair in pairs if _is_behind(pair[1], service)]
        for asleep in (False, True):
            group = [pair for pair in behind if (_object(pair[1], "spec").get("replicas") == 0) is asleep]
            if found := [place for pair in group for place in _locations(namespace, _name(service), *pair)]:
                return replace(_one(found, f"{namespace}/{_name(service)}"), addresses=_cluster_ips(service))
    return None


def node_caches(namespace: str, daemonsets: Iterable[Mapping[str, Any]]) -> list[NodeCache]:
    """Each node-local-dns among the DaemonSets of a namespace: by its labels, its image or its argument `-localip`."""
    found = []
    for item in daemonsets:
        pod = _object(item, "spec", "template", "spec")
        for container in _objects(pod.get("containers")):
            if _is_node_cache(container) or (_is_labelled_node_cache(item) and _flag(container, "conf")):
                found.append(_node_cache(namespace, item, pod, container))
    return found


def import_target(location_folder: str, mounts: Iterable[Mount], pattern: str, stem: str) -> ImportTarget | None:
    """The key that `import PATTERN` reads if `stem` stands for the `*` of its last element; None if nothing can be it.

    That takes a ConfigMap at exactly the pattern's folder, each key of which is a file, and shows there when it is new.
    """
    folder, name = posixpath.split(_absolute(pattern, location_folder))
    key = name.replace("*", stem)
    if name.count("*") != 1 or not _KEY.fullmatch(key):
        return None
    found = [mount for mount in mounts if mount.folder == folder and mount.keys is None and mount.updates]
    return ImportTarget(found[-1].configmap, key, found[-1].optional) if found else None


def files_of(
    mounts: Iterable[Mount], folder: str, pattern: str, configmaps: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The files that `import PATTERN` reads from ConfigMaps, with their text, in the order of reading.

    `folder` is the Corefile's, `configmaps` the data of each ConfigMap by its name. As in Go's filepath.Glob, which
    CoreDNS uses, names are sorted, and `*` stands for a leading dot too.
    """
    mounts = list(mounts)
    at, name = posixpath.split(_absolute(pattern, folder))
    found: dict[str, str] = {}
    for mount in mounts:
        data = configmaps.get(mount.configmap, {})
        for path, key in ({key: key for key in data} if mount.keys is None else mount.keys).items():
            file = posixpath.join(mount.folder, path)
            seen = posixpath.dirname(file) == at and fnmatchcase(posixpath.basename(file), name)
            if seen and key in data and mount in _deepest(mounts, file):
                found[posixpath.basename(file)] = data[key]
    return dict(sorted(found.items()))


def _is_dns(service: Mapping[str, Any]) -> bool:
    spec = _object(service, "spec")
    ports = [port for port in _objects(spec.get("ports")) if port.get("protocol") != "SCTP"]
    return any(port.get("port") == 53 for port in ports) and bool(_object(spec, "selector"))


def _rank(service: Mapping[str, Any]) -> tuple[bool, bool, str]:
    name, labels = _name(service), _object(service, "metadata", "labels")
    return name != "kube-dns", labels.get("k8s-app") != "kube-dns", name


def _cluster_ips(service: Mapping[str, Any]) -> tuple[str, ...]:
    spec = _object(service, "spec")
    several = spec.get("clusterIPs")
    values = [spec.get("clusterIP"), *(several if isinstance(several, list) else [])]
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and is_address(value)))


def _is_behind(workload: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    labels = _object(workload, "spec", "template", "metadata", "labels")
    return all(labels.get(label) == value for label, value in _object(service, "spec", "selector").items())


def _one(found: Sequence[Location], service: str) -> Location:
    """The location that all agree on, by the oldest CoreDNS of them, which understands the least."""
    places = {(place.configmap, place.key): place for place in found}
    if len(places) > 1:
        readers = (f"{place.workload} reads {place.configmap}, key {place.key}" for place in places.values())
        raise AmbiguousError(
            f"the DNS Service {service} leads to several Corefiles: {'; '.join(readers)}: "
            "name one of them with --configmap and --configmap-key"
        )
    return min(found, key=lambda place: place.version or Version(0, 0, 0))


def _locations(namespace: str, service: str, kind: str, workload: Mapping[str, Any]) -> Iterator[Location]:
    """One for each container that runs CoreDNS on a Corefile from a ConfigMap."""
    pod = _object(workload, "spec", "template", "spec")
    if _is_labelled_node_cache(workload):
        return
    for container in _objects(pod.get("containers")):
        file, mounts = _corefile(container), _mounts(pod, container)
        source = _source(mounts, file) if file else None
        if file and source:
            image = _text(container, "image")
            yield Location(
                workload=f"{kind} {namespace}/{_name(workload)}",
                service=service,
                configmap=ConfigMapName(namespace, source[0].configmap),
                key=source[1],
                folder=posixpath.dirname(file),
                mounts=tuple(mount for mount in mounts if mount.configmap),
                # The tags of another image count something else.
                version=image_version(image) if "coredns" in image else None,
                updates=source[0].updates,
            )


def _corefile(container: Mapping[str, Any]) -> str | None:
    """The file that a container's CoreDNS reads: of its last `-conf`, else `Corefile` where it starts.

    None for what is not CoreDNS, or is node-local-dns, a cache in front of it that answers a node alone.
    """
    image, command = _text(container, "image"), _words(container, "command")
    if _is_node_cache(container):
        return None
    file = _flag(container, "conf")
    if not file and "coredns" not in " ".join((image, _text(container, "name"), *command)):
        return None
    return _absolute(file or "Corefile", _text(container, "workingDir"))


def _flag(container: Mapping[str, Any], name: str) -> str:
    """The last value of a flag, as Go's package flag takes it; empty if it has none."""
    found = ""
    for word, following in pairwise([*_words(container, "command"), *_words(container, "args"), ""]):
        flag, assigned, value = word.partition("=")
        if flag in (f"-{name}", f"--{name}"):
            found = value if assigned else following
    return found


def _is_node_cache(container: Mapping[str, Any]) -> bool:
    words = [*_words(container, "command"), *_words(container, "args")]
    has_flag = any(word.startswith("-") and word.lstrip("-").partition("=")[0] == "localip" for word in words)
    return "node-cache" in _text(container, "image") or has_flag


def _is_labelled_node_cache(workload: Mapping[str, Any]) -> bool:
    templates = workload, _object(workload, "spec", "template")
    return any(_object(template, "metadata", "labels").get("k8s-app") in _NODE_CACHES for template in templates)


def _node_cache(
    namespace: str, item: Mapping[str, Any], pod: Mapping[str, Any], container: Mapping[str, Any]
) -> NodeCache:
    mounts = _mounts(pod, container)
    base, conf = _flag(container, "basecorefile") or _BASE_COREFILE, _flag(container, "conf")
    # A plain CoreDNS in its place, as some charts have it, has no template and reads what is mounted.
    files = [_absolute(file) for file in ((base, conf) if _is_node_cache(container) else (conf,)) if file]
    source = next((found for found in (_source(mounts, file) for file in files) if found and found[0].configmap), None)
    folder = _absolute(_flag(container, "kubednscm") or _STUB_DOMAINS)
    stubs = [mount.configmap for mount in mounts if mount.folder == folder and mount.configmap]
    addresses = _flag(container, "localip").split(",")
    return NodeCache(
        workload=f"DaemonSet {namespace}/{_name(item)}",
        addresses=tuple(address for address in addresses if is_address(address)),
        configmap=ConfigMapName(namespace, source[0].configmap) if source else None,
        key=source[1] if source else "",
        stub_domains=ConfigMapName(namespace, stubs[-1]) if stubs else None,
    )


def _mounts(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[Mount]:
    volumes = {_text(volume, "name"): volume for volume in _objects(pod.get("volumes"))}
    uses = _objects(container.get("volumeMounts"))
    return [mount for use in uses for mount in _mounted(use, volumes.get(_text(use, "name"), {}))]


def _mounted(use: Mapping[str, Any], volume: Mapping[str, Any]) -> list[Mount]:
    """A ConfigMap's volume, or all ConfigMaps of a projected one; else one of no name and no files.

    That one hides the mounts that it lies in all the same. A `subPathExpr` is one, for only the pod knows its value.
    """
    at = _absolute(_text(use, "mountPath"))
    sources = [volume, *_objects(_object(volume, "projected").get("sources"))] if not use.get("subPathExpr") else []
    found = [_mount(at, _text(use, "subPath"), _object(source, "configMap")) for source in sources]
    return [mount for mount in found if mount] or [Mount(at, "", {}, optional=False, updates=False)]


def _mount(at: str, sub_path: str, source: Mapping[str, Any]) -> Mount | None:
    name, optional = _text(source, "name"), source.get("optional") is True
    items = _objects(source.get("items"))
    keys = {posixpath.normpath(_text(item, "path")): _text(item, "key") for item in items} if items else None
    if not sub_path:
        return Mount(at, name, keys, optional, updates=True) if name else None
    file = posixpath.normpath(sub_path)
    key = file if keys is None else keys.get(file)
    folder, base = posixpath.split(at)
    return Mount(folder, name, {base: key}, optional, updates=False) if name and key else None


def _source(mounts: Iterable[Mount], file: str) -> tuple[Mount, str] | None:
    """The mount that a file comes from, and its key there.

    Of a projected volume the last ConfigMap wins; one that lists the file has it for sure, so it goes first.
    """
    found = []
    for mount in _deepest(mounts, file):
        path = file[len(mount.folder) :].lstrip("/")
        key = path if mount.keys is None else mount.keys.get(path, "")
        if _KEY.fullmatch(key):
            found.append((mount, key))
    return max(reversed(found), key=lambda pair: pair[0].keys is not None, default=None)


def _deepest(mounts: Iterable[Mount], file: str) -> list[Mount]:
    """The mounts that a file can come from: the deepest, which hides the others, or several of a projected volume."""
    points = [(_point(mount), mount) for mount in mounts]
    above = [(point, mount) for point, mount in points if f"{file}/".startswith(f"{point.rstrip('/')}/")]
    deepest = max((len(point) for point, _ in above), default=0)
    return [mount for point, mount in above if len(point) == deepest]


def _point(mount: Mount) -> str:
    """Where it is mounted: a `subPath` is a file and not a folder."""
    return mount.folder if mount.updates else posixpath.join(mount.folder, *(mount.keys or {}))


def _absolute(path: str, folder: str = "/") -> str:
    # POSIX lets two leading slashes stand, Go does not.
    return "/" + posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _object(value: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _words(container: Mapping[str, Any], name: str) -> list[str]:
    """Of a command, also if a shell is to split it."""
    texts = container.get(name)
    return " ".join(text for text in texts if isinstance(text, str)).split() if isinstance(texts, list) else []


def _name(value: Mapping[str, Any]) -> str:
    return _text(_object(value, "metadata"), "name")
