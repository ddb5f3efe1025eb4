"""HAProxy's pods come and go, by a roll-out, a deletion and a drain, and no request fails."""

import json
import shlex
from typing import Any

from tests.cluster.node.app import HOST
from tests.cluster.node.node import Node
from tests.e2e.desk import begun_at_a_desk
from tests.e2e.product import HAPROXY, NAMESPACE, ROOT, Product, eventually

CLIENTS = 10

# For a pod: clients that connect anew for each request until a file appears; prints a first line, and what came of it.
ASK = f"""
import http.client, json, os, threading, time
if os.path.exists("/tmp/enough"):
    os.remove("/tmp/enough")
answered, wrong = [], []
def ask():
    while not os.path.exists("/tmp/enough"):
        time.sleep(0.02)
        try:
            connection = http.client.HTTPConnection("hairpin-proxy.hairpin-proxy.svc.cluster.local", timeout=20)
            connection.request("GET", "/", headers={{"Host": "{HOST}"}})
            answered.append(connection.getresponse().status)
            connection.close()
        except Exception as error:
            wrong.append(repr(error))
threads = [threading.Thread(target=ask) for _ in range({CLIENTS})]
for thread in threads: thread.start()
print("they ask", flush=True)
for thread in threads: thread.join()
print(json.dumps([len(answered), sorted(set(answered)), wrong]))
"""


def names(product: Product) -> list[str]:
    return [pod["metadata"]["name"] for pod in product.staying(HAPROXY)]


def is_ready(pod: dict[str, Any]) -> bool:
    return any((each["type"], each["status"]) == ("Ready", "True") for each in pod["status"].get("conditions", []))


def wait_until_both_are_ready(product: Product) -> None:
    """`kubectl rollout status` may go by the status of before a pod was deleted."""
    eventually(lambda: [is_ready(pod) for pod in product.staying(HAPROXY)] == [True, True], 120, "HAProxy is not ready")


def evict(product: Product, name: str) -> None:
    """As `kubectl drain` does, which asks again while a disruption budget forbids it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    create = ["create", "--raw", path, "-f", "-"]
    eventually(lambda: "Success" in product.node.kubectl(*create, stdin=json.dumps(eviction), check=False), 60)


def test_no_request_fails_while_pods_come_and_go(node: Node, product: Product) -> None:
    product.install()
    assert len(names(product)) == 2
    node.kubectl("apply", "-f", str(ROOT / "deploy-networkpolicy.yml"))
    with begun_at_a_desk(node, f"kubectl exec deployment/my-app -- python3 -c {shlex.quote(ASK)}") as clients:
        assert clients.stdout
        assert clients.stdout.readline() == "they ask\n"
        try:
            node.kubectl("-n", NAMESPACE, "rollout", "restart", f"deployment/{HAPROXY}")
            node.wait_rolled_out(NAMESPACE, HAPROXY)
            node.kubectl("-n", NAMESPACE, "delete", "pod", names(product)[0], "--wait=false")
            wait_until_both_are_ready(product)
            for name in names(product):
                evict(product, name)
            wait_until_both_are_ready(product)
        finally:
            node.pod_exec("default", "deployment/my-app", ["touch", "/tmp/enough"])
        said, complaints = clients.communicate(timeout=120)
    assert said, complaints
    answered, statuses, wrong = json.loads(said)
    assert (statuses, wrong) == ([200], [])
    print(f"{answered} requests")
    assert answered > 100 * CLIENTS


def ready_addresses(node: Node) -> str:
    """Where the Service leads to: what the controller goes by."""
    name = "kubernetes.io/service-name=hairpin-proxy"
    path = "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses}"
    return node.kubectl("-n", NAMESPACE, "get", "endpointslices", "-l", name, "-o", path).strip()


def test_a_service_without_a_ready_pod_gets_no_new_host(node: Node, product: Product) -> None:
    product.install()
    node.kubectl("-n", NAMESPACE, "scale", "deployment", HAPROXY, "--replicas=0")
    eventually(lambda: ready_addresses(node) == "", 60, "the Service has endpoints still")
    node.kubectl("create", "ingress", "late", "--rule=late.example.com/=my-app:80,tls=my-app-tls")
    try:
        eventually(lambda: "it has no ready endpoint" in product.controller_log(), 60)
        assert "late.example.com" not in node.corefile()
        assert HOST in node.corefile()
        node.kubectl("-n", NAMESPACE, "scale", "deployment", HAPROXY, "--replicas=2")
        eventually(lambda: "late.example.com" in node.corefile(), 90)
    finally:
        node.kubectl("delete", "ingress", "late")
