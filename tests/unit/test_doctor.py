"""What the doctor says: the page that has all of it, and how a check's findings come together."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest
import yaml

from hairpin_proxy.configuration import ConfigMap, Configuration, Key, NodeCorefile, Rules
from hairpin_proxy.corefile import Writing as Writing_
from hairpin_proxy.corefile import render
from hairpin_proxy.corefile.fingerprint import fingerprint
from hairpin_proxy.doctor import (
    configuration,
    haproxy,
    leftout,
    live,
    need,
    nodes,
    report,
    rights,
    rules,
    target,
    texts,
)
from hairpin_proxy.doctor.findings import Finding, Result, Status, Text, exit_code, found
from hairpin_proxy.doctor.seen import Server, Unseen
from hairpin_proxy.doctor.target import Advice, Heard, Target, Tried
from hairpin_proxy.edit import Remark
from hairpin_proxy.locate import Location
from hairpin_proxy.managers import writers
from hairpin_proxy.names import ServiceName
from hairpin_proxy.nodecache import Writing
from hairpin_proxy.plan import Plan
from hairpin_proxy.settings import ConfigMapName, Settings
from tests.corefiles import DESTINATION, KUBEADM
from tests.nodecache import STANDARD as NODE_LOCAL_COREFILE
from tests.troubleshooting import PAGE, page

ALL = texts.all_texts()
SERVER = Server("10.244.0.53", 53)
WANTED = ("192.0.2.1", "192.0.2.2", "lb.example.net")
GOOD, BAD = Heard("HTTP status 200", connected=True, makes_sense=True), Heard("nothing", connected=True)
NO_CONNECTION = Heard("Connection refused", connected=False)


def state(text: str, **item: object) -> Configuration:
    size = len(text.encode())
    configmap = ConfigMap(ConfigMapName("kube-system", "coredns"), {"Corefile": text}, "1", size, item)
    return Configuration(Key(configmap, "Corefile"))


def test_the_page_says_what_the_doctor_says() -> None:
    assert PAGE.read_text() == page(), "make docs writes it anew"


@pytest.mark.parametrize("name", ALL)
def test_each_text_that_is_not_well_says_what_to_do(name: str) -> None:
    text = ALL[name]
    assert text.fix or text.status in (Status.OK, Status.SKIPPED), text.title


@pytest.mark.parametrize("name", [name for name, text in ALL.items() if text.fix])
def test_each_link_leads_to_a_heading(name: str) -> None:
    """As Markdown's readers make anchors: lower case, hyphens for spaces, and of all else only letters and digits."""
    anchors = {re.sub(r"[^a-z0-9 _-]", "", line[4:].lower()).replace(" ", "-") for line in headings()}
    assert ALL[name].anchor in anchors


def headings() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("### ")]


