"""From settings to which hosts: the administrator's policy, and what the sources are to look at. Pure."""

from collections.abc import Callable
from functools import partial

from hairpin_proxy.edit import Remark
from hairpin_proxy.policy import Policy, is_apex
from hairpin_proxy.settings import Settings
from hairpin_proxy.sources import selectors
from hairpin_proxy.sources.ingress import Choice

_OPEN = {
    "ingress": "an Ingress",
    "gateway": "a Gateway or a route",
}


def policy(settings: Settings, is_public_suffix: Callable[[str], bool]) -> Policy:
    """Which hosts may be redirected."""
    selector = settings.namespace_selector
    return Policy(
        settings.destination,
        cluster_domain=settings.cluster_domain,
        allow=settings.allow_domain,
        deny=settings.deny_domain,
        namespaces=settings.namespace,
        selects=selectors.parse(selector).matches if selector else None,
        domains_annotation=settings.domain_per_namespace_annotation,
        is_public_suffix=is_public_suffix,
    )


def apexes(is_public_suffix: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether a host is a domain that somebody registered, whose rule must leave other records alone."""
    return partial(is_apex, is_public_suffix=is_public_suffix)


def ingresses(settings: Settings) -> Choice:
    """Which hosts of which Ingresses."""
    return Choice(settings.hosts_from, frozenset(settings.ingress_class))


def remarks(settings: Settings) -> tuple[Remark, ...]:
    """What an operator should know of the choice of sources."""
    if not {"ingress", "gateway"} <= set(settings.source):
        return ()
    return (
        Remark(
            f"hosts of Ingresses and of Gateways are all led to {settings.destination}, whose HAProxy has one target; "
            "if different programs serve them, each needs an install of its own (docs/two-installs.md)"
        ),
    )


def warning(settings: Settings) -> str:
    """Who can redirect names that nobody gave to him, for the line that the start logs; empty if nobody."""
    if settings.only_hairpinned == "require" or settings.allow_domain or settings.domain_per_namespace_annotation:
        return ""
    classes = {"ingress": settings.ingress_class, "gateway": settings.gateway_class}
    anyone = [_OPEN[source] for source in dict.fromkeys(settings.source) if not classes[source]]
    if not anyone:
        return ""
    return (
        f"; anyone who may create {' or '.join(anyone)} may redirect names of the whole cluster's DNS, for there is "
        "none of --only-hairpinned require, --allow-domain and a class (docs/tenants.md)"
    )
