"""The objects in what kubectl prints, and in manifests."""

import json
from typing import Any

import pytest
import yaml

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.policy import Claim
from hairpin_proxy.sources.ingress import Choice, claims
from hairpin_proxy.sources.manifests import objects

# kubectl get ingress -A -o json
LIST = """\
{
    "apiVersion": "v1",
    "items": [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\\"kind\\":\\"Ingress\\"}\\n"
                },
                "creationTimestamp": "2026-05-04T10:11:12Z",
                "generation": 1,
                "name": "web",
                "namespace": "default",
                "resourceVersion": "314"
            },
            "spec": {
                "ingressClassName": "nginx",
                "rules": [{"host": "a.example.com"}],
                "tls": [{"hosts": ["a.example.com", "b.example.com"], "secretName": "web"}]
            },
            "status": {"loadBalancer": {}}
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "plain", "namespace": "shop"},
            "spec": {"rules": [{"host": "no-tls.example.com"}]}
        }
    ],
    "kind": "List",
    "metadata": {
        "resourceVersion": ""
    }
}
"""

# kubectl get ingress -A -o yaml
YAML_LIST = """\
apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"networking.k8s.io/v1","kind":"Ingress"}
    creationTimestamp: "2026-05-04T10:11:12Z"
    name: web
    namespace: default
  spec:
    ingressClassName: nginx
    rules:
    - host: a.example.com
    tls:
    - hosts:
      - a.example.com
      - b.example.com
      secretName: web
  status:
    loadBalancer: {}
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata:
    name: plain
    namespace: shop
  spec:
    tls: null
kind: List
metadata:
  resourceVersion: ""
"""

# kubectl get --raw /apis/networking.k8s.io/v1/ingresses
RAW = (
    '{"kind":"IngressList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"2718"},"items":['
    '{"metadata":{"name":"web","namespace":"default","managedFields":[{"fieldsV1":{"f:spec":{".":{},"f:tls":{}}}}]},'
    '"spec":{"tls":[{"hosts":["a.example.com","b.example.com"],"secretName":"web"}]},"status":{"loadBalancer":{}}}]}\n'
)

# helm template
MANIFESTS = """\
# a comment above all
---
---
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  ports: [{port: 80}]
---
# Source: shop/templates/nothing.yaml
---
# Source: shop/templates/ingress.yaml
apiVersion: extensions/v1beta1
kind: Ingress
metadata: &meta
  name: web
  namespace: default
spec:
  tls:
    - hosts:
        - a.example.com
        - "b.example.com"
...
---
{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"<<": "x"}, "spec": {}}
"""

WEB = [Claim(f"{letter}.example.com", "Ingress default/web", "default") for letter in "ab"]


def found(text: str) -> list[Claim]:
    return [
        claim
        for item in objects(text.encode(), "FILE")["Ingress"]
        for claim in claims(item, Choice())
        if not claim.refusal
    ]


def hosts(text: str) -> list[str]:
    return [claim.host for claim in found(text)]


def refused(content: str | bytes) -> str:
    with pytest.raises(OperatorError) as error:
        objects(content if isinstance(content, bytes) else content.encode(), "FILE")
    return str(error.value)


