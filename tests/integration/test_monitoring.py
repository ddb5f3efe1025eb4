"""Alerts, dashboard and docs/monitoring.md, by the real promtool and what a controller and HAProxy serve."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.install import locate
from tests.integration.conftest import ROOT, World, eventually, ingress
from tests.integration.dataplane import Lab
from tests.integration.watched import watched

MONITORING = ROOT / "monitoring"
DOCS = (ROOT / "docs" / "monitoring.md").read_text()
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
EXPRESSIONS = [
    *(alert["expr"] for alert in ALERTS),
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
]


def promtool(*args: str, stdin: str | None = None, folder: Path = MONITORING) -> str:
    done = subprocess.run(
        [locate("promtool"), *args], input=stdin, cwd=folder, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[str]:
    """What a controller serves that has written a rule, in Prometheus's text format."""
    world: World = request.getfixturevalue("_session")
    world.apply(ingress("web", "a.example.com", "kubernetes.default.svc"))
    with watched(world) as controller:
        eventually(lambda: controller.counted("hosts{ingress}") == 1)
        yield controller.get("/metrics")[1]
    world.reset()


def families(text: str) -> set[str]:
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def series(text: str) -> set[str]:
    return set(re.findall(r"^([a-z_]+)(?:\{.*\})? ", text, re.MULTILINE))


def test_promtool_takes_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "alerts.yml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    cases = [(case["expr"], bool(case["exp_samples"])) for test in tests for case in test["promql_expr_test"]]
    for alert in ALERTS:
        assert {fires for expression, fires in cases if f'"{alert["alert"]}"' in expression} == {True, False}


def test_each_alert_says_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["annotations"].keys() == {"summary", "description"}
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
    rows = re.findall(r"^\| `(HairpinProxy\w+)` \| .+ \| .+ \|$", DOCS, re.MULTILINE)
    assert rows == [alert["alert"] for alert in ALERTS]


def test_promtool_takes_what_is_served(served: str) -> None:
    assert promtool("check", "metrics", stdin=served) == ""


def test_the_docs_list_what_is_served(served: str) -> None:
    rows = re.findall(r"^\| `(hairpin_proxy_\w+)` \|(.*?)\| .+ \|$", DOCS, re.MULTILINE)
    listed = {name: set(re.findall("`(.+?)`", labels)) for name, labels in rows}
    assert listed.keys() == {name for name in families(served) if name.startswith("hairpin_proxy_")}
    for name, labels in listed.items():
        lines = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", served, re.MULTILINE)
        assert {label for line in lines for label in re.findall(r'(\w+)="', line)} == labels, name


def test_alerts_and_dashboard_use_only_what_is_served(served: str, lab: Lab) -> None:
    haproxy = lab.haproxy()
    with urllib.request.urlopen(f"http://127.0.0.1:{haproxy.health}/metrics", timeout=5) as answer:
        theirs = answer.read().decode()
    used = {name for each in EXPRESSIONS for name in re.findall(r"\b(?:hairpin_proxy|haproxy|process)_\w+", each)}
    assert used <= series(served) | series(theirs)
    proxies = set(re.findall('proxy="(.+?)"', theirs))
    for pattern in {found for each in EXPRESSIONS for found in re.findall('proxy=~"(.+?)"', each)}:
        assert any(re.fullmatch(pattern, proxy) for proxy in proxies)


def test_prometheus_takes_each_expression_of_the_dashboard(tmp_path: Path) -> None:
    expressions = [each.replace("$__rate_interval", "1m") for each in EXPRESSIONS]
    rules = [{"record": f"x{number}", "expr": each} for number, each in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_the_dashboard_looks_back_as_far_as_the_scrapes_take() -> None:
    """A minute holds one scrape or two where they are a minute apart, of which nothing can be told."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert {found for each in panels for found in re.findall(r"\[(.+?)\]", each)} == {"$__rate_interval", "5m"}


def test_the_dashboard_tells_hosts_that_somebody_left_out_from_others() -> None:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert all("chosen=" in each for each in panels if "hosts_left_out" in each)


def test_the_dashboard_tells_jobs_apart_on_one_instance(tmp_path: Path) -> None:
    """Memory of the controller is that of its job, where another one has the same instance."""
    (memory,) = (each for each in EXPRESSIONS if "process_resident_memory_bytes" in each)
    series = {
        'process_resident_memory_bytes{job="a",instance="1"}': 7,
        'process_resident_memory_bytes{job="b",instance="1"}': 8,
        'hairpin_proxy_build_info{job="a",instance="1",version="v"}': 1,
    }
    case = {
        "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series.items()],
        "promql_expr_test": [
            {
                "expr": memory,
                "eval_time": "1m",
                "exp_samples": [{"labels": '{job="a",instance="1",version="v"}', "value": 7}],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [{"interval": "1m", **case}]}))
    promtool("test", "rules", "test.yml", folder=tmp_path)


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of its own, and its panels lie side by side."""
    assert [entry["type"] for entry in DASHBOARD["templating"]["list"]] == ["datasource"]
    panels = DASHBOARD["panels"]
    assert {each["datasource"]["uid"] for panel in panels for each in (panel, *panel["targets"])} == {"${datasource}"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23
