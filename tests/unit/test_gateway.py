"""The hosts of Gateways and of the routes that attach to them, rule by rule of the Gateway API.

What is cited stands in the comments of apis/v1 of the Go module sigs.k8s.io/gateway-api.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.policy import Claim, Namespace, Reason
from hairpin_proxy.sources.gateway import ROUTES, claims, intersection, needed
from hairpin_proxy.sources.objects import IGNORE_ANNOTATION

IGNORED = {IGNORE_ANNOTATION: "true"}
NAMESPACES = {
    "infra": Namespace({"kubernetes.io/metadata.name": "infra"}, {}),
    "shop": Namespace({"kubernetes.io/metadata.name": "shop", "expose": "yes", "stage": "live"}, {}),
    "bank": Namespace({"kubernetes.io/metadata.name": "bank", "stage": "test"}, {}),
}
GATEWAY = "Gateway infra/public"
NOT_SENT = (
    r"^(Gateway infra/public|ListenerSet infra/extra|HTTPRoute infra/web) is no \w+ that an API server would send: "
)
UNATTACHED = "is asked for by a route that is attached to no listener for it: "


def metadata(name: str, namespace: str = "infra", annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "annotations": annotations}


def listener(host: str | None = None, name: str = "web", **fields: Any) -> dict[str, Any]:
    """One on port 443 for HTTPRoutes of all namespaces."""
    allowed = {"namespaces": {"from": "All"}}
    found = {"name": name, "hostname": host, "port": 443, "protocol": "HTTPS", "allowedRoutes": allowed}
    return found | fields


def gateway(*listeners: Any, name: str = "public", address: str = "203.0.113.7", **spec: Any) -> dict[str, Any]:
    """One of class `nginx` in namespace `infra`."""
    status = {"addresses": [{"type": "IPAddress", "value": address}]}
    spec = {"gatewayClassName": "nginx", "listeners": list(listeners), **spec}
    return {"metadata": metadata(name), "spec": spec, "status": status}


def route(*hosts: Any, parents: Any = ({"name": "public"},), namespace: str = "infra") -> dict[str, Any]:
    spec = {"parentRefs": list(parents), "hostnames": list(hosts)}
    return {"metadata": metadata("web", namespace), "spec": spec}


def listener_set(*listeners: Any, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """One of the Gateway infra/public."""
    parent = {"name": "public", "namespace": "infra"}
    spec = {"parentRef": parent, "listeners": list(listeners), **spec}
    return {"metadata": metadata("extra", namespace), "spec": spec}


@dataclass(frozen=True)
class Api:
    """What the API server has."""

    gateways: tuple[dict[str, Any], ...]
    sets: tuple[dict[str, Any], ...] = ()
    classes: Collection[str] = ()
    namespaces: Mapping[str, Namespace] = field(default_factory=lambda: NAMESPACES)

    def all(self, **routes: dict[str, Any]) -> list[Claim]:
        """What everything asks for, routes by their kinds among it."""
        found = {"Gateway": self.gateways, "ListenerSet": self.sets, **{kind: (item,) for kind, item in routes.items()}}
        # As `run` does it, which keeps of each object only what is needed.
        kept = {kind: [json.loads(json.dumps(needed(item, kind))) for item in items] for kind, items in found.items()}
        return list(claims(lambda kind: kept.get(kind, ()), self.classes, lambda: self.namespaces))

    def own(self) -> list[Claim]:
        """What Gateways and ListenerSets ask for."""
        return self.all()

    def claims(self, item: dict[str, Any], kind: str = "HTTPRoute") -> list[Claim]:
        """What a route asks for."""
        return self.all(**{kind: item})[len(self.own()) :]

    def hosts(self, item: dict[str, Any], kind: str = "HTTPRoute") -> list[str]:
        """The hosts that a route is attached for."""
        return [claim.host for claim in self.claims(item, kind) if not claim.refusal]

    def refusal(self, item: dict[str, Any], kind: str = "HTTPRoute") -> Reason:
        """Why the only host of a route is left out."""
        (claim,) = self.claims(item, kind)
        assert claim.refusal, claim
        assert claim.addresses == ()
        return claim.refusal


def behind(*listeners: Any, **spec: Any) -> Api:
    """One Gateway with these listeners."""
    return Api((gateway(*listeners, **spec),))


# ---- which host fits which


@pytest.mark.parametrize(
    ("listens", "asks", "both"),
    [
        # HTTPRouteSpec.Hostnames: "A Listener with `test.example.com` as the hostname matches HTTPRoutes that ... have
        # specified at least one of `test.example.com` or `*.example.com`."
        ("test.example.com", "test.example.com", "test.example.com"),
        ("test.example.com", "*.example.com", "test.example.com"),
        # "A Listener with `*.example.com` ... For example, `*.example.com`, `test.example.com`, and
        # `foo.test.example.com` would all match. On the other hand, `example.com` and `test.example.net` would not
        # match."
        ("*.example.com", "*.example.com", "*.example.com"),
        ("*.example.com", "test.example.com", "test.example.com"),
        ("*.example.com", "foo.test.example.com", "foo.test.example.com"),
        ("*.example.com", "example.com", None),
        ("*.example.com", "test.example.net", None),
        # TLSRouteSpec.Hostnames: "A listener with `something.example.com` as the hostname matches a TLSRoute with
        # hostname `*.example.com`."
        ("something.example.com", "*.example.com", "something.example.com"),
        # Listener.Hostname: "When unspecified, all hostnames are matched."
        ("", "test.example.com", "test.example.com"),
        ("", "*.example.com", "*.example.com"),
        # A suffix match on either side, which the specification has no example of.
        ("*.example.com", "*.foo.example.com", "*.foo.example.com"),
        ("*.foo.example.com", "*.example.com", "*.foo.example.com"),
        ("foo.test.example.com", "*.example.com", "foo.test.example.com"),
        ("example.com", "*.example.com", None),
        ("*.example.com", "*.example.net", None),
        ("*.example.com", "*.com", "*.example.com"),
        ("*.example.com", "test.myexample.com", None),
        ("*.example.com", "*.myexample.com", None),
        ("test.example.com", "example.com", None),
        ("example.com", "test.example.com", None),
    ],
)
def test_the_hosts_that_listener_and_route_have_in_common(listens: str, asks: str, both: str | None) -> None:
    assert intersection(listens, asks) == both
    api = behind(listener(listens or None))
    assert api.hosts(route(asks)) == ([both] if both else [])
    if not both:
        text = f"{UNATTACHED}listener web of {GATEWAY} is for {listens}"
        assert api.refusal(route(asks)) == Reason("not-attached", text)


def test_hosts_of_a_route_that_do_not_fit_are_ignored_and_the_others_are_not() -> None:
    # HTTPRouteSpec.Hostnames: "if a Listener specified `*.example.com`, and the HTTPRoute specified `test.example.com`
    # and `test.example.net`, `test.example.net` must not be considered for a match."
    claims = behind(listener("*.example.com")).claims(route("test.example.com", "test.example.net"))
    assert [(claim.host, bool(claim.refusal)) for claim in claims] == [
        ("test.example.com", False),
        ("test.example.net", True),
    ]


def test_a_wildcard_becomes_what_it_has_in_common_with_each_listener() -> None:
    api = behind(listener("a.example.com", "a"), listener("*.b.example.com", "b"), listener("c.example.net", "c"))
    assert api.hosts(route("*.example.com")) == ["a.example.com", "*.b.example.com"]


def test_a_route_without_hosts_asks_for_those_of_its_listeners() -> None:
    """Its namespace may be one that may have them, and the Gateway's another that may not."""
    api = behind(listener("test.example.com"), listener(None, "b"), listener("other.example.com", "c", port=8443))
    asked = [Claim("test.example.com", "HTTPRoute shop/web", "shop", ("203.0.113.7",))]
    item = route(parents=[{"name": "public", "namespace": "infra"}], namespace="shop")
    assert api.claims(item) == asked
    del item["spec"]["hostnames"]
    assert api.claims(item) == asked


