"""An app on the node, with an Ingress and a certificate of its own."""

from __future__ import annotations

import json

from tests.cluster.certificates import make_certificate
from tests.cluster.node.node import MANIFESTS, Node

HOST = "subdomain.example.com"
"""Of the Ingress in my-app.yml."""


def start_app(node: Node, name: str, host: str) -> None:
    """Applies NAME.yml and the Secret NAME-tls that its Ingress names; returns when the app is ready."""
    node.apply(json.dumps(make_certificate(node.folder, host).secret(f"{name}-tls")))
    node.apply(MANIFESTS / f"{name}.yml")
    node.wait_rolled_out("default", name)
