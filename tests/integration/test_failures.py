"""A poll that fails changes nothing, is one line in the log with the server's own words, and the next one is tried."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from hairpin_proxy.configuration import Configuration, Rules
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.gate import Gate
from hairpin_proxy.inventory import Sources
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.plan import Plan
from hairpin_proxy.policy import Policy, decide
from hairpin_proxy.providers.corefile import Corefile
from hairpin_proxy.providers.node_caches import NodeCaches
from hairpin_proxy.providers.place import Places
from hairpin_proxy.providers.reader import Reader
from hairpin_proxy.reconcile import Poll
from hairpin_proxy.sources.ingress import Choice
from tests.corefiles import DESTINATION, rule
from tests.integration.conftest import World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy, fault_proxy, status
from tests.nodecache import STANDARD, configmap, daemonset

INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
COREDNS = "/api/v1/namespaces/kube-system/configmaps/coredns"
SERVICES = "/api/v1/namespaces/kube-system/services"


def refused(method: str, path: str, code: int, message: str) -> Fault:
    """An answer in the form of the API server's own errors."""
    return Fault(method, path, code, status(code, "Reason", message))


def listed(body: bytes, *, cut: bool = False) -> Fault:
    """A list that comes with 200 and is none."""
    return Fault("GET", INGRESSES, 200, body, cut=cut)


def read(body: bytes) -> Fault:
    """A ConfigMap that comes with 200 and is none, or has not what it needs."""
    return Fault("GET", COREDNS, 200, body)