def test_a_route_without_hosts_that_is_attached_to_nothing_asks_for_nothing() -> None:
    assert behind(listener("test.example.com")).claims(route(parents=[{"name": "gone"}])) == []


def test_the_reason_is_that_of_the_listener_which_is_for_the_host() -> None:
    same = {"namespaces": {"from": "Same"}}
    api = behind(listener("*.example.org", "a"), listener("*.example.com", "z", allowedRoutes=same))
    item = route("www.example.com", parents=[{"name": "public", "namespace": "infra"}], namespace="shop")
    assert api.refusal(item).text == f"{UNATTACHED}listener z of {GATEWAY} takes nothing from namespace shop"


def test_a_listener_without_host_asks_for_none() -> None:
    assert behind(listener(), listener(None, "b"), listener("", "c")).own() == []


def test_spelling_does_not_keep_hosts_apart() -> None:
    api = behind(listener("*.Example.COM."))
    assert api.hosts(route("Test.EXAMPLE.com.")) == ["test.example.com"]
    assert [claim.host for claim in api.own()] == ["*.example.com"]


def test_a_host_outside_ascii_is_not_changed_into_one_that_is() -> None:
    kelvin = "\u212aube.example.com"  # lower() makes an ordinary k of its sign
    assert behind(listener()).hosts(route(kelvin)) == [kelvin]
    assert [claim.host for claim in behind(listener(kelvin)).own()] == [kelvin]
    assert behind(listener("kube.example.com")).hosts(route(kelvin)) == []


