"""No request fails while one HAProxy takes over from another, and few while the target is replaced."""

import http.client
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from tests.cluster.processes import free_port
from tests.integration.conftest import eventually
from tests.integration.dataplane import FIRST, SECOND, Haproxy, Lab, connect, say, target

CLIENTS = 50
REQUESTS = 10_000


@dataclass(frozen=True)
class Request:
    began: float
    ended: float
    problem: str
    """Empty if it was answered well."""


@dataclass
class Traffic:
    """Clients who ask all the time, each by new connections and by kept ones in turn."""

    port: int
    """Of the HAProxy that new connections go to."""

    requests: list[Request] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def client(self) -> None:
        while not self.over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            for _ in range(random.choice([1, 1, 1, 20])):
                request = ask_once(connection)
                self.requests.append(request)
                if request.problem:
                    break
            connection.close()

    def failed(self) -> list[Request]:
        return [request for request in self.requests if request.problem]

    def goes_on(self, requests: int) -> None:
        """Returns when so many more are done."""
        until = len(self.requests) + requests
        eventually(lambda: len(self.requests) >= until, 180)


def ask_once(connection: http.client.HTTPConnection) -> Request:
    began = time.monotonic()
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        good = answer.read().startswith(b"hello from the ingress controller\n") and answer.status == 200
        problem = "" if good else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        problem = repr(error)
    return Request(began, time.monotonic(), problem)


def serves(haproxy: Haproxy) -> None:
    """Returns when it knows its target."""

    def asked() -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", haproxy.http, timeout=5)) as connection:
            return not ask_once(connection).problem

    eventually(asked)


@contextmanager
def traffic(haproxy: Haproxy) -> Iterator[Traffic]:
    serves(haproxy)
    running = Traffic(haproxy.http)
    clients = [threading.Thread(target=running.client) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield running
    finally:
        running.over.set()
        for client in clients:
            client.join()


class WebSocket:
    """A connection that stays open and echoes, as a websocket does."""

    def __init__(self, haproxy: Haproxy) -> None:
        self._connection = say(haproxy.https, b"echo\n")

    def echoes(self) -> bool:
        words = random.randbytes(8)
        self._connection.sendall(words)
        return self._connection.recv(8) == words

    def close(self) -> None:
        self._connection.close()


def accepts(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


def test_no_request_fails_while_one_haproxy_takes_over_from_another(lab: Lab) -> None:
    """Clients know of it a second late, as nodes do of a pod that ends."""
    lab.dns.say(FIRST)
    lab.nginx(FIRST)
    echo = free_port(FIRST)
    old = lab.haproxy(TARGET_HTTPS_PORT=str(echo))
    with target(FIRST, echo), traffic(old) as running:
        websocket = WebSocket(old)
        assert websocket.echoes()
        running.goes_on(REQUESTS // 3)

        new = lab.haproxy()
        serves(new)
        old.process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        running.port = new.http
        eventually(lambda: not accepts(old.http))
        assert websocket.echoes()
        assert old.process.running
        websocket.close()
        eventually(lambda: old.process.exit_code == 0)
        running.goes_on(REQUESTS - len(running.requests))
    assert running.failed() == []


def test_requests_fail_only_until_another_target_is_known(lab: Lab) -> None:
    lab.dns.say(FIRST)
    nginx = lab.nginx(FIRST)
    echo = free_port(FIRST)
    haproxy = lab.haproxy(TARGET_HTTPS_PORT=str(echo))
    with target(FIRST, echo), traffic(haproxy) as running:
        websocket = WebSocket(haproxy)
        assert websocket.echoes()
        running.goes_on(REQUESTS // 3)

        gone = time.monotonic()
        nginx.stop()
        time.sleep(3)
        lab.nginx(SECOND)
        lab.dns.say(SECOND)
        known = time.monotonic() + 5
        eventually(lambda: any(request.began > known and not request.problem for request in running.requests[-100:]))
        running.goes_on(REQUESTS // 3)
        assert websocket.echoes()
        websocket.close()
    assert [request for request in running.failed() if request.ended < gone or request.began > known] == []
