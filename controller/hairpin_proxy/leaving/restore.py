"""Takes all rules of ours out of the Corefile."""

import time

from hairpin_proxy.diff import diff
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.providers.corefile_key import CorefileKey, MissingError

_SECONDS = 10
"""For how long a write is tried again: nobody polls after this."""

_PAUSE = 0.5


def restore(provider: CorefileKey, *, dry_run: bool = False) -> str:
    """Writes the Corefile without our rules and returns what changed, for people; empty if there was none of ours.

    A ConfigMap that is gone holds nothing of ours. Raises OperatorError if it cannot be done.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            current = provider.read()
            desired = provider.render(current, ())
            if desired != current.text and not dry_run:
                provider.write(current, desired)
            return diff(current.text, desired)
        except MissingError:
            return ""
        except OperatorError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)
