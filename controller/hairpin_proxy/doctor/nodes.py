"""node-local-dns, which may keep pods' questions from CoreDNS, and what cures it. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import NodeCorefile
from hairpin_proxy.corefile.checks import named
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.live import Asked, servers, shown
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.names import CONTROLLER
from hairpin_proxy.nodecache import Rendered, Writing
from hairpin_proxy.settings import ConfigMapName

_COMPONENT = "deploy-node-local-dns.yml"


class Node(NamedTuple):
    """One node-local-dns."""

    workload: str
    corefile: NodeCorefile | None
    """None if it may not be read, or is in no ConfigMap."""

    stub_domains: tuple[ConfigMapName, Mapping[str, str]] | None
    """The ConfigMap from which it takes stubDomains, with its data."""

    asked: tuple[Asked, ...]
    """What it answers on its addresses; none where it cannot be asked."""

    loop: str | None = None
    """Why a block would do harm."""


class Aim(NamedTuple):
    """What it should answer."""

    hosts: Collection[str]
    """All with a rule."""

    writing: Writing
    namespace: str
    """Of the install."""

    upstream: str | None
    """Where CoreDNS answers those that do not ask node-local-dns."""


def findings(node: Node, aim: Aim) -> Iterator[Finding]:
    """By its answers or, where it cannot be asked, by its Corefile."""
    heard = [each for each in node.asked if not each.mute]
    wrong = {host: answer for each in heard for host, answer in each.wrong.items()}
    where = f"({servers(node.asked) or node.workload})"
    if wrong:
        answer = shown(next(iter(wrong.values())))
        yield found(texts.NODE_LOCAL_DNS, where=where, hosts=named(wrong), answer=answer, fix=_cure(node, aim))
    elif heard:
        yield found(texts.NODE_LOCAL_ANSWERS, where=where, hosts=named(aim.hosts), destination=aim.writing.destination)
    elif _lacks_blocks(node, aim):
        answer = "what the DNS servers of its node know"
        yield found(texts.NODE_LOCAL_DNS, where=where, hosts=named(aim.hosts), answer=answer, fix=_cure(node, aim))
    elif not node.corefile:
        host = min(aim.hosts, default="HOST")
        yield found(texts.NODE_LOCAL_MAYBE, where=where, host=host)


def _lacks_blocks(node: Node, aim: Aim) -> bool:
    if not node.corefile:
        return False
    rendered = _rendered(node.corefile, aim)
    return rendered is None or rendered.text != node.corefile.key.text


def _rendered(corefile: NodeCorefile, aim: Aim) -> Rendered | None:
    """None if no block can be written safely."""
    try:
        return nodecache.render(corefile.key.text, aim.hosts, aim.writing, corefile.stub_domains)
    except OperatorError:
        return None


def _cure(node: Node, aim: Aim) -> str:
    """The commands that cure it: by the controller, or by hand."""
    if node.loop:
        return f"no block cures it here: {node.loop}"
    controller = (
        f"kubectl apply -f {_COMPONENT} && kubectl -n {aim.namespace} set env deployment/{CONTROLLER} NODE_LOCAL_DNS=on"
    )
    by_hand = _blocks(node, aim) or _stub_domains(node, aim)
    return f"{controller}; or by hand: {by_hand}" if by_hand else controller


def _blocks(node: Node, aim: Aim) -> str | None:
    """Only for a Corefile that a block can be put behind."""
    rendered = _rendered(node.corefile, aim) if node.corefile else None
    if not node.corefile or not rendered or not rendered.blocks:
        return None
    key = node.corefile.key
    return _patch(key.configmap.name, {key.name: nodecache.by_hand(key.text, rendered, aim.writing)})


def _stub_domains(node: Node, aim: Aim) -> str | None:
    if not node.stub_domains or not aim.upstream:
        return None
    name, data = node.stub_domains
    zones, _ = nodecache.zones(aim.hosts, aim.writing.is_public_suffix)
    try:
        return _patch(name, nodecache.with_stub_domains(data, zones, aim.upstream))
    except ValueError:
        return None


def _patch(name: ConfigMapName, data: Mapping[str, str]) -> str:
    patch = json.dumps({"data": data}).replace("'", "'\\''")
    return f"kubectl -n {name.namespace} patch configmap {name.name} --type merge -p '{patch}'"
