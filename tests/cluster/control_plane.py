"""etcd and kube-apiserver as processes on loopback, with an administrator's access to them."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import socket
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.cluster.api import Access, answers
from tests.cluster.install import locate
from tests.cluster.processes import (
    Process,
    ProcessError,
    Processes,
    clean_environment,
    free_port,
    http_ok,
    wait_until,
    with_other_ports,
)

SERVICE_RANGE = "127.96.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


class ControlPlane:
    """One etcd and one API server; the API server can be stopped and started again."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes
        self._token = secrets.token_hex(16)
        self._api_server: Process | None = None
        self.etcd_port = 0
        self.access = Access(0, self._token, self._certificates / "apiserver.crt")

    @property
    def _certificates(self) -> Path:
        return self._folder / "apiserver"

    @property
    def _audit_log(self) -> Path:
        return self._folder / "audit.log"

    def audit(self) -> list[dict[str, Any]]:
        """The audit events since `forget_audit`."""
        return [json.loads(line) for line in self._audit_log.read_text().splitlines()]

    def forget_audit(self) -> None:
        self._audit_log.write_text("")

    def start(self) -> None:
        self._write_credentials()
        with_other_ports(self._start_etcd)
        with_other_ports(self._start_first_api_server)

    def _start_etcd(self) -> None:
        self.etcd_port = free_port()
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        argv = [locate("etcd"), "--name=local", f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync"]
        argv += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        argv += [f"--initial-cluster=local={peer}"]
        # Debian's etcd 3.4 wants this word before it runs on arm64.
        process = self._processes.start("etcd", argv, env={"ETCD_UNSUPPORTED_ARCH": "arm64"})
        process.wait_ready(lambda: http_ok("127.0.0.1", self.etcd_port, "/health"))

    def _write_credentials(self) -> None:
        self._certificates.mkdir()
        (self._folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        # kube-apiserver does not read the newer format that openssl genpkey writes.
        argv = [locate("openssl"), "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
        argv += ["-out", str(self._folder / "sa.key")]
        subprocess.run(argv, env=clean_environment(self._folder), capture_output=True, check=True)

        (self._folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))

    def _start_first_api_server(self) -> None:
        self.access = Access(free_port(), self._token, self._certificates / "apiserver.crt")
        self.start_api_server()

    def start_api_server(self) -> None:
        """Starts the API server, on the port and with the state it had before; returns when it answers."""
        key = self._folder / "sa.key"
        argv = [locate("kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self.etcd_port}"]
        argv += ["--bind-address=127.0.0.1", f"--secure-port={self.access.port}"]
        argv += [f"--cert-dir={self._certificates}", f"--token-auth-file={self._folder / 'tokens.csv'}"]
        argv += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
        argv += [f"--service-account-issuer={ISSUER}", f"--service-cluster-ip-range={SERVICE_RANGE}"]
        argv += ["--authorization-mode=RBAC", "--endpoint-reconciler-type=none"]
        argv += [f"--audit-policy-file={self._folder / 'audit.json'}", f"--audit-log-path={self._audit_log}"]
        # SIGTERM would make it wait for every watch to end; all that it knows is in etcd.
        self._api_server = self._processes.start("kube-apiserver", argv, stop_signal=signal.SIGKILL)
        self._api_server.wait_ready(self._api_answers, 60)

    def _api_answers(self) -> bool:
        return self.access.ca.exists() and answers(self.access)

    def stop_api_server(self) -> None:
        """Stops the API server and returns when its port is free."""
        if self._api_server is not None:
            self._api_server.stop()
        if not wait_until(lambda: _can_listen(self.access.port), 10):
            raise ProcessError(f"port {self.access.port} is still taken after kube-apiserver ended")

    def etcd_put(self, key: str, value: bytes) -> None:
        """Writes to etcd behind the API server's back."""
        body = {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()}
        connection = HTTPConnection("127.0.0.1", self.etcd_port, timeout=10)
        try:
            connection.request("POST", "/v3/kv/put", json.dumps(body))
            answer = connection.getresponse()
            if answer.status != 200:
                raise ProcessError(f"etcd refused {key}: {answer.status} {answer.read().decode()}")
        finally:
            connection.close()


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # As Go does it: connections that linger do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()
    return True
