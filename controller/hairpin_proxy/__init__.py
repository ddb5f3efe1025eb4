"""hairpin-proxy: lets pods reach their own cluster's public host names behind a PROXY-protocol load balancer."""

__version__ = "0.4.0"
