"""Takes all rules of ours out of CoreDNS's configuration."""

import time

from hairpin_proxy.diff import changes
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.providers.configmap import MissingError
from hairpin_proxy.providers.corefile import Corefile

_SECONDS = 10
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
