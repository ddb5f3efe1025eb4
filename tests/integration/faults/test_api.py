"""The API server, or whatever stands before it, answers wrongly, too late, or not at all.

Unless the name says "once" or "three times", it lasts for some polls.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy.kube import PAGE_SIZE
from tests.corefiles import rule
from tests.integration.conftest import CONFIGMAPS, World, eventually, ingress, object_path
from tests.integration.conftest import INGRESSES as NAMESPACED
from tests.integration.faults.proxy import Fault, status
from tests.integration.faults.trial import COMES, COREDNS, GOES, KEPT, Trial, rules_in
from tests.integration.test_import import DEPLOYMENT
from tests.integration.test_sources import gateway, listener, route

INGRESSES = "/apis/networking.k8s.io/v1/ingresses?limit="
SERVICES = "/api/v1/namespaces/kube-system/services?"
WORKLOADS = "/apis/apps/v1/namespaces/kube-system/"
OURS = "/api/v1/namespaces/hairpin-proxy/services/hairpin-proxy"
SLICES = "/endpointslices?"
WATCH = "watch=true"
NEXT_PAGE = "continue="
ANYTHING = "/"


@pytest.fixture(autouse=True)
def deployed(world: World) -> Iterator[None]:
    """CoreDNS's Deployment, by which is seen what it reads."""
    world.apply(DEPLOYMENT)
    yield
    with world.cluster.api() as api:
        api.delete(object_path(DEPLOYMENT))


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
    trial.goes_unnoticed()


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
        trial.list_anew()


def test_a_controller_starts_with_an_empty_list_of_ingresses(trial: Trial) -> None:
    """It knows of no earlier list, and the rules that stand are as good as one."""
    trial.meets_at_its_start(altered(INGRESSES, without_items, times=1), "hosts would go at once")


# ---- in the middle of a long list

NEXT_PAGE_CASES: Cases = {
    "410 for the second page, whose token is too old": refused("GET", NEXT_PAGE, 410),
    "410 for the second page, once": refused("GET", NEXT_PAGE, 410, times=1),
    "404 for the second page": refused("GET", NEXT_PAGE, 404),
    "500 for the second page": refused("GET", NEXT_PAGE, 500),
    "503 for the second page, three times": refused("GET", NEXT_PAGE, 503, times=3),
    "the second page ends in the middle": (
        Fault("GET", NEXT_PAGE, body=b'{"kind": "IngressList", "items": [', cut=True),
        BROKEN,
    ),
    "the connection is reset at the second page": (Fault("GET", NEXT_PAGE, reset=True), RESET),
    "the second page has no items": (
        altered(NEXT_PAGE, lambda found: {key: found[key] for key in ("kind", "metadata")}),
        NO_ITEMS,
    ),
    "the second page is a list of Pods": (altered(NEXT_PAGE, lambda found: {**found, "kind": "PodList"}), NO_LIST),
    "the second page is empty": (altered(NEXT_PAGE, without_items), "the last page is empty"),
    "the second page is empty, once": (altered(NEXT_PAGE, without_items, times=1), "the last page is empty"),
}


@cases(NEXT_PAGE_CASES)
def test_the_second_page_of_ingresses(trial: Trial, fault: Fault, said: str) -> None:
    """All that has a rule is on it."""
    with trial.world.cluster.api() as api:
        for number in range(PAGE_SIZE + 10):
            api.create(NAMESPACED, ingress(f"filler-{number}", tls=[]))
    trial.meets(fault, said)


# ---- what is read

NO_CONFIGMAP = "the answer is no ConfigMap"


def corefile(text: str) -> Callable[[Any], Any]:
    return lambda found: {**found, "data": {**found["data"], "Corefile": text}}


def without_version(found: Any) -> Any:
    return {**found, "metadata": {"name": "coredns"}}


