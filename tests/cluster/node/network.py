"""The addresses of the node, its pods and Services and the cloud in front of it; each node has them to itself."""

from __future__ import annotations

from tests.cluster.node.namespaces import Namespaces

NODE = "192.0.2.10"
NODE_IPV6 = "2001:db8::10"
GATEWAY = "192.0.2.1"
GATEWAY_IPV6 = "2001:db8::1"
LOAD_BALANCER = "203.0.113.10"
RESOLVER = "203.0.113.53"

API_SERVICE = "10.96.0.1"
CLUSTER_DNS = "10.96.0.10"
SERVICES = "10.96.0.0/16,fd00:96::/112"
PODS = "10.244.0.0/16,fd00:244::/56"
# The controller manager gives the only node the first of each.
NODES_PODS = ("10.244.0.0/24", "fd00:244::/64")

NODE_NETWORK = f"""\
link add eth0 type veth peer name eth0 netns {{cloud}}
address add {NODE}/24 dev eth0
address add {NODE_IPV6}/64 dev eth0 nodad
link set eth0 up
route add default via {GATEWAY}
route add default via {GATEWAY_IPV6}
"""

CLOUD_NETWORK = f"""\
address add {GATEWAY}/24 dev eth0
address add {GATEWAY_IPV6}/64 dev eth0 nodad
address add {LOAD_BALANCER}/32 dev eth0
address add {RESOLVER}/32 dev eth0
link set eth0 up
"""


def connect(node: Namespaces, cloud: Namespaces) -> None:
    """Joins the two by a cable, over which the node reaches whatever it has not itself."""
    node.configure_network(NODE_NETWORK.format(cloud=cloud.pid))
    cloud.configure_network(CLOUD_NETWORK)
