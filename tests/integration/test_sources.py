"""What asks for hosts, read from a real API server with the Gateway API's own definitions."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from hairpin_proxy.inventory import Sources
from hairpin_proxy.kube import PAGE_SIZE, Kube, KubeError
from hairpin_proxy.policy import Asked
from hairpin_proxy.sources.ingress import Choice
from hairpin_proxy.sources.selectors import parse
from tests.cluster.api import ApiError
from tests.cluster.cluster import LocalCluster
from tests.corefiles import DESTINATION, rule
from tests.integration.conftest import ACCOUNT, DEPLOY, World, eventually, ingress, ingress_class, object_path
from tests.integration.faults.proxy import Fault, fault_proxy, status
from tests.unit.test_selectors import LABELS, NO_SELECTORS, REFUSED, TEXTS

NAMESPACES = {"infra": {}, "shop": {"expose": "yes"}, "bank": {"expose": "no"}}
GATEWAY_API = "/apis/gateway.networking.k8s.io"
PLURALS = ("gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
NO_GATEWAYS = "the API server knows no Gateways: the Gateway API's CRDs are not installed"
ADDRESS = "203.0.113.7"


# ---- objects


def thing(kind: str, name: str, spec: dict[str, Any], namespace: str = "infra") -> dict[str, Any]:
    """An object of the Gateway API."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def gateway(*listeners: dict[str, Any], name: str = "public", **spec: Any) -> dict[str, Any]:
    return thing("Gateway", name, {"gatewayClassName": "nginx", "listeners": list(listeners), **spec})


