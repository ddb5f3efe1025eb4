"""What objects of all kinds have in common. Pure.

Every field may be missing or null, as the API allows. TypeError or AttributeError is raised for what no API server
would send, until `checked` makes it an error for people.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.policy import Namespace, Reason

Namespaces = Callable[[], Mapping[str, Namespace]]
"""All of the cluster's, by name; to be called only by who needs them, for they may have to be listed first."""

IGNORE_ANNOTATION = "hairpin-proxy/ignore"


@contextmanager
def checked(thing: Any, kind: str) -> Iterator[None]:
    """Raises OperatorError, which names the object, where it is none that an API server would send."""
    try:
        yield
    except (TypeError, AttributeError) as error:
        known = isinstance(thing, dict) and isinstance(thing.get("metadata"), dict)
        where = name(thing, kind) if known else f"{thing!r:.60}"
        raise OperatorError(f"{where} is no {kind} that an API server would send: {error}") from error


def entries(value: Any) -> list[Any]:
    """The entries of a list that may be null."""
    if not isinstance(value, list | None):
        # A string, for one, would pass for a list of its letters.
        raise TypeError(f"not a list: {value!r}")
    return value or []


def mapping(thing: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A field that holds a mapping and may be null."""
    value = thing.get(field)
    if not isinstance(value, dict | None):
        raise TypeError(f"{field} is {value!r}")
    return value or {}


def name(thing: Mapping[str, Any], kind: str) -> str:
    """What people know it by: `Ingress default/web`, or without the namespace if a manifest leaves that to kubectl."""
    metadata = mapping(thing, "metadata")
    return f"{kind} {'/'.join(str(part) for part in (metadata.get('namespace'), metadata.get('name')) if part)}"


def key(thing: Mapping[str, Any], kind: str) -> str:
    """What tells it from all others of its kind, in their order in the API server's lists. Raises OperatorError."""
    with checked(thing, kind):
        metadata = mapping(thing, "metadata")
        if not isinstance(metadata.get("name"), str):
            raise TypeError("it has no name")
        return f"{metadata.get('namespace') or ''}/{metadata['name']}"


def namespace(thing: Mapping[str, Any]) -> str:
    """The namespace that it is in; if a manifest leaves that to kubectl, the one that is its default."""
    return str(mapping(thing, "metadata").get("namespace") or "default")


def ignored(thing: Mapping[str, Any]) -> Reason | None:
    """The reason why all its hosts are left out, if its owner says so."""
    if mapping(mapping(thing, "metadata"), "annotations").get(IGNORE_ANNOTATION) != "true":
        return None
    return Reason("ignored", f"is asked for by an object with annotation {IGNORE_ANNOTATION}", chosen=True)


def tenant(item: Mapping[str, Any]) -> tuple[str, Namespace]:
    """What a Namespace object says, by its name. Raises OperatorError."""
    with checked(item, "Namespace"):
        metadata = mapping(item, "metadata")
        name = str(metadata.get("name"))
        # The API server gives each this label (https://kubernetes.io/docs/reference/labels-annotations-taints/).
        labels = {"kubernetes.io/metadata.name": name, **_texts(metadata, "labels")}
        return name, Namespace(labels, _texts(metadata, "annotations"))


def _texts(metadata: Mapping[str, Any], field: str) -> dict[str, str]:
    """Labels or annotations, of which a null one is empty."""
    found = {key: "" if text is None else text for key, text in mapping(metadata, field).items()}
    for text in found.values():
        if not isinstance(text, str):
            raise TypeError(f"{field} has the value {text!r}")
    return found
