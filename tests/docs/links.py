"""Whether every link of every page leads somewhere, and whether a reader finds every page of docs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import urllib3

from tests.docs.pages import Finding, Link, Page

STARTS = ("README.md", "docs/README.md")
LINES = re.compile(r"L\d+(-L\d+)?")
# Servers that know a page, and will not show it to a program.
SHY = (403, 429)


@dataclass(frozen=True)
class Repository:
    """Files, and the pages among them."""

    files: frozenset[str]
    pages: Sequence[Page]

    def find(self, name: str) -> Page | None:
        """A page by its path, or by its folder's, whose README.md GitHub shows."""
        names = (name, str(PurePosixPath(name, "README.md")))
        return next((page for page in self.pages if page.name in names), None)

    def holds(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return name in self.files or any(file.startswith(f"{name}/") for file in self.files) or name == "."

    def findings(self) -> list[Finding]:
        """All that is wrong without asking anybody outside."""
        broken = [
            Finding(page.name, link.line, f"{link.target}: {what}")
            for page in self.pages
            for link in page.links()
            if (what := self._fault(page, link))
        ]
        return [*broken, *_half_links(self.pages), *self._orphans()]

    def _fault(self, page: Page, link: Link) -> str:
        if not link.text.strip():
            return "has no words: say what is to be seen" if link.picture else "has no words"
        if urlsplit(link.target).scheme:
            return _external(link.target)
        return self._relative(page, link.target)

    def _relative(self, page: Page, target: str) -> str:
        address = urlsplit(target)
        name = page.name if not address.path else _resolve(page.name, unquote(address.path))
        if name is None:
            return "leads out of the repository"
        if not self.holds(name):
            return "there is no such file or folder"
        return self._anchor(name, address.fragment)

    def _anchor(self, name: str, anchor: str) -> str:
        if not anchor:
            return ""
        page = self.find(name)
        if page is None:
            return "" if LINES.fullmatch(anchor) else f"{name} has no headings"
        return "" if anchor in page.anchors else f"{page.name} has no such heading"

    def _orphans(self) -> Iterator[Finding]:
        if self.find("docs/README.md") is None:
            return
        reached = set(STARTS)
        todo = [page for page in self.pages if page.name in STARTS]
        while todo:
            linked = self._linked(todo.pop())
            todo += [page for page in linked if page.name not in reached]
            reached |= {page.name for page in linked}
        for page in self.pages:
            if page.name.startswith("docs/") and page.name not in reached:
                yield Finding(page.name, 0, "no way leads here from README.md or docs/README.md")

    def _linked(self, page: Page) -> list[Page]:
        paths = [urlsplit(link.target) for link in page.links()]
        names = [_resolve(page.name, unquote(path.path)) for path in paths if path.path and not path.scheme]
        found = [self.find(name) for name in names if name is not None]
        return [page for page in found if page is not None]


def _resolve(page: str, path: str) -> str | None:
    """A path in the repository; nothing if it is outside."""
    start = PurePosixPath() if path.startswith("/") else PurePosixPath(page).parent
    parts: list[str] = []
    for part in PurePosixPath(start, path.lstrip("/")).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return str(PurePosixPath(*parts))


def _external(target: str) -> str:
    address = urlsplit(target)
    if address.scheme == "mailto":
        return ""
    if address.scheme != "https":
        return "is not https"
    return "" if "." in (address.hostname or "") else "names no server"


def _half_links(pages: Sequence[Page]) -> Iterator[Finding]:
    """Links by a name that the page does not define; Markdown shows them as they stand."""
    for page in pages:
        for line, said in page.prose():
            if "][" in said:
                yield Finding(page.name, line, f"{said.strip()}: a link whose address is missing")


def asked(repository: Repository, schemes: Collection[str] = ("https",)) -> Iterator[Finding]:
    """What the network says of external links; each address is asked for once."""
    first = {
        link.target: Finding(page.name, link.line, link.target)
        for page in reversed(repository.pages)
        for link in reversed(page.links())
        if urlsplit(link.target).scheme in schemes
    }
    with urllib3.PoolManager(timeout=20, retries=urllib3.Retry(2, status=0)) as pool:
        for target, where in sorted(first.items()):
            if said := _answer(pool, target):
                yield Finding(where.page, where.line, f"{target}: {said}")


def _answer(pool: urllib3.PoolManager, target: str) -> str:
    try:
        status = pool.request("GET", target, preload_content=False).status
    except urllib3.exceptions.HTTPError as error:
        return f"no answer: {error}"
    return "" if status < 400 or status in SHY else f"HTTP {status}"
