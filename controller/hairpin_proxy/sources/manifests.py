"""The Ingresses in a file: what `kubectl get ingress -o json` or `-o yaml` prints, or manifests. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.sources.ingress import name

_GROUPS = ("networking.k8s.io", "extensions", "")
"""API groups of Ingress as it is and as it was, and none. Others have a kind of that name too (OpenShift's, Knative's),
which `run` does not ask for."""

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


def ingresses(content: bytes, file: str) -> list[Mapping[str, Any]]:
    """All of them, each in a shape that `ingress.claims` takes; objects of other kinds are passed over.

    Raises OperatorError: `FILE:LINE: what is wrong`, where the line may be that on which the document starts.
    """
    try:
        text = content.decode("utf-8-sig")
        documents = _documents(text, file)
        return [found for line, document in documents for found in _ingresses(document, f"{file}:{line}")]
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file}:{_line(content, error.start)}: this is not UTF-8") from error
    except RecursionError as error:
        raise OperatorError(f"{file}: lists and mappings are nested too deeply in it") from error


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


def _ingresses(value: Any, where: str, kind: str = "", version: str = "") -> Iterator[Mapping[str, Any]]:
    """Those that one object is or holds. An item of a list has the list's kind and version if it says none itself."""
    if value is None:
        return
    thing = _typed(value, dict, where)
    kind, version = thing.get("kind") or kind, thing.get("apiVersion") or version
    if not kind:
        raise OperatorError(f"{where}: no Kubernetes object, for it has no kind")
    if kind == "Status":
        raise OperatorError(f"{where}: no list of Ingresses but an answer of the API server: {thing.get('message')}")
    if kind == "List":
        for item in _items(thing, where):
            yield from _ingresses(item, where)
    elif kind == "IngressList":
        for item in _items(thing, where):
            yield from _ingresses(item, where, "Ingress", version)
    elif kind == "Ingress" and str(version).rpartition("/")[0] in _GROUPS:
        yield _checked(thing, where)


def _items(thing: Mapping[str, Any], where: str) -> list[Any]:
    if _typed(thing.get("metadata"), dict, f"{where}: metadata").get("continue"):
        raise OperatorError(f"{where}: only a part of the list, which goes on (metadata.continue)")
    if thing.get("items") is None:
        raise OperatorError(f"{where}: a list without items")
    return _typed(thing["items"], list, f"{where}: items")


def _checked(ingress: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    _typed(ingress.get("metadata"), dict, f"{where}: metadata")
    where = f"{where}: {name(ingress)}: spec"
    spec = _typed(ingress.get("spec"), dict, where)
    for entry in _typed(spec.get("tls"), list, f"{where}.tls"):
        hosts = _typed(entry, dict, f"{where}.tls").get("hosts")
        for host in _typed(hosts, list, f"{where}.tls.hosts"):
            _typed(host, str, f"{where}.tls.hosts")
    return ingress


ExpectedT = TypeVar("ExpectedT", dict[str, Any], list[Any], str)


def _typed(value: Any, expected: type[ExpectedT], where: str) -> ExpectedT:
    """The value, or an empty one for null. Raises OperatorError if it is anything else."""
    if value is None:
        return expected()
    if not isinstance(value, expected):
        found = f"{value!r:.60}" if isinstance(value, str | int | float) else _TYPES[type(value)]
        raise OperatorError(f"{where}: {_TYPES[expected]} is expected here, and this is {found}")
    return value
