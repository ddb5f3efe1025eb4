"""A real Kubernetes control plane, DNS and ingress controller as processes on loopback, without root."""