def test_what_a_claim_says() -> None:
    (claim,) = behind(listener("*.example.com")).claims(route("a.example.com", parents=[PUBLIC], namespace="shop"))
    assert claim == Claim("a.example.com", "HTTPRoute shop/web", "shop", ("203.0.113.7",))


# ---- parentRefs

PUBLIC = {"name": "public", "namespace": "infra"}
HTTP = listener(None, "http", port=80, protocol="HTTP")
HTTPS = listener(None, "https")


@pytest.mark.parametrize(
    ("parent", "namespace"),
    [
        # ParentReference: the group, the kind and the namespace have defaults.
        ({"name": "public"}, "infra"),
        (
            {"name": "public", "group": None, "kind": None, "namespace": None, "sectionName": None, "port": None},
            "infra",
        ),
        ({"name": "public", "sectionName": ""}, "infra"),
        ({**PUBLIC, "group": "gateway.networking.k8s.io", "kind": "Gateway"}, "shop"),
        ({**PUBLIC, "sectionName": "https"}, "shop"),
        ({**PUBLIC, "port": 443}, "shop"),
        ({**PUBLIC, "port": 80}, "shop"),
        ({**PUBLIC, "sectionName": "http", "port": 80}, "shop"),
    ],
)
def test_a_reference_that_leads_to_a_listener(parent: dict[str, Any], namespace: str) -> None:
    assert behind(HTTP, HTTPS).hosts(route("a.example.com", parents=[parent], namespace=namespace)) == ["a.example.com"]


@pytest.mark.parametrize(
    ("parent", "namespace", "why"),
    [
        ({"name": "public"}, "shop", "Gateway shop/public is not there"),
        ({"name": "private"}, "infra", "Gateway infra/private is not there"),
        ({**PUBLIC, "namespace": "bank"}, "shop", "Gateway bank/public is not there"),
        ({"name": "public", "kind": "ListenerSet"}, "infra", "ListenerSet infra/public is not there"),
        ({**PUBLIC, "sectionName": "other"}, "shop", f"{GATEWAY} has no listener other"),
        ({**PUBLIC, "port": 8443}, "shop", f"{GATEWAY} has no listener on port 8443"),
        # "When both Port and SectionName are specified, the name and port of the selected listener must match both."
        ({**PUBLIC, "sectionName": "http", "port": 443}, "shop", f"{GATEWAY} has no listener http on port 443"),
    ],
)
def test_a_reference_that_leads_nowhere(parent: dict[str, Any], namespace: str, why: str) -> None:
    refusal = behind(HTTP, HTTPS).refusal(route("a.example.com", parents=[parent], namespace=namespace))
    assert refusal == Reason("not-attached", UNATTACHED + why)


def test_a_gateway_without_listeners() -> None:
    assert behind().refusal(route("a.example.com")).text == f"{UNATTACHED}{GATEWAY} has no listener at all"


@pytest.mark.parametrize(
    "parents",
    [
        [{"group": "", "kind": "Service", "name": "public"}],
        # "To set the core API group ..., Group must be explicitly set to "" (empty string)."
        [{"group": "", "kind": "Gateway", "name": "public"}],
        [{"group": "networking.istio.io", "kind": "Gateway", "name": "public"}],
        [{"group": "policy.linkerd.io", "kind": "EgressNetwork", "name": "all"}],
    ],
)
def test_a_route_of_a_mesh_asks_for_nothing(parents: list[dict[str, Any]]) -> None:
    assert behind(HTTPS).claims(route("a.example.com", parents=parents)) == []


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [{"kind": "Service", "name": "public"}],
        [{"kind": "gateway", "name": "public"}],
        [{"group": "gateway.networking.x-k8s.io", "kind": "XListenerSet", "name": "public"}],
        [{"group": "", "kind": "Service", "name": "public"}, {"kind": "Service", "name": "public"}],
    ],
)
def test_a_route_without_a_parent_that_we_know_is_told_so(parents: list[dict[str, Any]]) -> None:
    refusal = behind(HTTPS).refusal(route("a.example.com", parents=parents))
    assert refusal.text == f"{UNATTACHED}none of its parents is a Gateway or a ListenerSet"


