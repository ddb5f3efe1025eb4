"""What runs pods on the node: containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.install import locate
from tests.cluster.node import network
from tests.cluster.node.containerd import SOCKET, Containerd
from tests.cluster.node.credentials import NODE_NAME, Credentials
from tests.cluster.node.namespaces import Namespaces
from tests.cluster.node.runs import cgroup_of
from tests.cluster.processes import Process, Processes

CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": subnet}] for subnet in network.NODES_PODS],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


class Worker:
    """Starts the three of them."""

    def __init__(self, folder: Path, processes: Processes, node: Namespaces) -> None:
        self._folder = folder
        self._processes = processes
        self._node = node

    def start_containerd(self, snapshotter: str) -> Containerd:
        """Returns when it answers."""
        containerd = Containerd(self._folder, self._processes, self._node, snapshotter)
        containerd.cni.mkdir()
        (containerd.cni / "pods.conflist").write_text(json.dumps(CNI))
        containerd.start()
        return containerd

    def start_kubelet(self, credentials: Credentials, sync_frequency: str) -> Process:
        config = self._folder / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_settings(credentials, sync_frequency)))
        options = [f"--config={config}", f"--kubeconfig={credentials.kubeconfig('kubelet')}"]
        options += [f"--hostname-override={NODE_NAME}", f"--node-ip={network.NODE},{network.NODE_IPV6}"]
        return self._start("kubelet", *options)

    def _kubelet_settings(self, credentials: Credentials, sync_frequency: str) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(credentials.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_of(self._folder),
            "clusterDNS": [network.CLUSTER_DNS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "syncFrequency": sync_frequency,
            # The machine is a developer's: it may have swap, cgroup v1 and a disk that is nearly full.
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
        }

    def start_kube_proxy(self, credentials: Credentials) -> None:
        options = [f"--kubeconfig={credentials.kubeconfig('kube-proxy')}", f"--hostname-override={NODE_NAME}"]
        options += ["--proxy-mode=iptables", f"--cluster-cidr={network.PODS}"]
        # The sizes of the connection table belong to the whole machine.
        options += ["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"]
        self._start("kube-proxy", *options, "--conntrack-tcp-timeout-close-wait=0")

    def _start(self, name: str, *options: str) -> Process:
        return self._processes.start(name, self._node.enter([locate(name), *options]))
