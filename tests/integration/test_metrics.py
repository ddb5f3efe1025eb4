"""What the controller serves of itself, with a real API server behind it."""

import re
import shlex
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml

from hairpin_proxy import __version__, wiring
from hairpin_proxy.configuration import LIMIT
from hairpin_proxy.settings import resolve
from tests.cluster.processes import Process, wait_until
from tests.corefiles import rule
from tests.hostsfiles import NODE
from tests.integration.conftest import ROOT, World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy, status
from tests.integration.watched import watched

MONITORING = ROOT / "docs" / "monitoring.md"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
DOCUMENT = "{key Corefile of ConfigMap kube-system/coredns}"


def test_a_write_and_what_it_leaves_out(world: World) -> None:
    with watched(world) as controller:
        eventually(lambda: controller.counted("polls_total{unchanged}") > 0)
        before = controller.samples()
        assert (before["hosts{ingress}"], before[f"corefile_bytes{DOCUMENT}"]) == (0, len(world.original.encode()))
        world.apply(ingress("web", "a.example.com", "b.example.com", "kubernetes.default.svc"))
        eventually(lambda: controller.counted("hosts{ingress}") == 2)
        found = controller.samples()
        corefile = world.cluster.corefile()
        assert rule("b.example.com") in corefile
        assert (found["hosts{gateway}"], found["hosts{none}"]) == (0, 0)
        assert (found["hosts_left_out{false}{protected}"], found["hosts_left_out{false}{document}"]) == (1, 0)
        assert (found["polls_total{written}"], found[f"writes_total{DOCUMENT}"], found["reverts_total"]) == (1, 1, 0)
        assert found[f"corefile_bytes{DOCUMENT}"] == len(corefile.encode())
        assert LIMIT / 2 < found[f"corefile_limit_bytes{DOCUMENT}"] <= LIMIT
        assert abs(found["last_successful_poll_timestamp_seconds"] - time.time()) < 30
        assert found["poll_duration_seconds_count"] >= 2
        assert found[f"build_info{{{__version__}}}"] == 1
        assert controller.probes() == (200, 200)


def test_a_revert_is_seen(world: World) -> None:
    world.apply(ingress("web", "a.example.com"))
    with watched(world) as controller:
        eventually(lambda: rule("a.example.com") in world.cluster.corefile())
        world.write_corefile(world.original)
        eventually(lambda: controller.counted("reverts_total") == 1)
        eventually(lambda: rule("a.example.com") in world.cluster.corefile())
        assert controller.counted(f"writes_total{DOCUMENT}") == 2


AWAY = {
    "none": Fault("GET", "/", cut=True),
    "503": Fault("GET", "/", 503, status(503, "ServiceUnavailable", "away")),
    "403": Fault("GET", "/", 403, status(403, "Forbidden", "not you")),
}


@pytest.mark.parametrize(("code", "fault"), AWAY.items(), ids=AWAY)
def test_while_the_api_server_is_away_the_loop_turns_and_failures_count(
    world: World, faulty: FaultProxy, tmp_path: Path, code: str, fault: Fault
) -> None:
    world.apply(ingress("web", "a.example.com"))
    with watched(world, kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: controller.counted("polls_total{unchanged}") > 0)
        faulty.faults.append(fault)
        eventually(lambda: controller.counted("polls_total{failed}") > 2)
        found = controller.samples()
        assert found[f"api_errors_total{{{code}}}"] > 2
        assert found["hosts{ingress}"] == 1
        stands = found["last_successful_poll_timestamp_seconds"]
        time.sleep(1)
        assert controller.counted("last_successful_poll_timestamp_seconds") == stands
        assert controller.probes() == (200, 200)
        faulty.faults.clear()
        eventually(lambda: controller.counted("last_successful_poll_timestamp_seconds") > stands)


