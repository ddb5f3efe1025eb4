"""README.md's shape; and that what README.md and the pages of docs name is there: objects, settings, flags, targets.

Their marked blocks are run by the tests in tests/e2e; this is for all the others.
"""

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hairpin_proxy import cli, placement
from hairpin_proxy.settings import options
from tests import distributions
from tests.corefiles import DESTINATION
from tests.distributions.golden import located
from tests.e2e.readme import README, UNINSTALL, blocks

ROOT = README.parent
DOCS = ROOT / "docs"
PAGES = [README, *(page for page in sorted(DOCS.glob("*.md")) if page.stem != "design")]
"""The design explains commands, and gives none."""

FOR_OPERATORS = {"README", "corefile", "data-plane", "distributions", "hosts", "install", "node-local-dns", "rules"} | {
    "security", "settings", "tenants", "two-installs", "uninstall",
}  # fmt: skip
"""Pages whose flags are all our own: others also show those of other programs."""

ORDER = [
    "The problem, and the cure",
    "Try it",
    "Install",
    "Verify",
    "Configure",
    "Leave",
    "When you do not need it",
    "Documentation",
    "Development",
]
PROGRAMS = ("kubectl ", "hairpin-proxy ", "make ")
OTHERS_FLAGS = {"--help", "--haproxy-protocol"}
RENDERED = ["--corefile", "-", "--ingresses", "objects.json"]
"""What `render` cannot do without, for where only its other flags are shown."""

BASES = {"HAPROXY_IMAGE", "PYTHON_IMAGE"}
"""What tools/build-images takes."""

SECOND_INSTALL = "hairpin-proxy-internal"


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def inline(page: Path) -> Iterator[Token]:
    """What stands within lines: text, links, code."""
    for token in tokens(page):
        yield from token.children or ()


def words(page: Path) -> Iterator[str]:
    """Code within lines."""
    yield from (token.content for token in inline(page) if token.type == "code_inline")


