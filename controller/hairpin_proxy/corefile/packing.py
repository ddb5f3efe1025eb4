"""Many hosts in few rules: the regular expression that stands for some of them, and how they are shared out. Pure.

CoreDNS tries one rule after the other, whatever is asked for, and for each takes the name anew, so few long rules cost
less than many short ones. It follows a regular expression in time with the branches that it meets: branches of ours
never begin alike, so that it is in one of them at a time, and those that end alike share their end, so that more hosts
fit into a rule (docs/benchmarks has what that is worth).
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from hairpin_proxy import hosts

FORMS = ("auto", "lines", "packed")
"""How exact hosts are written: one line each, or many in one rule, or as it fits their number."""

MOST_LINES = 50
"""Hosts up to which they have a line each, if that is left to us: people can read it, and it costs little."""

FEW = 40
"""Hosts down to which they stay packed once they are: fewer than those from which on, lest they go to and fro."""

LONGEST = 9_900
"""Characters of an expression: CoreDNS takes 10,000 since 1.14.0 (maxRegexpLen in its plugin/rewrite)."""

PASSING_FROM = 5
"""Rules from which on it pays to let the cluster's own names pass, which costs the answer to each of them a copy."""

_MOST = 10_000
"""Hosts that an expression may stand for: ours have a character at least for each of theirs."""

_DEEPEST = 260
"""Groups in each other: each begins with a character, and a host has no more than 253."""

_PLAIN = re.compile(r"(?:[a-z0-9-]|\\\.)+")
_CLASS = re.compile(r"\[([a-z0-9-]+)\]")


@lru_cache(maxsize=128)
def pattern(names: tuple[str, ...]) -> str:
    """The expression, in the syntax of RE2, that matches these hosts, each with a final dot, and nothing else.

    They are in normal form, and none is a wildcard.
    """
    return f"^{_branches(names)}\\.$"


def names(expression: str) -> frozenset[str]:
    """The hosts that an expression stands for; none if it is not written as `pattern` does it."""
    body = expression.removeprefix("^").removesuffix(r"\.$")
    try:
        found, end = _alternatives(body, 0, _DEEPEST)
        is_whole = end == len(body) == len(expression) - len(r"^\.$")
        return frozenset(found) if is_whole and all(hosts.normal(name) == name for name in found) else frozenset()
    except (ValueError, IndexError):
        return frozenset()


def packs(wanted: Collection[str], firsts: Iterable[str], longest: int = LONGEST) -> list[tuple[str, ...]]:
    """Hosts shared out among rules, sorted, as many to each as an expression of `longest` characters can have.

    A rule that stands keeps its place, told by the first host of each: so a host more or less changes one rule.
    """
    ordered = sorted(wanted)
    edges = sorted({0, len(ordered), *(bisect_left(ordered, first) for first in firsts)})
    found = [piece for start, end in pairwise(edges) for piece in _pieces(tuple(ordered[start:end]), longest)]
    while (merged := _merged(found, longest)) != found:
        found = merged
    return found


def _pieces(names: tuple[str, ...], longest: int) -> list[tuple[str, ...]]:
    """As few, of the same size, as are short enough; one of them may grow by some hosts before it is cut."""
    length = len(pattern(names))
    if length <= longest or len(names) == 1:
        return [names]
    count = max(2, -(-length * 10 // (longest * 9)))
    size = -(-len(names) // count)
    return [piece for start in range(0, len(names), size) for piece in _pieces(names[start : start + size], longest)]


def _merged(packs: Sequence[tuple[str, ...]], longest: int) -> list[tuple[str, ...]]:
    """Two neighbours become one if together they are but three quarters as long as one may be."""
    found: list[tuple[str, ...]] = []
    for pack in packs:
        if found and len(pattern(found[-1])) + len(pattern(pack)) <= longest * 3 // 4:
            found[-1] += pack
        else:
            found.append(pack)
    return found


def _branches(words: Iterable[str]) -> str:
    """What matches these words: what they all begin with, and then a branch for each character that comes next."""
    words = sorted(words)
    start = _common_start(words[0], words[-1])
    rests = [word[len(start) :] for word in words]
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for _, group in groupby(filter(None, rests), key=lambda rest: rest[0]):
        branch = list(group)
        end = _common_end(branch)
        ends[end].append(_branches([rest[: len(rest) - len(end)] for rest in branch]))
    branches: list[str] = []
    for end, stems in ends.items():
        branches += [f"{_one_of(stems)}{_escaped(end)}"] if end else stems
    if not branches:
        return _escaped(start)
    if rests[0]:
        return _escaped(start) + _one_of(branches)
    return f"{_escaped(start)}(?:{'|'.join(branches)})?"


def _common_start(one: str, other: str) -> str:
    differ = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(differ, len(one))]


def _common_end(words: Sequence[str]) -> str:
    """What follows the first label, dot and all, if that is the same in all words."""
    found = {word[dot:] if (dot := word.find(".", 1)) > 0 else "" for word in words}
    return found.pop() if len(found) == 1 else ""


def _one_of(branches: Sequence[str]) -> str:
    if len(branches) == 1:
        return branches[0]
    single = "".join(branch for branch in branches if len(branch) == 1)
    longer = [branch for branch in branches if len(branch) > 1]
    if len(single) > 1:
        # Sorted, so that a hyphen comes first and means itself.
        longer, single = [f"[{''.join(sorted(single))}]", *longer], ""
    everything = [*single, *longer]
    return everything[0] if len(everything) == 1 else f"(?:{'|'.join(everything)})"


def _escaped(text: str) -> str:
    return text.replace(".", r"\.")


def _alternatives(text: str, at: int, depth: int) -> tuple[list[str], int]:
    """The words of `a|b|c` from there on, and where that ends. Raises ValueError for what `pattern` does not write."""
    if not depth:
        raise ValueError("too deep")
    found: list[str] = []
    words = [""]
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            found += words
            words, at = [""], at + 1
            continue
        if text.startswith("(?:", at):
            parts, at = _alternatives(text, at + 3, depth - 1)
            at += 1
            if text.startswith("?", at):
                parts, at = ["", *parts], at + 1
        else:
            parts, at = _characters(text, at)
        if len(found) + len(words) * len(parts) > _MOST or not any(parts):
            raise ValueError("too many, or nothing at all")
        words = [word + part for word in words for part in parts]
        if max(map(len, words)) > hosts.MAX_LENGTH:
            raise ValueError("too long")
    return found + words, at


def _characters(text: str, at: int) -> tuple[list[str], int]:
    if plain := _PLAIN.match(text, at):
        return [plain[0].replace(r"\.", ".")], plain.end()
    if some := _CLASS.match(text, at):
        return list(some[1]), some.end()
    raise ValueError(text[at])
