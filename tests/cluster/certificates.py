"""Certificates for what the tests serve by TLS. Each one is its own authority: trust it, and nothing else."""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.install import locate
from tests.cluster.processes import clean_environment


@dataclass(frozen=True)
class Certificate:
    """Two files in PEM."""

    certificate: Path
    key: Path

    def secret(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """The TLS Secret of an Ingress, as an object."""
        files = {"tls.crt": self.certificate, "tls.key": self.key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()},
        }


def make_certificate(folder: Path, *names: str) -> Certificate:
    """A certificate for host names and IP addresses, in files that are called like the first of them."""
    made = Certificate(folder / f"{names[0]}.crt", folder / f"{names[0]}.key")
    argv = [locate("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    argv += ["-days", "2", "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={','.join(map(_san, names))}"]
    argv += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(argv, env=clean_environment(folder), capture_output=True, check=True)
    return made


def _san(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