@pytest.fixture(params=["in C", "in Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in Python":
        monkeypatch.delattr(yaml, "CSafeLoader")
    return str(request.param)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "text",
    [LIST, YAML_LIST, RAW, MANIFESTS, YAML_LIST.replace("\n", "\r\n"), "\ufeff" + LIST, "\ufeff" + YAML_LIST],
    ids=["List as JSON", "List as YAML", "IngressList", "manifests", "CRLF", "JSON with BOM", "YAML with BOM"],
)
def test_what_kubectl_prints_and_what_it_takes(text: str) -> None:
    assert found(text) == WEB


def test_how_many_there_are() -> None:
    assert [len(objects(text.encode(), "FILE")["Ingress"]) for text in (LIST, YAML_LIST, RAW, MANIFESTS)] == [
        2,
        2,
        1,
        2,
    ]


def test_a_single_one() -> None:
    assert hosts(json.dumps(json.loads(LIST)["items"][0])) == ["a.example.com", "b.example.com"]


def test_lists_in_several_documents_one_of_them_json() -> None:
    both = f"{YAML_LIST}---\n{RAW}---\n{LIST}"
    assert hosts(both) == ["a.example.com", "b.example.com"] * 3
    assert hosts(f"{RAW}---\n{RAW}") == ["a.example.com", "b.example.com"] * 2


@pytest.mark.parametrize(
    ("kind", "version", "taken"),
    [
        ("Ingress", "networking.k8s.io/v1", True),
        ("Ingress", "networking.k8s.io/v1beta1", True),
        ("Ingress", "extensions/v1beta1", True),
        ("Ingress", "", True),
        ("Ingress", None, True),
        ("Ingress", "networking.internal.knative.dev/v1alpha1", False),
        ("Ingress", "config.openshift.io/v1", False),
        ("Ingress", 1, True),
        ("IngressRoute", "traefik.io/v1alpha1", False),
        ("IngressClass", "networking.k8s.io/v1", False),
        (["Ingress"], "networking.k8s.io/v1", False),
    ],
)
def test_of_which_kinds(kind: Any, version: Any, taken: bool) -> None:
    item = {"apiVersion": version, "kind": kind, "spec": {"tls": [{"hosts": ["a.example.com"]}]}}
    wanted = ["a.example.com"] if taken else []
    assert hosts(json.dumps(item)) == wanted
    assert hosts(yaml.safe_dump(item)) == wanted
    assert hosts(json.dumps({"kind": "List", "items": [item]})) == wanted


@pytest.mark.parametrize(
    ("version", "taken"), [("extensions/v1beta1", True), ("networking.internal.knative.dev/v1alpha1", False)]
)
def test_items_are_of_the_lists_kind_and_version(version: str, taken: bool) -> None:
    item = {"spec": {"tls": [{"hosts": ["a.example.com"]}]}}
    items = [item, {"kind": "Service", **item}]
    text = json.dumps({"kind": "IngressList", "apiVersion": version, "items": items})
    assert hosts(text) == (["a.example.com"] if taken else [])


@pytest.mark.parametrize(
    "text",
    [
        '{"apiVersion":"v1","items":[],"kind":"List","metadata":{"resourceVersion":""}}',
        "kind: List\nitems: []\n",
        "kind: List\nitems: [null]\n",
        "kind: Service\n",
        "# nothing\n",
        "---\n---\n",
        "null\n",
    ],
)
def test_none(text: str) -> None:
    assert objects(text.encode(), "FILE")["Ingress"] == []


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "other", ["value: =", "since: 2024-13-45", "port: 1_:0", "list: [!!int x, !!bool y]", "<<: {a: b}", "a: NaN"]
)
def test_scalars_of_other_objects_are_not_looked_at(other: str) -> None:
    assert objects(f"kind: Service\n{other}\n".encode(), "FILE")["Ingress"] == []


@pytest.mark.usefixtures("parser")
def test_a_scalar_is_the_text_that_it_is_written_as() -> None:
    assert hosts("kind: Ingress\nspec: {tls: [{hosts: [on, 1.50, null, ~, 2024-01-01, 'null']}]}\n") == [
        "on", "1.50", "", "", "2024-01-01", "null",
    ]  # fmt: skip


@pytest.mark.usefixtures("parser")
def test_anchors_and_merges_as_kubectl_takes_them() -> None:
    text = "kind: Ingress\nspec:\n  tls:\n  - &a {hosts: [a.example.com]}\n  - {<<: *a, secretName: x}\n  - *a\n"
    assert hosts(text) == ["a.example.com"] * 3


@pytest.mark.parametrize("item", [{}, {"metadata": None, "spec": None}, {"spec": {"tls": [None, {"hosts": None}]}}])
def test_every_field_may_be_missing_or_null(item: dict[str, Any]) -> None:
    assert len(objects(json.dumps({"kind": "Ingress", **item}).encode(), "FILE")["Ingress"]) == 1


