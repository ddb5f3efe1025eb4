"""Whether the words of all pages stand in a dictionary: aspell's, or ours in words.txt."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tests.cluster.install import locate
from tests.docs.pages import Finding, Page

WORDS = Path(__file__).parent / "words.txt"
LIST = "tests/docs/words.txt"
_EDGES = "".join(set("\"'()[]{}<>*.,:;!?…“”‘’-–—×‼`"))
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_JOINS = re.compile(r"[-–—]+")


def own_words() -> list[str]:
    """The words that we added, as the file has them."""
    return WORDS.read_text().splitlines()


def words(said: str) -> Iterator[str]:
    """The words of a line; what has a digit, a dot, a slash or the like in it is a name, and none."""
    for token in said.replace("’", "'").split():
        for part in _JOINS.split(token.strip(_EDGES)):
            if _WORD.fullmatch(part):
                yield part.removesuffix("'s")


def findings(pages: Sequence[Page], own: Sequence[str]) -> list[Finding]:
    """Words that no dictionary has, and what is wrong with our own list."""
    used: dict[str, Finding] = {}
    for page in pages:
        for line, said in page.prose():
            for word in words(said):
                used.setdefault(word, Finding(page.name, line, f"{word}: is it spelled so? Then add it to {LIST}"))
    known = set(own)
    wrong = [used[word] for word in _unknown(used) if not {word, _small(word)} & known]
    return [*wrong, *_of_list(own)]


def _small(word: str) -> str:
    """As it stands within a sentence."""
    return word[:1].lower() + word[1:]


def _of_list(own: Sequence[str]) -> Iterator[Finding]:
    # Each place has one line, so that two branches that add the same word agree.
    for number, (word, following) in enumerate(itertools.pairwise(own), 1):
        if word >= following:
            yield Finding(LIST, number, f"{word} stands before {following}: sort it as `LC_ALL=C sort -u` does")


def _unknown(found: Collection[str]) -> list[str]:
    argv = [locate("aspell"), "list", "--lang=en_US", "--encoding=utf-8", "--mode=none", "--ignore=0"]
    done = subprocess.run(argv, input="\n".join(found), capture_output=True, encoding="utf-8", check=True)
    return done.stdout.split()