READ: Cases = {
    f"{code} for the ConfigMap": refused("GET", COREDNS, code) for code in (401, 403, 404, 429, 500, 502, 503, 504)
} | {
    "404 for the ConfigMap, once": refused("GET", COREDNS, 404, times=1),
    "500 for the ConfigMap, three times": refused("GET", COREDNS, 500, times=3),
    "an HTML page in place of the ConfigMap": (
        Fault("GET", COREDNS, body=b"<html>a captive portal"),
        f"{NO_CONFIGMAP}: .*captive portal",
    ),
    "a Secret in place of the ConfigMap": (altered(COREDNS, lambda found: {**found, "kind": "Secret"}), NO_CONFIGMAP),
    "a ConfigMap without a Corefile": (
        altered(COREDNS, lambda found: {key: found[key] for key in ("kind", "metadata")}),
        "has no key Corefile with text",
    ),
    "a ConfigMap without a resourceVersion": (altered(COREDNS, without_version), "has no metadata.resourceVersion"),
    "an empty Corefile": (altered(COREDNS, corefile("")), "no server block answers '.'"),
    "half a Corefile": (altered(COREDNS, corefile(".:53 {\n    forward . 1.1.1.1\n")), "Corefile:1: .*never closed"),
    "the ConfigMap ends in the middle": (Fault("GET", COREDNS, body=b'{"kind": "ConfigMap", ', cut=True), BROKEN),
    "the connection is reset at the ConfigMap": (Fault("GET", COREDNS, reset=True), RESET),
    "no answer to the read of the ConfigMap": (Fault("GET", COREDNS, stall=True, times=1), "Read timed out"),
}


@cases(READ)
def test_the_read_of_the_configmap(trial: Trial, fault: Fault, said: str) -> None:
    trial.meets(fault, said)


def test_the_configmap_is_read_as_it_was_before(trial: Trial) -> None:
    """As from an API server that lags behind: what is based on it is refused."""
    trial.between_polls()
    trial.world.write_corefile(trial.world.cluster.corefile() + HAND)
    old = json.dumps({"kind": "ConfigMap", **trial.world.configmap()}).encode()
    trial.world.write_corefile(trial.world.cluster.corefile() + HAND)
    trial.meets(Fault("GET", COREDNS, body=old), MODIFIED)
    assert trial.world.cluster.corefile().count(HAND) == 2


# ---- what is written

MODIFIED = "409 Conflict: .*the object has been modified"
UNSURE = ".the next poll shows whether this was written.$"
WRITE: Cases = {
    f"the write is refused with {code}": refused("PATCH", COREDNS, code)
    for code in (401, 403, 404, 409, 422, 429, 500, 502, 503, 504)
} | {
    "the write is refused with 409, once": refused("PATCH", COREDNS, 409, times=1),
    "the write is refused with 500, three times": refused("PATCH", COREDNS, 500, times=3),
    "the answer to a write is cut, and it was made": (
        Fault("PATCH", COREDNS, body=b"{", cut=True, done=True, times=1),
        BROKEN + ".*" + UNSURE,
    ),
    "the answer to a write is cut, and it was not made": (
        Fault("PATCH", COREDNS, body=b"{", cut=True),
        BROKEN + ".*" + UNSURE,
    ),
    "the connection is reset, and the write was made": (
        Fault("PATCH", COREDNS, reset=True, done=True, times=1),
        RESET + ".*" + UNSURE,
    ),
    "the connection is reset, and the write was not made": (
        Fault("PATCH", COREDNS, reset=True),
        RESET + ".*" + UNSURE,
    ),
    "504 to a write that was made": refused("PATCH", COREDNS, 504, done=True, times=1),
    "no answer to a write that was made": (
        Fault("PATCH", COREDNS, stall=True, done=True, times=1),
        "Read timed out.*" + UNSURE,
    ),
}


@cases(WRITE)
def test_the_write(trial: Trial, fault: Fault, said: str) -> None:
    trial.meets(fault, said)


