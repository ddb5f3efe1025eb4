"""What the node's users see of a cloud: a load balancer that adds the PROXY header, and the internet's DNS."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.dns import PUBLIC_DOMAIN, dig_command, public_corefile
from tests.cluster.install import locate
from tests.cluster.node import network
from tests.cluster.node.namespaces import Namespaces
from tests.cluster.processes import Process, Processes, clean_environment

HAPROXY_CFG = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
"""

FORWARD = """
listen {port}
    bind {address}:{port}
    server node {node}:{node_port} send-proxy
"""


class Cloud:
    """Everything outside of the node, in a network of its own that only the node is connected to."""

    def __init__(self, folder: Path, processes: Processes, cloud: Namespaces) -> None:
        self._folder = folder
        self._processes = processes
        self._cloud = cloud

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(self._folder)
        inside = self._cloud.enter(argv)
        return subprocess.run(inside, env=environment, text=True, capture_output=True, check=False)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        return self._processes.start(name, self._cloud.enter(argv), env=env)

    def start_resolver(self) -> None:
        """Starts the DNS of the internet, where every name under example.com leads to the load balancer."""
        corefile = self._folder / "resolver.corefile"
        corefile.write_text(public_corefile(network.RESOLVER, 53, network.LOAD_BALANCER))
        process = self.start("resolver", [locate("coredns"), "-conf", str(corefile)])
        question = dig_command(network.RESOLVER, 53, PUBLIC_DOMAIN, "SOA")
        process.wait_ready(lambda: self.run(question).stdout != "")

    def start_load_balancer(self, node_ports: Mapping[int, int]) -> None:
        """Forwards each of the load balancer's ports to one of the node's."""
        config = self._folder / "load-balancer.cfg"
        addresses = {"address": network.LOAD_BALANCER, "node": network.NODE}
        forwards = [FORWARD.format(port=port, node_port=there, **addresses) for port, there in node_ports.items()]
        config.write_text(HAPROXY_CFG + "".join(forwards))
        process = self.start("load-balancer", [locate("haproxy"), "-db", "-f", str(config)])
        process.wait_ready(lambda: all(self._accepts(port) for port in node_ports))

    def _accepts(self, port: int) -> bool:
        connect = f": </dev/tcp/{network.LOAD_BALANCER}/{port}"
        return self.run([locate("bash"), "-c", connect]).returncode == 0