def test_a_section_is_the_listener_of_that_name_and_no_other() -> None:
    api = behind(listener("a.example.com", "a"), listener("b.example.com", "b"))
    assert api.hosts(route("*.example.com", parents=[{**PUBLIC, "sectionName": "b"}])) == ["b.example.com"]
    assert api.hosts(route("*.example.com", parents=[PUBLIC])) == ["a.example.com", "b.example.com"]


def test_of_several_parents_one_that_takes_the_route_is_enough() -> None:
    parents = [{"name": "gone"}, {"kind": "Service", "group": "", "name": "web"}, {**PUBLIC, "sectionName": "https"}]
    assert behind(HTTPS).hosts(route("a.example.com", parents=parents)) == ["a.example.com"]


def test_a_host_at_several_gateways_has_the_addresses_of_all_that_take_it() -> None:
    gateways = (
        gateway(HTTPS),
        gateway(HTTPS, name="second", address="203.0.113.8"),
        gateway(listener("b.example.com"), name="third", address="203.0.113.9"),
    )
    parents = [{"name": name} for name in ("public", "second", "third", "gone")]
    assert Api(gateways).claims(route("a.example.com", parents=parents)) == [
        Claim("a.example.com", "HTTPRoute infra/web", "infra", ("203.0.113.7", "203.0.113.8"))
    ]


# ---- which namespaces


@pytest.mark.parametrize(
    ("allowed", "taken"),
    [
        # AllowedRoutes: "This is restricted to the namespace of this Gateway by default."
        (None, {"infra"}),
        ({}, {"infra"}),
        ({"namespaces": None}, {"infra"}),
        ({"namespaces": {}}, {"infra"}),
        ({"namespaces": {"from": None}}, {"infra"}),
        ({"namespaces": {"from": "Same"}}, {"infra"}),
        ({"namespaces": {"from": "All"}}, {"infra", "shop", "bank", "unknown"}),
        ({"namespaces": {"from": "None"}}, set()),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"expose": "yes"}}}}, {"shop"}),
        (
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchExpressions": [{"key": "stage", "operator": "Exists"}]},
                }
            },
            {"shop", "bank"},
        ),
        # LabelSelector: "An empty label selector matches all objects. A null label selector matches no objects."
        ({"namespaces": {"from": "Selector", "selector": {}}}, {"infra", "shop", "bank"}),
        ({"namespaces": {"from": "Selector", "selector": None}}, set()),
        ({"namespaces": {"from": "Selector"}}, set()),
        # "This field is ignored for other values of From."
        ({"namespaces": {"from": "Same", "selector": {"matchLabels": {"expose": "yes"}}}}, {"infra"}),
        (
            {"namespaces": {"from": "All", "selector": {"matchLabels": {"a": "b"}}}},
            {"infra", "shop", "bank", "unknown"},
        ),
    ],
)
def test_which_namespaces_may_attach_a_route(allowed: Any, taken: set[str]) -> None:
    api = behind(listener("*.example.com", allowedRoutes=allowed))
    for namespace in ("infra", "shop", "bank", "unknown"):
        item = route("a.example.com", parents=[PUBLIC], namespace=namespace)
        if namespace in taken:
            assert api.hosts(item) == ["a.example.com"]
        else:
            why = f"{UNATTACHED}listener web of {GATEWAY} takes nothing from namespace {namespace}"
            assert api.refusal(item) == Reason("not-attached", why)


@pytest.mark.parametrize(
    ("namespaces", "needed"),
    [({"from": "Same"}, False), ({"from": "All"}, False), ({"from": "Selector", "selector": {}}, True)],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "ListenerSet"])
def test_namespaces_are_only_asked_for_if_their_labels_count(
    namespaces: dict[str, Any], needed: bool, kind: str
) -> None:
    asked: list[str] = []

    def known() -> Mapping[str, Namespace]:
        asked.append("namespaces")
        return NAMESPACES

    shared = gateway(listener(allowedRoutes={"namespaces": namespaces}), allowedListeners={"namespaces": namespaces})
    found = {"Gateway": [shared], "HTTPRoute": [route("a.example.com")], "ListenerSet": [listener_set()]}
    list(claims(lambda each: found[each] if each in ("Gateway", kind) else [], (), known))
    assert bool(asked) is needed