def test_junk_is_the_answer_to_a_write_that_was_made(trial: Trial) -> None:
    """What a write is answered with besides its status is of no account."""
    fault = Fault("PATCH", COREDNS, body=b"<html>", done=True)
    trial.comes(fault)
    trial.change()
    eventually(lambda: rules_in(trial.world.cluster.corefile()) == {KEPT, COMES})
    assert trial.proxy.met(fault)
    trial.between_polls()
    trial.goes_unnoticed()


# ---- between the read and the write

HAND = "# an edit by hand\n"
"""What is nobody's business but the administrator's."""


def edit(trial: Trial) -> None:
    trial.world.write_corefile(trial.world.cluster.corefile() + HAND)


def renew(trial: Trial) -> None:
    """As `kubectl replace --force` does."""
    old = trial.world.configmap()
    with trial.world.cluster.api() as api:
        api.delete(COREDNS)
        api.create(CONFIGMAPS, {**old, "metadata": {"name": "coredns", "namespace": "kube-system"}})


def label(trial: Trial) -> None:
    trial.world.patch_configmap({"metadata": {"annotations": {"example.com/touched": "yes"}}})


def do_ours(trial: Trial) -> None:
    """As another controller of the same install, at the same time."""
    trial.world.write_corefile(trial.world.cluster.corefile().replace(rule(GOES), rule(COMES)))


BETWEEN = {
    "the Corefile is edited between read and write": edit,
    "the ConfigMap is deleted and made anew between read and write": renew,
    "an annotation is set between read and write": label,
    "another controller writes the same between read and write": do_ours,
}


@pytest.mark.parametrize("change", BETWEEN.values(), ids=BETWEEN)
def test_somebody_is_faster(trial: Trial, change: Callable[[Trial], None]) -> None:
    trial.meets(Fault("PATCH", COREDNS, then=lambda: change(trial), times=1), MODIFIED)


def test_the_corefile_is_edited_before_each_write(trial: Trial) -> None:
    fault = Fault("PATCH", COREDNS, then=lambda: edit(trial))
    trial.meets(fault, MODIFIED)
    assert trial.world.cluster.corefile().count(HAND) == trial.proxy.met(fault)


def test_the_corefile_is_edited_as_it_is_read(trial: Trial) -> None:
    """What was read is not what is there when it comes."""
    fault = Fault("GET", COREDNS, then=lambda: edit(trial), done=True)
    trial.meets(fault, MODIFIED)
    assert trial.world.cluster.corefile().count(HAND) == trial.proxy.met(fault)


def test_the_configmap_is_deleted_between_read_and_write(trial: Trial) -> None:
    """The write finds none, and so does each read until it is there again."""
    old = trial.world.configmap()

    def delete() -> None:
        with trial.world.cluster.api() as api:
            api.delete(COREDNS)

    trial.failures = 2
    fault = Fault("PATCH", COREDNS, then=delete, times=1)
    trial.comes(fault)
    trial.change()
    eventually(lambda: bool(trial.named("GET .*404 Not Found.*--configmap names")))
    with trial.recovering("PATCH .*404 Not Found"):
        trial.world.apply({**old, "metadata": {"name": "coredns", "namespace": "kube-system"}})
    trial.is_named_once("GET .*404 Not Found")


# ---- what new hosts wait for