def sayings() -> Iterator[tuple[str, str, set[str]]]:
    """Where the doctor says a text, which one, and what it fills in."""
    for path in sorted(Path(texts.__file__).parent.glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "found":
                given = {keyword.arg for keyword in call.keywords}
                names = [each.attr for each in ast.walk(call.args[0]) if isinstance(each, ast.Attribute)]
                if None not in given:
                    yield from ((f"{path.name}:{call.lineno}", name, {str(each) for each in given}) for name in names)


@pytest.mark.parametrize(("where", "name", "given"), list(sayings()))
def test_each_text_is_given_what_it_asks_for(where: str, name: str, given: set[str]) -> None:
    text = ALL[name]
    assert given >= {field for _, field, _, _ in Formatter().parse(text.message + text.fix) if field}, where


def commands(fix: str) -> list[str]:
    """What a reader would copy: up to the end, or to what a shell ends a command by."""
    return re.findall(r"kubectl [^;|&]*", fix)


@pytest.mark.parametrize("name", [name for name, text in ALL.items() if commands(text.fix)])
def test_each_command_can_be_pasted(name: str) -> None:
    for command in commands(ALL[name].fix):
        words = shlex.split(command)
        assert not any(word.endswith((",", ":")) or word in ("and", "or", "the") for word in words), command


def test_no_two_texts_have_one_heading() -> None:
    assert len(set(headings())) == len(headings())


@pytest.mark.parametrize("name", ALL)
def test_each_text_belongs_to_a_check(name: str) -> None:
    assert ALL[name].check in ("", *texts.SECTIONS)


def test_a_finding_has_its_values() -> None:
    text = texts.TARGET_REFUSES
    values = {name: name.upper() for _, name, _, _ in Formatter().parse(text.message + text.fix) if name}
    finding = found(text, **values)
    assert finding.message == "TARGET_SERVER TARGET does not accept on port PORT: WHY"
    assert (finding.fix, finding.link) == ("FIX", "docs/troubleshooting.md#the-target-cannot-be-reached")


def of(*statuses: Status) -> Result:
    return Result("rules", tuple(Finding(status, f"says {status}", f"mend {status}", "link") for status in statuses))


@pytest.mark.parametrize(
    ("statuses", "worst", "code"),
    [
        ([Status.OK], Status.OK, 0),
        ([Status.OK, Status.SKIPPED], Status.SKIPPED, 0),
        ([Status.WARN, Status.OK, Status.SKIPPED], Status.WARN, 0),
        ([Status.WARN, Status.UNKNOWN], Status.UNKNOWN, 2),
        ([Status.UNKNOWN, Status.FAIL, Status.OK], Status.FAIL, 1),
    ],
)
def test_the_worst_finding_counts(statuses: list[Status], worst: Status, code: int) -> None:
    result = of(*statuses)
    assert (result.status, exit_code([result, of(Status.OK)])) == (worst, code)


def test_json_has_one_entry_a_check_with_what_is_worst() -> None:
    entries = json.loads(report.report([of(Status.OK, Status.FAIL, Status.FAIL), of(Status.OK)], "json"))
    assert [entry["status"] for entry in entries] == ["fail", "ok"]
    assert entries[0] == {"check": "rules", "status": "fail", "message": "says fail", "fix": "mend fail"}


def test_the_table_has_a_line_a_finding_and_sums_up() -> None:
    lines = report.report([of(Status.WARN, Status.OK)], "table").splitlines()
    assert lines[0] == "Our rules [rules]"
    assert lines[1:4] == ["‼ says warn", "    mend warn", "    see link"]
    assert lines[-1] == "Status: ‼ rules"


# ---- need


def service(name: str, *ingress: dict[str, str], port: int = 80, kind: str = "LoadBalancer") -> dict[str, object]:
    return {
        "metadata": {"namespace": "ingress", "name": name},
        "spec": {"type": kind, "ports": [{"port": port}], "clusterIP": "10.96.0.7"},
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


@pytest.mark.parametrize(
    ("services", "status"),
    [
        ([service("a", {"ip": "192.0.2.1"})], Status.OK),
        ([service("a", {"ip": "192.0.2.1", "ipMode": "VIP"})], Status.OK),
        ([service("a", {"ip": "192.0.2.1", "ipMode": "Proxy"})], Status.FAIL),
        ([service("a", {"hostname": "lb.example.net"})], Status.FAIL),
        # What kube-proxy has an address for, it short-cuts, whatever its name is.
        ([service("a", {"ip": "192.0.2.1", "hostname": "lb.example.net"})], Status.OK),
        ([service("a", {"ip": "192.0.2.1", "ipMode": "Proxy"}), service("b", {"ip": "192.0.2.2"})], Status.OK),
        ([service("a")], Status.WARN),
        ([service("a", {"ip": "192.0.2.1"}, port=25)], Status.WARN),
        ([service("a", {"ip": "192.0.2.1"}, kind="NodePort")], Status.WARN),
        ([], Status.WARN),
    ],
)
def test_who_needs_us(services: list[dict[str, object]], status: Status) -> None:
    assert [finding.status for finding in need.findings(need.balancers(services, WANTED), None)] == [status]


def test_what_nobody_knows_to_be_an_ingress_controllers_is_no_reason_to_leave() -> None:
    services = [service("game", {"hostname": "lb.example.net"})]
    assert [finding.status for finding in need.findings(need.balancers(services, ()), None)] == [Status.WARN]
    target_ = need.balancers(services, (), ServiceName("ingress", "game"))
    assert [finding.status for finding in need.findings(target_, None)] == [Status.FAIL]


def test_an_external_address_is_short_cut_whatever_the_load_balancer_says() -> None:
    item = service("web", {"hostname": "lb.example.net"})
    item["spec"] = {**item["spec"], "externalIPs": ["192.0.2.1"]}  # type: ignore[dict-item]
    assert [finding.status for finding in need.findings(need.balancers([item], ["192.0.2.1"]), None)] == [Status.OK]


def test_a_load_balancer_that_has_an_ingress_address_counts_before_others() -> None:
    services = [service("game", {"ip": "192.0.2.9"}), service("web", {"ip": "192.0.2.1", "ipMode": "Proxy"})]
    assert [each.name.name for each in need.balancers(services, ["192.0.2.1"]).seen] == ["web"]


# ---- node-local-dns


def test_where_a_block_would_make_a_loop_none_is_printed() -> None:
    key = state(NODE_LOCAL_COREFILE).corefile
    writing = Writing("hairpin-proxy.hairpin-proxy.svc.cluster.local", lambda name: "." not in name)
    aim = nodes.Aim({"a.example.com"}, writing, "hairpin-proxy", "10.96.0.10")
    node = nodes.Node("DaemonSet kube-system/node-local-dns", NodeCorefile(key, frozenset()), None, ())
    (finding,) = nodes.findings(node, aim)
    assert "kubectl -n kube-system patch configmap coredns" in finding.fix
    (finding,) = nodes.findings(node._replace(loop="CoreDNS asks node-local-dns"), aim)
    assert finding.fix == "no block cures it here: CoreDNS asks node-local-dns"


# ---- rights

ROOT = PAGE.parents[1]


def given(file: str) -> set[tuple[str, ...]]:
    """What a manifest's Roles allow; of a ClusterRole in all namespaces."""
    return {
        (verb, group, resource, item["metadata"].get("namespace", ""), name)
        for item in yaml.safe_load_all((ROOT / file).read_text())
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def reviewed(**settings: object) -> set[tuple[str, ...]]:
    configmaps = (ConfigMapName("kube-system", "coredns"), ConfigMapName("kube-system", "coredns-custom"))
    service = ServiceName("hairpin-proxy", "hairpin-proxy")
    calls = rights.calls("hairpin-proxy", replace(Settings(), **settings), service, configmaps)  # type: ignore[arg-type]
    anywhere: dict[tuple[str, ...], tuple[str, ...]] = {
        ("get", "", "services", "hairpin-proxy", "hairpin-proxy"): ("get", "", "services", "", "hairpin-proxy")
    }
    return {anywhere.get(tuple(call), tuple(call)) for call in calls}


def test_the_calls_that_are_reviewed_are_those_that_the_manifests_give() -> None:
    everything = {"source": ("ingress", "gateway"), "ingress_class": ("nginx",)}
    base = reviewed(**everything)
    assert base == given("deploy.yml")
    assert reviewed(**everything, events=True) - base == given("deploy-events.yml")
    assert reviewed(**everything, nudge_coredns=True) - base == given("deploy-nudge-coredns.yml")
    assert reviewed(**everything, node_local_dns="on") - base <= given("deploy-node-local-dns.yml")
    assert reviewed() < base


def test_the_manifest_that_gives_a_missing_right_is_named() -> None:
    calls = rights.calls("hairpin-proxy", Settings(nudge_coredns=True, events=True, node_local_dns="on"), None, ())
    (finding,) = rights.findings("hairpin-proxy", "ServiceAccount x", dict.fromkeys(calls, False))
    files = ("deploy.yml", "deploy-events.yml", "deploy-nudge-coredns.yml", "deploy-node-local-dns.yml")
    assert all(f"kubectl apply -f {file}" in finding.fix for file in files)


def test_without_the_right_to_watch_it_works_all_the_same() -> None:
    calls = rights.calls("hairpin-proxy", Settings(), None, ())
    (finding,) = rights.findings("hairpin-proxy", "ServiceAccount x", {call: call.verb != "watch" for call in calls})
    assert finding.status is Status.WARN


# ---- target


@pytest.mark.parametrize(
    ("protocol", "with_header", "without", "text"),
    [
        ("v1", GOOD, BAD, texts.TARGET),
        ("v1", GOOD, GOOD, texts.TARGET),
        ("v1", BAD, GOOD, texts.TARGET_SPEAKS_NO_PROXY),
        ("v1", BAD, BAD, texts.TARGET_SAYS_NOTHING),
        ("v2", NO_CONNECTION, NO_CONNECTION, texts.TARGET_REFUSES),
        ("off", GOOD, BAD, texts.TARGET_GETS_NO_PROXY),
        ("off", BAD, GOOD, texts.TARGET),
        ("off", GOOD, GOOD, texts.TARGET),
    ],
)
def test_what_a_target_answers(protocol: str, with_header: Heard, without: Heard, text: Text) -> None:
    at = Target("web.ingress.svc.cluster.local", 80, 443, protocol)
    (finding,) = target.findings(at, [Tried(80, with_header, without)], Advice("hairpin-proxy"))
    assert finding.message.startswith("TARGET_SERVER web.ingress.svc.cluster.local")
    assert finding.status == text.status
    assert finding.link.endswith(text.anchor) or not finding.link


def test_both_ports_are_judged() -> None:
    at = Target("web.ingress.svc.cluster.local", 80, 443, "v1")
    tried = [Tried(80, GOOD, BAD), Tried(443, BAD, GOOD)]
    (finding,) = target.findings(at, tried, Advice("hairpin-proxy"))
    assert (finding.status, "on port 443" in finding.message) == (Status.FAIL, True)
    tried = [Tried(80, NO_CONNECTION, NO_CONNECTION), Tried(443, GOOD, BAD)]
    assert [finding.status for finding in target.findings(at, tried, Advice("x"))] == [Status.OK, Status.WARN]


def test_a_right_name_is_not_replaced() -> None:
    seen = need.balancers([service("web", {"ip": "192.0.2.1"})], ["192.0.2.1"])
    assert "the name is right" in str(
        target.advice("hairpin-proxy", "web.ingress.svc.corp.example", seen, "corp.example")
    )
    unsure = need.balancers([service("game", {"ip": "192.0.2.1"})], ())
    assert "game" not in str(target.advice("hairpin-proxy", "wrong.example.com", unsure, "corp.example"))


def test_a_better_target_is_named() -> None:
    seen = need.balancers([service("web", {"ip": "192.0.2.1"})], ["192.0.2.1"])
    better = target.advice("hairpin-proxy", "wrong.example.com", seen, "corp.example")
    assert str(better) == (
        "kubectl -n hairpin-proxy set env deployment/hairpin-proxy-haproxy TARGET_SERVER=web.ingress.svc.corp.example"
    )


def test_what_is_set_in_another_object_is_not_known() -> None:
    deployment = {
        "spec": {"template": {"spec": {"containers": [
            {"name": "main", "env": [{"name": "TARGET_SERVER", "valueFrom": {"configMapKeyRef": {}}}]}
        ]}}}
    }  # fmt: skip
    with pytest.raises(target.UnknownTargetError, match="TARGET_SERVER stands in another object"):
        target.target(haproxy.environment(deployment))


def test_haproxy_tells_its_target() -> None:
    text = "TARGET_SERVER=a.b.svc.cluster.local.\nTARGET_HTTP_PORT=81\nTARGET_HTTPS_PORT=444\nPROXY_PROTOCOL=v2\n"
    assert target.told(text) == Target("a.b.svc.cluster.local", 81, 444, "v2")
    assert target.told("<html>a=b</html>") is None


# ---- live

COREFILE = ".:53 {\n    forward . 192.0.2.53\n}\n"
HASH = fingerprint(COREFILE)
WRONG = {"a.example.com": frozenset({"192.0.2.1"})}


def coredns(wrong: dict[str, frozenset[str]], reload: live.Reload | None) -> live.Asked:
    return live.Asked(SERVER, mute=False, destination=frozenset({"10.96.0.20"}), wrong=wrong, reload=reload)


@pytest.mark.parametrize(
    ("asked", "age", "text"),
    [
        (coredns({}, None), 5.0, texts.LIVE),
        (coredns({}, live.Reload(0, HASH)), 5.0, texts.LIVE),
        (coredns(WRONG, None), 5.0, texts.NOT_ARRIVED),
        (coredns(WRONG, live.Reload(0, None)), None, texts.NOT_ARRIVED),
        (coredns(WRONG, live.Reload(1, "0" * 128)), 5.0, texts.NOT_ARRIVED),
        (coredns(WRONG, live.Reload(0, "0" * 128)), 400.0, texts.NOT_TAKEN),
        (coredns(WRONG, live.Reload(1, HASH)), 5.0, texts.REFUSED),
        # It runs that very text, so what is wrong is not here.
        (coredns(WRONG, live.Reload(0, HASH)), 5.0, texts.LIVE),
        (coredns({}, live.Reload(2, HASH)), 5.0, texts.FAILED_BEFORE),
        (coredns({}, live.Reload(0, "0" * 128)), 5.0, texts.BEHIND),
        (live.Asked(SERVER, mute=True, destination=frozenset(), wrong={}), 5.0, texts.MUTE),
    ],
)
def test_what_coredns_runs(asked: live.Asked, age: float | None, text: Text) -> None:
    seen = list(live.findings([asked], live.Text(HASH, COREFILE, age, "kube-system", "deployment/coredns")))
    assert [finding.status for finding in seen] == [text.status]
    anchor = text.anchor if text.fix else ""
    assert [finding.link.partition("#")[2] for finding in seen] == [anchor]


def test_pods_that_run_different_corefiles() -> None:
    others = [
        coredns({}, live.Reload(0, hash_))._replace(server=Server(f"10.0.0.{n}", 53)) for n, hash_ in enumerate("ab")
    ]
    seen = live.findings(others, live.Text(None, COREFILE, 5.0, "kube-system", "deployment/coredns"))
    assert [finding.link.partition("#")[2] for finding in seen] == [texts.DIFFERENT.anchor]


def test_a_wrong_answer_is_said_of_that_server() -> None:
    (finding,) = live.answered(
        [coredns(WRONG, None)], "host a.example.com", "hairpin-proxy.hairpin-proxy.svc.cluster.local"
    )
    assert finding.status is Status.FAIL
    assert "10.244.0.53:53 answers host a.example.com with 192.0.2.1" in finding.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (COREFILE, True),
        ("(a) {\n    errors\n}\n.:53 {\n    import a\n}\n", False),
        (".:{$PORT} {\n    errors\n}\n", False),
        (".:53 {\n    forward . {$UPSTREAM}\n}\n", False),
    ],
)
def test_which_fingerprints_can_be_told(text: str, told: bool) -> None:
    assert (fingerprint(text) is not None) is told


# ---- coredns


def test_a_manager_is_named() -> None:
    item = {"metadata": {"labels": {"eks.amazonaws.com/component": "coredns"}, "namespace": "kube-system"}}
    seen = list(configuration.findings(state(COREFILE + "\n", **item), None, "deployment/coredns"))
    assert any("the EKS add-on" in finding.message for finding in seen)


def test_whoever_wrote_it_once_is_no_manager() -> None:
    entry = {"manager": "kubeadm", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {"f:Corefile": {}}}}
    item = {"metadata": {"managedFields": [entry], "namespace": "kube-system"}}
    seen = list(configuration.findings(state(COREFILE.replace("}", "    reload\n}"), **item), None, "x"))
    assert [finding.status for finding in seen] == [Status.OK]