# ---- which kinds

OURS = frozenset(ROUTES)


@pytest.mark.parametrize(
    ("protocol", "kinds", "taken"),
    [
        # AllowedRoutes: "When unspecified or empty, the kinds of Routes selected are determined using the Listener
        # protocol."
        ("HTTP", None, {"HTTPRoute", "GRPCRoute"}),
        ("HTTP", [], {"HTTPRoute", "GRPCRoute"}),
        ("HTTPS", None, {"HTTPRoute", "GRPCRoute"}),
        ("TLS", None, {"TLSRoute"}),
        ("TCP", None, set()),
        ("UDP", None, set()),
        ("example.com/own", None, set()),
        ("HTTPS", [{"kind": "HTTPRoute"}], {"HTTPRoute"}),
        ("HTTPS", [{"kind": "GRPCRoute", "group": "gateway.networking.k8s.io"}], {"GRPCRoute"}),
        ("HTTPS", [{"kind": "GRPCRoute", "group": None}, {"kind": "HTTPRoute"}], {"GRPCRoute", "HTTPRoute"}),
        ("HTTPS", [{"kind": "HTTPRoute", "group": "example.com"}], set()),
        ("HTTPS", [{"kind": "HTTPRoute", "group": ""}], set()),
        # "A RouteGroupKind MUST correspond to kinds of Routes that are compatible with the application protocol."
        ("HTTPS", [{"kind": "TLSRoute"}], set()),
        ("TLS", [{"kind": "HTTPRoute"}, {"kind": "TLSRoute"}], {"TLSRoute"}),
    ],
)
def test_which_kinds_of_routes_a_listener_takes(protocol: str, kinds: Any, taken: set[str]) -> None:
    allowed = {"namespaces": {"from": "All"}, "kinds": kinds}
    api = behind(listener(None, protocol=protocol, allowedRoutes=allowed))
    assert {kind for kind in OURS if api.hosts(route("a.example.com"), kind)} == taken
    for kind in OURS - taken:
        why = f"{UNATTACHED}listener web of {GATEWAY} takes no {kind}"
        assert api.refusal(route("a.example.com"), kind) == Reason("not-attached", why)


# ---- which ports, classes and objects


@pytest.mark.parametrize("port", [8080, 8443, 444])
def test_hosts_on_ports_that_are_not_forwarded(port: int) -> None:
    api = behind(listener("a.example.com", port=port))
    text = f"is asked for at listener web on port {port}, and only 80 and 443 are forwarded"
    assert [claim.refusal for claim in api.own()] == [Reason("port", text, chosen=True)]
    assert api.refusal(route("a.example.com")) == Reason("port", text, chosen=True)


def test_a_route_on_a_port_that_is_forwarded_and_on_one_that_is_not() -> None:
    api = behind(listener("*.example.com", "other", port=8443), listener("*.example.com"))
    assert api.hosts(route("a.example.com")) == ["a.example.com"]
    assert [bool(claim.refusal) for claim in api.own()] == [True, False]


def test_of_two_reasons_that_which_somebody_chose_is_told() -> None:
    api = behind(listener("b.example.com", "b"), listener("*.example.com", "other", port=8443))
    assert api.refusal(route("a.example.com")).code == "port"


@pytest.mark.parametrize(
    ("classes", "taken"), [((), True), (("nginx",), True), (("envoy", "nginx"), True), (("envoy",), False)]
)
def test_of_which_gateway_classes(classes: tuple[str, ...], taken: bool) -> None:
    api = Api((gateway(listener("a.example.com")),), (), classes)
    text = "is asked for at a Gateway of class nginx, and --gateway-class is envoy"
    refusal = None if taken else Reason("gateway-class", text, chosen=True)
    claims = (*api.own(), *api.claims(route("a.example.com")))
    assert [claim.refusal for claim in claims] == [refusal, refusal]


def test_a_gateway_of_no_class_is_of_none_of_those_asked_for() -> None:
    api = Api((gateway(listener("a.example.com"), gatewayClassName=None),), (), ["nginx", "envoy"])
    text = "is asked for at a Gateway of class None, and --gateway-class is envoy, nginx"
    assert api.refusal(route("a.example.com")).text == text


