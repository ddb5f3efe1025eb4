"""A Markdown page, as GitHub shows it: its headings, links and prose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin

ROOT = Path(__file__).parents[2]
BREAKS = ("softbreak", "hardbreak")


@dataclass(frozen=True)
class Finding:
    """What is wrong, and where. Line 0 is the page as a whole."""

    page: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Link:
    """A link or a picture, with the words that stand for it."""

    line: int
    target: str
    text: str
    picture: bool = False


@dataclass(frozen=True)
class Page:
    """A page by its path in the repository."""

    name: str
    text: str

    @cached_property
    def _tokens(self) -> list[Token]:
        # The plugin names headings as GitHub does, and numbers those that are there twice.
        markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        return markdown.use(anchors_plugin, max_level=6).parse(self.text)

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What a `#anchor` may name."""
        headings = [str(token.attrs["id"]) for token in self._tokens if "id" in token.attrs]
        html = [tag.anchor for _, tag in self._html() if tag.anchor]
        return frozenset([*headings, *html])

    def links(self) -> list[Link]:
        """All links and pictures, those in HTML as well."""
        found = [link for token in self._inline() for link in _links(token.children or [], _line(token))]
        html = [Link(line, tag.target, tag.text, tag.picture) for line, tag in self._html() if tag.target]
        return sorted([*found, *html], key=lambda link: link.line)

    def prose(self) -> list[tuple[int, str]]:
        """Lines of text, with where they stand; no code, no HTML, no address."""
        return [part for token in self._inline() for part in _prose(token.children or [], _line(token))]

    def _inline(self) -> Iterator[Token]:
        return (token for token in self._tokens if token.type == "inline")

    def _html(self) -> Iterator[tuple[int, Tag]]:
        for token in self._tokens:
            pieces = token.children or [] if token.type == "inline" else [token]
            for piece in pieces:
                if piece.type in ("html_block", "html_inline"):
                    yield from ((_line(token), tag) for tag in _tags(piece.content))


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def _links(tokens: Sequence[Token], line: int) -> Iterator[Link]:
    for number, token in enumerate(tokens):
        if token.type in BREAKS:
            line += 1
        elif token.type == "image":
            yield Link(line, str(token.attrs["src"]), token.content, picture=True)
        elif token.type == "link_open":
            yield Link(line, str(token.attrs["href"]), _shown(tokens[number + 1 :]))


def _shown(tokens: Sequence[Token]) -> str:
    """What a link shows: everything up to its end."""
    end = next(number for number, token in enumerate(tokens) if token.type == "link_close")
    return "".join(token.content for token in tokens[:end])


def _prose(tokens: Sequence[Token], line: int) -> Iterator[tuple[int, str]]:
    said = ""
    for token in tokens:
        if token.type in BREAKS:
            yield line, said
            line, said = line + 1, ""
        # Code is a word of its own, so that what stands around it does not grow together.
        said += token.content if token.type in ("text", "image") else "`" if token.type == "code_inline" else ""
    yield line, said


@dataclass(frozen=True)
class Tag:
    """What an HTML tag adds to a page."""

    target: str = ""
    text: str = ""
    picture: bool = False
    anchor: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[Tag] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        picture = tag == "img"
        # The text of a link in HTML is not looked at, so something stands for it.
        text = values.get("alt", "") if picture else tag
        target = values.get("src") or values.get("href") or values.get("srcset") or ""
        self.tags.append(Tag(target, text, picture, values.get("id") or values.get("name") or ""))


def _tags(html: str) -> list[Tag]:
    reader = _Reader()
    reader.feed(html)
    return reader.tags


def pages(files: frozenset[str]) -> list[Page]:
    """Every Markdown page among these files."""
    return [Page(name, (ROOT / name).read_text()) for name in sorted(files) if name.endswith(".md")]
