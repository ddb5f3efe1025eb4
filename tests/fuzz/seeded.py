"""Whether the fuzzing would notice: small bugs are put into a copy of the code one by one, and each must break a law.

python -m tests.fuzz.seeded
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bugs import Bug

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "controller" / "hairpin_proxy"
CASES = 5_000
"""Within so many cases a bug must be found."""


BUGS = (
    Bug("lexer.py", '.partition("#")[0]', ""),
    Bug("lexer.py", '.replace("\\r", "")', ""),
    Bug("lexer.py", r"""replace('\\"', '"')""", "strip()"),
    Bug("lexer.py", "x85\\xa0", "x85"),
    Bug("lexer.py", 'self.text.count("\\n")', "0"),
    Bug("lexer.py", '1 if text.startswith("\\ufeff") else 0', "0"),
    Bug("lexer.py", r'(?: [^"\\] | \\. )*', '[^"]*'),
    Bug("lexer.py", r"\# [^\n]* )", r"\# [^\r\n]* )"),
    Bug("lexer.py", 'elif match["closing"]:', "elif True:"),
    Bug("blocks.py", "if keys and not more and self._starts_line()", "if keys and self._starts_line()"),
    Bug("blocks.py", 'token.text != "{":\n            if keys', 'token.text != "{":\n            if False and keys'),
    Bug("blocks.py", '.removesuffix(",")', ""),
    Bug("blocks.py", "(?P<zone> .*? )", "(?P<zone> .* )"),
    Bug("blocks.py", "dns | tls", "dns"),
    Bug("blocks.py", "any(not address.zone for", "all(not address.zone for"),
    Bug("blocks.py", "depth += 1", "depth = 1"),
    Bug("blocks.py", "elif depth == 0 and self._starts_line()", "elif self._starts_line()"),
    Bug("homes.py", "if each is best]", "if each is best][:1]"),
    Bug("homes.py", "for placed in expanded(block, blocks, files)]", "for placed in expanded(block, (), files)]"),
    Bug("homes.py", "options(each, blocks, files)", "options(each, (), files)"),
    Bug("blocks.py", "(words[0][1:], *words[1:])", "words[1:]"),
    Bug("blocks.py", 'word != "{"', "True"),
    Bug("render.py", "for number in reversed(", "for number in ("),
    Bug("render.py", "block.closing.start) + 1", "block.closing.start)"),
    Bug("render.py", '"\\r\\n" if before.endswith("\\r\\n") else "\\n"', '"\\n"'),
    Bug("render.py", 'if before and not before.endswith("\\n"):', "if False:"),
    Bug("render.py", "text[start : first.start].strip() or", ""),
    Bug("render.py", 'if position == len(text) and not text.endswith("\\n")', "if False"),
    Bug("render.py", "at_home and _is_as_written(line)", "_is_as_written(line)"),
    Bug("render.py", "line.tagged or (at_home", "(at_home"),
    Bug("render.py", "if line.leads_to not in destinations:", "if False:"),
    Bug("render.py", '(is_long and first.text != "template")', "is_long"),
    Bug("render.py", "all(map(rules.is_tagged, comments))", "any(map(rules.is_tagged, comments))"),
    Bug("render.py", "bool(comments) and all(map(rules.is_tagged, comments)), not comments", "bool(comments), True"),
    Bug("render.py", "for host in sorted(hosts) for line", "for host in hosts for line"),
    Bug("rules.py", "comment.rstrip().endswith(TAG)", "TAG in comment"),
    Bug("rules.py", "comment.rstrip().endswith(TAG)", "comment.endswith(TAG)"),
    Bug("rules.py", "directive.words in _forms(found, destination)", "found"),
    Bug("rules.py", "yield _template_words(kind, host, destination)", "yield ()"),
    Bug("packing.py", '{_branches(names)}\\\\.$"', '{_branches(names)}$"'),
    Bug("packing.py", '{_branches(names)}\\\\.$"', '{_branches(names)}\\\\."'),
    Bug("packing.py", 'f"^{_branches', 'f"{_branches'),
    Bug("packing.py", r'.replace(".", r"\.")', ""),
    Bug("packing.py", "(?:{'|'.join(branches)})?\"", "(?:{'|'.join(branches)})\""),
    Bug("packing.py", "(?:{'|'.join(everything)})", "{'|'.join(everything)}"),
    Bug("packing.py", "found.pop() if len(found) == 1 else", "found.pop() if found else"),
    Bug(
        "packing.py", 'single = "".join(branch for branch in branches if len(branch) == 1)', "single = branches[0][:1]"
    ),
    Bug("packing.py", "ordered[start:end]", "ordered[start : end + 1]"),
    Bug("packing.py", "names[start : start + size], longest)]", "names[start : start + size - 1], longest)]"),
    Bug("packing.py", "if length <= longest or", "if length <= 2 * longest or"),
    Bug("packing.py", "*(bisect_left(ordered, first) for first in firsts)", ""),
    Bug("packing.py", 'parts, at = ["", *parts], at + 1', "parts, at = parts, at + 1"),
    Bug("rules.py", 'f".{domain}.", "0-', '".", "0-'),
    Bug("rules.py", 'f".{domain}.", "0-', 'f"{domain}.", "0-'),
    Bug("rules.py", "if found and not any(map(hosts.is_wildcard, found)):", "if False:"),
    Bug("rules.py", "return bool(destination) and tuple(words) == _passing_words(destination)", "return False"),
    Bug("render.py", "packing.packs(packed, reading.firsts, self.longest)", "packing.packs(packed, (), self.longest)"),
    Bug("render.py", "len(packs) >= self.passing_from", "len(packs) > self.passing_from"),
    Bug("render.py", "*filter(None, passing),", ""),
    Bug("render.py", "if not self.is_apex(host)} if self.packs", "} if self.packs"),
    Bug("render.py", "if behind and rules.lets_pass(", "if rules.lets_pass("),
    Bug("render.py", "            leads_to = behind.leads_to", "            leads_to = line.leads_to"),
    Bug("render.py", "rule.tagged is passing.tagged and", ""),
    Bug("render.py", "(rule.tagged or _is_as_written(rule))", "True"),
    Bug(
        "render.py",
        "return line.tagged and any(rules.lets_pass(line.directive.words, each) for each in destinations)",
        "return False",
    ),
    Bug("render.py", "found[-1].start == line.end", "True"),
    Bug("render.py", "[*lines.exact, *lines.wildcards]", "[*lines.wildcards, *lines.exact]"),
    Bug("scope.py", "waiting.extendleft(reversed(list(_brought", "list(reversed(list(_brought"),
)
"""Each of them makes a mistake that a reader of the grammar could make."""


def seeded(bug: Bug) -> str:
    """The code with the bug in it."""
    return bug.put_into(PACKAGE / "corefile")


def find(bug: Bug | None) -> str | None:
    """The law that a bug breaks, or that the code itself does; None if nothing is noticed."""
    with tempfile.TemporaryDirectory(prefix="hairpin-proxy-seeded-") as folder:
        package = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        if bug:
            (package / "corefile" / bug.file).write_text(seeded(bug))
        env = {**os.environ, "PYTHONPATH": folder}
        argv = [sys.executable, "-m", "tests.fuzz", "--seed", "1", "--cases", str(CASES), "--dns", "0", "--jobs", "1"]
        done = subprocess.run([*argv, "--until-broken"], cwd=ROOT, env=env, text=True, capture_output=True, check=False)
    laws = [line for line in done.stdout.splitlines() if line.startswith("BROKEN ")]
    if done.returncode and not laws:
        raise SystemExit(f"{bug}: it does not even run: {done.stderr.strip()[-300:]}")
    return laws[0] if laws else None


def main(bugs: Sequence[Bug] = BUGS) -> int:
    if law := find(None):
        print(f"no bug is seeded, and yet: {law}")
        return 1
    missed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for bug, found in zip(bugs, pool.map(find, bugs), strict=True):
            print(f"{bug}\n    {found[:200] if found else 'NOT NOTICED'}", flush=True)
            missed += found is None
    print(f"{len(bugs) - missed} of {len(bugs)} seeded bugs were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
