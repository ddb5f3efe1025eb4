"""Pebble, Let's Encrypt's small ACME server: what it takes to start it outside of the cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.certificates import Certificate, make_certificate
from tests.cluster.install import locate

PORT = 14000
MANAGEMENT_PORT = 15000


@dataclass(frozen=True)
class Pebble:
    """A command that is not started yet, and where the ACME client finds it then."""

    argv: Sequence[str]
    env: Mapping[str, str]
    directory: str
    certificate: Certificate


def prepare_pebble(folder: Path, address: str, dns_server: str) -> Pebble:
    """Writes configuration and certificate for an ACME server on this address, that finds the hosts by a DNS server
    (ADDRESS:PORT) and looks at their port 80."""
    certificate = make_certificate(folder, address)
    config = folder / "pebble.json"
    settings = {
        "listenAddress": f"{address}:{PORT}",
        "managementListenAddress": f"{address}:{MANAGEMENT_PORT}",
        "certificate": str(certificate.certificate),
        "privateKey": str(certificate.key),
        "httpPort": 80,
        "tlsPort": 443,
    }
    config.write_text(json.dumps({"pebble": settings}))
    argv = [locate("pebble"), "-config", str(config), "-dnsserver", dns_server]
    # Each order has a challenge of its own, and it is looked at at once.
    env = {"PEBBLE_AUTHZREUSE": "0", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    return Pebble(argv, env, f"https://{address}:{PORT}/dir", certificate)
