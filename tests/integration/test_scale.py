"""Thirty thousand hosts: each one leads to us, and nothing else does."""

import random
from collections.abc import Sequence

from tests.cluster.asking import Answer, ask_all
from tests.cluster.dns import DNS_ADDRESS
from tests.cluster.hostnames import hosts, under_four_domains, with_own_domain
from tests.integration.conftest import World, eventually, ingress

HOSTS = 30_000
AN_INGRESS_HOLDS = 1_000
LIMIT = 1024 * 1024
"""Bytes of a ConfigMap, all in all."""
PACKED = ["--rules", "packed", "--coredns-version", "1.14.7"]


def near_misses(there: Sequence[str], source: random.Random) -> list[str]:
    """Names that differ from a host by a letter, by a label too many, or by one too few."""
    changed = [_with_other_letter(host, source) for host in source.sample(there, 1500)]
    longer = [f"{source.choice(('www', 'a', 'x-1'))}.{host}" for host in source.sample(there, 1500)]
    shorter = [host.partition(".")[2] for host in source.sample(there, 1500)]
    return sorted({*changed, *longer, *shorter} - set(there))


def _with_other_letter(host: str, source: random.Random) -> str:
    at = source.choice([at for at, letter in enumerate(host) if letter.isalnum()])
    return host[:at] + source.choice("abcdefghijklmnopqrstuvwxyz0123456789".replace(host[at], "")) + host[at + 1 :]


def test_each_of_30_000_hosts_leads_to_us_and_nothing_that_is_nearly_one(world: World) -> None:
    there = [*hosts(HOSTS // 2, under_four_domains), *hosts(HOSTS // 2, with_own_domain)]
    others = near_misses(there, random.Random(8))
    before = answers(world, others)
    numbers = range(0, HOSTS, AN_INGRESS_HOLDS)
    world.apply(*(ingress(f"many-{at}", *there[at : at + AN_INGRESS_HOLDS]) for at in numbers))

    done = world.once(*PACKED)

    assert done.returncode == 0, done.stderr
    assert len(world.cluster.corefile().encode()) < LIMIT
    ours = ("NOERROR", world.cluster.service_ip("hairpin-proxy", "hairpin-proxy"))
    eventually(lambda: answers(world, [there[-1]]) == {there[-1]: ours})
    found = answers(world, there)
    assert {name: answer for name, answer in found.items() if answer != ours} == {}
    assert len(found) == HOSTS
    assert len(others) > 3_000
    assert answers(world, others) == before


def answers(world: World, names: Sequence[str]) -> dict[str, Answer]:
    return ask_all(DNS_ADDRESS, world.cluster.dns_ports.dns, names)
