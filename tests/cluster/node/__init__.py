"""A whole Kubernetes node in namespaces of its own, with a cloud in front of it; needs root."""
