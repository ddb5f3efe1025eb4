"""A proxy before the real API server that can answer a chosen call wrongly."""

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True)
class Fault:
    """A wrong answer to the calls with this method whose path contains this text."""

    method: str
    path: str
    status: int = 200
    body: bytes = b""
    cut: bool = False
    """Whether the connection ends in the middle of the body."""
    done: bool = False
    """Whether the server does first what it was asked to do."""
    stall: bool = False
    """Whether no answer comes at all."""
    drip: bool = False
    """Whether the body comes one byte at a time, for ever."""
    hush: bool = False
    """Whether the body does not go on, and does not end either."""


@dataclass
class FaultProxy:
    """Where it listens, and what it does wrong at the moment."""

    upstream: str
    authority: str
    """The certificate that it is checked by, as PEM."""
    token: str
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    url: str = ""

    def kubeconfig(self, folder: Path) -> Path:
        """For the ServiceAccount of the upstream kubeconfig, through this proxy."""
        path = folder / "faulty.kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "current-context": "faulty",
                    "contexts": [{"name": "faulty", "context": {"cluster": "faulty", "user": "faulty"}}],
                    "clusters": [{"name": "faulty", "cluster": {"server": self.url}}],
                    "users": [{"name": "faulty", "user": {"token": self.token}}],
                }
            )
        )
        return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.proxy.calls.append(f"{self.command} {self.path}")
        for fault in self.proxy.faults:
            if fault.method == self.command and fault.path in self.path:
                if fault.done:
                    self.ask(body)
                return self.fail(fault)
        if "watch=true" in self.path:
            return self.stream()
        return self.reply(*self.ask(body))

    do_GET = do_PATCH = answer  # noqa: N815 - the names that http.server calls

    @contextmanager
    def asked(self, body: bytes) -> Iterator[http.client.HTTPResponse]:
        address = urlsplit(self.proxy.upstream)
        context = ssl.create_default_context(cadata=self.proxy.authority)
        upstream = http.client.HTTPSConnection(address.hostname or "", address.port, context=context)
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers))
            yield upstream.getresponse()
        finally:
            upstream.close()

    def ask(self, body: bytes) -> tuple[int, bytes]:
        """The real API server's answer."""
        with self.asked(body) as response:
            return response.status, response.read()

    def stream(self) -> None:
        """The same, in pieces as they come."""
        with self.asked(b"") as response, suppress(OSError):
            self.begin(response.status)
            while piece := response.read1(65536):
                self.send(piece)
            self.send(b"")

    def begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def fail(self, fault: Fault) -> None:
        if fault.stall:
            self.hold(fault)
        elif fault.hush:
            self.begin(fault.status)
            self.send(fault.body or b" ")
            self.hold(fault)
        elif fault.drip:
            self.send_response(fault.status)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while fault in self.proxy.faults:
                self.wfile.write(b" ")
                time.sleep(0.1)
            self.close_connection = True
        elif fault.cut:
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(fault.body) + 100))
            self.end_headers()
            self.wfile.write(fault.body)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.reply(fault.status, fault.body)

    def hold(self, fault: Fault) -> None:
        while fault in self.proxy.faults:
            time.sleep(0.1)
        self.close_connection = True

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass


@contextmanager
def fault_proxy(kubeconfig: Path) -> Iterator[FaultProxy]:
    """A proxy before the API server that this kubeconfig names."""
    config = yaml.safe_load(kubeconfig.read_text())
    upstream = config["clusters"][0]["cluster"]
    authority = base64.b64decode(upstream["certificate-authority-data"]).decode()
    proxy = FaultProxy(upstream["server"], authority, config["users"][0]["user"]["token"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.faults.clear()
        server.shutdown()
        server.server_close()


def status(code: int, reason: str, message: str) -> bytes:
    """A Status object as the API server sends it."""
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
    ).encode()