def test_it_is_not_ready_before_the_first_good_poll(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    faulty.faults.append(Fault("GET", INGRESSES, 500, status(500, "InternalError", "away")))
    with watched(world, kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: controller.counted("polls_total{failed}") > 1)
        assert controller.probes() == (200, 503)
        assert controller.get("/readyz") == (503, "not ready: no poll has succeeded yet, and the log says why\n")
        assert re.fullmatch(r"ok: a (poll|pause) began \d s ago\n", controller.get("/healthz")[1])
        assert controller.counted("last_successful_poll_timestamp_seconds") == 0
        faulty.faults.clear()
        eventually(lambda: controller.probes() == (200, 200))


def test_a_poll_that_hangs_is_no_reason_to_be_restarted(world: World, faulty: FaultProxy, tmp_path: Path) -> None:
    with watched(world, kubeconfig=faulty.kubeconfig(tmp_path)) as controller:
        eventually(lambda: controller.probes() == (200, 200))
        faulty.faults.append(Fault("GET", "/", stall=True))
        eventually(lambda: re.match("ok: a poll began [3-9] s ago", controller.get("/healthz")[1]))
        assert controller.probes() == (200, 200)


def test_other_paths_and_methods(world: World) -> None:
    with watched(world) as controller:
        assert controller.get("/")[0] == 404
        assert controller.get("/metrics/x")[0] == 404
        assert controller.get("/metrics?name=x")[0] == 200
        assert controller.get("/healthz", method="HEAD") == (200, "")
        assert controller.get("/healthz", method="POST")[0] == 501
        if socket.has_dualstack_ipv6():
            assert controller.get("/healthz", "::1")[0] == 200
        assert "GET" not in controller.process.log.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_one_address_only(world: World, host: str) -> None:
    with watched(world, host=host) as controller, pytest.raises(ConnectionRefusedError):
        controller.get("/healthz", "127.0.0.2")


@pytest.mark.parametrize("host", ["", "127.0.0.1", "192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_cannot_be_had_ends_the_program_with_2(world: World, host: str) -> None:
    world.apply(ingress("web", "a.example.com"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"{host}:{taken.getsockname()[1]}"
        controller = world.controller("--metrics-address", address)
        try:
            assert wait_until(lambda: not controller.running, 60)
        finally:
            controller.stop()
        assert controller.exit_code == 2
        start, error = controller.log.read_text().splitlines()
        assert " INFO hairpin-proxy " in start
        assert f" ERROR --metrics-address {address} cannot be listened on: " in error
        assert "(it takes another one, or off)" in error
        assert world.cluster.corefile() == world.original
        # A single poll serves nothing, and so needs no port.
        assert world.once("--metrics-address", address).returncode == 0


def listens(process: Process) -> bool:
    """Whether any of its sockets waits for connections, by what the kernel says."""
    listening = set()
    for family in ("tcp", "tcp6"):
        for row in Path(f"/proc/{process.pid}/net/{family}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A":
                listening.add(f"socket:[{fields[9]}]")
    return any(str(entry.readlink()) in listening for entry in Path(f"/proc/{process.pid}/fd").iterdir())


@pytest.mark.parametrize("word", ["", "off"])
def test_switched_off_it_opens_no_port(world: World, word: str) -> None:
    world.apply(ingress("web", "a.example.com"))
    with world.running("--metrics-address", word) as controller:
        eventually(lambda: rule("a.example.com") in world.cluster.corefile())
        assert not listens(controller)
    with watched(world) as served:
        assert listens(served.process)


def test_in_a_pod_whose_probes_nobody_answers_it_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for file, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "hairpin-proxy")):
        (tmp_path / file).write_text(text)
    monkeypatch.setattr(wiring, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    wiring.controller(resolve({"metrics_address": "off", "once": True}, {}))
    assert not caplog.messages
    wiring.controller(resolve({"metrics_address": "off"}, {}))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("--metrics-address off does not answer the probes of the manifests")


def test_outside_of_a_pod_there_are_no_probes_to_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    wiring.controller(resolve({"metrics_address": "off", "kubeconfig": str(world.kubeconfig)}, {}))
    assert not caplog.messages


def test_the_commands_of_the_docs_take_the_probes_away(world: World) -> None:
    commands = re.findall(r"^kubectl (-n hairpin-proxy patch .+)$", MONITORING.read_text(), re.MULTILINE)
    assert len(commands) == 2
    daemonset = ROOT / "deploy-etchosts-daemonset.yml"
    world.cluster.apply(daemonset)
    try:
        for command in commands:
            patched = yaml.safe_load(world.cluster.kubectl(*shlex.split(command), "--dry-run=server", "-o", "yaml"))
            (container,) = patched["spec"]["template"]["spec"]["containers"]
            assert "image" in container
            assert not [key for key in container if key.endswith("Probe")]
    finally:
        world.cluster.kubectl("delete", "--wait=false", "-f", str(daemonset))


def test_switched_off_it_loads_nothing_for_it(world: World) -> None:
    code = (
        "import sys, hairpin_proxy.cli; "
        f"hairpin_proxy.cli.main(['run', '--once', '--kubeconfig', {str(world.kubeconfig)!r}]); "
        "sys.exit('prometheus_client' in sys.modules)"
    )
    process = world.cluster.start("unloaded", [sys.executable, "-c", code])
    assert wait_until(lambda: not process.running, 30)
    assert process.exit_code == 0


def test_a_nodes_controller_serves_it_too(world: World, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(NODE)
    world.apply(ingress("web", "a.example.com", "*.example.com"))
    with watched(world, "--etc-hosts", str(path)) as controller:
        eventually(lambda: controller.counted("hosts{ingress}") == 1)
        found = controller.samples()
        assert found["hosts_left_out{false}{wildcard}"] == 1
        assert found[f"writes_total{{{path}}}"] == 1
        assert not [name for name in found if name.startswith("corefile")]
        assert controller.probes() == (200, 200)
