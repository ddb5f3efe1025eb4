"""Host names as people have them, made up, and the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Callable

FOUR_DOMAINS = ("example.com", "apps.example.org", "k8s.corp.example", "tenants.example.net")
TOPS = ("com", "org", "net", "io", "de")
FIRST = ("www", "app", "api", "shop")
WORDS = """
    shop api app web auth login admin portal docs blog mail img cdn static test dev stage prod grafana argo git ci cd db
    cache queue search pay order cart user team data ml train infer batch cron job report metric log trace alert status
    help support wiki chat meet video file share drive photo note task plan road map board kanban crm erp hr fin legal
    ops sec vpn proxy gate edge core main beta alpha
"""


def hosts(number: int, name: Callable[[random.Random], str]) -> list[str]:
    """So many different ones, sorted; the same for the same arguments."""
    source = random.Random(f"{number} {name.__name__}")
    found: set[str] = set()
    while len(found) < number:
        found.add(name(source))
    return sorted(found)


def under_four_domains(source: random.Random) -> str:
    """Like shop-api-42.apps.example.org."""
    return f"{_label(source)}.{source.choice(FOUR_DOMAINS)}"


def with_own_domain(source: random.Random) -> str:
    """Like www.shop-api-42.org."""
    return f"{source.choice(FIRST)}.{_label(source)}.{source.choice(TOPS)}"


def _label(source: random.Random) -> str:
    label = "-".join(source.choices(WORDS.split(), k=source.choice((1, 2, 2, 3))))
    form = source.random()
    if form < 0.4:
        return label
    return f"{label}{'-' if form < 0.7 else ''}{source.randrange(100)}"
