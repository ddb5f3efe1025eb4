"""What goes wrong between a controller and the API server in one poll."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from tests.integration.conftest import CONFIGMAPS
from tests.integration.faults.proxy import Fault, status

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
COREDNS = f"{CONFIGMAPS}/coredns"
SERVICE = "/services/hairpin-proxy"
SLICES = "/endpointslices"

TRUE, EMPTY, NONE = "true", "empty", "none"
"""What the controller is told of the Ingresses: how it is, that there are none, or nothing."""


EMPTY_LISTS = ("list: empty", "list: empty, no version", "list: empty, read: 500")


class Trouble(NamedTuple):
    """What goes wrong."""

    faults: Callable[[], list[Fault]]
    view: str
    undoes: bool = False
    """Whether it looks to the controller as if somebody undid what it wrote."""


def _status(code: int) -> bytes:
    return status(code, "Soak", f"this is a {code} of the soak")


def _halved(answer: bytes) -> bytes:
    """The first part of a list that goes on."""
    page = json.loads(answer)
    page["items"] = page["items"][: len(page["items"]) // 2]
    page["metadata"]["continue"] = "soak"
    return json.dumps(page).encode()


def _listed(items: str, metadata: str = '{"resourceVersion": "7"}') -> bytes:
    return f'{{"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "metadata": {metadata}{items}}}'.encode()


def _one(method: str, path: str, view: str, status: int = 200, body: bytes = b"", **how: bool) -> Trouble:
    return Trouble(lambda: [Fault(method, path, status, body, **how)], view)  # type: ignore[arg-type]


def _bad_answers(name: str, method: str, path: str, view: str) -> dict[str, Trouble]:
    codes = (401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504)
    found = {f"{name}: {code}": _one(method, path, view, code, _status(code)) for code in codes}
    found[f"{name}: reset"] = _one(method, path, view, reset=True)
    found[f"{name}: cut"] = _one(method, path, view, body=b'{"kind": ', cut=True)
    found[f"{name}: junk of a proxy"] = _one(method, path, view, 502, b"<html>Bad gateway</html>")
    return found


TROUBLES: dict[str, Trouble] = {
    **_bad_answers("list", "GET", INGRESSES, NONE),
    "list: junk": _one("GET", INGRESSES, NONE, body=b"<html>welcome</html>"),
    "list: wrong kind": _one("GET", INGRESSES, NONE, body=b'{"kind": "PodList", "metadata": {}, "items": []}'),
    "list: no items": _one("GET", INGRESSES, NONE, body=_listed("")),
    "list: null for items": _one("GET", INGRESSES, NONE, body=_listed(', "items": null')),
    "list: an object that is none": _one("GET", INGRESSES, NONE, body=_listed(', "items": [7]')),
    "list: expired continue token": Trouble(
        lambda: [Fault("GET", "continue=", 410, _status(410)), Fault("GET", INGRESSES, alter=_halved)], NONE
    ),
    "list: empty": _one("GET", INGRESSES, EMPTY, body=_listed(', "items": []')),
    "list: empty, no version": _one("GET", INGRESSES, EMPTY, body=_listed(', "items": []', "{}")),
    "list: empty, read: 500": Trouble(
        lambda: [Fault("GET", INGRESSES, body=_listed(', "items": []')), Fault("GET", COREDNS, 500, _status(500))],
        EMPTY,
    ),
    **_bad_answers("read", "GET", COREDNS, TRUE),
    "read: junk": _one("GET", COREDNS, TRUE, body=b"<html>welcome</html>"),
    "read: wrong kind": _one("GET", COREDNS, TRUE, body=b'{"kind": "Secret", "metadata": {"resourceVersion": "1"}}'),
    "Service: 500": _one("GET", SERVICE, TRUE, 500, _status(500)),
    "EndpointSlices: 500": _one("GET", SLICES, TRUE, 500, _status(500)),
    **_bad_answers("write", "PATCH", COREDNS, TRUE),
    "write: made, 504": _one("PATCH", COREDNS, TRUE, 504, _status(504), done=True),
    "write: made, reset": _one("PATCH", COREDNS, TRUE, reset=True, done=True),
    "write: made, cut": _one("PATCH", COREDNS, TRUE, body=b"{", cut=True, done=True),
    "write: not made, 200": _one("PATCH", COREDNS, TRUE, body=b"{}")._replace(undoes=True),
}
"""By what a report calls them."""
