"""Whether CoreDNS answers by the restored Corefile: the object is right at once, but CoreDNS reads it later."""

import time

from hairpin_proxy import coredns
from hairpin_proxy.kube import Kube, KubeError

USUAL_SECONDS = 150
"""kubelet syncs a ConfigMap within 90 s (syncFrequency 60 s, jittered), CoreDNS reloads within 45 (30, jittered)."""

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

    def wait(self) -> None:
        """Returns when every pod of CoreDNS has reloaded since the beginning, or after USUAL_SECONDS.

        A pod does not reload if kubelet has never shown it what was undone, so the clock decides in the end.
        """
        deadline = time.monotonic() + USUAL_SECONDS
        while time.monotonic() < deadline and (self.problem or self._still_before()):
            time.sleep(_PAUSE)

    def _still_before(self) -> bool:
        """Whether there is a pod that has not reloaded; one that has come since began with the new Corefile."""
        try:
            now = coredns.configurations(self._kube, self._namespace)
        except KubeError:
            return True
        return any(pod in self._before and self._before[pod] == value for pod, value in now.items())