@pytest.mark.parametrize("word", ["true", "false", "yes", ""])
def test_a_route_that_is_to_be_ignored(word: str) -> None:
    item = route("a.example.com", "b.example.net")
    item["metadata"]["annotations"] = {IGNORE_ANNOTATION: word}
    text = f"is asked for by an object with annotation {IGNORE_ANNOTATION}"
    wanted = Reason("ignored", text, chosen=True) if word == "true" else None
    assert [claim.refusal for claim in behind(listener()).claims(item)] == [wanted, wanted]


def test_a_route_that_is_ignored_and_fits_nowhere_is_ignored() -> None:
    item = route("a.example.com", parents=[{"name": "gone"}])
    item["metadata"]["annotations"] = IGNORED
    assert behind(listener()).refusal(item).code == "ignored"


def test_a_gateway_that_is_to_be_ignored_and_what_is_attached_to_it() -> None:
    ignored = gateway(listener("*.example.com"))
    ignored["metadata"]["annotations"] = IGNORED
    api = Api((ignored, gateway(HTTPS, name="second")), (), ["other"])
    text = f"is asked for at {GATEWAY}, which has annotation {IGNORE_ANNOTATION}"
    refusal = Reason("ignored", text, chosen=True)
    assert [claim.refusal for claim in api.own()] == [refusal]
    assert api.refusal(route("a.example.com")) == refusal
    both = route("a.example.com", parents=[{"name": "public"}, {"name": "second"}])
    assert Api(api.gateways).hosts(both) == ["a.example.com"]


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        (None, ()),
        ({}, ()),
        ({"addresses": None}, ()),
        ({"addresses": [{"type": "IPAddress", "value": "203.0.113.7"}]}, ("203.0.113.7",)),
        ({"addresses": [{"value": "2001:db8::7"}]}, ("2001:db8::7",)),
        ({"addresses": [{"type": None, "value": "203.0.113.7"}, {"value": None}, {}]}, ("203.0.113.7",)),
        ({"addresses": [{"type": "Hostname", "value": "lb.example.net"}]}, ("lb.example.net",)),
        ({"addresses": [{"value": "203.0.113.7"}, {"value": "203.0.113.7"}]}, ("203.0.113.7",)),
        # "a NamedAddress ... may be a name or other unique identifier that refers to a resource on a cloud provider".
        ({"addresses": [{"type": "NamedAddress", "value": "my-ip-address"}]}, ()),
        ({"addresses": [{"type": "example.com/own", "value": "x"}, {"value": "203.0.113.7"}]}, ("203.0.113.7",)),
    ],
)
def test_the_addresses_of_a_gateway_are_those_in_its_status(status: Any, addresses: tuple[str, ...]) -> None:
    asked_for = [{"type": "IPAddress", "value": "198.51.100.1"}]
    item = gateway(listener("a.example.com"), addresses=asked_for) | {"status": status}
    assert [claim.addresses for claim in Api((item,)).own()] == [addresses]
    assert [claim.addresses for claim in Api((item,)).claims(route("a.example.com"))] == [addresses]


# ---- ListenerSets

SHARED = gateway(HTTPS, allowedListeners={"namespaces": {"from": "All"}})
EXTRA = [{"kind": "ListenerSet", "name": "extra"}]


@pytest.mark.parametrize(
    ("allowed", "taken"),
    [
        # AllowedListeners: "The default value is to allow no ListenerSets."
        (None, set()),
        ({}, set()),
        ({"namespaces": None}, set()),
        ({"namespaces": {}}, set()),
        ({"namespaces": {"from": "None"}}, set()),
        ({"namespaces": {"from": "Same"}}, {"infra"}),
        ({"namespaces": {"from": "All"}}, {"infra", "shop", "bank"}),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"expose": "yes"}}}}, {"shop"}),
        ({"namespaces": {"from": "Selector"}}, set()),
    ],
)
def test_which_listener_sets_a_gateway_takes(allowed: Any, taken: set[str]) -> None:
    for namespace in ("infra", "shop", "bank"):
        sets = (listener_set(listener("a.example.com"), namespace=namespace),)
        api = Api((gateway(allowedListeners=allowed),), sets)
        own = f"ListenerSet {namespace}/extra"
        text = f"is asked for at a ListenerSet of {GATEWAY}, which does not take it"
        refusal = None if namespace in taken else Reason("not-attached", text)
        addresses = ("203.0.113.7",)
        assert api.own() == [Claim("a.example.com", own, namespace, addresses, refusal)]
        item = route("a.example.com", parents=EXTRA, namespace=namespace)
        assert [claim.refusal for claim in api.claims(item)] == [refusal]