def shell_lines(page: Path) -> Iterator[str]:
    """What a reader may type: each line of blocks of commands, and code within lines that begins with a program."""
    for token in tokens(page):
        text = token.content.replace("\\\n", "")
        if token.type == "code_block" or (token.type == "fence" and token.info == "sh"):
            yield from whole(text.splitlines())
        elif token.type == "fence" and token.info == "console":
            yield from (line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
    yield from (word for word in words(page) if word.startswith(PROGRAMS))


def whole(lines: list[str]) -> Iterator[str]:
    """The lines, those as one that a quotation goes over."""
    open_lines: list[str] = []
    for line in lines:
        open_lines.append(line)
        try:
            shlex.split("\n".join(open_lines), comments=True)
        except ValueError:
            continue
        yield "\n".join(open_lines)
        open_lines = []
    yield from open_lines


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words of each command that runs this program, also behind a pipe or within a pod."""
    for line in shell_lines(page):
        if re.search(rf"(?<![\w./-]){program} ", line):
            yield from (found for found in _commands(line) if found[:1] == [program])


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in ("|", "||", "&&", ";", "--", "do", "("):
            yield found
            found = []
        else:
            found.append(word)
    yield found


@cache
def manifests() -> dict[str, set[str]]:
    """Every name in the manifests, by its kind in lower case."""
    found: dict[str, set[str]] = {}
    for file in ROOT.glob("deploy*.yml"):
        for item in yaml.safe_load_all(file.read_text()):
            found.setdefault(item["kind"].lower(), set()).add(item["metadata"]["name"])
    return found


def named(command: list[str]) -> Iterator[tuple[str, str]]:
    """Each object of ours that kubectl is given, as KIND/NAME or KIND NAME."""
    known = manifests()
    pairs = [*(tuple(word.split("/", 1)) for word in command if "/" in word), *pairwise(command)]
    for kind, name in pairs:
        one = kind.removesuffix("s")
        if one in known and name.startswith("hairpin-proxy"):
            yield one, name.replace(SECOND_INSTALL, "hairpin-proxy")
    yield from (("namespace", namespace) for flag, namespace in pairwise(command) if flag in ("-n", "--namespace"))


def haproxy_variables() -> dict[str, str]:
    """With their defaults."""
    return dict(re.findall(r"presetenv (\w+) (\S+)", (ROOT / "haproxy/haproxy.cfg").read_text()))


def our_flags() -> set[str]:
    (commands,) = (each for each in cli._parser()._actions if isinstance(each, argparse._SubParsersAction))
    return {flag for parser in commands.choices.values() for flag in parser._option_string_actions}


def is_understood(argv: list[str]) -> bool:
    try:
        cli._parser().parse_args(argv)
    except SystemExit as ended:
        return not ended.code  # as with --help
    return True


def page_id(page: Path) -> str:
    return page.stem


of_each_page = pytest.mark.parametrize("page", PAGES, ids=page_id)


# ---- README.md


def test_the_readme_is_short() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) < 250
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def test_the_readme_goes_from_what_it_is_to_when_it_is_not_needed() -> None:
    found = tokens(README)
    headings = [(head.tag, text.content) for head, text in pairwise(found) if head.type == "heading_open"]
    assert headings == [("h1", "hairpin-proxy"), *(("h2", title) for title in ORDER)]


def test_its_picture_stands_in_the_first_section() -> None:
    text = [token.content for token in tokens(README) if token.type == "inline"]
    (picture,) = (token for token in inline(README) if token.type == "image")
    assert picture.attrs["src"] == "docs/pictures/problem.svg"
    assert picture.content
    place = next(place for place, content in enumerate(text) if content.startswith("!["))
    assert text.index(ORDER[0]) < place < text.index(ORDER[1])


def test_a_way_out_that_stands_on_two_pages_is_the_same() -> None:
    readme, page = blocks(README), blocks(UNINSTALL)
    both = readme.keys() & page.keys()
    assert both == {"leave, the nodes", "leave, gently", "leave, at once"}
    assert {mark: readme[mark] for mark in both} == {mark: page[mark] for mark in both}


# ---- the pages


@pytest.mark.parametrize("folder", [DOCS, DOCS / "benchmarks"], ids=lambda folder: folder.name)
def test_every_page_is_in_the_index_of_its_folder(folder: Path) -> None:
    links = {str(token.attrs["href"]) for token in inline(folder / "README.md") if token.type == "link_open"}
    pages = {str(page.relative_to(folder)) for page in (*folder.glob("*.md"), *folder.glob("*/README.md"))}
    assert pages - links == {"README.md"}


@of_each_page
def test_kubectl_is_given_what_the_manifests_have(page: Path) -> None:
    known = manifests()
    ours = {"hairpin-proxy", SECOND_INSTALL}
    for command in commands(page, "kubectl"):
        for kind, name in named(command):
            if kind == "namespace":
                assert name in ours or not name.startswith("hairpin"), command
            else:
                assert name in known[kind], command


@of_each_page
def test_kubectl_is_given_files_that_are_there(page: Path) -> None:
    made = set(re.findall(r"> ([a-z-]+\.yml)", page.read_text()))
    for command in commands(page, "kubectl"):
        for flag, file in pairwise(command):
            if flag == "-f" and re.fullmatch(r"deploy[a-z-]*\.yml", file):
                assert file in made or (ROOT / file).exists(), command


@of_each_page
def test_variables_are_those_that_there_are(page: Path) -> None:
    controller = {option.env for option in options()}
    for command in commands(page, "kubectl"):
        if ("set", "env") not in pairwise(command) or command[-1] == "env":
            continue
        target, *variables = command[command.index("env") + 1 :]
        known = {*haproxy_variables()} if target == "deployment/hairpin-proxy-haproxy" else controller
        assert variables, command
        for variable in variables:
            if variable.startswith("-"):
                continue
            assert variable.partition("=")[0].removesuffix("-") in known, command


@of_each_page
def test_our_own_commands_parse(page: Path) -> None:
    for command in commands(page, "hairpin-proxy"):
        files = RENDERED if command[1] == "render" else []
        assert is_understood([command[1], *files, *command[2:]]), command


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in FOR_OPERATORS], ids=page_id)
def test_flags_are_those_that_there_are(page: Path) -> None:
    shown = {word.split()[0] for word in words(page) if word.startswith("--")}
    assert shown - our_flags() - OTHERS_FLAGS == set()


@of_each_page
def test_targets_of_make_are_those_that_there_are(page: Path) -> None:
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(page, "make"):
        targets = {word for word in command[1:] if "=" not in word}
        assert targets <= known, command


def test_these_tests_see_what_the_pages_show() -> None:
    """Else they would hold of no page."""
    shown = {program: [*commands(README, program)] for program in ("kubectl", "hairpin-proxy", "make")}
    assert ["hairpin-proxy", "cleanup", "--wait"] in shown["hairpin-proxy"]
    assert ["make", "demo", "KEEP=1"] in shown["make"]
    assert ["kubectl", "apply", "-f", "deploy.yml"] in shown["kubectl"]
    assert ("deployment", "hairpin-proxy-haproxy") in {thing for each in shown["kubectl"] for thing in named(each)}
    assert "TARGET_SERVER" in haproxy_variables()
    assert {"--ingress-class", "--wait", "--explain"} <= our_flags()


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in FOR_OPERATORS], ids=page_id)
def test_names_within_lines_are_those_that_there_are(page: Path) -> None:
    known = {option.env for option in options()} | {*haproxy_variables()} | BASES
    found = set(words(page))
    variables = {word.partition("=")[0] for word in found if re.fullmatch(r"[A-Z]+(_[A-Z]+)+(=.*)?", word)}
    files = {word for word in found if re.fullmatch(r"deploy[a-z-]*\.yml", word)}
    assert variables - known == set()
    assert {file for file in files if not (ROOT / file).exists()} == set()


def rows(page: Path) -> Iterator[str]:
    """Each row of its tables."""
    row: list[str] = []
    for token in tokens(page):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield " | ".join(row)
        elif token.type == "inline":
            row.append(token.content)


def rules(manifest: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each rule of its Roles and ClusterRoles, with the namespace; empty for all of them."""
    for item in yaml.safe_load_all((ROOT / manifest).read_text()):
        yield from ((item["metadata"].get("namespace", ""), rule) for rule in item.get("rules", ()))


WHERE = {"": "all namespaces", "kube-system": "kube-system", "hairpin-proxy": "its own namespace"}
OWN = {"serviceaccounts", "roles", "rolebindings"}


def test_the_page_of_security_has_each_right_of_the_controller() -> None:
    shown = [row.lower() for row in rows(DOCS / "security.md")]
    for namespace, rule in rules("deploy.yml"):
        if set(rule["resources"]) <= OWN:
            where, names = "both", []
        else:
            where, names = WHERE[namespace], [name for name in rule.get("resourceNames", ()) if "coredns" in name]
        words = [
            *(f"`{verb}`" for verb in rule["verbs"]),
            *(each.removesuffix("s") for each in rule["resources"]),
            *names,
        ]
        assert any(where in row.partition("|")[0] and all(word in row for word in words) for row in shown), rule


NAMED = {"helm-chart": "CoreDNS's Helm chart", "outscale": "Outscale OKS"}
"""Distributions that are called otherwise in the table than in our folder; the others differ in case alone."""

NOT_IN_THE_TABLE = {"issue-11", "k3s-custom", "kubeadm-upgraded", "oke", "openshift", "selectel", "v0.2.1", "vcluster"}
"""No distribution, or one of which there is more to say than a row."""


@pytest.mark.parametrize("name", sorted({*distributions.names()} - NOT_IN_THE_TABLE))
def test_the_page_of_distributions_has_where_rules_go_and_what_that_takes(name: str) -> None:
    location = located(name)
    corefile = distributions.configmap(name, str(location.configmap))["data"][location.key]
    view = placement.view(corefile, location.configmap, location)
    target = placement.target(corefile, DESTINATION, view, location.configmap)
    title = re.compile(rf"\b{NAMED.get(name, name)}\b", re.IGNORECASE)
    (row,) = (
        row for row in rows(DOCS / "distributions.md") if title.search(row.partition(" | ")[0].partition("](")[0])
    )
    _, where, to_do, _ = row.split(" | ")
    if target:
        assert where == f"`{target.key}` in `{target.configmap.name}`"
    elif name != "helm-chart":  # whose name is the user's
        assert where == f"{location.key} in `{location.configmap.name}`"
    assert ("the right to" in to_do) is (location.configmap.name not in ("coredns", "coredns-custom"))
    present = {item["metadata"]["name"] for item in distributions.objects(name) if item["kind"] == "ConfigMap"}
    if target and target.configmap.name not in present:
        assert "make that ConfigMap" in to_do


def test_the_page_of_the_data_plane_has_each_variable_with_its_default() -> None:
    shown = {}
    for row in rows(DOCS / "data-plane.md"):
        names, default, *_ = (re.findall(r"`([^`]*)`", cell) for cell in row.split(" | "))
        if names and names[0] in haproxy_variables():
            shown.update(dict.fromkeys(names, default[0]))
    # The entrypoint sets how many addresses, and the page shows where only the first of three listens.
    known = {name: value for name, value in haproxy_variables().items() if name != "TARGET_COUNT"}
    assert shown == known | {"HTTPS_BIND": known["HTTP_BIND"], "HEALTH_BIND": known["HTTP_BIND"]}
