"""A whole node with a cloud in front of it, and small ways to use them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.api import Api, ApiError
from tests.cluster.cluster import INGRESS_NAMESPACE, INGRESS_SERVICE, ClusterError
from tests.cluster.control_plane import audit_events
from tests.cluster.install import locate
from tests.cluster.node import network
from tests.cluster.node.cloud import Cloud
from tests.cluster.node.containerd import ImageStore, choose_snapshotter
from tests.cluster.node.control_plane import ControlPlane
from tests.cluster.node.credentials import NODE_NAME
from tests.cluster.node.dns import KUBEADM, deployment_of, dns_objects
from tests.cluster.node.earlier import Earlier
from tests.cluster.node.images import all_images, earlier_images
from tests.cluster.node.namespaces import Namespaces, dying_with_us, open_namespaces
from tests.cluster.node.network import connect
from tests.cluster.node.runs import open_run
from tests.cluster.node.worker import Worker
from tests.cluster.processes import EndingSignals, Process, Processes, clean_environment, wait_until

HERE = Path(__file__).parent
COREFILE = "/api/v1/namespaces/kube-system/configmaps/coredns"
MANIFESTS = HERE / "manifests"
INGRESS_MANIFEST = MANIFESTS / "ingress-nginx.yml"
ROLLOUT = "--timeout=120s"
NODE_SECONDS = 180
HAIRPIN_SECONDS = 90


def quiet(_line: str) -> None:
    pass


class Node:
    """A context manager: a real node inside the with-block, and nothing left of it afterwards."""

    folder: Path
    kubeconfig: Path
    startup_seconds: float

    def __init__(
        self, progress: Callable[[str], None] = quiet, sync_frequency: str = "1m", like: str = KUBEADM
    ) -> None:
        self._progress = progress
        self._dns = dns_objects(like)
        self._sync_frequency = sync_frequency
        self._stack = ExitStack()
        self._signals = EndingSignals()

    # ---- coming and going

    def __enter__(self) -> Node:
        if os.geteuid() != 0:
            raise ClusterError("a whole node needs root: only root may open namespaces and cgroups")
        try:
            self._bring_up()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._signals.hold()
        self._stack.close()

    def _bring_up(self) -> None:
        self._start = time.monotonic()
        self._stack.enter_context(self._signals)
        self.folder = self._stack.enter_context(open_run())
        self._processes = Processes(self.folder)
        self._stack.callback(self._processes.close)
        snapshotter = self._provide_images()
        self._open_networks()
        worker = Worker(self.folder, self._processes, self._node)
        self._containerd = worker.start_containerd(snapshotter)
        self._start_kubernetes(worker)
        self.apply("\n---\n".join(map(json.dumps, self._dns)))
        self.wait_rolled_out("kube-system", deployment_of(self._dns))
        self._report("CoreDNS")
        self.startup_seconds = time.monotonic() - self._start

    def _report(self, what: str) -> None:
        self._progress(f"{time.monotonic() - self._start:5.1f} s  {what}")

    def _provide_images(self) -> str:
        """Puts all images where containerd will find them; returns how it is to keep them."""
        images = all_images(self._processes, self.folder, self._report)
        snapshotter = choose_snapshotter(self.folder)
        library = self.folder / "node" / "lib"
        library.mkdir(parents=True)
        ImageStore(self._processes, snapshotter, images).copy_to(library / "containerd", self._report)
        self._report("the images")
        return snapshotter

    def _open_networks(self) -> None:
        hosts = {"node": f"127.0.0.1 localhost\n{network.NODE} {NODE_NAME}\n", "cloud": "127.0.0.1 localhost\n"}
        for name, text in hosts.items():
            files = self.folder / name / "files"
            files.mkdir(parents=True)
            (files / "hosts").write_text(text)
            (files / "resolv.conf").write_text(f"nameserver {network.RESOLVER}\n")
        self._node = self._open("node")
        self._outside = self._open("cloud")
        connect(self._node, self._outside)
        self._cloud = Cloud(self.folder, self._processes, self._outside)
        self._cloud.start_resolver()
        self._report("the node's network, and a cloud in front of it")

    def _open(self, name: str) -> Namespaces:
        folder = self.folder / name
        setup = [str(HERE / f"setup-{name}"), str(folder / "files")]
        return self._stack.enter_context(open_namespaces(self._processes, name, folder, setup))

    def _start_kubernetes(self, worker: Worker) -> None:
        control_plane = ControlPlane(self.folder, self._processes, self._node)
        self._access = control_plane.start()
        self._audit_log = control_plane.audit_log
        self.kubeconfig = self._access.write_kubeconfig(self.folder / "cluster.kubeconfig")
        self._report("etcd and kube-apiserver")
        worker.start_kube_proxy(control_plane.credentials)
        kubelet = worker.start_kubelet(control_plane.credentials, self._sync_frequency)
        with self.api() as api:
            kubelet.wait_ready(lambda: _can_run_pods(api), NODE_SECONDS)
        self._report("the node is ready")

    # ---- where things are

    @property
    def address(self) -> str:
        """The node's."""
        return network.NODE

    @property
    def load_balancer(self) -> str:
        """The address that the load balancer has outside, and that every name under example.com leads to."""
        return network.LOAD_BALANCER

    @property
    def resolver(self) -> str:
        """The internet's DNS, at port 53."""
        return network.RESOLVER

    @property
    def gateway(self) -> str:
        """The cloud's own address: where the node reaches what `start_in_cloud` starts."""
        return network.GATEWAY

    @property
    def pid(self) -> int:
        """The first process in the node's namespaces: a way in from the machine."""
        return self._node.pid

    @property
    def cloud_pid(self) -> int:
        """The same for the cloud."""
        return self._outside.pid

    @property
    def api_url(self) -> str:
        return self._access.url

    @property
    def kubectl_path(self) -> str:
        return locate("kubectl")

    @contextlib.contextmanager
    def api(self) -> Iterator[Api]:
        """A connection to the API server as the administrator."""
        api = Api(self._access)
        try:
            yield api
        finally:
            api.close()

    # ---- what can be done with Kubernetes

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl prints as the administrator; with check, an error with what it complains about when it fails."""
        env = {"KUBECONFIG": str(self.kubeconfig)}
        return self._run([locate("kubectl"), *args], stdin=stdin, env=env, check=check).stdout

    def apply(self, manifest: str | Path) -> str:
        """Applies a manifest: a file's path, or the text itself."""
        if isinstance(manifest, Path):
            return self.kubectl("apply", "-f", str(manifest.resolve()))
        return self.kubectl("apply", "-f", "-", stdin=manifest)

    def wait_rolled_out(self, namespace: str, deployment: str) -> None:
        self.kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", ROLLOUT)

    def pod_exec(self, namespace: str, pod: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command in a pod (or deployment/NAME), and returns how it ended and what it said."""
        env = {"KUBECONFIG": str(self.kubeconfig)}
        return self._run([locate("kubectl"), "-n", namespace, "exec", pod, "--", *argv], env=env, check=False)

    def corefile(self) -> str:
        """The ConfigMap's Corefile as it is now."""
        with self.api() as api:
            return str(api.get(COREFILE)["data"]["Corefile"])

    def write_corefile(self, text: str) -> None:
        """Makes this the ConfigMap's Corefile."""
        with self.api() as api:
            api.merge_patch(COREFILE, {"data": {"Corefile": text}})

    def audit(self) -> list[dict[str, Any]]:
        """What ServiceAccounts have asked of the API server since `forget_audit`, as its audit log has it."""
        return audit_events(self._audit_log)

    def forget_audit(self) -> None:
        self._audit_log.write_text("")

    def add_version(self, earlier: Earlier) -> None:
        """Gives the node the images of an earlier version, which are built the first time."""
        for image in earlier_images(earlier, self._processes, self.folder, self._report):
            self._containerd.load(image)

    def start_ingress_controller(self, manifest: str | Path = INGRESS_MANIFEST) -> None:
        """Applies the ingress controller's manifest, and gives its Service the load balancer as a cloud does."""
        self.apply(manifest)
        with self.api() as api:
            path = f"/api/v1/namespaces/{INGRESS_NAMESPACE}/services/{INGRESS_SERVICE}"
            ports = api.get(path)["spec"]["ports"]
            self._cloud.start_load_balancer({port["port"]: port["nodePort"] for port in ports})
            api.merge_patch(f"{path}/status", {"status": {"loadBalancer": {"ingress": [{"ip": self.load_balancer}]}}})
        self.wait_rolled_out(INGRESS_NAMESPACE, INGRESS_SERVICE)
        if not wait_until(self._hairpins, HAIRPIN_SECONDS):
            raise ClusterError(f"kube-proxy has no rule for {self.load_balancer}")

    def _hairpins(self) -> bool:
        """Whether what goes to the load balancer stays on the node, which is what all this is about."""
        return f" {self.load_balancer}/32 " in self.run_on_node([locate("iptables-save"), "--table", "nat"]).stdout

    # ---- what can be done around it

    def run_on_node(self, argv: Sequence[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command as a process of the node's host: with its files, network and processes."""
        return self._run(self._node.enter(argv), check=check)

    def run_in_cloud(self, argv: Sequence[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command out on the internet."""
        done = self._cloud.run(argv)
        return _checked(argv, done) if check else done

    def start_on_node(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        """Starts a process that ends with the node; what it says goes to NAME.log in the node's folder."""
        return self._processes.start(name, self._node.enter(argv), env=env)

    def start_in_cloud(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        return self._cloud.start(name, argv, env)

    @property
    def hosts_file(self) -> Path:
        """The node's own, not the machine's."""
        return Path("/proc", str(self._node.pid), "root", "etc", "hosts")

    def etc_hosts(self) -> bytes:
        """What it holds now."""
        return self.hosts_file.read_bytes()

    def _run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(self.folder) | dict(env or {})
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        # kubectl runs outside of the namespaces, and waits for minutes for a node that is gone.
        command = dying_with_us(argv)
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, **given)
        return _checked(argv, done) if check else done


def _checked(argv: Sequence[str], done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip()
        raise ClusterError(f"{' '.join(argv)} failed with status {done.returncode}:\n{said}")
    return done


def _can_run_pods(api: Api) -> bool:
    """Whether the node takes pods, and the namespace `default` has the account that a bare Pod runs as."""
    try:
        api.get("/api/v1/namespaces/default/serviceaccounts/default")
        conditions = api.get(f"/api/v1/nodes/{NODE_NAME}")["status"].get("conditions", [])
    except ApiError:
        return False
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