def test_a_corefile_that_is_mounted_by_sub_path() -> None:
    name = ConfigMapName("kube-system", "coredns")
    mounted = Location(
        "Deployment kube-system/coredns", "kube-dns", name, "Corefile", "/etc/coredns", (), version=None, updates=False
    )
    seen = list(configuration.findings(state(COREFILE.replace("}", "    reload\n}")), mounted, "deployment/coredns"))
    assert [finding.status for finding in seen] == [Status.OK, Status.FAIL]
    assert seen[1].fix.endswith("kubectl -n kube-system rollout restart deployment/coredns")


def test_a_configmap_that_is_nearly_full() -> None:
    text = COREFILE.replace("}", "    reload\n}") + "#" * 900_000
    seen = list(configuration.findings(state(text), None, "x"))
    assert [finding.status for finding in seen] == [Status.OK, Status.WARN]


# ---- rules

PLAN = Plan(Rules(DESTINATION))
HOSTS = frozenset({"a.example.com", "b.example.com"})
RUNS = {"metadata": {"name": "hairpin-proxy-controller"}, "spec": {"replicas": 1}}
AROUND = rules.Circumstances("hairpin-proxy", Settings(), waits=False, age=None, controller=RUNS)


def judged(*ruled: str, hosts: Collection[str] = HOSTS) -> rules.Judged:
    """A Corefile with rules for some hosts, where these may be redirected."""
    return rules.judge(PLAN, state(render(KUBEADM, ruled, Writing_(DESTINATION))), hosts)


