"""`make check`'s part about pages; with --network, `make links`: what others say of links to them."""

from __future__ import annotations

import sys

from tests.docs import links, spelling
from tests.docs.pages import ROOT, pages
from tools.release.version import known_files


def main() -> int:
    files = frozenset(known_files(ROOT))
    repository = links.Repository(files, pages(files))
    if "--network" in sys.argv[1:]:
        found = list(links.asked(repository))
    else:
        found = [*repository.findings(), *spelling.findings(repository.pages, spelling.own_words())]
    for finding in found:
        print(finding, file=sys.stderr)
    if not found:
        print(f"{len(repository.pages)} pages: no finding")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