REFUSED = {
    "[]": "FILE:1: a mapping is expected here, and this is a list",
    "\n\n- kind: Ingress\n": "FILE:3: a mapping is expected here, and this is a list",
    "7": "FILE:1: a mapping is expected here, and this is '7'",
    "No resources found": "FILE:1: a mapping is expected here, and this is 'No resources found'",
    "{}": "FILE:1: no Kubernetes object, for it has no kind",
    "kind: Service\n---\nreplicas: 2\n": "FILE:3: no Kubernetes object, for it has no kind",
    '{"kind":"List","items":[{"metadata":{}}]}': "FILE:1: no Kubernetes object, for it has no kind",
    '{"kind":"List","items":[7]}': "FILE:1: a mapping is expected here, and this is 7",
    '{"kind":"List"}': "FILE:1: a list without items",
    '{"kind":"IngressList","items":null}': "FILE:1: a list without items",
    '{"kind":"List","items":{}}': "FILE:1: items: a list is expected here, and this is a mapping",
    '{"kind":"List","items":[],"metadata":7}': "FILE:1: metadata: a mapping is expected here, and this is 7",
    '{"kind":"Ingress","metadata":[]}': "FILE:1: metadata: a mapping is expected here, and this is a list",
    '{"kind":"IngressList","metadata":{"continue":"eyJ"},"items":[]}': (
        "FILE:1: only a part of the list, which goes on (metadata.continue)"
    ),
    '{"kind":"Status","status":"Failure","message":"ingresses is forbidden","code":403}': (
        "FILE:1: no list of objects but an answer of the API server: ingresses is forbidden"
    ),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.items())
def test_what_is_no_list_of_ingresses_is_an_error_and_not_an_empty_list(text: str, problem: str) -> None:
    assert refused(text) == problem


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("x", "spec: a mapping is expected here, and this is 'x'"),
        ({"tls": "x"}, "spec.tls: a list is expected here, and this is 'x'"),
        ({"tls": {}}, "spec.tls: a list is expected here, and this is a mapping"),
        ({"tls": ["x"]}, "spec.tls: a mapping is expected here, and this is 'x'"),
        ({"tls": [{"hosts": "x"}]}, "spec.tls.hosts: a list is expected here, and this is 'x'"),
        ({"tls": [{"hosts": [{}]}]}, "spec.tls.hosts: text is expected here, and this is a mapping"),
        ({"tls": [{"hosts": [["x"]]}]}, "spec.tls.hosts: text is expected here, and this is a list"),
        ({"tls": "x" * 100}, f"spec.tls: a list is expected here, and this is '{'x' * 59}"),
    ],
)
def test_an_ingress_of_a_wrong_shape_is_named(spec: Any, problem: str) -> None:
    item = {"kind": "Ingress", "metadata": {"namespace": "default", "name": "web"}, "spec": spec}
    assert refused(json.dumps(item)) == f"FILE:1: Ingress default/web: {problem}"
    assert refused(f"kind: Service\n---\n{json.dumps(item)}") == f"FILE:3: Ingress default/web: {problem}"


@pytest.mark.parametrize("host", [7, 1.5, True])
def test_a_host_that_is_no_text_is_refused(host: Any) -> None:
    # JSON says what it is; in YAML every such word is text.
    problem = refused("\ufeff" + json.dumps({"kind": "Ingress", "spec": {"tls": [{"hosts": [host]}]}}))
    assert problem.endswith(f": spec.tls.hosts: text is expected here, and this is {host}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: 1\nb: \xff\n", "FILE:2: this is not UTF-8"),
        ("é: 1\nb: \x1b\n".encode(), r"FILE:2: control characters are not allowed: '\x1b'"),
        (b"kind: X\nv: !Ref foo\n", "FILE:2: could not determine a constructor for the tag '!Ref'"),
        (
            b"kind: X\nv: !!python/object/apply:os.getcwd []\n",
            "FILE:2: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd'",
        ),
        (b"kind: X\nv:\n  a: b\n c: d\n", "FILE:4: while parsing a block mapping, did not find expected key"),
        (b"kind: X\n---\na: *b\n", "FILE:3: found undefined alias"),
        (b'{"kind": "List",\n "items": [\n', "FILE:3: while parsing a flow node, did not find expected node content"),
        (b'{"kind": "List",\n "items": [}\n', "FILE:2: while parsing a flow node, did not find expected node content"),
        (b'{"kind": "X"}\n{"kind": "Y"}\n', "FILE:2: did not find expected <document start>"),
        (b"[" * 5000, "FILE: lists and mappings are nested too deeply in it"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, problem: str) -> None:
    assert refused(content) == problem


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("content", [b"a: 1\nb: \x1b\n", b"kind: X\nv: !Ref foo\n", b"a: 1\nb: c: d\n"])
def test_the_line_is_right_whichever_parser_it_is(content: bytes) -> None:
    assert refused(content).startswith("FILE:2: ")


# ---- the other kinds