@pytest.mark.parametrize(
    ("seen", "around", "text"),
    [
        (judged(*HOSTS), AROUND, texts.RULES),
        (judged(hosts=()), AROUND, texts.NO_HOSTS),
        (judged("a.example.com"), AROUND, texts.RULES_MISSING),
        (judged("a.example.com"), AROUND._replace(waits=True), texts.RULES_WAIT),
        (judged("a.example.com"), AROUND._replace(settings=Settings(dry_run=True)), texts.DRY_RUN),
        (judged("a.example.com"), AROUND._replace(age=20.0), texts.RULES_COME),
        (judged("a.example.com"), AROUND._replace(age=60.0), texts.RULES_MISSING),
        (judged("a.example.com"), AROUND._replace(blames_rights=True), texts.FOLLOWS),
        (judged(*HOSTS, hosts=["a.example.com"]), AROUND, texts.RULES_STALE),
        (judged(*HOSTS), AROUND._replace(controller=Unseen("gone", 404)), texts.CONTROLLER_MISSING),
        (judged(*HOSTS), AROUND._replace(controller=Unseen("no right", 403)), texts.RULES),
        (judged(*HOSTS), AROUND._replace(controller={**RUNS, "spec": {"replicas": 0}}), texts.CONTROLLER_DOWN),
        (
            judged(*HOSTS),
            AROUND._replace(controller={**RUNS, "status": {"observedGeneration": 1}}),
            texts.CONTROLLER_DOWN,
        ),
        (
            judged(*HOSTS),
            AROUND._replace(controller={**RUNS, "status": {"observedGeneration": 1}}, blames_rights=True),
            texts.FOLLOWS,
        ),
    ],
)
def test_what_is_said_of_rules(seen: rules.Judged, around: rules.Circumstances, text: Text) -> None:
    said = min(rules.findings(seen, around), key=lambda finding: list(Status).index(finding.status))
    assert (said.status, said.link.partition("#")[2]) == (text.status, text.anchor if text.fix else "")


