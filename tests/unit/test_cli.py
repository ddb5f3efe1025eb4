"""The command line: what is refused before anything is tried, and what --help says."""

import re
from pathlib import Path

import pytest

from hairpin_proxy import __version__
from hairpin_proxy.cli import main
from hairpin_proxy.settings import options


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for option in options():
        monkeypatch.delenv(option.env, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    "argv",
    [[], ["walk"], ["run", "--no-such"], ["run", "--interval"], ["run", "--inter", "15"], ["run", "surplus"]],
)
def test_wrong_words_are_refused_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: hairpin-proxy" in capsys.readouterr().err


def test_a_wrong_value_is_refused_with_2_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--interval", "0"]) == 2
    assert (
        capsys.readouterr().err
        == "hairpin-proxy: error: --interval is '0'; it takes a number of seconds from 0.1 to 86400\n"
    )


def test_a_wrong_variable_is_refused_with_2_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLL_INTERVAL", "often")
    assert main(["run"]) == 2
    assert "POLL_INTERVAL is 'often'" in capsys.readouterr().err


NO_KUBECONFIG = {
    "missing": None,
    "empty": "",
    "no YAML": "{",
    "a list": "[]",
    "no contexts": "apiVersion: v1\nkind: Config\n",
    "another context": "apiVersion: v1\ncurrent-context: x\ncontexts: [{name: y, context: {cluster: c, user: u}}]\n",
}


@pytest.mark.parametrize("text", NO_KUBECONFIG.values(), ids=NO_KUBECONFIG)
def test_a_kubeconfig_that_is_of_no_use_is_refused_with_2_and_named(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    assert main(["run", "--once", "--kubeconfig", str(path)]) == 2
    log = capsys.readouterr().err
    assert f"ERROR no credentials from kubeconfig {path}: " in log
    assert len(log.splitlines()) == 2


def test_the_start_line_has_version_and_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--once", "--kubeconfig", str(tmp_path / "none"), "--configmap", "a/b"])
    start = capsys.readouterr().err.splitlines()[0]
    assert f"hairpin-proxy {__version__} starts: interval=15.0 min_write_interval=30.0 once=True dry_run=False" in start
    assert "configmap=a/b" in start


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_lists_every_setting_with_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = capsys.readouterr().out
    for option in options():
        assert option.flag in shown
        assert f"(env {option.env}, default " in shown


def test_the_page_has_every_setting_as_help_has_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # or a line may break within a word
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    rows = re.findall(r"^\| `(--[a-z-]+)[^`]*` \| `([A-Z_]+)` \| (\S+) \| (.+) \|$", page, re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert [row[0] for row in rows] == [option.flag for option in options()]
    for flag, env, default, meaning in rows:
        assert f"{meaning} (env {env}, default {default.strip('`')})" in shown, flag
