"""What the cluster holds now."""

from collections.abc import Iterator

from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.policy import Claim
from hairpin_proxy.sources import ingress

_INGRESSES = "/apis/networking.k8s.io/v1/ingresses"


class Ingresses:
    """The source of hosts: all Ingresses of all namespaces, listed anew each time."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def claims(self) -> Iterator[Claim]:
        """What all Ingresses ask for. Raises KubeError, also in the middle, and then all before it is worth nothing."""
        for item in self._kube.items(_INGRESSES, "IngressList"):
            try:
                yield from ingress.claims(item)
            except (TypeError, AttributeError) as error:
                raise KubeError(f"GET {_INGRESSES}", f"the answer holds what is no Ingress: {error}") from error
