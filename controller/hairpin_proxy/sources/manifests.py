"""The objects in a file: what `kubectl get ingress -o json` or `-o yaml` prints, or manifests. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import yaml

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.sources.objects import name

_GATEWAY_API = ("gateway.networking.k8s.io", "")
_GROUPS = {
    "Ingress": ("networking.k8s.io", "extensions", ""),
    "IngressClass": ("networking.k8s.io", ""),
    "Gateway": _GATEWAY_API,
    "ListenerSet": _GATEWAY_API,
    "HTTPRoute": _GATEWAY_API,
    "GRPCRoute": _GATEWAY_API,
    "TLSRoute": _GATEWAY_API,
    "Namespace": ("",),
}
"""What is of use, with the API groups that it is or was in, and none. Others have a kind of that name too (OpenShift's
Ingress, Istio's Gateway), which `run` does not ask for."""

Objects = Mapping[str, Sequence[Mapping[str, Any]]]
"""By their kinds, which are those of _GROUPS."""

_TYPES: dict[type, str] = {dict: "a mapping", list: "a list", str: "text"}

_TAG = "tag:yaml.org,2002:"

_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in found if tag in (f"{_TAG}null", f"{_TAG}merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""Every plain word but `null` is text, be it a date that does not exist, or the `=` that PyYAML chokes on."""

_KNOWN = (f"{_TAG}null", f"{_TAG}seq", f"{_TAG}map", f"{_TAG}str", None)
_CONSTRUCTORS = {tag: found for tag, found in yaml.SafeLoader.yaml_constructors.items() if tag in _KNOWN}
for _name in ("int", "float", "bool", "timestamp", "binary"):
    _CONSTRUCTORS[_TAG + _name] = _CONSTRUCTORS[f"{_TAG}str"]
"""By tag, if there is one; by None what is not known."""


def objects(content: bytes, file: str) -> Objects:
    """All of them, each Ingress in a shape that `ingress.claims` takes; objects of other kinds are passed over.

    Raises OperatorError: `FILE:LINE: what is wrong`, where the line may be that on which the document starts.
    """
    found: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in _GROUPS}
    try:
        text = content.decode("utf-8-sig")
        for line, document in _documents(text, file):
            for kind, item in _objects(document, f"{file}:{line}"):
                found[kind].append(item)
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file}:{_line(content, error.start)}: this is not UTF-8") from error
    except RecursionError as error:
        raise OperatorError(f"{file}: lists and mappings are nested too deeply in it") from error
    return found


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _documents(text: str, file: str) -> Iterator[tuple[int, Any]]:
    """The line on which each one starts, and what it says."""
    if text.lstrip().startswith(("{", "[")):
        try:
            yield 1, json.loads(text)
            return
        except ValueError:
            # YAML can look like this too, and if it is neither, its parser says why as well.
            pass
    yield from _yaml_documents(text, file)


def _yaml_documents(text: str, file: str) -> Iterator[tuple[int, Any]]:
    try:
        # The one in C is ten times as fast, and not everywhere.
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        loader.yaml_implicit_resolvers, loader.yaml_constructors = _RESOLVERS, _CONSTRUCTORS
        while loader.check_node():
            node = loader.get_node()
            yield node.start_mark.line + 1, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise OperatorError(f"{file}:{mark.line + 1 if mark else 1}: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = _line(text.encode(), error.position)
        raise OperatorError(f"{file}:{line}: {error.reason}: {chr(error.character)!r}") from error


def _objects(value: Any, where: str, kind: str = "", version: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those that one object is or holds. An item of a list has the list's kind and version if it says none itself."""
    if value is None:
        return
    thing = _typed(value, dict, where)
    kind, version = thing.get("kind") or kind, thing.get("apiVersion") or version
    if not kind:
        raise OperatorError(f"{where}: no Kubernetes object, for it has no kind")
    if kind == "Status":
        raise OperatorError(f"{where}: no list of objects but an answer of the API server: {thing.get('message')}")
    item_kind = str(kind).removesuffix("List")
    if kind == "List" or (item_kind != kind and item_kind in _GROUPS):
        for item in _items(thing, where):
            yield from _objects(item, where, item_kind, "" if kind == "List" else version)
    elif str(version).rpartition("/")[0] in _GROUPS.get(str(kind), ()):
        yield str(kind), _checked(thing, str(kind), where)


def _items(thing: Mapping[str, Any], where: str) -> list[Any]:
    if _typed(thing.get("metadata"), dict, f"{where}: metadata").get("continue"):
        raise OperatorError(f"{where}: only a part of the list, which goes on (metadata.continue)")
    if thing.get("items") is None:
        raise OperatorError(f"{where}: a list without items")
    return _typed(thing["items"], list, f"{where}: items")


def _checked(thing: Mapping[str, Any], kind: str, where: str) -> Mapping[str, Any]:
    metadata = _typed(thing.get("metadata"), dict, f"{where}: metadata")
    where = f"{where}: {name(thing, kind)}"
    for field in ("annotations", "labels"):
        _typed(metadata.get(field), dict, f"{where}: metadata.{field}")
    spec = _typed(thing.get("spec"), dict, f"{where}: spec")
    if kind == "Ingress":
        _check_ingress(spec, f"{where}: spec")
    return thing


def _check_ingress(spec: Mapping[str, Any], where: str) -> None:
    for entry in _typed(spec.get("tls"), list, f"{where}.tls"):
        hosts = _typed(entry, dict, f"{where}.tls").get("hosts")
        for host in _typed(hosts, list, f"{where}.tls.hosts"):
            _typed(host, str, f"{where}.tls.hosts")
    for rule in _typed(spec.get("rules"), list, f"{where}.rules"):
        _typed(_typed(rule, dict, f"{where}.rules").get("host"), str, f"{where}.rules.host")


ExpectedT = TypeVar("ExpectedT", dict[str, Any], list[Any], str)


def _typed(value: Any, expected: type[ExpectedT], where: str) -> ExpectedT:
    """The value, or an empty one for null. Raises OperatorError if it is anything else."""
    if value is None:
        return expected()
    if not isinstance(value, expected):
        found = f"{value!r:.60}" if isinstance(value, str | int | float) else _TYPES[type(value)]
        raise OperatorError(f"{where}: {_TYPES[expected]} is expected here, and this is {found}")
    return value
