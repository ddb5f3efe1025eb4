"""What serves pages, and clients that are no good to it."""

import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hairpin_proxy.observe import serving
from hairpin_proxy.observe.log import log
from hairpin_proxy.observe.serving import Page, Server, serve
from hairpin_proxy.settings import ListenAddress
from tests.cluster.processes import free_port
from tests.integration.conftest import eventually

ASKED = b"GET / HTTP/1.0\r\n\r\n"


def _broken() -> Page:
    raise KeyError("oops")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(log, "handlers", [])
    made = serve(ListenAddress("127.0.0.1", free_port()), {"/": lambda: Page(b"here\n"), "/broken": _broken})
    yield made
    made.shutdown()
    made.server_close()


@contextmanager
def client(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(server.socket.getsockname(), timeout=5) as made:
        yield made


def answer(server: Server, asked: bytes = ASKED) -> bytes:
    with client(server) as made:
        made.sendall(asked)
        return b"".join(iter(lambda: made.recv(4096), b""))


def goes_on(slow: socket.socket) -> bool:
    """Says a little more."""
    try:
        slow.sendall(b"x")
    except ConnectionError:
        return False
    return True


def reset(server: Server) -> None:
    with client(server) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.sendall(b"GET / HT")


def test_a_client_that_resets_its_connection_is_only_seen_by_debug(
    server: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "hairpin_proxy")
    reset(server)
    eventually(lambda: "a client went away: [Errno 104] Connection reset by peer" in caplog.messages)
    assert answer(server).endswith(b"\r\n\r\nhere\n")
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert capfd.readouterr().err == ""


def test_a_page_that_cannot_be_made_is_an_entry_in_the_log(
    server: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert answer(server, b"GET /broken HTTP/1.0\r\n\r\n") == b""
    eventually(lambda: caplog.messages == ["an answer failed: 'oops'"])
    assert capfd.readouterr().err == ""


def test_a_connection_that_takes_too_long_is_ended_whatever_it_says(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_SECONDS", 1)
    began = time.monotonic()
    with client(server) as silent, client(server) as slow:
        eventually(lambda: not goes_on(slow))
        assert silent.recv(1) == b""
    assert 1 <= time.monotonic() - began < 5


def test_of_many_connections_those_beyond_a_number_are_closed_at_once(server: Server) -> None:
    before = threading.active_count()
    held = [socket.create_connection(server.socket.getsockname(), timeout=5) for _ in range(serving.MOST)]
    try:
        eventually(lambda: threading.active_count() - before == serving.MOST)
        with client(server) as surplus:
            assert surplus.recv(1) == b""
        assert threading.active_count() - before == serving.MOST
    finally:
        for each in held:
            each.close()
    eventually(lambda: threading.active_count() == before)
    assert answer(server).endswith(b"here\n")
