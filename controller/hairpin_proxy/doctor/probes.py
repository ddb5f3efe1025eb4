"""What DNS servers, HAProxy and its target answer: each question waits a few seconds at most, and changes nothing."""

import http.client
import re
import socket
import ssl
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype

from hairpin_proxy.doctor.live import Asked, Reload
from hairpin_proxy.doctor.seen import Server
from hairpin_proxy.doctor.target import Heard, Target, Tried
from hairpin_proxy.hosts import is_address

_SECONDS = 2.0
"""For DNS, and to connect."""

_ANSWER_SECONDS = 10.0

_METRICS_BYTES = 4 * 1024 * 1024
_FEW = 3
"""Addresses of a target that are tried."""

_NOTHING = frozenset[str]()
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
"""How the binary header begins (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt §2.2)."""

_RELOAD_FAILURES = re.compile(r"^coredns_reload_failed_total (\S+)$", re.M)
_RELOAD_READ = re.compile(r'^coredns_reload_version_info\{[^}]*value="([0-9a-f]+)"[^}]*\} 1$', re.M)
_ENABLED = re.compile(r'^coredns_plugin_enabled\{[^}]*name="([^"]+)"[^}]*\} 1$', re.M)


def accepts(server: Server) -> bool:
    """Whether it accepts a TCP connection."""
    with suppress(OSError):
        socket.create_connection(server, _SECONDS).close()
        return True
    return False


def ask(server: Server, hosts: Collection[str], destination: str, metrics: int | None) -> Asked:
    """What a DNS server answers for hosts, beside its answer for where the rules lead."""
    expected = addresses(server, destination)
    if expected is None:
        return Asked(server, mute=True, destination=_NOTHING, wrong={})
    wrong = {}
    for host in hosts:
        answer = _resolved(server, host)
        if answer is None:
            return Asked(server, mute=True, destination=expected, wrong={})
        if destination not in answer and (not expected or answer & expected != answer or not answer):
            wrong[host] = answer
    reload = _reload(Server(server.address, metrics)) if metrics else None
    return Asked(server, mute=False, destination=expected, wrong=wrong, reload=reload)


def knows(server: Server, name: str) -> bool:
    """Whether it has an address of a name; asked only once."""
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return any((answer := _exchange(server, name, kind, attempts=1)) and _records(answer) for kind in kinds)


def addresses(server: Server, name: str) -> frozenset[str] | None:
    """Those of a name, IPv4 or else IPv6; None without an answer."""
    found = _resolved(server, name)
    return None if found is None else frozenset(each for each in found if is_address(each))


def _resolved(server: Server, name: str) -> frozenset[str] | None:
    """Its addresses, and the names that it is an alias of."""
    found = _NOTHING
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        answer = _exchange(server, name, kind)
        if answer is None:
            return None
        found = _records(answer)
        if found:
            return found
    return found


def _exchange(
    server: Server, name: str, kind: dns.rdatatype.RdataType, attempts: int = 2
) -> dns.message.Message | None:
    for _ in range(attempts):
        # What is no name at all has no answer either.
        with suppress(dns.exception.DNSException, OSError, UnicodeError):
            query = dns.message.make_query(name, kind)
            answer, _ = dns.query.udp_with_fallback(query, server.address, _SECONDS, server.port)
            return answer
    return None


def _records(answer: dns.message.Message) -> frozenset[str]:
    aliases = {
        record.target.to_text(omit_final_dot=True).lower()
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.CNAME
        for record in rrset
    }
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return frozenset(aliases) | {str(record) for rrset in answer.answer if rrset.rdtype in kinds for record in rrset}


def _reload(server: Server) -> Reload | None:
    status, text = get(server, "localhost", "/metrics", _METRICS_BYTES)
    failures = _RELOAD_FAILURES.search(text)
    if status != 200 or not failures:
        return None
    read = _RELOAD_READ.search(text)
    return Reload(int(float(failures[1])), read[1] if read else None, frozenset(_ENABLED.findall(text)))


def get(server: Server, host: str, path: str, most: int = 0) -> tuple[int | None, str]:
    """The status of an answer to GET, and so many bytes of its text; None and why without one."""
    connection = http.client.HTTPConnection(server.address, server.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host, "User-Agent": "hairpin-proxy-doctor"})
        response = connection.getresponse()
        return response.status, response.read(most).decode(errors="replace") if most else ""
    except http.client.RemoteDisconnected:
        return None, "the connection was closed without an answer"
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        return None, str(error) or type(error).__name__
    finally:
        connection.close()


def handshake(server: Server, host: str) -> bool:
    """Whether a TLS server begins to answer."""
    return _hear_tls(server, b"", host).makes_sense


def try_target(at: Target, found: Iterable[str], hosts: Sequence[str]) -> list[Tried]:
    """What the target answers on its port for HTTP and on that for TLS, with the header and without it.

    By the first host that makes sense to it, and the first of a few addresses that accepts.
    """
    tried = []
    for port in (at.http_port, at.https_port):
        attempts = [_try_hosts(Server(address, port), at, hosts) for address in sorted(found)[:_FEW]]
        tried.append(next((each for each in attempts if each.connected), attempts[0]))
    return tried


def _try_hosts(server: Server, at: Target, hosts: Sequence[str]) -> Tried:
    for host in hosts:
        tried = _try(server, at, host)
        if tried.demands is not None or not tried.connected:
            break
    return tried


def _try(server: Server, at: Target, host: str) -> Tried:
    header = _header(server, "v1" if at.protocol == "off" else at.protocol)
    hear = _hear_tls if server.port == at.https_port else _hear
    return Tried(server.port, hear(server, header, host), hear(server, b"", host))


def _header(server: Server, version: str) -> bytes:
    """A PROXY header of a connection from and to the same address."""
    if version == "v1":
        family = "TCP6" if ":" in server.address else "TCP4"
        return f"PROXY {family} {server.address} {server.address} 65535 {server.port}\r\n".encode()
    kind = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    packed = socket.inet_pton(kind, server.address) * 2 + (65535).to_bytes(2) + server.port.to_bytes(2)
    return _V2 + (b"\x21\x21" if kind == socket.AF_INET6 else b"\x21\x11") + len(packed).to_bytes(2) + packed


def _hear(server: Server, header: bytes, host: str) -> Heard:
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hairpin-proxy-doctor\r\nConnection: close\r\n\r\n"
    heard = _first_bytes(server, header + request.encode())
    if isinstance(heard, Heard):
        return heard
    match = re.match(rb"HTTP/1\.[01] ([0-9]{3})", heard)
    if not match:
        return Heard("nothing" if not heard else "something that is not HTTP", connected=True)
    status = match[1].decode()
    return Heard(f"HTTP status {status}", connected=True, makes_sense=status != "400")


def _hear_tls(server: Server, header: bytes, host: str) -> Heard:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=host or None)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    heard = _first_bytes(server, header + outgoing.read())
    if isinstance(heard, Heard):
        return heard
    if heard[:1] == b"\x16":
        return Heard("a TLS handshake", connected=True, makes_sense=True)
    return Heard("a TLS alert" if heard[:1] == b"\x15" else "no TLS", connected=True)


def _first_bytes(server: Server, request: bytes) -> bytes | Heard:
    """What is answered first, empty for nothing; what happened, where no connection came about."""
    try:
        connection = socket.create_connection(server, _SECONDS)
    except OSError as error:
        return Heard(error.strerror or str(error), connected=False)
    with connection:
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(request)
            return connection.recv(64)
        except OSError:
            return b""
