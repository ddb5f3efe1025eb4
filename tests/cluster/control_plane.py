"""etcd and kube-apiserver as processes on loopback, with an administrator's access to them."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
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


def audit_events(log: Path) -> list[dict[str, Any]]:
    """What an API server with this policy has written there."""
    # The last line may be half written.
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]]


class ControlPlane:
    """One etcd and one API server; the API server can be stopped and started again."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes
        self._token = secrets.token_hex(16)
        self._api_server: Process | None = None
        self._etcd: Process | None = None
        self.etcd_port = self._peer_port = 0
        self.access = Access(0, self._token, self.certificates / "apiserver.crt")

    @property
    def certificates(self) -> Path:
        """Where the API server keeps the one that it has made itself."""
        return self._folder / "apiserver"

    @property
    def _audit_log(self) -> Path:
        return self._folder / "audit.log"

    def audit(self) -> list[dict[str, Any]]:
        """The audit events since `forget_audit`."""
        return audit_events(self._audit_log)

    def forget_audit(self) -> None:
        self._audit_log.write_text("")

    def start(self) -> None:
        self._write_credentials()
        with_other_ports(self._start_etcd)
        with_other_ports(self._start_first_api_server)

    def _start_etcd(self) -> None:
        self.etcd_port, self._peer_port = free_port(), free_port()
        self.start_etcd()

    def start_etcd(self) -> None:
        """Starts etcd, on the ports it had before and with what is in its folder; returns when it answers."""
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        argv = [locate("etcd"), "--name=local", f"--data-dir={self.etcd_folder}", "--unsafe-no-fsync"]
        argv += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        argv += [f"--initial-cluster=local={peer}"]
        # Debian's etcd 3.4 wants this word before it runs on arm64.
        environment = {"ETCD_UNSUPPORTED_ARCH": "arm64"}
        self._etcd = self._processes.start("etcd", argv, env=environment, stop_signal=signal.SIGKILL)
        self._etcd.wait_ready(lambda: http_ok("127.0.0.1", self.etcd_port, "/health"))

    def stop_etcd(self) -> None:
        """Kills etcd and returns when its ports are free."""
        if self._etcd is not None:
            self._etcd.stop()
        _wait_for_ports("etcd", self.etcd_port, self._peer_port)

    def copy_etcd(self, folder: Path) -> None:
        """Copies what etcd knows now, while it does nothing."""
        if self._etcd is None:
            raise ProcessError("etcd was never started")
        self._etcd.send_signal(signal.SIGSTOP)
        try:
            shutil.copytree(self.etcd_folder, folder)
        finally:
            self._etcd.send_signal(signal.SIGCONT)

    @property
    def etcd_folder(self) -> Path:
        """Where etcd keeps all that it knows."""
        return self._folder / "etcd"

    def _write_credentials(self) -> None:
        self.certificates.mkdir()
        (self._folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        # kube-apiserver does not read the newer format that openssl genpkey writes.
        argv = [locate("openssl"), "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
        argv += ["-out", str(self._folder / "sa.key")]
        subprocess.run(argv, env=clean_environment(self._folder), capture_output=True, check=True)

        (self._folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))

    def _start_first_api_server(self) -> None:
        self.access = Access(free_port(), self._token, self.certificates / "apiserver.crt")
        self.start_api_server()

    def start_api_server(self) -> None:
        """Starts the API server, on the port and with the state it had before; returns when it answers."""
        key = self._folder / "sa.key"
        argv = [locate("kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self.etcd_port}"]
        argv += ["--bind-address=127.0.0.1", f"--secure-port={self.access.port}"]
        argv += [f"--cert-dir={self.certificates}", f"--token-auth-file={self._folder / 'tokens.csv'}"]
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
        _wait_for_ports("kube-apiserver", self.access.port)

    def forget_certificate(self) -> None:
        """The API server makes itself another one when it starts the next time."""
        shutil.rmtree(self.certificates)
        self.certificates.mkdir()

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


def _wait_for_ports(name: str, *ports: int) -> None:
    if not wait_until(lambda: all(map(_can_listen, ports)), 10):
        raise ProcessError(f"a port of {ports} is still taken after {name} ended")


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # As Go does it: connections that linger do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        probe.listen()
    return True
