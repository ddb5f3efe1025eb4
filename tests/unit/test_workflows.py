"""The workflow files call what is there, and pin what they use."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


def commands(workflow: Path) -> Iterator[list[str]]:
    for step in steps(workflow):
        for line in step.get("run", "").splitlines():
            words = shlex.split(line, comments=True)
            yield words[1:] if words[0] == "sudo" else words


def test_there_are_some() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", each)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_they_call_is_there(workflow: Path) -> None:
    ours = [words for words in commands(workflow) if words[0] == "make" or words[0].startswith(("tools/", "."))]
    assert ours
    for words in ours:
        if words[0] == "make":
            assert words[1] in TARGETS
        else:
            assert os.access(ROOT / words[0], os.X_OK), words[0]


def test_a_release_takes_its_registry_from_the_fork() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    job = yaml.safe_load(text)["jobs"]["release"]
    assert job["env"] == {"IMAGE_REGISTRY": "${{ vars.IMAGE_REGISTRY }}"}
    assert job["if"] == "${{ vars.IMAGE_REGISTRY != '' }}"
    assert re.findall(r"\b[\w-]+\.(?:io|com|org|dev)\b", text) == []


@pytest.mark.parametrize(("version", "flags"), [("1.2.3", []), ("1.2.3-rc.1", ["--prerelease"])])
def test_a_version_before_a_release_is_not_published_as_the_latest(
    tmp_path: Path, version: str, flags: list[str]
) -> None:
    workflow = ROOT / ".github" / "workflows" / "release.yml"
    (script,) = (step["run"] for step in steps(workflow) if step.get("name") == "Publish it")
    # It only repeats its arguments, for there is nowhere to publish.
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    gh.chmod(0o755)
    made = tmp_path / "dist" / version / "SHA256SUMS"
    made.parent.mkdir(parents=True)
    made.touch()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VERSION": version, "GITHUB_REF_NAME": f"v{version}"}
    argv = ["bash", "-e", "-c", script]
    said = subprocess.run(argv, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout
    create = ["release", "create", f"v{version}", "--verify-tag", "--title", f"v{version}"]
    assert said.splitlines() == [*create, *flags, f"dist/{version}/SHA256SUMS"]
