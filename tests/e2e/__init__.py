"""The whole product on a real Kubernetes node, in images built from our Dockerfiles."""