def listener(name: str, namespaces: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """On port 80, for routes of all namespaces."""
    found = {
        "name": name,
        "port": 80,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": namespaces or {"from": "All"}},
    }
    return found | fields


def route(host: str, namespace: str = "shop", kind: str = "HTTPRoute", **parent: Any) -> dict[str, Any]:
    """One that has its host for a name."""
    spec: dict[str, Any] = {"hostnames": [host], "parentRefs": [{"name": "public", "namespace": "infra", **parent}]}
    if kind == "TLSRoute":
        spec["rules"] = [{"backendRefs": [{"name": "web", "port": 443}]}]
    return thing(kind, host, spec, namespace)


SELECTED = {"from": "Selector", "selector": {"matchLabels": {"expose": "yes"}}}


# ---- reading


@dataclass(frozen=True)
class Server:
    """An API server, and who we are to it."""

    cluster: LocalCluster
    kubeconfig: Path

    def apply(self, *items: dict[str, Any]) -> None:
        with self.cluster.api() as api:
            for item in items:
                api.apply(object_path(item), item)

    def patch(self, path: str, patch: dict[str, Any]) -> None:
        with self.cluster.api() as api:
            api.merge_patch(path, patch)

    def serve(self, plural: str, *versions: str) -> None:
        """Serves a kind of the Gateway API in these versions alone."""
        path = f"{DEFINITIONS}/{plural}.gateway.networking.k8s.io"
        with self.cluster.api() as api:
            found = api.get(path)["spec"]["versions"]
            changed = [version | {"served": version["name"] in versions} for version in found]
            api.merge_patch(path, {"spec": {"versions": changed}})
        wanted = {each["name"]: each["name"] in versions for each in found}
        eventually(lambda: all(self.serves(plural, version) is served for version, served in wanted.items()))

    def serves(self, plural: str, version: str) -> bool:
        with self.cluster.api() as api:
            try:
                api.get(f"{GATEWAY_API}/{version}/{plural}")
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                return False
        return True

    def sources(self, kubeconfig: Path | None = None, **settings: Any) -> Sources:
        """Those of Gateways, or as given."""
        chosen: dict[str, Any] = {"ingresses": None, "gateway_classes": frozenset(), **settings}
        return Sources(Kube(str(kubeconfig or self.kubeconfig), None), **chosen)

    def read(self, **settings: Any) -> Asked:
        return self.sources(**settings).read()

    def hosts(self, **settings: Any) -> set[str]:
        return hosts(self.read(**settings))

    def reasons(self, **settings: Any) -> dict[str, str]:
        """Why hosts are left out, by the hosts."""
        return {claim.host: claim.refusal.text for claim in self.read(**settings).claims if claim.refusal}

    def calls(self) -> list[str]:
        """What we have asked since the audit log was forgotten."""
        return [event["requestURI"] for event in self.cluster.audit()]


def hosts(asked: Asked) -> set[str]:
    return {claim.host for claim in asked.claims if not claim.refusal}


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    with LocalCluster(api_only=True) as running:
        running.apply(DEPLOY)
        server = Server(running, running.service_account_kubeconfig(*ACCOUNT))
        for name, labels in NAMESPACES.items():
            metadata = {"name": name, "labels": labels}
            server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield server


@pytest.fixture
def bare(started: Server) -> Iterator[Server]:
    """Without the Gateway API."""
    started.cluster.remove_gateway_api()
    yield started
    started.cluster.kubectl("delete", "ingresses,ingressclasses", "-A", "--all")


@pytest.fixture
def server(started: Server) -> Iterator[Server]:
    """With the Gateway API's standard channel, and no objects."""
    if not all(started.serves(plural, "v1") for plural in PLURALS):
        started.cluster.install_gateway_api()
    yield started
    with started.cluster.api() as api:  # kubectl would delete thousands one by one
        for plural in PLURALS:
            for namespace in NAMESPACES if started.serves(plural, "v1") else ():
                api.delete(f"{GATEWAY_API}/v1/namespaces/{namespace}/{plural}")
    started.cluster.kubectl("delete", "ingresses,ingressclasses", "-A", "--all")


# ---- which kinds are there


def test_without_the_gateway_api_ingresses_go_on(bare: Server) -> None:
    bare.apply(ingress("web", "a.example.com"))
    asked = bare.read(ingresses=Choice())
    assert hosts(asked) == {"a.example.com"}
    (missing,) = asked.remarks
    assert (missing.text, missing.calm) == (NO_GATEWAYS, False)


def test_what_is_not_asked_for_is_not_looked_for(bare: Server) -> None:
    bare.cluster.forget_audit()
    assert bare.read(ingresses=Choice(), gateway_classes=None).remarks == ()
    assert bare.calls() == [f"/apis/networking.k8s.io/v1/ingresses?limit={PAGE_SIZE}"]


@pytest.fixture
def other(server: Server) -> Iterator[Server]:
    """With definitions that are not for other tests."""
    yield server
    server.cluster.remove_gateway_api()


@pytest.mark.parametrize("channel", ["standard", "experimental"])
def test_every_kind_of_both_channels(other: Server, channel: str) -> None:
    other.cluster.install_gateway_api(channel)
    tls: dict[str, Any] = {"port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    own = thing("ListenerSet", "extra", {}, "shop")
    own["spec"] = {
        "parentRef": {"name": "public", "namespace": "infra"},
        "listeners": [listener("s", hostname="s.test")],
    }
    other.apply(
        gateway(
            listener("web", hostname="*.example.com"),
            listener("tls", **tls),
            allowedListeners={"namespaces": {"from": "All"}},
        ),
        own,
        route("h.example.com"),
        route("g.example.com", kind="GRPCRoute"),
        route("t.example.net", kind="TLSRoute"),
    )
    asked = other.read()
    assert hosts(asked) == {"*.example.com", "h.example.com", "g.example.com", "t.example.net", "s.test"}
    assert not [claim for claim in asked.claims if claim.refusal]
    assert asked.remarks == ()


def test_kinds_that_a_release_lacks_do_not_keep_the_others_out(other: Server) -> None:
    other.apply(gateway(listener("web")), route("a.example.com"))
    for plural in ("listenersets", "tlsroutes"):
        other.cluster.kubectl("delete", "customresourcedefinition", f"{plural}.gateway.networking.k8s.io")
        eventually(lambda plural=plural: not other.serves(plural, "v1"))
    asked = other.read()
    assert hosts(asked) == {"a.example.com"}
    (remark,) = asked.remarks
    assert remark.text.startswith("the API server knows no ListenerSets, TLSRoutes ")
    assert remark.calm


def test_the_versions_of_an_older_release(other: Server) -> None:
    other.cluster.install_gateway_api("experimental")
    other.apply(
        gateway(listener("web"), listener("tls", port=443, protocol="TLS", tls={"mode": "Passthrough"})),
        route("h.example.com"),
        route("t.example.com", kind="TLSRoute"),
    )
    for plural, version in {"gateways": "v1beta1", "httproutes": "v1beta1", "tlsroutes": "v1alpha2"}.items():
        other.serve(plural, version)
    asked = other.read()
    assert hosts(asked) == {"h.example.com", "t.example.com"}
    assert asked.remarks == ()
    other.serve("tlsroutes", "v1alpha3")
    assert hosts(other.read()) == {"h.example.com", "t.example.com"}


# ---- what is attached to what


def test_routes_of_namespaces_with_a_label(server: Server) -> None:
    server.apply(
        gateway(listener("web", SELECTED)),
        route("shop.example.com", "shop"),
        route("bank.example.com", "bank"),
        route("infra.example.com", "infra"),
    )
    assert server.hosts() == {"shop.example.com"}
    assert server.reasons()["bank.example.com"].endswith(
        "listener web of Gateway infra/public takes nothing from namespace bank"
    )
    server.patch("/api/v1/namespaces/bank", {"metadata": {"labels": {"expose": "yes"}}})
    assert server.hosts() == {"shop.example.com", "bank.example.com"}
    server.patch("/api/v1/namespaces/bank", {"metadata": {"labels": {"expose": "no"}}})
    assert server.hosts() == {"shop.example.com"}


def test_namespaces_are_listed_only_if_something_depends_on_them(server: Server) -> None:
    server.apply(gateway(listener("web")), route("a.example.com"))
    server.cluster.forget_audit()
    assert server.hosts() == {"a.example.com"}
    assert not [call for call in server.calls() if "namespaces" in call]
    assert set(server.read(labels=True).namespaces) > set(NAMESPACES)


def test_the_defaults_that_the_api_server_fills_in(server: Server) -> None:
    plain = {"name": "plain", "port": 80, "protocol": "HTTP"}
    server.apply(gateway(plain), route("same.example.com", "infra"), route("other.example.com", "shop"))
    local = route("local.example.com", "infra")
    local["spec"]["parentRefs"] = [{"name": "public"}]
    server.apply(local)
    assert server.hosts() == {"same.example.com", "local.example.com"}


def test_a_gateway_of_another_class_and_its_addresses(server: Server) -> None:
    server.apply(
        gateway(listener("web", hostname="a.example.com")),
        gateway(listener("web", hostname="b.example.com"), name="internal", gatewayClassName="internal"),
    )
    path = f"{GATEWAY_API}/v1/namespaces/infra/gateways/public/status"
    server.patch(path, {"status": {"addresses": [{"value": ADDRESS}, {"type": "Hostname", "value": "lb.example.net"}]}})
    asked = server.read(gateway_classes=frozenset({"nginx"}))
    assert {claim.host: claim.addresses for claim in asked.claims if not claim.refusal} == {
        "a.example.com": (ADDRESS, "lb.example.net")
    }
    assert [claim.refusal.code for claim in asked.claims if claim.refusal] == ["gateway-class"]


@pytest.mark.parametrize("expression", NO_SELECTORS, ids=str)
def test_a_selector_that_is_none_keeps_routes_out_and_nothing_else(server: Server, expression: dict[str, Any]) -> None:
    """The Gateway API's schema lets it in, so anyone who may create a Gateway could end all polls with it."""
    broken = {"from": "Selector", "selector": {"matchExpressions": [expression]}}
    server.apply(
        gateway(listener("web", broken, hostname="*.example.com"), listener("web-2", hostname="*.example.net")),
        route("a.example.com"),
        route("a.example.net"),
    )
    assert server.hosts() == {"*.example.com", "*.example.net", "a.example.net"}


def test_no_selector_at_all_keeps_routes_out(server: Server) -> None:
    server.apply(gateway(listener("web", {"from": "Selector"})), route("a.example.com"))
    assert server.hosts() == set()


# ---- many, and errors


def test_2500_routes_come_in_pages(server: Server) -> None:
    server.apply(gateway(listener("web")))
    path = f"{GATEWAY_API}/v1/namespaces/shop/httproutes"
    wanted = {f"host-{number}.example.com" for number in range(2500)}
    with server.cluster.api() as api:
        for host in wanted:
            api.create(path, route(host))
    server.cluster.forget_audit()
    assert server.hosts() == wanted
    pages = [call for call in server.calls() if "/httproutes?" in call]
    assert len(pages) == len(wanted) / PAGE_SIZE
    assert sum("continue=" in call for call in pages) == len(pages) - 1


@pytest.mark.parametrize("code", [404, 410, 500])
def test_a_list_that_breaks_off_is_no_shorter_list(server: Server, tmp_path: Path, code: int) -> None:
    server.apply(gateway(listener("web")), *(route(f"host-{number}.example.com") for number in range(PAGE_SIZE + 1)))
    with fault_proxy(server.kubeconfig) as proxy:
        proxy.faults.append(Fault("GET", "continue=", code, status(code, "Reason", "gone with the definitions")))
        with pytest.raises(KubeError, match="gone with the definitions"):
            server.sources(proxy.kubeconfig(tmp_path)).read()


@pytest.mark.parametrize("kind", ["gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes"])
@pytest.mark.parametrize("code", [403, 503])
def test_an_error_is_not_a_missing_kind(server: Server, tmp_path: Path, kind: str, code: int) -> None:
    server.apply(gateway(listener("web")), route("a.example.com"))
    with fault_proxy(server.kubeconfig) as proxy:
        proxy.faults.append(Fault("GET", f"/{kind}?", code, status(code, "Reason", "not now")))
        with pytest.raises(KubeError, match="not now"):
            server.sources(proxy.kubeconfig(tmp_path)).read()


def test_an_api_server_that_starts_again_never_seems_to_have_no_gateways(server: Server) -> None:
    """It says 404 of every path that it does not know, and it must not do so before it knows its definitions."""
    server.apply(gateway(listener("web", hostname="a.example.com")))
    seen: list[set[str] | str] = []
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(0.05):
            try:
                seen.append(server.hosts())
            except KubeError as error:
                seen.append(str(error))

    polling = threading.Thread(target=poll)
    polling.start()
    try:
        server.cluster.stop_api_server()
        server.cluster.start_api_server()
        time.sleep(1)
    finally:
        ended.set()
        polling.join()
    assert {frozenset(each) for each in seen if isinstance(each, set)} == {frozenset({"a.example.com"})}
    assert any(isinstance(each, str) for each in seen)


def test_without_the_right_to_list_gateways_there_is_an_error(server: Server) -> None:
    server.cluster.kubectl("create", "serviceaccount", "nobody", "-n", "infra")
    nobody = server.cluster.service_account_kubeconfig("infra", "nobody")
    with pytest.raises(KubeError, match=r"403 Forbidden: gateways.*is forbidden"):
        server.sources(nobody).read()


# ---- label selectors


@pytest.fixture(scope="module")
def labelled(started: Server) -> Server:
    """With namespaces that have the labels of the table, and such as tell them from others."""
    for name, labels in LABELS.items():
        metadata = {"name": f"labelled-{name}", "labels": labels}
        started.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return started


def selected(server: Server, text: str) -> set[str] | None:
    """The namespaces of the table that the API server itself selects; None if it takes no such selector."""
    with server.cluster.api() as api:
        try:
            found = api.get(f"/api/v1/namespaces?labelSelector={quote(text)}")["items"]
        except ApiError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            return None
    names = {item["metadata"]["name"].removeprefix("labelled-") for item in found}
    return names & set(LABELS)


@pytest.mark.parametrize(("text", "names"), TEXTS.items())
def test_a_selector_selects_what_the_api_server_does(labelled: Server, text: str, names: set[str]) -> None:
    assert selected(labelled, text) == names
    known = labelled.read(gateway_classes=None, labels=True).namespaces
    ours = {name for name in LABELS if parse(text).matches(known[f"labelled-{name}"].labels)}
    assert ours == names


@pytest.mark.parametrize("text", [text for text in REFUSED if text.strip()])
def test_what_is_no_selector_is_none_to_the_api_server_either(labelled: Server, text: str) -> None:
    assert selected(labelled, text) is None


# ---- ingress classes


def test_the_default_class_is_that_of_ingresses_which_name_none(bare: Server) -> None:
    def found(name: str) -> set[str]:
        return bare.hosts(ingresses=Choice(classes=frozenset({name})), gateway_classes=None)

    annotated = ingress("annotated", "annotated.example.com", ingressClassName="traefik")
    annotated["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    bare.apply(ingress("none", "none.example.com"), ingress("named", "named.example.com", ingressClassName="nginx"))
    with bare.cluster.api() as api:
        # The API server takes both at once only from those who update an old Ingress.
        api.create(
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress("annotated", "annotated.example.com")
        )
    bare.apply(annotated)
    assert found("nginx") == {"named.example.com", "annotated.example.com"}
    assert found("traefik") == set()
    bare.apply(ingress_class("nginx", default=False), ingress_class("traefik", default=True))
    assert found("nginx") == {"named.example.com", "annotated.example.com"}
    assert found("traefik") == {"none.example.com"}
    # The API server fills in the default class when an Ingress is created.
    bare.apply(ingress("late", "late.example.com"))
    assert found("traefik") == {"none.example.com", "late.example.com"}
    bare.apply(ingress_class("nginx", default=True), ingress_class("traefik", default=False))
    assert found("nginx") == {"named.example.com", "annotated.example.com", "none.example.com"}
    assert found("traefik") == {"late.example.com"}


# ---- the whole controller


@pytest.fixture
def gateways(world: World) -> Iterator[World]:
    """The cluster with the Gateway API, and namespaces to have routes in."""
    world.cluster.install_gateway_api()
    for name, labels in NAMESPACES.items():
        world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    yield world
    world.cluster.remove_gateway_api()


def test_the_hosts_of_gateways_and_routes_get_their_rules(gateways: World) -> None:
    gateways.apply(
        ingress("web", "ingress.example.com"),
        gateway(listener("web", SELECTED, hostname="*.example.com"), listener("other", port=8443, hostname="o.test")),
        route("shop.example.com", "shop"),
        route("bank.example.com", "bank"),
        route("shop.example.net", "shop"),
    )
    done = gateways.once("--source", "gateway", "--coredns-version", "1.14.7")
    assert done.returncode == 0, done.stderr
    text = gateways.cluster.corefile()
    assert rule("shop.example.com") in text
    assert rf"rewrite name regex ^[^._][^.]*\.example\.com\.$ {DESTINATION} answer auto" in text
    assert not [
        name for name in ("ingress.example.com", "bank.example.com", "shop.example.net", "o.test") if name in text
    ]
    done = gateways.once("--source", "gateway", "--gateway-class", "other", "--coredns-version", "1.14.7")
    assert done.returncode == 0, done.stderr
    assert gateways.cluster.corefile() == gateways.original


def test_both_sources_with_one_destination_are_warned_of(gateways: World) -> None:
    gateways.apply(ingress("web", "ingress.example.com"), gateway(listener("web", hostname="gateway.example.com")))
    done = gateways.once("--source", "ingress", "--source", "gateway")
    assert done.returncode == 0, done.stderr
    text = gateways.cluster.corefile()
    assert rule("ingress.example.com") in text
    assert rule("gateway.example.com") in text
    assert "hosts of Ingresses and of Gateways are all led to" in done.stderr


def test_that_there_is_no_gateway_api_is_said_once(world: World) -> None:
    world.cluster.remove_gateway_api()
    world.apply(ingress("web", "a.example.com"))
    world.cluster.forget_audit()
    controller = world.controller("--source", "gateway", "--source", "ingress", interval="0.2")
    eventually(lambda: rule("a.example.com") in world.cluster.corefile())
    eventually(lambda: json.dumps(world.cluster.audit()).count("v1beta1/gateways") > 3)
    assert controller.log.read_text().count(NO_GATEWAYS) == 1
    controller.stop()
