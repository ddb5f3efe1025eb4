"""The checks of pages find what they are for: each broken page here has one fault."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.docs import spelling
from tests.docs.links import Repository, asked
from tests.docs.pages import ROOT, Page
from tools.release.version import known_files

WHOLE = """\
# The title

[Down here](#twice-1), [there](docs/other.md#code-and-words), [a folder](docs), [its page](docs/#other-pages),
[a line](deploy.yml#L10-L12), [outside](https://example.com/), ![A picture](docs/picture.svg), [by name][name],
[with a space](docs/a%20file.txt), [up](/docs/other.md), [mail](mailto:somebody@example.com).
<a href="docs/other.md"><img src="docs/picture.svg" alt="A picture"></a> <a id="by-hand"></a> [by hand](#by-hand)

## Twice

    [no link](in-code.md)

## Twice

`[no link](in-code.md)`

[name]: docs/other.md
"""
PAGES = {
    "README.md": WHOLE,
    "docs/README.md": "# Other pages\n\n[Back](../README.md), [on](other.md)\n",
    "docs/other.md": "# Other\n\n## `Code`, and *words*\n",
}
FILES = {"deploy.yml", "docs/picture.svg", "docs/a file.txt"}


def said(pages: dict[str, str]) -> list[str]:
    files = frozenset({*FILES, *pages})
    return [str(finding) for finding in Repository(files, [Page(*page) for page in pages.items()]).findings()]


def test_a_whole_repository_has_no_finding() -> None:
    assert said(PAGES) == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("[a](docs/gone.md)", "there is no such file"),
        ("[a](docs/Other.md)", "there is no such file"),
        ("![a](docs/gone.svg)", "there is no such file"),
        ('<img src="docs/gone.svg" alt="a">', "there is no such file"),
        ("> 1. **[a](gone)**", "there is no such file"),
        ("| a |\n|---|\n| [a](gone) |", "there is no such file"),
        ("[a](../outside.md)", "leads out of the repository"),
        ("[a](#gone)", "README.md has no such heading"),
        ("[a](#Twice)", "README.md has no such heading"),
        ("[a](#twice-2)", "README.md has no such heading"),
        ("[a](docs/other.md#gone)", "docs/other.md has no such heading"),
        ("[a](docs#gone)", "docs/README.md has no such heading"),
        ("[a](deploy.yml#gone)", "deploy.yml has no headings"),
        ("[a](http://example.com/)", "is not https"),
        ("[a](ftp://example.com/)", "is not https"),
        ("[a](https:/example.com)", "names no server"),
        ("[a](https://example)", "names no server"),
        ("[](docs/other.md)", "has no words"),
        ("![](docs/picture.svg)", "say what is to be seen"),
        ("[a][gone]", "a link whose address is missing"),
    ],
)
def test_a_broken_link(link: str, fault: str) -> None:
    (finding,) = said({**PAGES, "README.md": f"{WHOLE}\nA line.\n\n{link}\n"})
    line = WHOLE.count("\n") + 4 + link.count("\n")
    assert finding.startswith(f"README.md:{line}: ")
    assert fault in finding


def test_a_link_on_a_paragraphs_second_line() -> None:
    (finding,) = said({**PAGES, "docs/other.md": f"{PAGES['docs/other.md']}\nOne,\n[two](gone)\n"})
    assert finding == "docs/other.md:6: gone: there is no such file or folder"


def test_a_page_that_nobody_finds() -> None:
    lost = {"docs/lost.md": "# Lost\n\n[Home](README.md), [a twin](twin.md)\n", "docs/twin.md": "[lost](lost.md)\n"}
    assert said({**PAGES, **lost}) == [
        "docs/lost.md:0: no way leads here from README.md or docs/README.md",
        "docs/twin.md:0: no way leads here from README.md or docs/README.md",
    ]


def test_files_are_those_that_git_knows() -> None:
    files = {*known_files(ROOT)}
    assert {"README.md", "tests/docs/test_pages.py"} <= files
    assert not any(name.startswith(".venv/") for name in files)


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/here" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_the_network_says(server: str) -> None:
    text = f"[a]({server}/here)\n[b]({server}/gone)\n\n[c]({server}/gone)\n[d](here.md) [e](mailto:a@example.com)\n"
    found = asked(Repository(frozenset(), [Page("README.md", text)]), schemes=("http",))
    assert [str(finding) for finding in found] == [f"README.md:2: {server}/gone: HTTP 404"]


def test_a_server_that_is_not_there() -> None:
    page = Page("README.md", "[a](http://127.0.0.1:1/)\n")
    (finding,) = asked(Repository(frozenset(), [page]), schemes=("http",))
    assert "no answer" in finding.what


def misspelled(text: str, own: tuple[str, ...] = ()) -> list[str]:
    return [str(finding) for finding in spelling.findings([Page("a.md", text)], own)]


def test_a_misspelled_word() -> None:
    assert misspelled("# A title\n\nA word, and\nbogusword one.\n") == [
        "a.md:4: bogusword: is it spelled so? Then add it to tests/docs/words.txt"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# bogusword",
        "- **bogusword**",
        "[bogusword](https://example.com)",
        "| bogusword |\n|---|\n",
        "an-bogusword",
        "Bogusword's",
    ],
)
def test_it_is_found_wherever_it_stands(text: str) -> None:
    (finding,) = misspelled(text)
    assert "ogusword: is it spelled so?" in finding


@pytest.mark.parametrize(
    "text",
    [
        "`bogusword`",
        "    bogusword\n",
        "```sh\nbogusword\n```",
        "<!-- bogusword -->",
        "[a](bogusword.md)",
        "bogusword.md /bogusword bogusword_one bogusword=1 bogusword1",
        "It's, doesn't, the operator's; don't.",
    ],
)
def test_what_is_no_word(text: str) -> None:
    assert misspelled(text) == []


def test_british_spelling_is_a_finding() -> None:
    assert len(misspelled("The colour.")) == 1


def test_words_of_our_own() -> None:
    own = ("CoreDNS", "finalizer")
    assert misspelled("Finalizer, finalizer, CoreDNS, CoreDNS's finalizer.", own) == []
    assert len(misspelled("Coredns", own)) == 1


@pytest.mark.parametrize("own", [("b", "a"), ("a", "a")])
def test_the_list_is_sorted(own: tuple[str, ...]) -> None:
    (finding,) = misspelled("", own)
    assert finding.startswith("tests/docs/words.txt:1: ")
