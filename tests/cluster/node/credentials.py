"""The cluster's certificates, and the tokens that its parts and the administrator show to the API server."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from tests.cluster.api import Access
from tests.cluster.install import locate
from tests.cluster.node import network
from tests.cluster.processes import clean_environment

NODE_NAME = "node"
# Who each of them is to the API server, with the group that gives it its rights.
USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
}
API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
API_ADDRESSES = ("127.0.0.1", network.NODE, network.API_SERVICE)


class Credentials:
    """Files below one folder: certificate authority, certificates, keys and one kubeconfig for each user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens = {name: secrets.token_hex(16) for name in USERS}

    @property
    def ca(self) -> Path:
        return self.certificate("ca")

    def certificate(self, name: str) -> Path:
        return self._folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    @property
    def tokens(self) -> Path:
        return self._folder / "tokens.csv"

    def access(self, port: int, user: str = "admin") -> Access:
        return Access(port, self._tokens[user], self.ca)

    def kubeconfig(self, user: str) -> Path:
        return self._folder / f"{user}.kubeconfig"

    def write(self, api_port: int) -> None:
        """Writes all of it; the kubeconfigs lead to this port on the node."""
        self._folder.mkdir()
        self._write_ca()
        names = [f"DNS:{name}" for name in API_NAMES] + [f"IP:{address}" for address in API_ADDRESSES]
        self._issue("apiserver", "/CN=kube-apiserver", "-addext", f"subjectAltName={','.join(names)}")
        self._issue("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        # kube-apiserver does not read the newer format of a key without a certificate.
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.key("sa")))
        lines = [f'{self._tokens[name]},{user},{name},"{group}"\n' for name, (user, group) in USERS.items()]
        self.tokens.write_text("".join(lines))
        for user in USERS:
            self.access(api_port, user).write_kubeconfig(self.kubeconfig(user))

    def _write_ca(self) -> None:
        self._openssl(*self._request("ca", "/CN=kubernetes"))

    def _issue(self, name: str, subject: str, *options: str) -> None:
        signer = ["-CA", str(self.ca), "-CAkey", str(self.key("ca"))]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
        self._openssl(*self._request(name, subject), *signer, *leaf, *options)

    def _request(self, name: str, subject: str) -> list[str]:
        argv = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        return [*argv, "-subj", subject, "-keyout", str(self.key(name)), "-out", str(self.certificate(name))]

    def _openssl(self, *args: str) -> None:
        environment = clean_environment(self._folder)
        subprocess.run([locate("openssl"), *args], env=environment, capture_output=True, check=True)