def test_whoever_wrote_the_corefile_last_is_named() -> None:
    fields: dict[str, object] = {"fieldsV1": {"f:data": {"f:Corefile": {}}}}
    entries = [
        {"manager": "hairpin-proxy", "time": "2026-01-01T00:00:00Z", **fields},
        {"manager": "eks", "time": "2026-01-02T00:00:00Z", **fields},
        {"manager": "kubectl-label", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
    ]
    assert max(writers({"metadata": {"managedFields": entries}}, "Corefile")) == ("2026-01-02T00:00:00Z", "eks")


# ---- haproxy


def test_restarts_and_versions_are_told() -> None:
    pod = {
        "metadata": {"name": "haproxy-1"},
        "status": {"containerStatuses": [{"restartCount": 4, "lastState": {"terminated": {"reason": "OOMKilled"}}}]},
    }
    assert "4 times, the last time for OOMKilled" in next(haproxy.restarts("hairpin-proxy", [pod])).message
    images = [
        {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": f"r:5000/x:{tag}"}]}}}}
        for tag in ("0.3.0", "0.4.0")
    ]
    assert list(haproxy.skew(images[0], images[0])) == []
    assert "r:5000/x:0.4.0" in next(haproxy.skew(*images)).message


def test_only_ready_endpoints_count() -> None:
    item = {
        "ports": [{"name": "http", "port": 8080}, {"name": "https", "port": 8443}],
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
            {"addresses": ["10.0.0.3"]},
        ],
    }
    assert haproxy.endpoints([item], haproxy.is_http) == [Server("10.0.0.1", 8080), Server("10.0.0.3", 8080)]


# ---- hosts


def test_what_somebody_chose_to_leave_out_is_counted_and_one_is_shown() -> None:
    chosen = [Remark(f"host '{name}' is left out: it is of another class", calm=True) for name in "ab"]
    (finding,) = leftout.findings(chosen)
    assert (finding.status, finding.message) == (
        Status.OK,
        "no host is left out, but for 2 hosts that settings or annotations leave out, such as: " + chosen[0].text,
    )
    (nothing,) = leftout.findings([])
    assert nothing.message == "no host is left out"