NOT_LED = "WARNING no new host is led to Service hairpin-proxy/hairpin-proxy: "
NO_SERVICE = "the answer is no Service"
GATE: Cases = {
    **{f"{code} for the Service hairpin-proxy": refused("GET", OURS, code) for code in (401, 429, 500, 503)},
    "404 for the Service hairpin-proxy": (refused("GET", OURS, 404)[0], f"{NOT_LED}it does not exist"),
    "403 for the Service hairpin-proxy, once": (
        refused("GET", OURS, 403, times=1)[0],
        "WARNING new hosts do not wait until Service hairpin-proxy/hairpin-proxy has a ready endpoint: .*not you",
    ),
    "junk in place of the Service hairpin-proxy": (Fault("GET", OURS, body=b"junk"), NO_SERVICE),
    "a Service hairpin-proxy without spec": (
        altered(OURS, lambda found: {**found, "spec": None}),
        f"{NO_SERVICE} with EndpointSlices",
    ),
    **{f"{code} for the EndpointSlices": refused("GET", SLICES, code) for code in (404, 429, 500, 503)},
    "the list of EndpointSlices ends in the middle": (Fault("GET", SLICES, body=b"{", cut=True), BROKEN),
    "a list of EndpointSlices without items": (
        altered(SLICES, lambda found: {key: found[key] for key in ("kind", "metadata")}),
        NO_ITEMS,
    ),
    "a list of EndpointSlices with one that is none": (
        altered(SLICES, lambda found: {**found, "items": ["x"]}),
        f"{NO_SERVICE} with EndpointSlices",
    ),
    "an empty list of EndpointSlices": (altered(SLICES, without_items), f"{NOT_LED}it has no ready endpoint"),
    "an empty list of EndpointSlices, once": (
        altered(SLICES, without_items, times=1),
        f"{NOT_LED}it has no ready endpoint",
    ),
}


@cases(GATE)
def test_what_new_hosts_wait_for(trial: Trial, fault: Fault, said: str) -> None:
    trial.comes(fault)
    trial.change()
    if fault.times is None:
        eventually(lambda: trial.proxy.met(fault) > 3)
        assert COMES not in rules_in(trial.world.cluster.corefile())
    trial.goes(fault, said)


# ---- what is looked at when a controller starts

UNSEEN = "WARNING it cannot be seen what CoreDNS reads: .*not you.*; key Corefile of ConfigMap kube-system/coredns is"
NOT_FOUND = "WARNING no Service in namespace kube-system leads to a CoreDNS that reads a ConfigMap; key Corefile of"
DEPLOYMENTS, DAEMONSETS = f"{WORKLOADS}deployments?", f"{WORKLOADS}daemonsets?"
START: Cases = {
    "401 for the Services at the start": refused("GET", SERVICES, 401),
    "403 for the Services at the start, once": (refused("GET", SERVICES, 403, times=1)[0], UNSEEN),
    "404 for the Services at the start": refused("GET", SERVICES, 404),
    "500 for the Services at the start": refused("GET", SERVICES, 500),
    "junk in place of the Services at the start": (
        Fault("GET", SERVICES, body=b"junk"),
        "the answer is no ServiceList",
    ),
    "an empty list of Services at the start, once": (altered(SERVICES, without_items, times=1), NOT_FOUND),
    "503 for the Deployments at the start": refused("GET", DEPLOYMENTS, 503),
    "403 for the Deployments at the start, once": (refused("GET", DEPLOYMENTS, 403, times=1)[0], UNSEEN),
    "the connection is reset at the Deployments at the start": (Fault("GET", DEPLOYMENTS, reset=True), RESET),
    "an empty list of Deployments at the start, once": (altered(DEPLOYMENTS, without_items, times=1), NOT_FOUND),
    "500 for the DaemonSets at the start": refused("GET", DAEMONSETS, 500),
    "a list of DaemonSets without items at the start": (
        altered(DAEMONSETS, lambda found: {key: found[key] for key in ("kind", "metadata")}),
        NO_ITEMS,
    ),
    "503 for the list of Ingresses at the start": refused("GET", INGRESSES, 503),
    "404 for the ConfigMap at the start": refused("GET", COREDNS, 404),
    "503 for each call at the start": refused("GET", ANYTHING, 503),
}


@cases(START)
def test_what_is_looked_at_when_a_controller_starts(trial: Trial, fault: Fault, said: str) -> None:
    trial.meets_at_its_start(fault, said)


# ---- the watch alone


def event(kind: str, item: Any) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


