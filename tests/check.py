"""`make check`'s last part: haproxy.cfg by HAProxy itself, the manifests by a real API server.

Ends with 1 on a finding.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.cluster import ClusterError, LocalCluster
from tests.cluster.install import locate

ROOT = Path(__file__).parents[1]
HAPROXY_CFG = ROOT / "haproxy" / "haproxy.cfg"
MANIFESTS = sorted(ROOT.glob("deploy*.yml"))


def haproxy() -> None:
    """In each of its forms; a warning counts as an error."""
    argv = [locate("haproxy"), "-c", "-dW", "-f", str(HAPROXY_CFG)]
    for protocol in ("v1", "v2", "off"):
        environment = os.environ | {"PROXY_PROTOCOL": protocol}
        done = subprocess.run(argv, env=environment, text=True, capture_output=True, check=False)
        said = done.stdout + done.stderr
        if done.returncode or "WARNING" in said:
            raise ClusterError(f"{' '.join(argv)} says with PROXY_PROTOCOL={protocol}:\n{said}")
    print(f"{HAPROXY_CFG.name}: no warning")


def manifests() -> None:
    """The API server's own validation, as far as it goes without storing anything, and then with it."""
    with LocalCluster() as cluster:
        # It must be there before anything can be tried out in it.
        cluster.kubectl("create", "namespace", "hairpin-proxy")
        for source in (*(["-f", str(manifest)] for manifest in MANIFESTS), ["-k", str(ROOT)]):
            print(cluster.kubectl("apply", "--dry-run=server", "--validate=strict", *source), end="")


def main() -> int:
    try:
        haproxy()
        manifests()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
