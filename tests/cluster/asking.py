"""Asks a DNS server very many questions in seconds."""

from __future__ import annotations

import socket
from collections.abc import Collection

import dns.message
import dns.rcode

WINDOW = 64
"""How many questions are under way at most: few enough for any socket's buffer."""
PATIENCE = 1.0
"""Seconds without any answer after which those under way are asked again."""
ATTEMPTS = 5

Answer = tuple[str, ...]
"""The status, then the records' data, sorted."""


def ask_all(address: str, port: int, names: Collection[str], rdtype: str = "A") -> dict[str, Answer]:
    """What a DNS server answers to each of these names over UDP. Raises OSError if it leaves out one of them."""
    todo = list(dict.fromkeys(names))
    under_way: dict[int, str] = {}
    found: dict[str, Answer] = {}
    attempts = number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.settimeout(PATIENCE)
        while todo or under_way:
            while todo and len(under_way) < WINDOW:
                number = (number + 1) % 65536
                under_way[number] = todo.pop()
                client.send(dns.message.make_query(under_way[number], rdtype, id=number).to_wire())
            try:
                message = dns.message.from_wire(client.recv(65535))
            except TimeoutError:
                attempts += 1
                if attempts == ATTEMPTS:
                    raise
                todo += under_way.values()
                under_way.clear()
                continue
            if name := under_way.pop(message.id, ""):
                found[name] = _answer(message)
    return found


def _answer(message: dns.message.Message) -> Answer:
    records = sorted(str(record) for records in message.answer for record in records)
    return dns.rcode.to_text(message.rcode()), *records