GONE = json.loads(status(410, "Expired", "too old resource version: 1 (2)"))
WATCHED: Cases = {
    **{
        f"{code} for the watch": (fault, f"WARNING .*{said}")
        for code in (403, 404, 410, 429, 500, 503, 504)
        for fault, said in [refused("GET", WATCH, code)]
    },
    "410 as an event of the watch": (
        Fault("GET", WATCH, body=event("ERROR", GONE)),
        "WARNING .*too old resource version: 1",
    ),
    "a watch with an HTML page": (Fault("GET", WATCH, body=b"<html>a captive portal\n"), "WARNING .*no event"),
    "a watch with events of an unknown type": (
        Fault("GET", WATCH, body=event("BROKEN", ingress("web", "junk.example.com"))),
        "WARNING .*unknown type BROKEN",
    ),
    "a watch with an event that ends in the middle": (
        Fault("GET", WATCH, body=b'{"type": "ADDED", "obj', cut=True),
        f"WARNING .*{BROKEN}",
    ),
    "the connection of each watch is reset": (Fault("GET", WATCH, reset=True), f"WARNING .*{RESET}"),
    "each watch ends at once without an event": (Fault("GET", WATCH), "WARNING .*ends at once"),
}


@cases(WATCHED)
def test_the_watch_alone(trial: Trial, fault: Fault, said: str) -> None:
    """What changes shows by polling then."""
    trial.comes(fault)
    eventually(lambda: trial.proxy.met(fault) > 3)
    trial.change()
    trial.right_again(trial.polls())
    eventually(lambda: bool(trial.named(said)))
    with trial.recovering(said):
        trial.proxy.faults.remove(fault)
    eventually(lambda: watches_only(trial))


def watches_only(trial: Trial) -> bool:
    """Whether all that is asked for in a while is watches of Ingresses, and what each poll reads."""
    trial.proxy.calls.clear()
    eventually(lambda: sum(WATCH in call for call in trial.proxy.calls) > 2)
    return not [call for call in trial.proxy.calls if INGRESSES in call]


def test_each_watch_is_silent_and_does_not_end(trial: Trial) -> None:
    """It is given up some seconds after it should have ended, and what changed meanwhile shows then."""
    fault = Fault("GET", WATCH, hush=True)
    trial.comes(fault)
    eventually(lambda: trial.proxy.met(fault) > 0)
    trial.change()
    eventually(lambda: rules_in(trial.world.cluster.corefile()) == {KEPT, COMES})
    trial.proxy.faults.remove(fault)
    eventually(lambda: watches_only(trial))
    trial.check()
    assert not [line for line in trial.warned() if " ERROR " in line]


# ---- what else hosts come from, or depend on

GATEWAYS, ROUTES, NAMESPACES = "/gateways?limit=", "/httproutes?limit=", "/api/v1/namespaces?limit="
OTHER: Cases = {
    "404 for Gateways in each version, once": (refused("GET", GATEWAYS, 404, times=2)[0], "hosts would go at once"),
    "404 for HTTPRoutes in each version, once": (refused("GET", ROUTES, 404, times=2)[0], "hosts would go at once"),
    "503 for the list of Gateways": refused("GET", GATEWAYS, 503),
    "500 for the list of HTTPRoutes, three times": refused("GET", ROUTES, 500, times=3),
    "an empty list of Gateways, once": (altered(GATEWAYS, without_items, times=1), "hosts would go at once"),
    "an empty list of HTTPRoutes, once": (altered(ROUTES, without_items, times=1), "hosts would go at once"),
    "junk in place of the list of HTTPRoutes": (Fault("GET", ROUTES, body=b"junk"), "the answer is no HTTPRouteList"),
    "403 for the list of Namespaces": refused("GET", NAMESPACES, 403),
    "an empty list of Namespaces, once": (altered(NAMESPACES, without_items, times=1), "hosts would go at once"),
}


