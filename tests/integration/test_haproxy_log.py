"""What HAProxy says about a target that does not work, and that it says nothing of those that do."""

import ssl
from asyncio import StreamReader, StreamWriter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.ingress import NGINX_CONF
from tests.integration.conftest import eventually
from tests.integration.dataplane import FIRST, NAME, Haproxy, Lab, ask, connect, receive, reset, say, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# It lingers, for a request that comes after it has closed is a reset, in which HAProxy may lose the answer.
WITHOUT_HEADER = NGINX_CONF.replace(" proxy_protocol;", ";").replace("http {{", "http {{\n    lingering_close always;")
SPEAKS = "does TARGET_SERVER speak the PROXY protocol?"
EXPECTS = "does TARGET_SERVER expect the PROXY protocol?"


def answer(port: int, request: bytes = REQUEST) -> bytes:
    """All that comes back; nothing if nobody answers."""
    try:
        with say(port, request) as connection:
            return receive(connection, 10000)
    except OSError:
        return b""


def handshake(port: int) -> str:
    """Asks by TLS, and returns the answer; empty if there is no TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(connect(port)) as connection:
            connection.sendall(REQUEST)
            return connection.recv(1000).decode()
    except OSError:
        return ""


def only_line(haproxy: Haproxy, *words: str) -> None:
    """Fails if HAProxy does not say one line, with these words."""
    eventually(lambda: len(haproxy.lines()) > 0)
    (line,) = haproxy.lines()
    assert line.startswith("127.0.0.9:")
    for word in words:
        assert word in line


def known(lab: Lab, haproxy: Haproxy) -> None:
    """Waits until HAProxy knows where the target is; its log is not about that."""
    eventually(lambda: haproxy.metric("haproxy_backend_active_servers", "http-sampled") == 1)


# ---- A target that does not work


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_target_without_proxy_protocol(lab: Lab, protocol: str) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.on_nginx(PROXY_PROTOCOL=protocol)
    lab.nginx(FIRST, WITHOUT_HEADER)
    known(lab, haproxy)
    answer(haproxy.http)  # which a reset may spoil, for the target answers the header alone
    only_line(haproxy, f"to {NAME}:{lab.port} ({FIRST}:{lab.port})", "400 is its first answer, ", SPEAKS, protocol)


def test_a_target_without_proxy_protocol_on_the_https_port(lab: Lab) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.on_nginx()
    lab.nginx(FIRST, WITHOUT_HEADER)
    known(lab, haproxy)
    assert handshake(haproxy.https) == ""
    only_line(haproxy, f"to {NAME}:{lab.tls_port} ", "no TLS handshake in its answer, ", SPEAKS)


@pytest.mark.parametrize("port", ["http", "https"])
def test_a_target_that_demands_the_header_and_gets_none(lab: Lab, port: str) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.on_nginx(PROXY_PROTOCOL="off")
    lab.nginx(FIRST)
    known(lab, haproxy)
    assert answer(haproxy.http) == b"" if port == "http" else handshake(haproxy.https) == ""
    only_line(haproxy, "no answer, ", EXPECTS)


@pytest.mark.parametrize("port", ["http", "https"])
def test_a_target_that_refuses(lab: Lab, port: str) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.haproxy(TIMEOUT_CONNECT="100ms")
    known(lab, haproxy)
    assert ask(haproxy.http if port == "http" else haproxy.https) == ""
    only_line(haproxy, "no connection, is TARGET_SERVER right?")


def test_many_failures_are_few_lines(lab: Lab) -> None:
    lab.dns.say(FIRST)
    haproxy = lab.haproxy(TIMEOUT_CONNECT="10ms")
    known(lab, haproxy)
    with ThreadPoolExecutor(50) as clients:
        assert set(clients.map(ask, [haproxy.http] * 200)) == {""}
    eventually(lambda: len(haproxy.lines()) > 0)
    assert len(haproxy.lines()) <= 50


# ---- A target that works


def test_nothing_is_said_of_what_works(lab: Lab) -> None:
    """A good answer, a port probe, and a client that resets after it; a failure at the end shows that all is said."""
    lab.dns.say(FIRST)
    haproxy = lab.on_nginx(TIMEOUT_CONNECT="100ms")
    nginx = lab.nginx(FIRST)
    known(lab, haproxy)
    assert answer(haproxy.http).startswith(b"HTTP/1.1 200 ")
    assert handshake(haproxy.https).startswith("HTTP/1.1 200 ")
    connect(haproxy.http).close()
    connect(haproxy.https).close()
    client = say(haproxy.http, REQUEST.replace(b"close", b"keep-alive"))
    assert client.recv(12) == b"HTTP/1.1 200"
    reset(client)
    eventually(lambda: haproxy.metric("haproxy_frontend_current_sessions", "http") == 0)
    nginx.stop()
    assert answer(haproxy.http) == b""
    only_line(haproxy, "no connection")


@pytest.mark.parametrize("words", [b"H", b"ok", b"HTTP/1.1 20"])
def test_a_short_first_answer_passes_at_once(lab: Lab, words: bytes) -> None:
    """Whoever sends it may wait for what the client says to it."""

    async def greet(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(words)
        try:
            await reader.read()
        finally:  # also if the server ends before HAProxy has let go
            writer.close()

    lab.dns.say(FIRST)
    haproxy = lab.haproxy()
    known(lab, haproxy)
    with serving(greet, FIRST, lab.port), connect(haproxy.http) as client:
        assert receive(client, len(words)) == words