FAULTS = {
    "401 list": (refused("GET", INGRESSES, 401, "who are you"), "401 Unauthorized: who are you .*read anew"),
    "403 list": (refused("GET", INGRESSES, 403, "not you"), "403 Forbidden: not you .*RBAC"),
    "404 list": (refused("GET", INGRESSES, 404, "no such thing"), "404 Not Found: no such thing"),
    "410 list": (refused("GET", INGRESSES, 410, "token is too old"), "410 Gone: token is too old"),
    "429 list": (refused("GET", INGRESSES, 429, "slow down"), "429 Too Many Requests: slow down"),
    "500 list": (refused("GET", INGRESSES, 500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "503 text": (Fault("GET", INGRESSES, 503, b"upstream\nis away"), "503 Service Unavailable: upstream is away"),
    "504 empty": (Fault("GET", INGRESSES, 504), r"504 Gateway Timeout: \(no body\)"),
    "redirect": (Fault("GET", INGRESSES, 302, b"elsewhere"), "302 Found: elsewhere"),
    "junk list": (listed(b"<html>a captive portal"), "the answer is no IngressList: .*captive portal"),
    "no body": (listed(b""), "the answer is no IngressList: "),
    "a JSON list": (listed(b"[]"), "the answer is no IngressList"),
    "wrong kind": (listed(b'{"kind": "PodList", "metadata": {}, "items": []}'), "the answer is no IngressList"),
    "no metadata": (listed(b'{"kind": "IngressList", "items": []}'), "the answer is no IngressList"),
    "no items": (listed(b'{"kind": "IngressList", "metadata": {}}'), "the answer has no list of items"),
    "null items": (listed(b'{"kind": "IngressList", "metadata": {}, "items": null}'), "has no list of items"),
    "junk items": (
        listed(b'{"kind": "IngressList", "metadata": {}, "items": ["x"]}'),
        "'x' is no Ingress that an API server would send",
    ),
    "cut list": (listed(b'{"kind": "IngressList", "items": [', cut=True), "no answer from http"),
    "401 read": (refused("GET", COREDNS, 401, "who are you"), "401 Unauthorized: who are you"),
    "403 read": (refused("GET", COREDNS, 403, "not you"), "403 Forbidden: not you"),
    "404 read": (refused("GET", COREDNS, 404, "not there"), "404 Not Found: not there .*--configmap"),
    "500 read": (refused("GET", COREDNS, 500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "junk read": (read(b"junk"), "the answer is no ConfigMap: b'junk'"),
    "no data": (
        read(b'{"kind": "ConfigMap", "metadata": {"resourceVersion": "1"}}'),
        "has no key Corefile with text",
    ),
    "no version": (
        read(b'{"kind": "ConfigMap", "data": {"Corefile": ". {\\n}\\n"}, "metadata": {}}'),
        "has no metadata.resourceVersion",
    ),
    "data is a list": (read(b'{"kind": "ConfigMap", "data": ["a"], "metadata": {}}'), "the answer is no ConfigMap: "),
    "another key is null": (
        read(b'{"kind": "ConfigMap", "data": {"Corefile": "", "x": null}, "metadata": {"resourceVersion": "1"}}'),
        "ConfigMap kube-system/coredns: Corefile:1: no server block answers '.'",
    ),
    "our key is null": (
        read(b'{"kind": "ConfigMap", "data": {"Corefile": null}, "metadata": {"resourceVersion": "1"}}'),
        "has no key Corefile with text",
    ),
    "bad base64": (
        read(
            b'{"kind": "ConfigMap", "data": {"Corefile": ""}, "binaryData": {"x": "?"},'
            b' "metadata": {"resourceVersion": "1"}}'
        ),
        "the answer is no ConfigMap: ",
    ),
    "half a surrogate": (
        read(b'{"kind": "ConfigMap", "data": {"Corefile": "", "x": "\\ud800"}, "metadata": {"resourceVersion": "1"}}'),
        "the answer is no ConfigMap: ",
    ),
    "half a surrogate in our key": (
        read(b'{"kind": "ConfigMap", "data": {"Corefile": "\\ud800"}, "metadata": {"resourceVersion": "1"}}'),
        "the answer is no ConfigMap: ",
    ),
    "nested too deep": (listed(b"[" * 200_000), "the answer is no IngressList"),
    "a string for a list": (
        listed(b'{"kind": "IngressList", "metadata": {}, "items": [{"spec": {"tls": [{"hosts": "a.example.com"}]}}]}'),
        "is no Ingress that an API server would send: not a list: 'a.example.com'",
    ),
    "500 services": (refused("GET", SERVICES, 500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "500 workloads": (refused("GET", "/daemonsets", 500, "etcd is away"), "500 Internal Server Error: etcd is away"),
    "junk services": (Fault("GET", SERVICES, 200, b"junk"), "the answer is no ServiceList"),
    "403 write": (refused("PATCH", COREDNS, 403, "not you"), "403 Forbidden: not you .*RBAC"),
    "409 write": (refused("PATCH", COREDNS, 409, "modified"), "409 Conflict: modified"),
    "422 write": (refused("PATCH", COREDNS, 422, "immutable"), "422 Unprocessable [A-Za-z]+: immutable"),
    "500 write": (refused("PATCH", COREDNS, 500, "etcd is away"), "500 .*: etcd is away .the next poll shows"),
    "cut write": (Fault("PATCH", COREDNS, 200, b"{", cut=True), "no answer from http"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_failed_poll_changes_nothing_and_says_why(
    world: World, faulty: FaultProxy, tmp_path: Path, fault: Fault, said: str
) -> None:
    world.apply(ingress("web", "a.example.com"))
    version = world.version()
    faulty.faults.append(fault)
    done = world.once(kubeconfig=faulty.kubeconfig(tmp_path))
    assert (done.returncode, world.version()) == (1, version)
    errors = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert len(errors) == 1
    assert errors[0].partition(" ERROR ")[2].startswith("poll failed: ")
    assert re.search(said, errors[0]), errors[0]
    assert len(done.stderr.splitlines()) == 3  # it starts, the error, it ends


def test_a_failed_list_is_never_an_empty_one(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    """Also when it fails on the second page: rules that stand, stay."""
    world.apply(*(ingress(f"web-{number}", f"host-{number}.example.com") for number in range(600)))
    world.once()
    with_all = world.cluster.corefile()
    assert with_all.count("rewrite") == 600
    faulty.faults.append(Fault("GET", "continue=", 410, status(410, "Expired", "the continue token is too old")))
    done = world.once(kubeconfig=faulty.kubeconfig(tmp_path))
    assert done.returncode == 1
    assert "the continue token is too old" in done.stderr
    assert world.cluster.corefile() == with_all


LOST = {
    "cut": Fault("PATCH", COREDNS, 200, b"{", cut=True, done=True),
    "stalled": Fault("PATCH", COREDNS, stall=True, done=True),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_write_whose_answer_is_lost_is_not_said_to_have_changed_nothing(
    world: World, faulty: FaultProxy, tmp_path: Path, fault: Fault
) -> None:
    world.apply(ingress("web", "a.example.com"))
    faulty.faults.append(fault)
    done = world.once(kubeconfig=faulty.kubeconfig(tmp_path))
    assert done.returncode == 1
    assert "(the next poll shows whether this was written)" in done.stderr
    assert rule("a.example.com") in world.cluster.corefile()
    version = world.version()
    assert world.once().returncode == 0
    assert world.version() == version


def test_junk_where_a_write_is_confirmed_does_not_matter(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    world.apply(ingress("web", "a.example.com"))
    faulty.faults.append(Fault("PATCH", COREDNS, 200, b"<html>", done=True))
    assert world.once(kubeconfig=faulty.kubeconfig(tmp_path)).returncode == 0
    assert rule("a.example.com") in world.cluster.corefile()


def test_it_says_a_lasting_failure_seldom_and_its_end(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    world.apply(ingress("web", "a.example.com"))
    fault = Fault("GET", INGRESSES, 503, b"away")
    faulty.faults.append(fault)
    controller = world.controller(kubeconfig=faulty.kubeconfig(tmp_path))
    try:
        eventually(lambda: len(faulty.calls) > 6)
        faulty.faults.remove(fault)
        eventually(lambda: "poll works again, after " in controller.log.read_text())
    finally:
        controller.stop()
    log = controller.log.read_text()
    assert log.count("poll failed: ") == 1
    assert log.count(" ERROR ") == 1
    assert rule("a.example.com") in world.cluster.corefile()


def test_a_stalled_call_ends_by_itself(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    faulty.faults.append(Fault("GET", INGRESSES, stall=True))
    started = time.monotonic()
    done = world.once(kubeconfig=faulty.kubeconfig(tmp_path))
    assert done.returncode == 1
    assert "Read timed out" in done.stderr
    assert time.monotonic() - started < 30


NO_END = {
    "a call without an answer": Fault("GET", INGRESSES, stall=True),
    "an answer without an end": Fault("GET", INGRESSES, drip=True),
    "a list without an end": Fault(
        "GET", INGRESSES, body=b'{"kind": "IngressList", "metadata": {"continue": "on"}, "items": []}'
    ),
}


@pytest.mark.parametrize("fault", NO_END.values(), ids=NO_END)
def test_a_signal_ends_a_poll_that_would_not_end(
    world: World, faulty: FaultProxy, tmp_path: Path, fault: Fault
) -> None:
    faulty.faults.append(fault)
    controller = world.controller(kubeconfig=faulty.kubeconfig(tmp_path))
    eventually(lambda: faulty.calls)
    controller.send_signal(signal.SIGTERM)
    eventually(lambda: not controller.running, 5)
    assert controller.exit_code == 0


@pytest.mark.parametrize("name", ["an answer without an end", "a list without an end"])
def test_a_poll_ends_by_itself_whatever_the_server_does(
    faulty: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr("hairpin_proxy.kube._BODY_SECONDS", 1)
    monkeypatch.setattr("hairpin_proxy.kube._LIST_SECONDS", 1)
    faulty.faults.append(NO_END[name])
    with pytest.raises(KubeError, match="did not come to its end in 1 seconds"):
        Sources(Kube(str(faulty.kubeconfig(tmp_path)), None), Choice(), None).read()


def test_an_api_server_that_is_away_and_comes_back(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    world.cluster.stop_api_server()
    try:
        controller = world.controller()
        eventually(lambda: "Connection refused" in controller.log.read_text())
    finally:
        world.cluster.start_api_server()
    try:
        eventually(lambda: rule("a.example.com") in world.cluster.corefile(), 30)
    finally:
        controller.stop()
    assert " object at 0x" not in controller.log.read_text()


def test_rights_that_are_missing_are_named_in_the_servers_words(world: World) -> None:
    world.cluster.kubectl("create", "serviceaccount", "nobody", "-n", "default")
    try:
        done = world.once(kubeconfig=world.cluster.service_account_kubeconfig("default", "nobody"))
    finally:
        world.cluster.kubectl("delete", "serviceaccount", "nobody", "-n", "default")
    assert done.returncode == 1
    assert 'User "system:serviceaccount:default:nobody" cannot list resource "ingresses"' in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--configmap", "kube-system/no-such"], '403 Forbidden: configmaps "no-such" is forbidden'),
        (
            ["--configmap-key", "Core"],
            "ConfigMap kube-system/coredns has no key Core with text \\(its keys: Corefile\\)",
        ),
    ],
)
def test_another_configmap_than_ours(world: World, flags: list[str], said: str) -> None:
    done = world.once(*flags)
    assert done.returncode == 1
    assert re.search(said, done.stderr), done.stderr


class EditedMeanwhile(Corefile):
    """Somebody changes the Corefile after we have read it and before we write it."""

    def read(self) -> Configuration:
        found = super().read()
        patch = {"data": {found.corefile.name: found.corefile.text + "# an edit by hand\n"}}
        self.kube.merge_patch(COREDNS, patch)
        return found


def test_an_edit_between_read_and_write_is_never_overwritten(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    kube, rules = Kube(str(world.kubeconfig), None), Rules(DESTINATION)
    reader = Reader(kube, Places(kube, None, None), "auto", rules)
    provider = EditedMeanwhile(kube, reader, Plan(rules))
    sources = Sources(kube, Choice(), None)
    poll = Poll(
        sources, lambda asked, facts: (decide(asked, Policy(DESTINATION), facts), ()), Gate(kube, None), provider, 15
    )
    with pytest.raises(KubeError, match="409 Conflict: .*the object has been modified"):
        poll()
    assert world.cluster.corefile() == world.original + "# an edit by hand\n"
    assert world.once().returncode == 0
    assert rule("a.example.com") in world.cluster.corefile()
    assert world.cluster.corefile().endswith("}\n# an edit by hand\n")


def test_without_the_right_to_look_the_usual_place_is_assumed_and_said_so(
    world: World, faulty: FaultProxy, tmp_path: Path
) -> None:
    world.apply(ingress("web", "a.example.com"))
    faulty.faults.append(refused("GET", SERVICES, 403, "not you"))
    done = world.once(kubeconfig=faulty.kubeconfig(tmp_path))
    assert (done.returncode, rule("a.example.com") in world.cluster.corefile()) == (0, True)
    assert done.stderr.count("WARNING") == 1
    assert "WARNING it cannot be seen what CoreDNS reads: " in done.stderr
    assert "; key Corefile of ConfigMap kube-system/coredns is assumed (--configmap and " in done.stderr
    flags = ["--configmap", "kube-system/coredns"]
    assert "WARNING" not in world.once(*flags, kubeconfig=faulty.kubeconfig(tmp_path)).stderr


def test_credentials_are_read_anew_once_they_were_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pod the token is a file that kubelet replaces."""
    with fault_proxy(world.kubeconfig) as proxy:
        good, upstream, authority = proxy.token, proxy.upstream, proxy.authority
    host, _, port = upstream.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "ca.crt").write_text(authority)
    (tmp_path / "token").write_text("expired")
    kube = Kube(None, None, service_account=tmp_path)
    with pytest.raises(KubeError, match="401 Unauthorized"):
        kube.get(COREDNS, "ConfigMap")
    (tmp_path / "token").write_text(good)
    assert kube.get(COREDNS, "ConfigMap")["metadata"]["name"] == "coredns"
    (tmp_path / "token").unlink()
    with pytest.raises(OperatorError, match=f"no credentials from the ServiceAccount in {tmp_path}"):
        Kube(None, None, service_account=tmp_path).connect()


def test_the_list_is_paged(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    world.apply(*(ingress(f"web-{number}", f"host-{number}.example.com") for number in range(1001)))
    assert world.once(kubeconfig=faulty.kubeconfig(tmp_path)).returncode == 0
    lists = [call for call in faulty.calls if INGRESSES in call]
    assert len(lists) == 5
    assert all("limit=250" in call for call in lists)
    assert world.cluster.corefile().count("rewrite") == 1001
    assert json.dumps(faulty.calls).count("PATCH") == 1


TOGETHER = {f"/api/v1/namespaces/kube-system/configmaps/{name}": [{"op": "test", "path": "/kind"}] for name in "ab"}


def test_each_of_the_patches_that_go_together_says_why_it_failed(faulty: FaultProxy, tmp_path: Path) -> None:
    counted: list[int | None] = []
    kube = Kube(str(faulty.kubeconfig(tmp_path)), None, failed=counted.append)
    faulty.faults.append(refused("PATCH", "/configmaps/", 500, "etcd is away"))
    failures = kube.patch_together(TOGETHER)
    assert failures.keys() == TOGETHER.keys()
    assert all("500 Internal Server Error: etcd is away" in str(error) for error in failures.values())
    assert counted == [500, 500]


def test_patches_that_go_together_are_not_made_where_nobody_answers(faulty: FaultProxy, tmp_path: Path) -> None:
    kube = Kube(str(faulty.kubeconfig(tmp_path)), None)
    faulty.refuse()
    failures = kube.patch_together(TOGETHER)
    said = re.compile("no answer from http://.*Connection refused|not made, because it goes together with one")
    assert failures.keys() == TOGETHER.keys()
    assert all(said.search(str(error)) for error in failures.values()), failures
    faulty.listen()


def test_node_local_dns_that_was_seen_is_not_forgotten_for_a_list_that_fails(
    world: World, faulty: FaultProxy, tmp_path: Path
) -> None:
    world.apply(daemonset())
    now = [0.0]
    caches = NodeCaches(Kube(str(faulty.kubeconfig(tmp_path)), None), wanted=True, clock=lambda: now[0])
    try:
        said = [remark.text for remark in caches.look(to_add=True).remarks]
        assert "node-local-dns may be led past us" in said[0]
        faulty.faults.append(refused("GET", "/daemonsets", 500, "etcd is away"))
        now[0] = 3600.0
        assert [remark.text for remark in caches.look(to_add=True).remarks] == said
    finally:
        world.cluster.kubectl("-n", "kube-system", "delete", "daemonset", "node-local-dns")


def test_a_name_server_of_the_node_that_cannot_be_read_is_none(world: World, tmp_path: Path) -> None:
    world.apply(daemonset(), configmap("node-local-dns", Corefile=STANDARD))
    kube = Kube(str(world.cluster.kubeconfig), None)
    try:
        (found,) = NodeCaches(kube, wanted=True, resolv_conf=tmp_path).look(to_add=True).corefiles
        assert found.nameservers == frozenset()
    finally:
        world.cluster.kubectl("-n", "kube-system", "delete", "daemonset,configmap", "node-local-dns")
