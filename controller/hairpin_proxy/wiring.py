"""From settings to the objects that a command needs."""

from collections.abc import Callable
from functools import partial

from hairpin_proxy import policy, reconcile
from hairpin_proxy.inventory import Ingresses
from hairpin_proxy.kube import Kube
from hairpin_proxy.providers import CorefileKey
from hairpin_proxy.settings import Settings


def poll(settings: Settings) -> Callable[[], reconcile.Outcome]:
    """One poll with these settings, ready to be called. Raises OperatorError without credentials to call with."""
    kube = Kube(settings.kubeconfig, settings.context)
    kube.connect()
    provider = CorefileKey(kube, settings.configmap, settings.configmap_key, settings.destination)
    decide = partial(policy.decide, destination=settings.destination)
    return partial(reconcile.run_once, Ingresses(kube), decide, provider, dry_run=settings.dry_run)
