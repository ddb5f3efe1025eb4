"""Label selectors: as text, as kubectl takes it, and as objects have them. Pure.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hairpin_proxy.sources.objects import entries, mapping

_KEY = r"(?P<key>(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"""
    \s* (?:
        (?P<not>!) \s* {_KEY}
      | {_KEY.replace("key", "set")} \s+ (?P<operator>in|notin) \s*
        \( (?P<values> \s*{_VALUE}\s* (?:,\s*{_VALUE}\s*)* ) \)
      | {_KEY.replace("key", "equal")} \s* (?P<sign>==?|!=) \s* (?P<value>{_VALUE})
      | {_KEY.replace("key", "has")}
    ) \s* (?:,|$)
    """,
    re.VERBOSE,
)

_WITH_VALUES, _WITHOUT = ("In", "NotIn"), ("Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one label must be."""

    key: str
    operator: str
    """One of those of a LabelSelector: In, NotIn, Exists, DoesNotExist."""

    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it is so. NotIn is also true of a label that is missing."""
        match self.operator:
            case "In":
                return self.key in labels and labels[self.key] in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


_UNMET = Requirement("", "In")
"""None of no values is ever there."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects what meets all requirements; without any, everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse(text: str) -> Selector:
    """The selector that kubectl's option `-l` takes. Raises ValueError with what it takes."""
    requirements: list[Requirement] = []
    position = 0
    while position < len(text) or not requirements:
        match = _REQUIREMENT.match(text, position)
        if not match or (match.end() == len(text) and text.endswith(",")):
            raise ValueError("a label selector as kubectl takes it, for example team in (a,b),stage=live,!internal")
        requirements.append(_requirement(match))
        position = match.end()
    return Selector(tuple(requirements))


def of(selector: Mapping[str, Any]) -> Selector:
    """The selector that a LabelSelector object says. Raises TypeError for what no API server would send."""
    equal = [Requirement(key, "In", frozenset({value})) for key, value in mapping(selector, "matchLabels").items()]
    return Selector((*equal, *map(_expression, entries(selector.get("matchExpressions")))))


def _expression(expression: Mapping[str, Any]) -> Requirement:
    found = Requirement(
        str(expression.get("key")), str(expression.get("operator")), frozenset(entries(expression.get("values")))
    )
    # The schemas of custom resources let in what is no selector (LabelSelectorAsSelector), and selects nothing then.
    return found if _is_valid(found) else _UNMET


def _is_valid(requirement: Requirement) -> bool:
    if requirement.operator not in (_WITH_VALUES if requirement.values else _WITHOUT):
        return False
    return bool(re.fullmatch(_KEY, requirement.key)) and all(re.fullmatch(_VALUE, each) for each in requirement.values)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["not"]:
        return Requirement(match["key"], "DoesNotExist")
    if match["operator"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["set"], "In" if match["operator"] == "in" else "NotIn", values)
    if match["sign"]:
        return Requirement(match["equal"], "NotIn" if match["sign"] == "!=" else "In", frozenset({match["value"]}))
    return Requirement(match["has"], "Exists")
