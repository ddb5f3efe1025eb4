"""The API server, or whatever stands before it, answers wrongly, too late, or not at all.

Unless the name says "once" or "three times", it lasts for some polls.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.corefiles import rule
from tests.integration.conftest import eventually, ingress
from tests.integration.faults.proxy import Fault, status
from tests.integration.faults.trial import COMES, COREDNS, GOES, KEPT, Trial, rules_in

INGRESSES = "/apis/networking.k8s.io/v1/ingresses?limit="
SERVICES = "/api/v1/namespaces/kube-system/services?"
WORKLOADS = "/apis/apps/v1/namespaces/kube-system/"
OURS = "/api/v1/namespaces/hairpin-proxy/services/hairpin-proxy"
SLICES = "/endpointslices?"
WATCH = "watch=true"
NEXT_PAGE = "continue="
ANYTHING = "/"

Cases = dict[str, tuple[Fault, str]]
"""By what goes wrong: the fault, and what the log has to say of it."""

REASONS = {
    401: ("Unauthorized", "who are you"),
    403: ("Forbidden", "not you"),
    404: ("Not Found", "no such thing"),
    409: ("Conflict", "the object has been modified"),
    410: ("Gone", "the token is too old"),
    422: ("Unprocessable [A-Z][a-z]+", "it is invalid"),
    429: ("Too Many Requests", "slow down"),
    500: ("Internal Server Error", "etcd is away"),
    502: ("Bad Gateway", "the balancer has nobody"),
    503: ("Service Unavailable", "shutting down"),
    504: ("Gateway Timeout", "it took too long"),
}
"""What the status is called in HTTP, and what the server says with it here."""


def refused(method: str, path: str, code: int, **more: Any) -> tuple[Fault, str]:
    """An answer in the form of the API server's own errors."""
    called, said = REASONS[code]
    return Fault(method, path, code, status(code, "Reason", said), **more), f"{code} {called}: {said}"


def altered(path: str, change: Callable[[Any], Any], **more: Any) -> Fault:
    """The server's own answer, but for what is changed in it."""
    return Fault("GET", path, alter=lambda body: json.dumps(change(json.loads(body))).encode(), **more)


def without_items(found: Any) -> Any:
    return {**found, "items": []}


def cases(table: Cases) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("fault", "said"), table.values(), ids=table)


# ---- what is listed

NO_LIST = "the answer is no IngressList"
NO_ITEMS = "the answer has no list of items"
RESET, BROKEN = "no answer from .*reset by peer", "no answer from .*IncompleteRead"
LIST: Cases = {
    f"{code} for the list of Ingresses": refused("GET", INGRESSES, code)
    for code in (401, 403, 404, 410, 429, 500, 502, 503, 504)
} | {
    "500 for the list of Ingresses, once": refused("GET", INGRESSES, 500, times=1),
    "500 for the list of Ingresses, three times": refused("GET", INGRESSES, 500, times=3),
    "an HTML page in place of the list of Ingresses": (
        Fault("GET", INGRESSES, body=b"<html>a captive portal"),
        f"{NO_LIST}: .*captive portal",
    ),
    "nothing in place of the list of Ingresses": (Fault("GET", INGRESSES), f"{NO_LIST}: b''"),
    "a list of Pods in place of Ingresses": (altered(INGRESSES, lambda found: {**found, "kind": "PodList"}), NO_LIST),
    "a list of Ingresses without items": (
        altered(INGRESSES, lambda found: {key: found[key] for key in ("kind", "metadata")}),
        NO_ITEMS,
    ),
    "a list of Ingresses whose items are null": (altered(INGRESSES, lambda found: {**found, "items": None}), NO_ITEMS),
    "a list of Ingresses with an item that is none": (
        altered(INGRESSES, lambda found: {**found, "items": [*found["items"][1:], "x"]}),
        "'x' is no Ingress that an API server would send",
    ),
    "the list of Ingresses ends in the middle": (
        Fault("GET", INGRESSES, body=b'{"kind": "IngressList", "items": [', cut=True),
        BROKEN,
    ),
    "the connection is reset at the list of Ingresses": (Fault("GET", INGRESSES, reset=True), RESET),
    "no answer to the list of Ingresses": (Fault("GET", INGRESSES, stall=True, times=1), "Read timed out"),
}


@cases(LIST)
def test_the_list_of_ingresses(trial: Trial, fault: Fault, said: str) -> None:
    trial.meets(fault, said)


def test_the_list_of_ingresses_trickles(trial: Trial) -> None:
    """It is only late: what comes in the end is good, and no rule goes meanwhile."""
    trial.comes(Fault("GET", INGRESSES, trickle=3))
    trial.change()
    eventually(lambda: rules_in(trial.world.cluster.corefile()) == {KEPT, COMES}, 20)
    trial.check()
    assert not [line for line in trial.warned() if " ERROR " in line]


def test_the_list_of_ingresses_is_empty_once(trial: Trial) -> None:
    """It is no proof that there are none."""
    trial.meets(altered(INGRESSES, without_items, times=1), "hosts would go at once")


def test_the_list_of_ingresses_stays_empty(trial: Trial) -> None:
    """Then there are none: the rules go with the second list, an interval after the first."""
    trial.always = set()
    fault = altered(INGRESSES, without_items)
    trial.comes(fault)
    eventually(lambda: not rules_in(trial.world.cluster.corefile()))
    assert trial.proxy.met(fault) > 1
    trial.change()
    with trial.recovering("hosts would go at once"):
        trial.proxy.faults.remove(fault)
        trial.proxy.hang_up()