KINDS = {
    "Ingress": "networking.k8s.io/v1",
    "IngressClass": "networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "ListenerSet": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1beta1",
    "GRPCRoute": "gateway.networking.k8s.io/v1alpha2",
    "TLSRoute": "gateway.networking.k8s.io/v1alpha3",
    "Namespace": "v1",
}
EACH = [{"apiVersion": version, "kind": kind, "metadata": {"name": kind.lower()}} for kind, version in KINDS.items()]
NAMES = {kind: [kind.lower()] for kind in KINDS}


def names(text: str) -> dict[str, list[str]]:
    """By their kinds."""
    found = objects(text.encode(), "FILE")
    return {kind: [item["metadata"]["name"] for item in items] for kind, items in found.items() if items}


def test_all_kinds_that_a_file_may_hold_and_no_others() -> None:
    others = [
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TCPRoute"},
    ]
    assert names("".join(f"---\n{json.dumps(item)}\n" for item in (*EACH, *others))) == NAMES
    # kubectl get namespace,gateway,... -A -o json
    assert names(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*others, *EACH]})) == NAMES


def test_every_kind_is_there_if_the_file_holds_none_of_it() -> None:
    assert objects(b"kind: Service\n", "FILE") == {kind: [] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_one_kind_as_the_api_server_sends_them(kind: str) -> None:
    items = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]
    listed = {"apiVersion": KINDS[kind], "kind": f"{kind}List", "metadata": {"resourceVersion": "7"}, "items": items}
    assert names(json.dumps(listed)) == {kind: ["a", "b"]}
    part = listed | {"metadata": {"continue": "more"}}
    assert refused(json.dumps(part)) == "FILE:1: only a part of the list, which goes on (metadata.continue)"
    assert refused(json.dumps(listed | {"items": None})) == "FILE:1: a list without items"


@pytest.mark.parametrize(
    ("kind", "version", "taken"),
    [
        ("Gateway", "gateway.networking.k8s.io/v1", True),
        ("Gateway", "gateway.networking.k8s.io/v1beta1", True),
        ("Gateway", "", True),
        ("Gateway", "networking.istio.io/v1", False),
        ("Gateway", "v1", True),
        ("HTTPRoute", "gateway.networking.k8s.io/v1", True),
        ("HTTPRoute", "example.com/v1", False),
        ("ListenerSet", "gateway.networking.k8s.io/v1", True),
        ("XListenerSet", "gateway.networking.x-k8s.io/v1alpha1", False),
        ("IngressClass", "networking.k8s.io/v1", True),
        ("IngressClass", "extensions/v1beta1", False),
        ("Namespace", "v1", True),
        ("Namespace", "", True),
        ("Namespace", "example.com/v1", False),
    ],
)
def test_of_which_groups(kind: str, version: str, taken: bool) -> None:
    item = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}
    wanted = {kind: ["a"]} if taken else {}
    assert names(json.dumps(item)) == wanted
    assert names(yaml.safe_dump(item)) == wanted
    listed = {"apiVersion": version, "kind": f"{kind}List", "items": [{"metadata": {"name": "a"}}]}
    if not kind.startswith("X"):
        assert names(json.dumps(listed)) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_a_wrong_shape_is_named(kind: str) -> None:
    item = {"apiVersion": KINDS[kind], "kind": kind}
    named = {"metadata": {"name": "web", "namespace": "default"}}
    where = f"FILE:1: {kind} default/web"
    mapping = "a mapping is expected here, and this is"
    assert refused(json.dumps(item | {"metadata": "x"})) == f"FILE:1: metadata: {mapping} 'x'"
    assert refused(json.dumps(item | named | {"spec": ["x"]})) == f"{where}: spec: {mapping} a list"
    for field in ("labels", "annotations"):
        metadata = {"metadata": {**named["metadata"], field: "x"}}
        assert refused(json.dumps(item | metadata)) == f"{where}: metadata.{field}: {mapping} 'x'"


@pytest.mark.usefixtures("parser")
def test_what_the_other_kinds_say_is_all_there() -> None:
    text = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: infra, labels: {on: yes}}
spec:
  gatewayClassName: nginx
  listeners: [{name: web, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}]
"""
    (item,) = objects(text.encode(), "FILE")["Gateway"]
    assert item["metadata"]["labels"] == {"on": "yes"}
    allowed = {"namespaces": {"from": "All"}}
    assert item["spec"]["listeners"] == [{"name": "web", "port": "443", "protocol": "HTTPS", "allowedRoutes": allowed}]
