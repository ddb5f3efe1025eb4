"""Whether CoreDNS answers by the restored Corefile: the object is right at once, but CoreDNS reads it later."""

import time

from hairpin_proxy import coredns
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError

USUAL_SECONDS = 150
"""kubelet syncs a ConfigMap within 90 s (syncFrequency 60 s, jittered), CoreDNS reloads within 45 (30, jittered)."""

_LONGEST = 2 * USUAL_SECONDS
_PAUSE = 2


class Turning:
    """To be made before the write that is waited for."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self.problem = ""
        """Why CoreDNS cannot be asked, so that `wait` goes by the clock."""
        try:
            self._before = coredns.configurations(kube, namespace)
            self.problem = "" if self._before else f"no pods with the label {coredns.LABEL} in {namespace}"
        except KubeError as error:
            self.problem = str(error)

    def wait(self, written: bool) -> None:
        """Returns when every pod of CoreDNS has reloaded since the beginning.

        Goes by the clock where they cannot be asked, or where nothing was written. Raises OperatorError if it takes too
        long.
        """
        if self.problem or not written:
            time.sleep(USUAL_SECONDS)
            return
        deadline = time.monotonic() + _LONGEST
        while waiting := self._still_before():
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"CoreDNS has not read the new Corefile in {_LONGEST} seconds: {', '.join(waiting)}; without its "
                    "reload plugin it needs a restart: kubectl -n kube-system rollout restart deployment coredns"
                )
            time.sleep(_PAUSE)

    def _still_before(self) -> list[str]:
        """The pods that have not reloaded; one that has come since began with the new Corefile."""
        try:
            now = coredns.configurations(self._kube, self._namespace)
        except KubeError:
            return list(self._before)
        return [pod for pod, value in now.items() if pod in self._before and self._before[pod] == value]