def test_a_route_at_a_listener_set_is_behind_its_gateway() -> None:
    allowed = {"namespaces": {"from": "Same"}}
    api = Api((SHARED,), (listener_set(listener("*.example.com", "own", allowedRoutes=allowed)),))
    # The namespace that is the same is that of the ListenerSet.
    wanted = [Claim("a.example.com", "HTTPRoute shop/web", "shop", ("203.0.113.7",))]
    assert api.claims(route("a.example.com", parents=EXTRA, namespace="shop")) == wanted
    from_infra = route("a.example.com", parents=[{**EXTRA[0], "namespace": "shop"}])
    why = f"{UNATTACHED}listener own of ListenerSet shop/extra takes nothing from namespace infra"
    assert api.refusal(from_infra).text == why


def test_a_route_attaches_to_its_direct_parent_alone() -> None:
    # GEP-1713: "a Route attaching to the Gateway with an empty sectionName shall only attach to the listeners in the
    # Gateway's immediate spec.listeners list", and the other way round.
    owned = gateway(listener("g.example.com", "g"), allowedListeners={"namespaces": {"from": "All"}})
    api = Api((owned,), (listener_set(listener("s.example.com", "s")),))
    assert api.hosts(route("*.example.com")) == ["g.example.com"]
    assert api.hosts(route("*.example.com", parents=EXTRA, namespace="shop")) == ["s.example.com"]
    section = route("*.example.com", parents=[{"name": "public", "sectionName": "s"}])
    assert api.refusal(section).text == f"{UNATTACHED}{GATEWAY} has no listener s"


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        ({"name": "gone"}, "Gateway shop/gone, which is not there"),
        ({"name": "public"}, "Gateway shop/public, which is not there"),
        ({"name": "public", "namespace": "infra", "kind": "Service", "group": ""}, "no Gateway"),
        ({"name": "public", "namespace": "infra", "group": "example.com"}, "no Gateway"),
        ({"name": "public", "namespace": "infra", "kind": "ListenerSet"}, "no Gateway"),
    ],
)
def test_a_listener_set_of_something_else(parent: dict[str, Any], why: str) -> None:
    api = Api((SHARED,), (listener_set(listener("a.example.com"), parentRef=parent),))
    refusal = Reason("not-attached", f"is asked for at a ListenerSet of {why}")
    assert api.own() == [Claim("a.example.com", "ListenerSet shop/extra", "shop", (), refusal)]


def test_a_listener_set_of_a_gateway_that_does_not_count() -> None:
    sets = (listener_set(listener("a.example.com")),)
    assert [claim.refusal.code for claim in Api((SHARED,), sets, ["envoy"]).own() if claim.refusal] == ["gateway-class"]


def test_a_listener_set_that_is_to_be_ignored() -> None:
    ignored = listener_set(listener("a.example.com"))
    ignored["metadata"]["annotations"] = IGNORED
    text = f"is asked for at ListenerSet shop/extra, which has annotation {IGNORE_ANNOTATION}"
    api = Api((SHARED,), (ignored,))
    assert [claim.refusal for claim in api.own()] == [Reason("ignored", text, chosen=True)]
    assert api.refusal(route("a.example.com", parents=EXTRA, namespace="shop")).text == text


def test_a_listener_set_with_a_port_that_is_not_forwarded() -> None:
    api = Api((SHARED,), (listener_set(listener("a.example.com", port=8443)),))
    assert [claim.refusal.code for claim in api.own() if claim.refusal] == ["port"]


# ---- null and missing fields, and junk

SPARSE_LISTENERS: list[dict[str, Any]] = [
    {},
    {"name": None, "hostname": None, "port": None, "protocol": None, "allowedRoutes": None},
    {"allowedRoutes": {"kinds": None, "namespaces": None}},
    {"allowedRoutes": {"namespaces": {"from": None, "selector": None}}},
    {
        "allowedRoutes": {
            "namespaces": {"from": "Selector", "selector": {"matchLabels": None, "matchExpressions": None}}
        }
    },
]


@pytest.mark.parametrize("item", [{}, {"metadata": None, "spec": None, "status": None}, gateway(listeners=None)])
def test_a_gateway_without_its_fields_asks_for_nothing(item: dict[str, Any]) -> None:
    assert Api((item,)).own() == []


