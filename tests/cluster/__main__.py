"""`python -m tests.cluster`: a cluster to look at, until Ctrl-C."""

from __future__ import annotations

import signal
import sys

from tests.cluster.cluster import ClusterError, LocalCluster
from tests.cluster.install import InstallError
from tests.cluster.processes import ProcessError


def _show(line: str) -> None:
    print(line, flush=True)


def _describe(cluster: LocalCluster) -> None:
    _show(f"ready in {cluster.startup_seconds:.1f} s; Ctrl-C takes it all away again")
    _show(f"export KUBECONFIG={cluster.kubeconfig}")
    _show(f"API server          {cluster.api_url}")
    _show(f"etcd                {cluster.etcd_url}")
    _show(f"cluster's CoreDNS   {cluster.dns}   dig @{cluster.dns.replace(':', ' -p ')} subdomain.example.com")
    _show(f"ingress controller  {cluster.ingress.address}, HTTP {cluster.http_port}, HTTPS {cluster.https_port}")
    _show(f"logs                {cluster.folder}")


def main() -> int:
    try:
        with LocalCluster(_show) as cluster:
            _describe(cluster)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 130
    except (ClusterError, InstallError, ProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
