"""The laws of render (docs/design.md), checked for one case with the real CoreDNS as judge of acceptance."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise, product
from typing import Any

from hairpin_proxy.corefile.homes import homes
from hairpin_proxy.corefile.lexer import CorefileError, tokens
from hairpin_proxy.corefile.render import render
from tests.corefiles import APEX, DESTINATION, PASS, TAG, WILDCARD, apex_lines, rule_lines
from tests.fuzz.cases import (
    ALL_HOSTS,
    ELSEWHERE,
    HOSTS,
    LONGEST,
    MORE_HOSTS,
    NEARLY_SHARED,
    OTHERS,
    PATTERNS,
    SHARED,
    Case,
)
from tests.fuzz.judge import Judge, Token, Verdict

NO_ROOT = "no server block answers '.'"
NO_KUBERNETES = "kubernetes plugin for a zone that holds"
NEVER_CLOSED = "a quote is opened here and never closed"
REASONS = (
    NO_ROOT,
    NO_KUBERNETES,
    NEVER_CLOSED,
    "is never closed",  # a last brace that is missing and that CoreDNS does not miss
    "a '}' that closes nothing",
    "a '{' without an address before it",  # CoreDNS drops such a block without a word
    "a '{' without a directive before it",  # which may become the block of what an import above it brings
    "an import of addresses or of a snippet outside of a server block",
    "a '}' without a '{' before it",  # a snippet on one line
    "is there already",  # a snippet, as the last word of all
    "import takes one argument",  # in a snippet that nobody imports
)
"""Why we refuse what CoreDNS accepts."""

_MAY_BE_OURS = re.compile(
    rf"""\s* ["]?rewrite["]? (?:\#\S*)? \s .* {re.escape(DESTINATION)} .* {re.escape(TAG)} \s*
       | \s* rewrite \s+ name \s+ (?:regex\s+)? \S+ \s+ {re.escape(DESTINATION)} \s* (?:answer\s+auto)? \s* (?:\#.*)?
       | \s* rewrite \s+ stop \s+ name \s+ regex \s+ \S+ \s+ {re.escape(DESTINATION)}\.
             \s+ answer \s+ auto \s* (?:\#.*)?
       | \s* (?: template | match | answer | fallthrough | \}} ) .* {re.escape(TAG)} \s*""",
    re.VERBOSE,
)


def _apex_directive() -> re.Pattern[str]:
    # A carriage return may stand anywhere.
    words = [r"\r*".join(map(re.escape, word)) for line in apex_lines(DESTINATION)[:5] for word in line.split()]
    words[2] = r"(?:A|A\r*A\r*A\r*A|H\r*T\r*T\r*P\r*S)"
    gap, end = rf"\s+(?:{re.escape(TAG)}\s*)?", rf"[^\S\n]*(?:{re.escape(TAG)}[^\S\n]*)?(?:\n|$)"
    return re.compile(rf"[^\S\n]*{gap.join(words)}{end}")


_APEX = _apex_directive()
"""One of the three directives for an apex, as we write it or as `kubeadm upgrade` leaves it."""

_SURELY_OURS = re.compile(
    rf"""\s* rewrite \s (?:stop\s)? name \s (?:regex\s)? \S+ \s {re.escape(DESTINATION)} \.? \s (?:answer\sauto\s)?
         {re.escape(TAG)} \s*""",
    re.VERBOSE,
)

_SHARED = re.compile(
    rf"rewrite stop name regex (?P<expression>\S+) {re.escape(DESTINATION)}\. answer auto {re.escape(TAG)}"
)
"""A rule that hosts share, as we write it."""

_PASS = re.compile(r"\s*" + r"\s+".join(map(re.escape, PASS.split())) + r"\s*(?P<comment>#.*)?")

_TO_ANOTHER = re.compile(
    rf"\s*rewrite\s+stop\s+name\s+regex\s+\S+\s+{re.escape(ELSEWHERE)}\.\s+answer\s+auto\s*{re.escape(TAG)}\s*"
)

OUR_PLUGINS = ("rewrite", "template")
"""Whose directives our rules are."""

Words = tuple[str, ...]
Block = dict[str, Any]


class BrokenLawError(AssertionError):
    """A law of render does not hold for a case."""


@dataclass
class Outcome:
    """What became of one case."""

    verdict: str
    """`rendered`, or who refused it and why."""

    accepted: bool = False
    """Whether CoreDNS takes the original."""

    bare: str = ""
    after: str = ""
    homes: list[int] = field(default_factory=list)
    """The server blocks that hold our rules, counted as CoreDNS does."""

    features: frozenset[str] = frozenset()
    """The labels of the case, and those that depend on what became of it."""


def check(case: Case, judge: Judge) -> Outcome:
    """Raises BrokenLawError if the case breaks one."""
    try:
        bare = rendered(case, case.text, set())
        after = rendered(case, case.text, case.hosts)
    except CorefileError as refusal:
        return _refused(case, judge, refusal)
    _check_text(case, bare, after)
    before, without, after_all = judge.judge([case.text, bare, after], case.files)
    _check_tokens(case, before)
    if before.error:
        return Outcome("CoreDNS's parser refuses it, we render it")
    if before.refused:
        return Outcome("CoreDNS's plugins refuse it, we render it")
    if _joined(before) or _joined(without):
        return Outcome("CoreDNS joins the lines of a snippet that is imported twice", accepted=True)
    for verdict, what in ((without, "without our rules"), (after_all, "rendered")):
        if not verdict.accepted:
            raise BrokenLawError(f"law 4: CoreDNS refuses it {what}: {verdict.error or verdict.refused}")
    _check_none_is_left(case, without.blocks)
    found = _check_words(case, [before, without, after_all])
    _check_homes(case, without.blocks, found)
    _check_lines(case, bare, after, len(found))
    if not all(_knows_us(without.blocks[number]) for number in found):
        return Outcome("rendered, for a zone from the environment that is another one", accepted=True)
    passing = {"names that pass"} if _count(after, PASS) > _count(bare, PASS) else set()
    return Outcome("rendered", True, bare, after, found, case.features | passing)


def _refused(case: Case, judge: Judge, refusal: CorefileError) -> Outcome:
    reason = next((reason for reason in REASONS if reason in str(refusal)), str(refusal).partition(": ")[2])
    verdict = judge.judge([case.text], case.files)[0]
    if not verdict.accepted:
        return Outcome(f"refused by both: {reason}")
    if reason not in REASONS:
        raise BrokenLawError(f"law 5: CoreDNS accepts it, and we refuse it for no known reason: {refusal}")
    if not case.mutated and reason not in (NO_ROOT, NO_KUBERNETES, NEVER_CLOSED):
        raise BrokenLawError(f"law 5: nothing is wrong with it, and we refuse it: {refusal}")
    if _knowable(case) and any(map(_is_home, verdict.blocks)) and reason in (NO_ROOT, NO_KUBERNETES):
        raise BrokenLawError(f"law 5: there is a server block for our rules, and we refuse it: {refusal}")
    return Outcome(f"refused by us, accepted by CoreDNS: {reason}", accepted=True)


def rendered(case: Case, text: str, hosts: Collection[str]) -> str:
    """What we make of a text that imports the files of a case."""
    known = {pattern: dict(_matching(case, pattern)) for pattern in PATTERNS}
    where = partial(homes, files={pattern: found for pattern, found in known.items() if found})
    return _without_a_crash(lambda: render(text, hosts, case.writing, homes=where))


def _matching(case: Case, pattern: str) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in sorted(case.files.items()) if fnmatch.fnmatchcase(name, pattern))


def _without_a_crash(make: Callable[[], str]) -> str:
    try:
        return make()
    except CorefileError:
        raise
    except Exception as crash:
        raise BrokenLawError(f"law 5: {type(crash).__name__}: {crash}") from crash


# ---- what can be seen in the text


def _check_text(case: Case, bare: str, after: str) -> None:
    try:
        again, left = rendered(case, after, case.hosts), rendered(case, after, set())
    except CorefileError as refusal:
        raise BrokenLawError(f"law 1: we refuse what we have rendered: {refusal}") from refusal
    if again != after:
        raise BrokenLawError("law 1: rendering twice is not rendering once")
    if left != bare:
        raise BrokenLawError("law 2: leaving does not restore every byte")
    if not any(words in case.text.replace("\r", "") for words in (DESTINATION, PASS.split()[-1])) and bare != case.text:
        raise BrokenLawError("law 2: a text without anything of ours is changed")
    if case.packed and case.hosts:
        _check_change(case, bare, after)
    _check_line_breaks(case.text, after)
    if not case.mutated and any(map(_SURELY_OURS.fullmatch, _lines(bare))):
        raise BrokenLawError("law 2: a rule of ours is left behind")
    # What looks like the rule of an apex may be something else, if a quote begins before it. Without its tag, what lets
    # names pass is not ours in a snippet, say, and may there come to stand before the rule behind what is ours.
    looks = product((True, False), repeat=3)
    if all(_foreign(case, case.text, *look) != _foreign(case, after, *look) for look in looks):
        raise BrokenLawError("law 3: what is not ours does not keep its bytes and its order")


def _check_lines(case: Case, bare: str, after: str, homes: int) -> None:
    counts = Counter(_lines(after))
    counts.subtract(_lines(bare))
    added = {line: count for line, count in counts.items() if count}
    expressions: list[str] = []
    if case.packed:
        shared = {line: found["expression"] for line in added if (found := _SHARED.fullmatch(line.strip()))}
        expressions = list(shared.values())
        if any(line != f"    {line.strip()}" or added.pop(line) != homes for line in shared):
            raise BrokenLawError("law 3: a rule that hosts share does not stand once in each home, as it is written")
    _check_expressions(case, expressions)
    lines = [line for host in case.hosts - _sharing(case) for line in rule_lines(host)]
    lines += [f"    {PASS} {TAG}"] if len(expressions) > 1 else []
    if added != Counter(lines * homes):
        raise BrokenLawError("law 3: the lines differ by something else than one rule for each host and home")


def _check_change(case: Case, bare: str, after: str) -> None:
    """A host more or less changes the rule that it falls into, which may be cut or joined with its neighbours."""
    short = [host for host in _EXACT if len(host) < LONGEST]
    host = short[len(case.text) % len(short)]
    old, new = (_added(bare, text) for text in (after, rendered(case, after, case.hosts ^ {host})))
    before, behind = ({name for each in some for name in _matched(each)} for some in (old - new, new - old))
    if before ^ behind != {host} or len(old - new) > 3 or len(new - old) > 3:
        raise BrokenLawError(f"law 3: {host} more or less changes the rules of {sorted(before | behind)}")


def _added(bare: str, text: str) -> set[str]:
    """The expressions that hosts share in the rules that a text has got."""
    found = (_SHARED.fullmatch(line.strip()) for line in Counter(_lines(text)) - Counter(_lines(bare)))
    return {each["expression"] for each in found if each}


def _count(text: str, words: str) -> int:
    return sum(line.strip().startswith(words) for line in _lines(text))


# ---- what hosts share, told without the code that packs them


def _sharing(case: Case) -> frozenset[str]:
    return case.hosts - {WILDCARD, APEX} if case.packed else frozenset()


def _check_expressions(case: Case, expressions: Sequence[str]) -> None:
    """Each host is matched by one of them, and no other name by any."""
    matched = Counter(name for each in expressions for name in _matched(each))
    if matched != Counter(_sharing(case)):
        raise BrokenLawError(f"law 4: rules for {sorted(_sharing(case))} match {sorted(matched.elements())}")
    for each in expressions:
        if len(each) > LONGEST and len(_matched(each)) > 1:
            raise BrokenLawError(f"law 4: an expression is longer than it may be: {each}")


@lru_cache(maxsize=100_000)
def _matched(expression: str) -> tuple[str, ...]:
    """The known names that CoreDNS would find it in; each ends with a dot then."""
    try:
        found = re.compile(expression)
    except re.error as error:
        raise BrokenLawError(f"law 4: an expression is none: {expression}: {error}") from error
    return tuple(name for name in _KNOWN if found.search(f"{name}."))


def _near(name: str) -> Iterator[str]:
    """Names that are nearly this one: with a letter, or a label, more, less or otherwise."""
    yield from (f"x{name}", f"{name}x", f"x.{name}", f"{name}.x", f"-{name}", f"{name}.cluster.local", f"{name}.")
    yield from (name.partition(".")[2], name.rpartition(".")[0])
    for at in range(len(name)):
        yield from (name[:at] + name[at + 1 :], name[:at] + "x" + name[at + 1 :], name[:at] + name[at] + name[at:])


_EXACT = (*HOSTS, *MORE_HOSTS)
_KNOWN = sorted({*ALL_HOSTS, *OTHERS, *_EXACT, *(near for host in _EXACT for near in _near(host)), DESTINATION, ""})
"""All names that an expression is tried with."""


def _are_shared(case: Case, rules: Sequence[Words]) -> bool:
    """Whether these are what a block gets for the hosts that share rules: what lets names pass first, if anything."""
    passing = [rule for rule in rules if rule == _PASS_WORDS]
    shared = [rule for rule in rules if rule != _PASS_WORDS]
    found = [_SHARED.fullmatch(f"{' '.join(rule)} {TAG}") for rule in shared]
    if not all(found) or [*rules] != [*passing, *shared] or len(passing) != (len(shared) > 1):
        return False
    _check_expressions(case, [each["expression"] for each in found if each])
    return True


_PASS_WORDS = tuple(PASS.split())


def _check_line_breaks(before: str, after: str) -> None:
    """Where all lines end alike, ours do as well."""
    for other, own in (("\r\n", "\n"), ("\n", "\r\n")):
        if own in before and other not in before.replace(own, "") and other in after.replace(own, ""):
            raise BrokenLawError("law 3: our lines do not end as all the others do")


def _foreign(case: Case, text: str, without_apex: bool, only_tagged: bool, closer: bool) -> list[str]:
    """The lines that are surely not ours. A carriage return is nothing to CoreDNS, wherever it stands."""
    kept: list[str] = []
    behind = ""
    for line in reversed(_lines(_APEX.sub("", text) if without_apex else text)):
        plain = line.replace("\r", "")
        if not _may_be_ours(case, plain, behind, only_tagged):
            kept.append(line)
        elif closer and _PASS.fullmatch(plain) and TAG in plain:
            continue  # the line before it comes to stand before the one behind it
        behind = plain
    return kept


def _may_be_ours(case: Case, line: str, behind: str, only_tagged: bool) -> bool:
    """What lets names pass belongs to the rule right behind it, and else to whoever finds our tag on it."""
    found = _PASS.fullmatch(line)
    if not found:
        return bool(_MAY_BE_OURS.fullmatch(line))
    tagged, behind_tagged = ((part or "").rstrip().endswith(TAG) for part in (found["comment"], behind))
    if case.mutated:
        return tagged or not only_tagged  # whatever has become of the rule behind it
    if tagged:
        return not (behind_tagged and _TO_ANOTHER.fullmatch(behind))
    rule = tuple(behind.split()[:8])
    ours = _is_shared(rule) and rule[5] == f"{DESTINATION}." and _is_like_ours(case, rule)
    return ours and not behind_tagged and not only_tagged


def _lines(text: str) -> list[str]:
    lines = text.removesuffix("\n").split("\n")
    return [line.rstrip("\r") for line in lines]


# ---- what CoreDNS sees


def _check_tokens(case: Case, verdict: Verdict) -> None:
    ours = [(token.text, token.line) for token in tokens(case.text)]
    theirs = [(token["text"], token["line"]) for token in verdict.tokens]
    if ours != theirs:
        raise BrokenLawError(f"our tokens are not CoreDNS's: {ours} and {theirs}")


_WRITTEN_ELSEWHERE = {
    "a packed rule of ours in a snippet or elsewhere",
    "a rule of ours in a snippet or elsewhere",
    "a rule like ours where we write none",
    "nearly a rule of ours",
    "a directive on the line of {",
    "environment in a key",
}
"""Features by which something like a rule of ours may stand where it is none."""


def _check_none_is_left(case: Case, blocks: list[Block]) -> None:
    """What we have written is known in a block that answers `.` without its tag as well."""
    if case.mutated or case.features & _WRITTEN_ELSEWHERE:
        return
    rules = [words for name in OUR_PLUGINS for block in filter(_answers_root, blocks) for words in each(name, block)]
    shared = {words for words in rules if _is_shared(words) and words[4] in SHARED and words[5] == f"{DESTINATION}."}
    ours = shared.union(*(our_rules(ALL_HOSTS, name) for name in OUR_PLUGINS))
    if left := ours.intersection(rules):
        raise BrokenLawError(f"law 2: a rule of ours is left behind: {left}")


def _check_words(case: Case, verdicts: list[Verdict]) -> list[int]:
    """Checks that the tokens differ only by our rules; returns the blocks that have them."""
    before, without, after = (verdict.blocks for verdict in verdicts)
    if not [block["keys"] for block in before] == [block["keys"] for block in without] == [b["keys"] for b in after]:
        raise BrokenLawError("law 4: there are other server blocks than before")
    found = []
    for number, blocks in enumerate(zip(before, without, after, strict=True)):
        if not _others(blocks[0]) == _others(blocks[1]) == _others(blocks[2]):
            raise BrokenLawError(f"law 4: block {blocks[0]['keys']} has other directives than before")
        added = {}
        for name in OUR_PLUGINS:
            rules = [each(name, block) for block in blocks]
            _check_removed(rules[0], rules[1], _untagged(case, blocks[0], name))
            added[name] = _check_added(case, rules[1], rules[2], name)
        if any(added.values()):
            if added != {name: bool(our_rules(case.hosts, name)) for name in OUR_PLUGINS}:
                raise BrokenLawError(f"law 4: block {blocks[0]['keys']} has only some of our rules: {added}")
            found.append(number)
    return found


def _others(block: Block) -> dict[str, list[str]]:
    return {name: [t["text"] for t in found] for name, found in block["directives"].items() if name not in OUR_PLUGINS}


def _joined(verdict: Verdict) -> bool:
    """Whether a directive comes from the same line as the one before it, so that CoreDNS takes both for one."""
    return any(
        name in words[1:] for block in verdict.blocks for name in block["directives"] for words in each(name, block)
    )


def each(name: str, block: Block) -> list[Words]:
    """The words of each directive of this name in a block."""
    found: list[list[str]] = []
    place: object = None
    depth = 0
    for token in block["directives"].get(name, []):
        here = (token.get("file"), token["line"])
        if not found or (here != place and not depth):
            found.append([])
        depth += {"{": 1, "}": -1}.get(token["text"], 0)
        found[-1].append(token["text"])
        place = here
    return [tuple(words) for words in found]


def _untagged(case: Case, block: Block, plugin: str) -> set[Words]:
    """The rules of a block that are surely not ours: they bear no tag, and we write none like them in this block."""
    lines = case.text.split("\n")
    rules: dict[bool, list[Token]] = {True: [], False: []}
    for token in block["directives"].get(plugin, []):
        rules[not token.get("file") and TAG in lines[token["line"] - 1]].append(token)
    tagged, others = (set(each(plugin, {"directives": {plugin: rules[tag]}})) for tag in (True, False))
    others -= tagged
    return {words for words in others if not _is_like_ours(case, words)} if _answers_root(block) else others


def _is_like_ours(case: Case, words: Words) -> bool:
    """Whether we may have written it, for whatever host."""
    if _is_shared(words):
        return words[4] in SHARED or (case.mutated and words[4] not in NEARLY_SHARED)
    if words[0] == "template" or "regex" in words:
        return words in our_rules([WILDCARD, APEX], words[0])
    return len(words) > 1 and _is_a_host(words[-2])


def _is_a_host(word: str) -> bool:
    return word == word.lower() and "." in word


def _is_shared(words: Words) -> bool:
    """Whether a rule is written as one of ours that hosts share, but for the expression."""
    return len(words) == 8 and words == ("rewrite", "stop", "name", "regex", *words[4:6], "answer", "auto")


def _check_removed(before: list[Words], without: list[Words], untagged: set[Words]) -> None:
    """All rules are there still, in their order, but for some of ours."""
    reached = {0}
    for words, behind in pairwise([*before, ()]):
        kept = {count + 1 for count in reached if without[count : count + 1] == [words]}
        reached = kept | reached if _may_go(words, behind, untagged) else kept
    if len(without) not in reached:
        gone = list((Counter(before) - Counter(without)).elements())
        raise BrokenLawError(f"law 3: a rule of somebody else is gone, or they have another order: {gone}, {without}")


def _may_go(words: Words, behind: Words, untagged: set[Words]) -> bool:
    if words == _PASS_WORDS:
        return words not in untagged or (_is_shared(behind) and _may_go(behind, (), untagged))
    return words not in untagged and _leads_to(words) == DESTINATION


def _leads_to(words: Words) -> str:
    """Where a rule leads that is written as one of ours."""
    end = words.index("answer") if "answer" in words else len(words)
    name = words[end + 1].split()[-1] if words[0] == "template" and end + 1 < len(words) else words[end - 1]
    return name.lower().removesuffix(".")


def _check_added(case: Case, without: list[Words], after: list[Words], plugin: str) -> bool:
    """Whether a block has got our rules: all of them, nothing else, and only another install's behind them."""
    if after == without:
        return False
    wildcards = [rule for rule in our_rules(case.hosts, plugin) if "regex" in rule]
    count = len(after) - len(without) - len(wildcards)
    # As few rules as possible stand behind ours, but those that did before.
    for first in range(len(without), -1, -1):
        theirs, exact = without[first:], after[first : first + count]
        for second in range(len(theirs), -1, -1):
            if after == [*without[:first], *exact, *theirs[:second], *wildcards, *theirs[second:]]:
                if not _are_ours(case, exact, plugin):
                    continue
                if not exact:
                    theirs = theirs[second:]
                if not _are_another_installs(case, theirs):
                    raise BrokenLawError(f"law 4: a rule that is no other install's stands behind ours: {after}")
                return True
    raise BrokenLawError(f"law 4: our rules for these hosts do not stand at the end of the block: {after}")


def _are_ours(case: Case, exact: list[Words], plugin: str) -> bool:
    """Whether these are the rules of a block for the exact hosts."""
    if case.packed and plugin == "rewrite":
        return _are_shared(case, exact)
    return exact == [rule for rule in our_rules(case.hosts, plugin) if "regex" not in rule]


def _are_another_installs(case: Case, rules: list[Words]) -> bool:
    """What lets names pass counts as the rule right behind it."""
    return all(
        is_another_installs(case, _leads_to(behind if rule == _PASS_WORDS and behind else rule))
        for rule, behind in pairwise([*rules, ()])
    )


def is_another_installs(case: Case, destination: str) -> bool:
    """Whether a rule of another install leads there; such rules may stand behind ours, if they did before."""
    tagged = [line.lower().replace("\r", "") for line in _lines(case.text) if TAG in line]
    return destination != DESTINATION and any(destination.lower() in line for line in tagged)


def our_rules(hosts: Collection[str], plugin: str) -> list[Words]:
    """Those of our rules that are this plugin's, as CoreDNS sees them: the wildcard comes last."""
    lines = [line for host in sorted(hosts, key=lambda host: (host == WILDCARD, host)) for line in rule_lines(host)]
    text = "".join(line.removesuffix(TAG) + "\n" for line in lines)
    directives: list[list[str]] = []
    for token in tokens(text):
        if token.text in OUR_PLUGINS:
            directives.append([])
        directives[-1].append(token.text)
    return [tuple(words) for words in directives if words[0] == plugin]


def _check_homes(case: Case, blocks: list[Block], found: list[int]) -> None:
    """Holds the choice of blocks against what CoreDNS makes of imports and environment, where we can see it as well."""
    if not case.hosts:
        return
    if not found:
        raise BrokenLawError("law 4: the rules stand in no block that CoreDNS sees")
    if not _knowable(case):
        return
    able = [number for number, block in enumerate(blocks) if _is_home(block)]
    if able != found:
        raise BrokenLawError(f"law 4: the rules stand in blocks {found}, and should in {able}")


def _knowable(case: Case) -> bool:
    """Whether we are told all that CoreDNS is: not what its environment or files hold."""
    if re.search(r"kubernetes[^\n]*\{[^}]*\simport\s+(?!options\s)", case.text):
        return False
    return "{$" not in case.text and "{%" not in case.text and not any(name.endswith(".server") for name in case.files)


def _is_home(block: Block) -> bool:
    return _answers_root(block) and _knows_us(block)


_KEY = re.compile(r"(?:(?:dns|tls|quic|grpc|https3?|unix)://)?(.*?)(?::[0-9]+)?")


def _zone(key: str) -> str:
    found = _KEY.fullmatch(key)
    return (found[1] if found else key).lower().removesuffix(".")


def _answers_root(block: Block) -> bool:
    return "" in map(_zone, block["keys"])


def _knows_us(block: Block) -> bool:
    """Whether its kubernetes plugin has the cluster's zone, none that is nearer to the destination, and our namespace.

    Without any zone, it has those of the block.
    """
    words = next(iter(each("kubernetes", block)), ())
    line = words[1 : words.index("{")] if "{" in words else words[1:]
    near = [zone for zone in map(_zone, line or block["keys"]) if f".{DESTINATION}".endswith(f".{zone}")]
    namespaces = "namespaces" not in words or "hairpin-proxy" in words
    return bool(words) and max(near, key=len, default="") == "cluster.local" and namespaces
