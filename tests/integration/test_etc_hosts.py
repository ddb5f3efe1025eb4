"""A node's hosts file: with a real API server, the rights of its DaemonSet, and the C library as its reader."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from hairpin_proxy.hostsfile import render
from tests.cluster.processes import wait_until
from tests.hostsfiles import IPV4, IPV6, NODE, TAG
from tests.integration.conftest import DAEMONSET, DEPLOY, EVERY_SOURCE, NODE_ACCOUNT, World, eventually, ingress

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(DAEMONSET.read_text()))
NAME = "hairpin-proxy-etchosts-controller"


def lines(world: World, *hosts: str) -> str:
    address = world.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
    return "".join(f"{address} {host} # Added by hairpin-proxy\n" for host in hosts)


def state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_a_line_for_each_tls_host_and_every_other_byte_as_before(world: World, node: Path, path: Path) -> None:
    version = world.version()
    world.apply(ingress("b", "b.example.com", "a.example.com"), ingress("a", "a.example.com", "node-1.example.net"))
    done = world.once("--etc-hosts", str(path), kubeconfig=node)
    assert done.returncode == 0, done.stderr
    assert path.read_text() == NODE + lines(world, "a.example.com", "b.example.com")
    assert "+" + lines(world, "b.example.com") in done.stderr
    assert (
        f"{path}: host node-1.example.net is left out: the line '127.0.1.1\\tnode-1.example.net node-1'" in done.stderr
    )

    world.delete("b")
    assert world.once("--etc-hosts", str(path), kubeconfig=node).returncode == 0
    assert path.read_text() == NODE + lines(world, "a.example.com")

    world.delete("a")
    assert world.once("--etc-hosts", str(path), kubeconfig=node).returncode == 0
    assert path.read_text() == NODE
    assert world.version() == version


def test_no_write_when_nothing_changed_nor_in_a_dry_run(world: World, node: Path, path: Path) -> None:
    world.apply(ingress("web", "a.example.com"))
    before = state(path)
    done = world.once("--etc-hosts", str(path), "--dry-run", kubeconfig=node)
    assert (done.returncode, state(path)) == (0, before)
    assert f"{path} would be updated, but this is a dry run:\n" in done.stderr

    world.once("--etc-hosts", str(path), kubeconfig=node)
    written = state(path)
    assert written[0] == before[0]
    done = world.once("--etc-hosts", str(path), kubeconfig=node)
    assert (done.returncode, state(path)) == (0, written)
    assert "updated" not in done.stderr


def test_it_follows_the_service_and_without_one_the_lines_stay(world: World, node: Path, path: Path) -> None:
    world.apply(ingress("web", "a.example.com"))
    controller = world.controller("--etc-hosts", str(path), kubeconfig=node)
    try:
        first = NODE + lines(world, "a.example.com")
        eventually(lambda: path.read_text() == first)
        world.cluster.kubectl("delete", "service", "hairpin-proxy", "-n", "hairpin-proxy")
        missing = f'services "hairpin-proxy" not found; without an address {path} is left as it is (apply deploy.yml'
        eventually(lambda: missing in controller.log.read_text())
        time.sleep(0.7)
        assert path.read_text() == first
        assert controller.log.read_text().count("ERROR poll failed:") == 1
        world.cluster.apply(DEPLOY)
        second = NODE + lines(world, "a.example.com")
        assert second != first
        eventually(lambda: path.read_text() == second)
    finally:
        world.cluster.apply(DEPLOY)
        controller.stop()


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "x.example.org"}])
def test_a_service_without_an_address_is_an_error_and_no_write(world: World, path: Path, spec: dict[str, Any]) -> None:
    name = f"without-{spec.get('type', 'address').lower()}"
    metadata = {"name": name, "namespace": "default"}
    world.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}
    )
    world.apply(ingress("web", "a.example.com"))
    flags = ["--etc-hosts", str(path), "--destination", f"{name}.default.svc.cluster.local"]
    done = world.once(*flags, kubeconfig=world.cluster.kubeconfig)
    assert done.returncode == 1
    assert f"Service default/{name} has no address of its own (type {spec.get('type', 'ClusterIP')}, " in done.stderr
    assert path.read_text() == NODE


def test_a_destination_that_is_no_service_is_refused_before_the_first_poll(world: World, path: Path) -> None:
    done = world.once("--etc-hosts", str(path), "--destination", "proxy.example.org")
    assert done.returncode == 2
    assert "--etc-hosts needs the addresses of a Service, and the destination proxy.example.org names" in done.stderr


def test_wildcards_are_said_once(world: World, node: Path, path: Path) -> None:
    world.apply(ingress("web", "*.example.com", "a.example.com"))
    controller = world.controller("--etc-hosts", str(path), "--log-level", "debug", kubeconfig=node)
    try:
        eventually(lambda: controller.log.read_text().count("is as it should be") > 2)
    finally:
        controller.stop()
    assert controller.log.read_text().count("host '*.example.com' is left out: it is a wildcard") == 1
    assert path.read_text() == NODE + lines(world, "a.example.com")


def test_the_first_poll_comes_at_a_random_moment_and_a_signal_ends_that_wait_too(
    world: World, node: Path, path: Path
) -> None:
    world.apply(ingress("web", "a.example.com"))
    controllers = [world.controller("--etc-hosts", str(path), interval="86400", kubeconfig=node) for _ in range(2)]
    try:
        said = "the first poll comes in "
        for controller in controllers:
            eventually(lambda controller=controller: said in controller.log.read_text())
        delays = [float(controller.log.read_text().partition(said)[2].split()[0]) for controller in controllers]
        assert delays[0] != delays[1]
        assert all(0 <= delay <= 86400 for delay in delays)
        controllers[0].send_signal(signal.SIGTERM)
        assert wait_until(lambda: not controllers[0].running, 5)
        assert controllers[0].exit_code == 0
        assert path.read_text() == NODE
    finally:
        for controller in controllers:
            controller.stop()


# ---- mounts: what only a real one shows, in a mount namespace of the process's own


def test_a_file_that_is_mounted_and_then_replaced_ends_the_process_with_1(
    world: World, node: Path, path: Path, tmp_path: Path, own_mounts: list[str]
) -> None:
    """As kubelet mounts a hostPath of type File, while somebody on the node renames a new file over it."""
    mounted, new = tmp_path / "mounted", tmp_path / "new"
    mounted.touch()
    world.apply(ingress("web", "a.example.com"))
    run = f'mount --bind {path} {mounted} && exec "$@"'
    argv = [*own_mounts, "sh", "-c", run, "sh", sys.executable, "-m", "hairpin_proxy", "run", "--interval", "0.3"]
    argv += ["--metrics-address", "", "--kubeconfig", str(node), "--etc-hosts", str(mounted)]
    controller = world.cluster.start("mounted", argv)
    try:
        eventually(lambda: "a.example.com" in path.read_text())
        assert mounted.read_text() == ""
        new.write_text(NODE)
        new.replace(path)
        assert wait_until(lambda: not controller.running, 10)
    finally:
        controller.stop()
    log = controller.log.read_text()
    assert controller.exit_code == 1, log
    assert log.count("ERROR") == 1
    assert f"ERROR hairpin-proxy ends: {mounted} was replaced by another file" in log
    assert path.read_text() == NODE


ON_A_SMALL_DISK = """
disk=$1 hosts=$2
shift 2
mount -t tmpfs -o size=4k tmpfs "$disk" && cp "$hosts" "$disk" || exit
"$@"
code=$?
cat "$disk/hosts"
exit $code
"""


def test_on_a_full_disk_the_old_bytes_are_put_back(
    world: World, node: Path, tmp_path: Path, own_mounts: list[str]
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" * 204 + "::1 x\n")  # ten bytes less than a page
    disk = tmp_path / "disk"
    disk.mkdir()
    world.apply(ingress("web", "a.example.com"))
    argv = [*own_mounts, "sh", "-c", ON_A_SMALL_DISK, "sh", str(disk), str(hosts)]
    argv += [sys.executable, "-m", "hairpin_proxy", "run", "--once", "--kubeconfig", str(node)]
    argv += ["--etc-hosts", f"{disk}/hosts"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=180, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{disk}/hosts cannot be written: No space left on device" in done.stderr
    assert "(make room on its file system)" in done.stderr
    assert done.stdout == hosts.read_text()


def getent(own_mounts: list[str], hosts: Path, name: str) -> set[str]:
    """What the C library finds in this file, put in the place of /etc/hosts."""
    run = f'mount --bind {hosts} /etc/hosts && exec getent -A -s files ahosts "$1"'
    done = subprocess.run([*own_mounts, "sh", "-c", run, "sh", name], text=True, capture_output=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    return {row.split()[0] for row in done.stdout.splitlines()}


FILES = {
    "a node's": NODE,
    "without a line break at its end": NODE + "192.0.2.1 last.example.com",
    "from Windows": NODE.replace("\n", "\r\n"),
    "torn by a crash": NODE + "\0" * 100,
    "of v0.2.1": NODE + f"10.96.0.3\ta.example.com gone.example.com {TAG}\n",
    "not UTF-8": NODE + "# \udce9\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_the_c_library_finds_what_we_wrote(tmp_path: Path, own_mounts: list[str], text: str) -> None:
    hosts = tmp_path / "hosts"
    text += "" if text.endswith(("com", "\0")) else "192.0.2.7\tB.example.com\t# mine\n"
    after = render(text, {"a.example.com", "b.example.com", "c.example.org"}, [IPV4, IPV6])
    hosts.write_bytes(after.encode(errors="surrogateescape"))
    assert getent(own_mounts, hosts, "a.example.com") == {"10.96.0.7", "fd00:96::7"}
    assert getent(own_mounts, hosts, "c.example.org") == {"10.96.0.7", "fd00:96::7"}
    assert getent(own_mounts, hosts, "b.example.com") == (
        {"192.0.2.7"} if "B.example" in text else {"10.96.0.7", "fd00:96::7"}
    )
    assert getent(own_mounts, hosts, "node-1") == {"127.0.1.1"}
    assert getent(own_mounts, hosts, "gone.example.com") == set()
    assert getent(own_mounts, hosts, "last.example.com") == ({"192.0.2.1"} if "last" in text else set())


# ---- the manifest


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = OBJECTS[-1]["spec"]["template"]["spec"]
    return spec


def test_the_reading_order() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in OBJECTS] == [
        ("ServiceAccount", f"{NAME}-sa"),
        ("ClusterRole", f"{NAME}-cr"),
        ("ClusterRoleBinding", f"{NAME}-crb"),
        ("Role", f"{NAME}-r"),
        ("RoleBinding", f"{NAME}-rb"),
        ("DaemonSet", NAME),
    ]


def test_it_has_no_object_of_the_default_install() -> None:
    """So that deleting it removes only itself."""
    default = yaml.safe_load_all(DEPLOY.read_text())
    names = {(item["kind"], item["metadata"]["name"]) for item in default}
    assert not names & {(item["kind"], item["metadata"]["name"]) for item in OBJECTS}


def test_it_is_root_without_any_capability_and_reaches_one_file_of_the_node() -> None:
    container = pod()["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["volumes"] == [{"name": "etc-hosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}]
    mount = container["volumeMounts"][0]["mountPath"]
    assert {"name": "ETC_HOSTS", "value": mount} in container["env"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod().keys()


def calls(world: World) -> set[tuple[str, str, str, str | None]]:
    """What the DaemonSet's ServiceAccount has asked, as the API server's audit log has it."""
    return {
        (event["verb"], reference.get("apiGroup", ""), reference["resource"], reference.get("name"))
        for event in world.cluster.audit()
        if event["user"]["username"] == f"system:serviceaccount:hairpin-proxy:{NODE_ACCOUNT}"
        for reference in [event["objectRef"]]
    }


@pytest.mark.usefixtures("gateway_api")
def test_the_rights_are_exactly_the_calls_that_are_made(world: World, node: Path, path: Path) -> None:
    """From the start of a controller to its end."""
    rights = {
        (verb, group, resource, name)
        for role in OBJECTS
        for rule in role.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [None])
    }
    world.apply(ingress("web", "a.example.com", ingressClassName="nginx"))
    world.cluster.forget_audit()
    where = ["--etc-hosts", str(path), "--install-namespace", "hairpin-proxy"]
    controller = world.controller(*where, *EVERY_SOURCE, kubeconfig=node)
    try:
        eventually(lambda: "a.example.com" in path.read_text())
        # An answer that goes on is in the log when it has begun.
        eventually(lambda: {call for call in rights if call[0] == "watch"} <= calls(world))
    finally:
        controller.stop()
    assert calls(world) == rights


def test_applying_over_v0_2_1_upgrades_it(world: World, node: Path) -> None:
    """Its DaemonSet, as its manifest had it, in what the upgrade must replace."""
    labels = {"app": NAME}
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": "hairpin-proxy", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "hairpin-proxy-controller-sa",
                    "securityContext": {"runAsUser": 0},
                    "containers": [
                        {
                            "name": "main",
                            "image": "compumike/hairpin-proxy-controller:0.2.1",
                            "command": ["/app/src/main.rb", "--etc-hosts", "/app/etchosts"],
                            "volumeMounts": [{"name": "etchosts", "mountPath": "/app/etchosts"}],
                        }
                    ],
                    "volumes": [{"name": "etchosts", "hostPath": {"path": "/etc/hosts", "type": "File"}}],
                },
            },
        },
    }
    kubectl = world.cluster.kubectl
    kubectl("delete", "daemonset", NAME, "-n", "hairpin-proxy")
    kubectl("apply", "-f", "-", stdin=json.dumps(theirs))
    world.cluster.apply(DAEMONSET)
    now = json.loads(kubectl("get", "daemonset", NAME, "-n", "hairpin-proxy", "-o", "json"))["spec"]["template"]["spec"]
    assert [volume["name"] for volume in now["volumes"]] == ["etc-hosts"]
    assert "command" not in now["containers"][0]
    assert [mount["name"] for mount in now["containers"][0]["volumeMounts"]] == ["etc-hosts"]
    assert now["serviceAccountName"] == NODE_ACCOUNT
