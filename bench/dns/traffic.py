"""What is asked: what pods of a cluster ask for, in a made-up and shuffled mix."""

from __future__ import annotations

import random
from collections.abc import Sequence

OUTSIDE = (
    "api.github.com",
    "api.stripe.com",
    "hooks.slack.com",
    "login.microsoftonline.com",
    "s3.eu-central-1.amazonaws.com",
    "smtp.sendgrid.net",
    "www.google.com",
    "www.wikipedia.org",
)
SERVICES = (
    "kubernetes.default",
    "kube-dns.kube-system",
    "hairpin-proxy.hairpin-proxy",
    "ingress-nginx-controller.ingress-nginx",
)
MISSING = ("postgres.data", "redis-master.shop", "my-service.team-a", "grafana.monitoring", "api.prod")
SUFFIXES = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
NUMBER = 20_000


def others(hosts: Sequence[str], source: random.Random) -> str:
    """A name that is not one of our hosts."""
    kind = source.random()
    if kind < 0.4:
        # Of a search list, which a pod goes through before it asks for the name itself.
        name = source.choice(source.choice((hosts, OUTSIDE)))
        return f"{name}.{source.choice(SUFFIXES)}"
    if kind < 0.7:
        return f"{source.choice(SERVICES)}.svc.cluster.local"
    if kind < 0.85:
        return f"{source.choice(MISSING)}.svc.cluster.local"
    return source.choice(OUTSIDE)


def questions(hosts: Sequence[str], *, ours: float) -> str:
    """A file for dnsperf; `ours` is which part of it asks for our hosts."""
    source = random.Random(len(hosts))
    names = (source.choice(hosts) if source.random() < ours else others(hosts, source) for _ in range(NUMBER))
    return "".join(f"{name} {source.choice(('A', 'AAAA'))}\n" for name in names)
