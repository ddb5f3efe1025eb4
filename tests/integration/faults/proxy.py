"""A proxy before the real API server that can answer a chosen call wrongly, or do something when one comes."""

import base64
import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True, eq=False)
class Fault:
    """A wrong answer to the calls with this method whose path contains this text; a space in it is the path's end."""

    method: str
    path: str
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether the connection ends in the middle of the body."""
    reset: bool = False
    """Whether it is reset in place of an answer."""
    done: bool = False
    """Whether the server does first what it was asked to do."""
    stall: bool = False
    """Whether no answer comes at all."""
    drip: bool = False
    """Whether the body comes one byte at a time, for ever."""
    hush: bool = False
    """Whether the body does not go on, and does not end either."""
    trickle: float = 0.0
    """Seconds that the server's own answer takes to come, in small pieces."""
    alter: Callable[[bytes], bytes] | None = None
    """What becomes of the server's own answer."""
    then: Callable[[], object] | None = None
    """What happens when such a call comes, and the call goes on; with `done`, when the server has answered it."""
    after: int = 0
    """How many such calls pass before it begins."""
    times: int | None = None
    """How many it is about; None for all."""


class Write(NamedTuple):
    """A change of a ConfigMap that was asked for."""

    path: str
    based_on: str
    """The resourceVersion that it is for."""
    data: Mapping[str, Any]
    status: int
    """What the server answered; whether that arrived is another question."""
    before: str | None = None
    """The Corefile that was last read with that resourceVersion, which may come twice where etcd is restored."""


@dataclass
class FaultProxy:
    """Where it listens, and what it does wrong at the moment."""

    upstream: str
    authority: str
    """The certificate that it is checked by, as PEM."""
    token: str
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """The Corefile by the resourceVersions with which it was read."""
    certificate: Path | None = None
    """What it shows from the next `listen` on, a PEM file with its key; None for plain HTTP."""
    streams: dict[socket.socket, str] = field(default_factory=dict)
    """Watches that are under way: their connections and paths."""
    url: str = ""
    port: int = 0
    _met: Counter[Fault] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None
    _open: set[socket.socket] = field(default_factory=set)

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

    def met(self, fault: Fault) -> int:
        """How many calls came that it is about."""
        return max(0, self._met[fault] - fault.after)

    def fault_of(self, method: str, path: str) -> Fault | None:
        """What goes wrong with this call."""
        with self._lock:
            for fault in self.faults:
                if fault.method != method or fault.path not in f"{path} ":
                    continue
                self._met[fault] += 1
                if fault.after < self._met[fault] <= fault.after + (1 << 60 if fault.times is None else fault.times):
                    return fault
        return None

    def listen(self) -> None:
        """Takes connections, always on the same port."""
        server = type("Server", (_Server,), {"proxy": self})
        self._server = server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"proxy": self}))
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            # The thread of each connection shakes hands, and not the one that takes them all.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self) -> None:
        """Takes no connection any more, and ends those that there are."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.hang_up()

    def hang_up(self) -> None:
        """Ends all connections, watches too, and takes new ones."""
        _shut(self._open)

    def end_watches(self) -> None:
        """Ends the connections of watches alone: no other call is cut off."""
        _shut(self.streams)


def _shut(connections: Iterable[socket.socket]) -> None:
    for connection in list(connections):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    proxy: FaultProxy

    def process_request(self, request: Any, client_address: Any) -> None:
        self.proxy._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.proxy._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who is killed in the middle of a call does not read on."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultProxy
    upstream: http.client.HTTPSConnection | None = None

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.proxy.calls.append(f"{self.command} {self.path}")
        fault = self.proxy.fault_of(self.command, self.path)
        if fault is not None:
            return self.meet(fault, body)
        return self.pass_on(body)

    do_GET = do_PATCH = do_POST = answer  # noqa: N815 - the names that http.server calls

    def pass_on(self, body: bytes) -> None:
        if "watch=true" in self.path:
            return self.stream()
        return self.reply(*self.ask(body))

    def meet(self, fault: Fault, body: bytes) -> None:
        if fault.then:
            answer = self.ask(body) if fault.done else None
            fault.then()
            return self.reply(*answer) if answer else self.pass_on(body)
        if fault.alter or fault.trickle:
            status, content = self.ask(body)
            content = fault.alter(content) if fault.alter else content
            return self.trickled(status, content, fault) if fault.trickle else self.reply(status, content)
        if fault.done:
            self.ask(body)
        return self.fail(fault)

    def finish(self) -> None:
        if self.upstream:
            self.upstream.close()
        with suppress(OSError):
            super().finish()

    def connect(self) -> http.client.HTTPSConnection:
        address = urlsplit(self.proxy.upstream)
        context = ssl.create_default_context(cadata=self.proxy.authority)
        return http.client.HTTPSConnection(address.hostname or "", address.port, context=context)

    def asked(self, body: bytes) -> http.client.HTTPResponse:
        if self.upstream is None:
            self.upstream = self.connect()
        self.upstream.request(self.command, self.path, body or None, dict(self.headers))
        return self.upstream.getresponse()

    def ask(self, body: bytes) -> tuple[int, bytes]:
        """The real API server's answer, or none where it gives none."""
        try:
            response = self.asked(body)
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.upstream = None
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            raise
        if self.command == "PATCH" and "/configmaps/" in self.path:
            self.note(body, response.status)
        if self.command == "GET" and self.path.endswith("/configmaps/coredns") and response.status == 200:
            found = json.loads(content)
            self.proxy.texts[found["metadata"]["resourceVersion"]] = (found.get("data") or {}).get("Corefile", "")
        return response.status, content

    def note(self, body: bytes, status: int) -> None:
        patch = json.loads(body)
        version = str((patch.get("metadata") or {}).get("resourceVersion", ""))
        path, before = self.path.partition("?")[0], self.proxy.texts.get(version)
        self.proxy.writes.append(Write(path, version, patch.get("data") or {}, status, before))

    def stream(self) -> None:
        """The same, in pieces as they come."""
        response = self.asked(b"")
        self.proxy.streams[self.connection] = self.path
        try:
            self.begin(response.status)
            while piece := response.read1(65536):
                self.send(piece)
            self.proxy.streams.pop(self.connection, None)
            self.send(b"")
        except OSError:
            self.proxy.streams.pop(self.connection, None)

    def begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def fail(self, fault: Fault) -> None:
        if fault.reset:
            # No time to linger makes the kernel send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.stall:
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
            self.reply(fault.status, fault.body, fault.headers)

    def trickled(self, status: int, content: bytes, fault: Fault) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        size = max(1, len(content) // 50)
        for start in range(0, len(content), size):
            self.wfile.write(content[start : start + size])
            time.sleep(fault.trickle / 50)

    def hold(self, fault: Fault) -> None:
        while fault in self.proxy.faults:
            time.sleep(0.1)
        self.close_connection = True

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
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
    proxy.listen()
    try:
        yield proxy
    finally:
        proxy.faults.clear()
        proxy.refuse()


def status(code: int, reason: str, message: str) -> bytes:
    """A Status object as the API server sends it."""
    return json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}
    ).encode()
