"""Takes all rules of ours out of CoreDNS's configuration, and what leads to them out of node-local-dns's."""

import time
from collections.abc import Iterator

from hairpin_proxy.diff import changes
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import TAG
from hairpin_proxy.providers.configmap import MissingError
from hairpin_proxy.providers.corefile import Corefile

_SECONDS = 20
"""For how long a write is tried again: nobody polls after this."""

_PAUSE = 0.5


def restore(provider: Corefile, *, dry_run: bool = False) -> list[str]:
    """Writes the configuration without our rules, and returns what was done, for people; empty if there was none.

    A ConfigMap that is gone holds nothing of ours. Raises OperatorError if it cannot be done.
    """
    deadline = time.monotonic() + _SECONDS
    done: dict[str, str] = {}
    while True:
        try:
            state = provider.reader.read_ours()
            for edit in provider.plan.removals(state):
                if not dry_run:
                    provider.write(state, edit)
                done[edit.document] = changes(edit.current, edit.desired)
            return [
                f"{key} {'would be updated' if dry_run else 'updated'}:\n{changes}" for key, changes in done.items()
            ]
        except MissingError:
            return []
        except OperatorError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def withdraw(provider: Corefile, *, dry_run: bool = False) -> Iterator[str]:
    """Takes our blocks out of node-local-dns's Corefile, as far as that can be done, and says so.

    Without our rules they lead to CoreDNS and its own answers, so that nobody waits for one that is left: it does harm
    only where CoreDNS comes to forward to node-local-dns.
    """
    caches = provider.reader.node_caches
    if not caches:
        return
    seen = caches.look(to_add=False)
    for each in seen.corefiles:
        try:
            desired = provider.plan.without_blocks(each)
            if desired == each.key.text:
                continue
            refused = None if dry_run else caches.write(each, desired)
            if refused:
                yield _stays(str(each.key), refused.text)
                continue
            yield f"{each.key} {'would be updated' if dry_run else 'updated'}:\n{changes(each.key.text, desired)}"
        except OperatorError as error:
            yield _stays(str(each.key), str(error))
    yield from (_stays("node-local-dns's Corefile", remark.text) for remark in seen.remarks if not remark.calm)


def _stays(document: str, problem: str) -> str:
    return (
        f"{document} may keep server blocks of hairpin-proxy, which do no harm as long as CoreDNS does not forward to "
        f"node-local-dns; they go with the lines that end with `{TAG}`: {problem}"
    )