@pytest.mark.parametrize("sparse", SPARSE_LISTENERS)
def test_a_listener_without_its_fields_takes_nothing(sparse: dict[str, Any]) -> None:
    api = behind(sparse)
    assert api.own() == []
    assert api.refusal(route("a.example.com")).code == "not-attached"


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": None, "spec": None},
        {"metadata": {"annotations": None, "namespace": None, "name": None}, "spec": {}},
        {"spec": {"parentRefs": None, "hostnames": None}},
        {"spec": {"parentRefs": [PUBLIC], "hostnames": None}},
        {"spec": {"parentRefs": [PUBLIC]}},
        {"spec": {"parentRefs": [{}]}},
    ],
)
def test_a_route_without_its_fields_asks_for_nothing(item: dict[str, Any]) -> None:
    assert behind(listener()).claims(item) == []


def test_a_reference_without_a_name_leads_nowhere() -> None:
    assert behind(listener()).refusal(route("a.example.com", parents=[{}])).code == "not-attached"


@pytest.mark.parametrize("item", [{}, {"metadata": None, "spec": None}, {"spec": {"parentRef": None}}])
def test_a_listener_set_without_its_fields_asks_for_nothing(item: dict[str, Any]) -> None:
    assert Api((SHARED,), (item,)).own() == []


def test_a_null_host_is_none() -> None:
    assert [claim.host for claim in behind(listener()).claims(route(None, "a.example.com"))] == ["a.example.com"]


def test_ports_as_text_as_they_come_from_yaml() -> None:
    api = behind(listener("a.example.com", port="443"), listener("b.example.com", "b", port="8443"))
    assert [bool(claim.refusal) for claim in api.own()] == [False, True]
    assert api.hosts(route("*.example.com", parents=[{**PUBLIC, "port": "443"}])) == ["a.example.com"]


@pytest.mark.parametrize(
    "spec",
    [
        7,
        ["x"],
        {"listeners": 7},
        {"listeners": "x"},
        {"listeners": {}},
        {"listeners": ["x"]},
        {"listeners": [{"hostname": 7}]},
        {"listeners": [{"port": "https"}]},
        {"listeners": [{"port": [443]}]},
        {"listeners": [{"allowedRoutes": "x"}]},
        {"listeners": [{"allowedRoutes": {"kinds": "x"}}]},
        {"listeners": [{"allowedRoutes": {"kinds": ["x"]}}]},
        {"listeners": [{"allowedRoutes": {"kinds": [{"kind": []}]}}]},
        {"listeners": [{"allowedRoutes": {"namespaces": "All"}}]},
        {"listeners": [{"allowedRoutes": {"namespaces": {"from": "Selector", "selector": "x"}}}]},
        {"listeners": [{"allowedRoutes": {"namespaces": {"selector": {"matchExpressions": ["x"]}}}}]},
        {"allowedListeners": "x"},
        {"gatewayClassName": ["nginx"]},
    ],
)
def test_a_gateway_that_no_api_server_sends_is_an_error(spec: Any) -> None:
    with pytest.raises(OperatorError, match=NOT_SENT):
        Api(({"metadata": metadata("public"), "spec": spec},), classes=frozenset({"nginx"})).own()


@pytest.mark.parametrize(
    "status", [7, {"addresses": "203.0.113.7"}, {"addresses": ["203.0.113.7"]}, {"addresses": [None]}]
)
def test_a_status_that_no_api_server_sends_is_an_error(status: Any) -> None:
    with pytest.raises(OperatorError, match=NOT_SENT):
        Api((gateway() | {"status": status},)).own()


@pytest.mark.parametrize(
    "spec",
    [
        7,
        {"parentRefs": "x"},
        {"parentRefs": ["x"]},
        {"parentRefs": [None]},
        {"parentRefs": [{**PUBLIC, "port": "https"}]},
        {"parentRefs": [PUBLIC], "hostnames": "a.example.com"},
        {"parentRefs": [PUBLIC], "hostnames": [7]},
        {"parentRefs": [{"name": "gone"}], "hostnames": [7]},
        {"parentRefs": [PUBLIC], "hostnames": [["a.example.com"]]},
    ],
)
def test_a_route_that_no_api_server_sends_is_an_error(spec: Any) -> None:
    with pytest.raises(OperatorError, match=NOT_SENT):
        behind(listener()).claims({"metadata": metadata("web"), "spec": spec})


@pytest.mark.parametrize("spec", [7, {"parentRef": "x"}, {"parentRef": []}, {"listeners": "x"}])
def test_a_listener_set_that_no_api_server_sends_is_an_error(spec: Any) -> None:
    with pytest.raises(OperatorError, match=NOT_SENT):
        Api((SHARED,), ({"metadata": metadata("extra"), "spec": spec},)).own()
