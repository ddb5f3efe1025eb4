"""Serves a few pages by HTTP, in threads that end with the process."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from hairpin_proxy.errors import OperatorError
from hairpin_proxy.observe.log import Failures, log, one_line
from hairpin_proxy.settings import ListenAddress

MOST = 32
"""Connections at a time: each has a thread."""

_SECONDS = 10
"""What a connection may take; a page takes some thousandths."""


class Page(NamedTuple):
    """What is answered."""

    body: bytes
    status: int = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]
"""By their paths."""


class Server(ThreadingHTTPServer):
    """On a socket that listens already."""

    def __init__(self, listening: socket.socket, pages: Pages) -> None:
        super().__init__(listening.getsockname()[:2], _Asked, bind_and_activate=False)
        self.socket.close()
        self.socket, self.pages = listening, pages
        self._open: dict[Any, float] = {}
        self._failures = Failures("an answer")

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._open) >= MOST:
            self.shutdown_request(request)
            return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Is called twice a second."""
        for request, since in self._open.copy().items():
            if time.monotonic() - since > _SECONDS:
                # Whoever reads or writes there wakes up, and closes it.
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def close_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("a client went away: %s", error)
        elif isinstance(error, Exception):
            self._failures.failed(one_line(str(error)), error)


class _Asked(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "hairpin-proxy", ""

    def do_GET(self) -> None:
        found = self.server.pages.get(self.path.partition("?")[0])
        page = found() if found else Page(b"there is nothing here\n", HTTPStatus.NOT_FOUND)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *said: object) -> None:
        """Says nothing: every probe would be a line."""


def serve(address: ListenAddress, pages: Pages) -> Server:
    """Returns when it is served. Raises OperatorError if it cannot be."""
    try:
        listening = _listening(address)
    except (OSError, UnicodeError) as error:
        # Python adds the address as it has it.
        reason = str(error.strerror if isinstance(error, OSError) else error).partition(" (while ")[0]
        raise OperatorError(
            f"--metrics-address {address} cannot be listened on: {reason} (it takes another one, or off)"
        ) from error
    server = Server(listening, pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log.debug("%s is served at %s", " and ".join(pages), address)
    return server


def _listening(address: ListenAddress) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)
