"""The control plane of the node: etcd, kube-apiserver, controllers and scheduler, all at the ports they always have."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.cluster.api import Access, answers
from tests.cluster.control_plane import AUDIT_POLICY, ISSUER
from tests.cluster.install import locate
from tests.cluster.node import network
from tests.cluster.node.credentials import Credentials
from tests.cluster.node.namespaces import Namespaces
from tests.cluster.processes import Process, Processes

API_PORT = 6443
ETCD = "http://127.0.0.1:2379"
ETCD_PEER = "http://127.0.0.1:2380"

# Binds a socket that was opened elsewhere: outside of the node's namespaces.
DOOR = """\
listen door
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    bind fd@{door}
    server kube-apiserver 127.0.0.1:{port}
"""


class ControlPlane:
    """Starts all four of them, and gives the administrator a way in from the machine."""

    def __init__(self, folder: Path, processes: Processes, node: Namespaces) -> None:
        self._folder = folder
        self._processes = processes
        self._node = node
        self.credentials = Credentials(folder / "credentials")

    @property
    def audit_log(self) -> Path:
        return self._folder / "audit.log"

    def start(self) -> Access:
        """Returns the administrator's access from the machine, once the API server answers there."""
        self.credentials.write(API_PORT)
        self._start_etcd()
        api_server = self._start_api_server()
        self._start_controllers()
        access = self.credentials.access(self._open_door())
        api_server.wait_ready(lambda: answers(access), 60)
        return access

    def _start(self, name: str, *options: str) -> Process:
        # Debian's etcd 3.4 wants this word before it runs on arm64.
        env = {"ETCD_UNSUPPORTED_ARCH": "arm64"}
        return self._processes.start(name, self._node.enter([locate(name), *options]), env=env)

    def _start_etcd(self) -> None:
        options = ["--name=node", f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync"]
        options += [f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}"]
        options += [f"--listen-peer-urls={ETCD_PEER}", f"--initial-advertise-peer-urls={ETCD_PEER}"]
        self._start("etcd", *options, f"--initial-cluster=node={ETCD_PEER}")

    def _start_api_server(self) -> Process:
        certs = self.credentials
        policy = self._folder / "audit.json"
        policy.write_text(json.dumps(AUDIT_POLICY))
        options = [f"--etcd-servers={ETCD}", f"--secure-port={API_PORT}", f"--advertise-address={network.NODE}"]
        options += [f"--tls-cert-file={certs.certificate('apiserver')}"]
        options += [f"--tls-private-key-file={certs.key('apiserver')}"]
        options += [f"--client-ca-file={certs.ca}", f"--token-auth-file={certs.tokens}"]
        options += [f"--kubelet-client-certificate={certs.certificate('apiserver-kubelet-client')}"]
        options += [f"--kubelet-client-key={certs.key('apiserver-kubelet-client')}"]
        options += ["--kubelet-preferred-address-types=InternalIP", "--authorization-mode=Node,RBAC"]
        options += ["--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"]
        options += [f"--service-account-key-file={certs.key('sa')}", f"--service-account-issuer={ISSUER}"]
        options += [f"--service-account-signing-key-file={certs.key('sa')}"]
        options += [f"--service-cluster-ip-range={network.SERVICES}"]
        options += [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}"]
        return self._start("kube-apiserver", *options)

    def _start_controllers(self) -> None:
        certs = self.credentials
        common = ["--leader-elect=false", "--bind-address=127.0.0.1"]
        self._start("kube-scheduler", f"--kubeconfig={certs.kubeconfig('kube-scheduler')}", *common)
        options = [f"--kubeconfig={certs.kubeconfig('kube-controller-manager')}", *common]
        options += ["--use-service-account-credentials", f"--root-ca-file={certs.ca}"]
        options += [f"--service-account-private-key-file={certs.key('sa')}"]
        options += [f"--cluster-signing-cert-file={certs.ca}", f"--cluster-signing-key-file={certs.key('ca')}"]
        options += ["--allocate-node-cidrs", f"--cluster-cidr={network.PODS}"]
        self._start("kube-controller-manager", *options, f"--service-cluster-ip-range={network.SERVICES}")

    def _open_door(self) -> int:
        """Opens a port on the machine's loopback that leads to the API server; returns its number."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as door:
            config = self._folder / "door.cfg"
            config.write_text(DOOR.format(door=door.fileno(), port=API_PORT))
            argv = self._node.enter([locate("haproxy"), "-db", "-f", str(config)])
            self._processes.start("door", argv, pass_fds=[door.fileno()])
            return int(door.getsockname()[1])