@pytest.fixture
def routed(trial: Trial, through: Path, gateway_api: None) -> Trial:
    """The host that stays is a route's, and namespaces are asked for as well."""
    world, flags = trial.world, ("--source", "ingress", "--source", "gateway", "--namespace-selector", "!x")
    address = f"127.0.0.1:{trial.metrics_port}"
    trial.controller.stop()
    trial.start = lambda: world.controller(*flags, "--metrics-address", address, kubeconfig=through)
    for name in ("infra", "shop"):
        world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    world.apply(gateway(listener("web")), route(KEPT))
    world.delete("kept")
    trial.controller = trial.start()
    eventually(lambda: trial.polls() > 0)
    return trial


@cases(OTHER)
def test_what_else_hosts_come_from(routed: Trial, fault: Fault, said: str) -> None:
    routed.watched = fault.path.removesuffix("limit=")
    routed.meets(fault, said)


# ---- all of it

ALL: Cases = {
    "401 for each call": refused("GET", ANYTHING, 401),
    "403 for each call": refused("GET", ANYTHING, 403),
    "429 for each call, with Retry-After": refused("GET", ANYTHING, 429, headers={"Retry-After": "1"}),
    "502 for each call": refused("GET", ANYTHING, 502),
    "503 for each call, with Retry-After": refused("GET", ANYTHING, 503, headers={"Retry-After": "1"}),
    "an HTML page in answer to each call": (Fault("GET", ANYTHING, body=b"<html>a captive portal"), "captive portal"),
    "each connection is reset": (Fault("GET", ANYTHING, reset=True), RESET),
    "no call is answered": (Fault("GET", ANYTHING, stall=True), "Read timed out"),
    "no answer comes to its end": (Fault("GET", ANYTHING, drip=True), "did not come to its end in 30 seconds"),
}


@cases(ALL)
def test_all_calls(trial: Trial, fault: Fault, said: str) -> None:
    trial.lines = 2
    trial.meets(fault, said)


def test_connections_are_refused_for_a_time(trial: Trial) -> None:
    trial.lines = 2
    trial.between_polls()
    trial.proxy.refuse()
    trial.change()
    polls = trial.polls()
    eventually(lambda: trial.polls() > polls + 3)
    with trial.recovering("no answer from .*: .*Connection refused"):
        trial.proxy.listen()


def test_connections_are_refused_when_a_controller_starts(trial: Trial) -> None:
    trial.controller.stop()
    trial.proxy.refuse()
    trial.change()
    trial.controller = trial.start()
    eventually(lambda: trial.polls() > 3)
    with trial.recovering("no answer from .*: .*Connection refused"):
        trial.proxy.listen()


def test_all_connections_end_at_once(trial: Trial) -> None:
    """As when the API server starts anew: none was needed just then."""
    trial.between_polls()
    trial.controller.send_signal(signal.SIGSTOP)
    time.sleep(1)  # in which what it may have asked is answered
    trial.proxy.hang_up()
    trial.controller.send_signal(signal.SIGCONT)
    trial.change()
    eventually(lambda: rules_in(trial.world.cluster.corefile()) == {KEPT, COMES})
    trial.goes_unnoticed()


PATIENCE: Cases = {
    f"{code} for {what}, with Retry-After: 10": refused(method, path, code, headers={"Retry-After": "10"}, times=1)
    for what, method, path in (
        ("the list of Ingresses", "GET", INGRESSES),
        ("the ConfigMap", "GET", COREDNS),
        ("the write", "PATCH", COREDNS),
    )
    for code in (429, 503)
}


@cases(PATIENCE)
def test_retry_after_is_respected(trial: Trial, fault: Fault, said: str) -> None:
    """No poll comes before the time that the server names, whatever the interval."""
    trial.comes(fault)
    trial.change()
    eventually(lambda: bool(trial.named(said)))
    trial.proxy.calls.clear()
    time.sleep(2)
    assert not [call for call in trial.proxy.calls if WATCH not in call]
    trial.goes(fault, said)
