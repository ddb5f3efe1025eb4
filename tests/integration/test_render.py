"""`hairpin-proxy render`: files in, bytes out, without a cluster."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_manifests import LIST, MANIFESTS, RAW, YAML_LIST

DESTINATION = "hairpin-proxy.hairpin-proxy.svc.cluster.local"
A = f"    rewrite name a.example.com {DESTINATION} # Added by hairpin-proxy\n"
B = f"    rewrite name b.example.com {DESTINATION} # Added by hairpin-proxy\n"

BEFORE = """\
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . /etc/resolv.conf
    reload
}
"""
AFTER = f"""\
.:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . /etc/resolv.conf
    reload
{A}{B}}}
"""
DIFF = f"""\
--- Corefile
+++ Corefile
@@ -3,4 +3,6 @@
     kubernetes cluster.local in-addr.arpa ip6.arpa
     forward . /etc/resolv.conf
     reload
+{A}+{B} }}
"""
IMPORTING = BEFORE.replace("    reload\n", "    reload\n    import /etc/coredns/custom/*.override\n")
NO_RELOAD = "no server block has the reload plugin, so CoreDNS reads no change until it is restarted"
NO_IMPORT = (
    "the Corefile imports no folder, among the plugins of each server block that the rules belong to, at which a "
    "ConfigMap of its own could be mounted; --provider corefile shows the Corefile"
)
EMPTY = '{"apiVersion":"v1","items":[],"kind":"List","metadata":{"resourceVersion":""}}'


def one(*hosts: str) -> str:
    item = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"tls": [{"hosts": hosts}]},
    }
    return json.dumps(item)


class Render:
    """The command, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        corefile: str | bytes,
        ingresses: str,
        *flags: str,
        stdin: str = "",
        code: int = 0,
        environment: dict[str, str] | None = None,
    ) -> tuple[bytes, list[str]]:
        """Standard output, and the lines of standard error without the name that each starts with.

        With `stdin` the name of a flag, that one's content comes from there.
        """
        contents = {"corefile": corefile if isinstance(corefile, bytes) else corefile.encode()}
        contents["ingresses"] = ingresses.encode()
        argv = []
        for name, content in contents.items():
            (self.folder / name).write_bytes(content)
            argv += [f"--{name}", "-" if name == stdin else str(self.folder / name)]
        done = self.run(*argv, *flags, stdin=contents.get(stdin, b""), environment=environment or {})
        lines = done.stderr.decode().splitlines()
        assert done.returncode == code, lines
        assert all(line.startswith("hairpin-proxy: ") for line in lines), lines
        return done.stdout, [line.removeprefix("hairpin-proxy: ") for line in lines]

    def run(
        self, *argv: str, stdin: bytes = b"", environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        # No kubeconfig, no pod: whoever asks for an API server ends in an error.
        return subprocess.run(
            [sys.executable, "-m", "hairpin_proxy", "render", *argv],
            input=stdin,
            env={"HOME": str(self.folder), "COLUMNS": "200", **(environment or {})},
            cwd=self.folder,
            capture_output=True,
            timeout=180,
            check=False,
        )

    def refused(self, corefile: str | bytes, ingresses: str, *flags: str, stdin: str = "", code: int = 1) -> str:
        """Why."""
        output, lines = self(corefile, ingresses, *flags, stdin=stdin, code=code)
        assert output == b""
        assert len(lines) == 1
        return lines[0].removeprefix("error: ").replace(f"{self.folder}/", "")


@pytest.fixture
def render(tmp_path: Path) -> Render:
    return Render(tmp_path)


@pytest.mark.parametrize(
    "ingresses", [LIST, YAML_LIST, RAW, MANIFESTS], ids=["List as JSON", "List as YAML", "IngressList", "manifests"]
)
def test_the_new_corefile(render: Render, ingresses: str) -> None:
    assert render(BEFORE, ingresses) == (AFTER.encode(), [])


@pytest.mark.parametrize("stdin", ["corefile", "ingresses"])
def test_one_of_the_two_from_standard_input(render: Render, stdin: str) -> None:
    assert render(BEFORE, LIST, stdin=stdin) == (AFTER.encode(), [])


def test_a_pipe_in_place_of_a_file(render: Render) -> None:
    (render.folder / "Corefile").write_text(BEFORE)
    script = f"{sys.executable} -m hairpin_proxy render --corefile Corefile --ingresses <(echo '{RAW}')"
    done = subprocess.run(["bash", "-c", script], cwd=render.folder, capture_output=True, text=True, check=True)
    assert done.stdout == AFTER


def test_the_diff(render: Render) -> None:
    assert render(BEFORE, LIST, "--diff") == (DIFF.encode(), [])


def test_no_diff_if_nothing_changes(render: Render) -> None:
    assert render(AFTER, LIST, "--diff") == (b"", [])
    assert render(AFTER, LIST) == (AFTER.encode(), [])


def test_rules_go_with_their_hosts(render: Render) -> None:
    assert render(AFTER, one("b.example.com")) == (AFTER.replace(A, "").encode(), [])
    output, lines = render(AFTER, EMPTY)
    assert output == BEFORE.encode()
    assert lines == [f"warning: {render.folder}/ingresses holds no Ingress, so there is a rule for no host"]


def test_no_ingress_from_standard_input(render: Render) -> None:
    assert render(BEFORE, "kind: Service\n", stdin="ingresses") == (
        BEFORE.encode(),
        ["warning: standard input holds no Ingress, so there is a rule for no host"],
    )


APPLIED = pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=command[0], marks=pytest.mark.skipif(not shutil.which(command[0]), reason="missing"))
        for command in (["patch", "-p0"], ["git", "apply", "-p0"])
    ],
)

BYTES = {
    "CRLF": BEFORE.replace("\n", "\r\n").encode(),
    "byte order mark": b"\xef\xbb\xbf" + BEFORE.encode(),
    "no final line break": BEFORE.rstrip("\n").encode(),
    "no braces, no final line break": b".:53\nkubernetes cluster.local\nreload",
    "no braces, CRLF, no final line break": b".:53\r\nkubernetes cluster.local\r\nreload",
    "not UTF-8": BEFORE.replace("reload", "reload # gr\udcfc\udcdfe \udcff").encode(errors="surrogateescape"),
    "other line breaks": BEFORE.replace("reload", "reload # a\rb\x0bc\x0cd\x85e\u2028f").encode(),
    "tabs": BEFORE.replace("    ", "\t").encode(),
}


@pytest.mark.parametrize("before", BYTES.values(), ids=BYTES)
def test_every_other_byte_stays(render: Render, before: bytes) -> None:
    after, lines = render(before, LIST)
    assert lines == []
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    rules = [line.strip().encode() for line in (A, B)]
    assert [line.strip() for line in after.split(newline) if b"hairpin" in line] == rules
    # And all of them come out again.
    assert render(after, EMPTY)[0] == before


def test_crlf_byte_for_byte(render: Render) -> None:
    assert render(BYTES["CRLF"], LIST) == (AFTER.replace("\n", "\r\n").encode(), [])


@APPLIED
@pytest.mark.parametrize("before", BYTES.values(), ids=BYTES)
def test_the_diff_can_be_applied_and_reverted(render: Render, before: bytes, command: list[str]) -> None:
    after, _ = render(before, LIST)
    diff, _ = render(before, LIST, "--diff")
    assert b"\\ No newline at end of file\n" in diff or before.endswith(b"\n")
    file = render.folder / "Corefile"
    file.write_bytes(before)
    subprocess.run(command, input=diff, cwd=render.folder, check=True, capture_output=True)
    assert file.read_bytes() == after
    diff, _ = render(after, EMPTY, "--diff")
    subprocess.run(command, input=diff, cwd=render.folder, check=True, capture_output=True)
    assert file.read_bytes() == before


def test_a_diff_is_never_shortened(render: Render) -> None:
    hosts = [f"host-{number:05}.example.com" for number in range(5000)]
    diff, lines = render(BEFORE, one(*hosts), "--diff", "--rules", "lines")
    assert lines == []
    assert [line.split()[3].decode() for line in diff.split(b"\n") if line.startswith(b"+    ")] == hosts


def test_hosts_left_out_are_said_and_do_no_harm(render: Render) -> None:
    hosts = ("*.com", "web", "b.example.com", "evil\n.example.com", "kubernetes.default.svc", "a.example.com")
    output, lines = render(BEFORE, one(*hosts))
    assert output == AFTER.encode()
    warning = "warning: Ingress default/web: host"
    assert sorted(lines) == [
        f"{warning} '*.com' is left out: it covers names of everybody below the public suffix com (public-suffix)",
        f"{warning} 'evil\\n.example.com' is left out: it is no DNS name (RFC 1123: labels of 1 to 63 letters, digits "
        "and inner hyphens) (invalid-name)",
        f"{warning} 'kubernetes.default.svc' is left out: it is within svc, which is never redirected (protected)",
        f"{warning} 'web' is left out: it is a single label, which pods complete with their search domains (protected)",
    ]


def test_what_a_terminal_would_obey_is_not_printed(render: Render) -> None:
    item = {"kind": "Ingress", "metadata": {"name": "x\x1b[2J\nnext"}, "spec": {"tls": [{"hosts": ["web"]}]}}
    _, lines = render(BEFORE, json.dumps(item))
    assert len(lines) == 1
    assert "Ingress x?[2J next: host 'web' is left out" in lines[0]


def test_remarks_on_the_corefile(render: Render) -> None:
    before = BEFORE.replace("    reload\n", "    rewrite name a.example.com elsewhere.example.net\n")
    output, lines = render(before, LIST)
    assert output.decode() == AFTER.replace("    reload\n", "    rewrite name a.example.com elsewhere.example.net\n")
    assert lines == [
        "warning: `rewrite name a.example.com elsewhere.example.net` (Corefile:5) leads host a.example.com elsewhere; "
        "it stands first and wins",
        f"warning: {NO_RELOAD}",
    ]


def test_no_kubernetes_plugin_is_a_warning_here(render: Render) -> None:
    output, lines = render("# DNS\n.:53 {\n    reload\n}\n", LIST)
    assert output.decode() == f"# DNS\n.:53 {{\n    reload\n{A}{B}}}\n"
    assert lines == [
        "warning: Corefile:2: the server block that answers '.' has no kubernetes plugin for a zone that holds "
        f"{DESTINATION}, so every rewritten name would be NXDOMAIN; is --destination in this cluster's domain? "
        "(`run` writes no rule there)"
    ]
    assert render("# DNS\n.:53 {\n    reload\n}\n", "kind: Ingress\n")[1] == []


NO_HOME = {
    "example.org {\n}\n": "Corefile:1: no server block answers '.', so ",
    "# two\n.:53 {\n    reload\n}\n.:5353 {\n    reload\n}\n": (
        "Corefile:2: none of the 2 server blocks that answer '.' has "
    ),
}
UNREADABLE = {
    ".:53 {\n    reload\n": "Corefile:1: the server block that is opened here is never closed",
    '.:53 {\n    errors "x\n}\n': "Corefile:2: a quote is opened here and never closed",
    "": "corefile is empty; did the command that should fill it fail?",
    " \r\n": "corefile is empty; did the command that should fill it fail?",
}


@pytest.mark.parametrize("flags", [[], ["--diff"], ["--provider", "corefile"]], ids=str)
@pytest.mark.parametrize(("corefile", "problem"), [*NO_HOME.items(), *UNREADABLE.items()])
def test_a_corefile_that_cannot_be_edited(render: Render, corefile: str, problem: str, flags: list[str]) -> None:
    assert render.refused(corefile, LIST, *flags).startswith(problem)


@pytest.mark.parametrize(("corefile", "problem"), [*dict.fromkeys(NO_HOME, NO_IMPORT).items(), *UNREADABLE.items()])
def test_a_corefile_without_a_key_to_show(render: Render, corefile: str, problem: str) -> None:
    assert render.refused(corefile, LIST, "--provider", "import") == problem
    assert render.refused(corefile, LIST, "--provider", "import", "--diff") == problem


@pytest.mark.parametrize(
    ("ingresses", "problem"),
    [
        ("", "ingresses is empty; did the command that should fill it fail?"),
        ("\n \n", "ingresses is empty; did the command that should fill it fail?"),
        ("\ufeff\n", "ingresses is empty; did the command that should fill it fail?"),
        ("[]", "ingresses:1: a mapping is expected here, and this is a list"),
        ("kind: List\nitems: []\n---\nitems: [\n", "ingresses:5: while parsing a flow node, did not find expected node "
         "content"),
        (LIST.replace('"tls": [{', '"tls": "x", "y": [{'), "ingresses:1: Ingress default/web: spec.tls: a list is "
         "expected here, and this is 'x'"),
    ],
)  # fmt: skip
def test_ingresses_that_cannot_be_read(render: Render, ingresses: str, problem: str) -> None:
    assert render.refused(AFTER, ingresses) == problem
    assert render.refused(AFTER, ingresses, stdin="ingresses") == problem.replace("ingresses", "standard input", 1)


def test_files_that_cannot_be_opened(render: Render) -> None:
    (render.folder / "ingresses").write_text(LIST)
    for path, problem in (("none", "No such file or directory"), (".", "Is a directory")):
        done = render.run("--corefile", path, "--ingresses", "ingresses")
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.decode() == f"hairpin-proxy: error: {path} cannot be read: {problem}\n"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "the following arguments are required: --corefile, --ingresses"),
        (["--corefile", "x"], "the following arguments are required: --ingresses"),
        (["--corefile", "-", "--ingresses", "-"], "only one of them can be standard input"),
        (["--corefile", "", "--ingresses", "-"], "--corefile is ''; it takes a file, or - for standard input"),
        (["--corefile", "-", "--ingresses", ""], "--ingresses is ''; it takes a file, or - for standard input"),
        (["--corefile", "-", "--ingresses", "x", "--provider", "y"], "--provider is 'y'; it takes auto or corefile"),
        (["--corefile", "-", "--ingresses", "x", "--destination", "y"], "--destination is 'y'; it takes a full DNS"),
        (["--corefile", "-", "--ingresses", "x", "--coredns-version", "y"], "--coredns-version is 'y'; it takes"),
        (["--corefile", "-", "--ingresses", "x", "--interval", "5"], "unrecognized arguments: --interval 5"),
        (["--corefile", "-", "--ingresses", "x", "--kubeconfig", "y"], "unrecognized arguments: --kubeconfig y"),
    ],
)
def test_wrong_usage(render: Render, argv: list[str], problem: str) -> None:
    done = render.run(*argv, stdin=BEFORE.encode())
    assert (done.returncode, done.stdout) == (2, b"")
    assert problem in done.stderr.decode()


def test_variables_count_and_those_of_other_commands_do_not(render: Render) -> None:
    environment = {"DESTINATION": "lb.example.net", "POLL_INTERVAL": "often", "KUBECONFIG": "none", "ETC_HOSTS": "x"}
    output, lines = render(BEFORE, one("a.example.com"), environment=environment)
    assert b"rewrite name a.example.com lb.example.net # Added by hairpin-proxy" in output
    assert lines[0].startswith("warning: Corefile:1: the server block that answers '.' has no kubernetes plugin")
    assert render(BEFORE, LIST, "--destination", DESTINATION, environment=environment)[0] == AFTER.encode()
    done = render.run("--corefile", "x", "--ingresses", "y", environment={"PROVIDER": "z"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"PROVIDER is 'z'" in done.stderr


OLD = "hairpin-proxy.hairpin-proxy.svc.a.local"


def test_rules_of_another_install_until_they_are_adopted(render: Render) -> None:
    before = AFTER.replace(DESTINATION, OLD)
    output, lines = render(before, LIST)
    assert output.decode() == before.replace("\n}\n", f"\n{A}{B}}}\n")
    assert lines == [
        f"warning: `rewrite name a.example.com {OLD}` (Corefile:6) leads host a.example.com elsewhere; it stands first "
        "and wins",
        f"warning: `rewrite name b.example.com {OLD}` (Corefile:7) leads host b.example.com elsewhere; it stands first "
        "and wins",
        f"warning: the Corefile has 2 rules such as `rewrite name a.example.com {OLD}` of another install of "
        f"hairpin-proxy, left alone: --adopt-destination {OLD} takes over what is left of one that is gone",
    ]
    assert render(before, LIST, "--adopt-destination", OLD) == (AFTER.encode(), [])
    others = ["--adopt-destination", "x.example.net", "--adopt-destination", OLD]
    assert render(before, LIST, *others) == (AFTER.encode(), [])


IMPORTED = f"{A}{B}".replace("    ", "")
NOTE = (
    "warning: the Corefile imports /etc/coredns/custom/*.override: where a ConfigMap is mounted there, `run` writes "
    "the rules into its key hairpin-proxy.override (--provider import shows it), and none into the Corefile"
)


def test_the_key_that_the_corefile_imports(render: Render) -> None:
    assert render(IMPORTING, LIST, "--provider", "import") == (IMPORTED.encode(), [])
    assert render(IMPORTING, "kind: Ingress\n", "--provider", "import") == (b"", [])
    assert render(IMPORTING, LIST, "--provider", "import", environment={"PROVIDER": "corefile"})[0] == IMPORTED.encode()


@APPLIED
def test_the_diff_of_the_imported_key_makes_a_file(render: Render, command: list[str]) -> None:
    diff, _ = render(IMPORTING, LIST, "--provider", "import", "--diff")
    assert diff.startswith(b"--- /dev/null\n+++ hairpin-proxy.override\n@@ -0,0 +1,2 @@\n")
    subprocess.run(command, input=diff, cwd=render.folder, check=True, capture_output=True)
    assert (render.folder / "hairpin-proxy.override").read_text() == IMPORTED


@pytest.mark.parametrize(
    ("pattern", "destination", "key"),
    [
        ("custom/*.include", DESTINATION, "hairpin-proxy.include"),
        ("/etc/coredns/custom/*.override", "hairpin-proxy.staging.svc.cluster.local", "staging.override"),
    ],
)
def test_the_key_has_the_name_that_run_gives_it(render: Render, pattern: str, destination: str, key: str) -> None:
    corefile = IMPORTING.replace("/etc/coredns/custom/*.override", pattern)
    diff, _ = render(corefile, LIST, "--provider", "import", "--diff", "--destination", destination)
    assert f"+++ {key}\n".encode() in diff


def test_hosts_that_the_corefile_rewrites_are_left_to_it(render: Render) -> None:
    corefile = IMPORTING.replace("    reload\n", "    reload\n    rewrite name b.example.com other.example.net\n")
    assert render(corefile, LIST, "--provider", "import") == (
        A.lstrip().encode(),
        ["warning: `rewrite name b.example.com other.example.net` (Corefile:6) leads host b.example.com elsewhere; it "
         "stands first and wins"],
    )  # fmt: skip


def test_rules_that_stand_in_the_corefile_still(render: Render) -> None:
    corefile = IMPORTING.replace("    errors\n", f"    errors\n{A}")
    taken_out = "which `run` takes out once hairpin-proxy.override is seen to be at work"
    warnings = [f"warning: the Corefile has 1 rule of ours, {taken_out}"]
    assert render(corefile, LIST, "--provider", "import") == (IMPORTED.encode(), warnings)
    assert render(corefile, "kind: Ingress\n", "--provider", "import") == (b"", warnings)
    assert render(corefile, "kind: Ingress\n", "--provider", "corefile") == (IMPORTING.encode(), [])
    # Lines are those of the file that was given.
    corefile = corefile.replace("    reload\n", "    rewrite name a.example.com b.example.net\n    reload\n")
    output, lines = render(corefile, LIST, "--provider", "import")
    assert output.decode() == B.lstrip()
    assert lines[1].startswith("warning: `rewrite name a.example.com b.example.net` (Corefile:6) leads host")


@pytest.mark.parametrize("flags", [[], ["--diff"]], ids=str)
def test_no_import_to_write_to(render: Render, flags: list[str]) -> None:
    assert render.refused(BEFORE, LIST, "--provider", "import", *flags) == NO_IMPORT
    # One that is not among the plugins of the block is none.
    beside = f"{BEFORE}import custom/*.server\n"
    assert render.refused(beside, LIST, "--provider", "import", *flags) == NO_IMPORT


def test_where_the_rules_would_go_in_the_cluster(render: Render) -> None:
    after = IMPORTING.replace("}\n", f"{A}{B}}}\n")
    assert render(IMPORTING, LIST) == (after.encode(), [NOTE])
    assert render(IMPORTING, LIST, "--provider", "auto") == (after.encode(), [NOTE])
    assert render(IMPORTING, LIST, "--provider", "corefile") == (after.encode(), [])
    assert render(IMPORTING, LIST, "--coredns-version", "1.6.9") == (after.encode(), [])
    assert render(IMPORTING, LIST, "--coredns-version", "1.7.0") == (after.encode(), [NOTE])


def test_an_import_that_coredns_would_not_notice(render: Render) -> None:
    assert render(IMPORTING, LIST, "--provider", "import", "--coredns-version", "v1.6.9") == (
        IMPORTED.encode(),
        ["warning: CoreDNS 1.6.9 notices no change of an imported file (1.7.0 does), so `run` writes no "
         "hairpin-proxy.override"],
    )  # fmt: skip
    assert render(IMPORTING, LIST, "--provider", "import", "--coredns-version", "1.7.0") == (IMPORTED.encode(), [])


SIZE = 1024 * 1024
RULE = len(A) - len("a.example.com")


@pytest.mark.parametrize(("provider", "taken"), [("corefile", len(BEFORE)), ("import", 0)])
def test_more_hosts_than_a_configmap_holds(render: Render, provider: str, taken: int) -> None:
    hosts = [f"host-{number:05}.example.com" for number in range(12000)]
    output, lines = render(
        IMPORTING if provider == "import" else BEFORE, one(*hosts), "--provider", provider, "--rules", "lines"
    )
    rule = RULE + len(hosts[0]) - (4 if provider == "import" else 0)
    fitting = (SIZE - taken) // rule
    assert len(output) == taken + fitting * rule
    assert output.count(b"# Added by") == fitting
    key = "hairpin-proxy.override: " if provider == "import" else ""
    first = ", ".join(hosts[fitting : fitting + 3])
    assert lines == [
        f"warning: {key}{12000 - fitting} hosts ({first}, ...) left out: {fitting} of 12000 hosts fit into the {SIZE} "
        "bytes of a ConfigMap, with all else that is in it; what stands there stays"
    ]


def test_a_corefile_that_leaves_no_room_for_what_stands_there(render: Render) -> None:
    rest = b"# " + b"\xff" * SIZE + b"\n"
    assert "2 hosts make a text of" in (problem := render.refused(AFTER.encode() + rest, LIST))
    assert problem.endswith("0 hosts fit; nothing was written")
    # What takes rules out makes room.
    assert render(AFTER.encode() + rest, EMPTY)[0] == BEFORE.encode() + rest


def test_whoever_reads_the_output_may_stop(render: Render) -> None:
    (render.folder / "Corefile").write_text(BEFORE)
    (render.folder / "ingresses").write_text(LIST)
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "hairpin_proxy", "render", "--corefile", "Corefile", "--ingresses", "ingresses"]
    done = subprocess.run(argv, cwd=render.folder, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("redirection", "problem"),
    [
        (">/dev/full", "standard output cannot be written: No space left on device"),
        (">&-", "standard output cannot be written: Bad file descriptor"),
        ("<&-", "standard input cannot be read: Bad file descriptor"),
    ],
)
def test_standard_streams_that_are_of_no_use(render: Render, redirection: str, problem: str) -> None:
    (render.folder / "Corefile").write_text(BEFORE)
    (render.folder / "ingresses").write_text(LIST)
    files = "--corefile - --ingresses ingresses <Corefile"
    script = f"{sys.executable} -m hairpin_proxy render {files} {redirection}"
    done = subprocess.run(["bash", "-c", script], cwd=render.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"hairpin-proxy: error: {problem}\n")


def test_warnings_never_go_to_standard_output(render: Render) -> None:
    (render.folder / "Corefile").write_text(BEFORE)
    (render.folder / "ingresses").write_text(one("web"))
    script = f"{sys.executable} -m hairpin_proxy render --corefile Corefile --ingresses ingresses 2>&-"
    done = subprocess.run(["bash", "-c", script], cwd=render.folder, capture_output=True, text=True, check=True)
    assert done.stdout == BEFORE


def test_help(render: Render) -> None:
    done = render.run("--help")
    shown = " ".join(done.stdout.decode().split())
    assert done.returncode == 0
    for flag in ("corefile FILE", "ingresses FILE", "diff"):
        assert f"--{flag} " in shown
    for flag in ("provider", "destination", "adopt-destination", "coredns-version"):
        assert f"--{flag} " in shown
        assert f"(env {flag.upper().replace('-', '_')}, default " in shown
    for flag in ("configmap", "interval", "once", "kubeconfig", "nudge-coredns", "etc-hosts"):
        assert f"--{flag}" not in shown


# ---- why a host is left out


def objects(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def route(**spec: object) -> dict[str, Any]:
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": "web"}, "spec": spec}


GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"namespace": "shop", "name": "public"},
    "spec": {
        "gatewayClassName": "nginx",
        "listeners": [{"name": "web", "port": 443, "protocol": "HTTPS", "hostname": "a.example.com"}],
    },
}
PUBLIC = {"name": "public"}


def test_a_host_that_one_object_may_not_have_and_another_may_is_told_apart(render: Render) -> None:
    ignored = route(parentRefs=[PUBLIC], hostnames=["a.example.com"])
    ignored["metadata"] = {"namespace": "shop", "name": "web", "annotations": {"hairpin-proxy/ignore": "true"}}
    output, _ = render(BEFORE, objects(GATEWAY, ignored), "--source", "gateway", "--explain")
    assert output.decode() == (
        "a.example.com  HTTPRoute shop/web  ignored: is asked for by an object with annotation hairpin-proxy/ignore; "
        "but Gateway shop/public asks for it too, and may have it\n"
    )


def test_a_route_without_hosts_asks_for_those_of_its_gateway_in_its_own_name(render: Render) -> None:
    shared = {**copy.deepcopy(GATEWAY), "metadata": {"namespace": "infra", "name": "public"}}
    shared["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
    own = route(parentRefs=[{**PUBLIC, "namespace": "infra"}])
    output, _ = render(BEFORE, objects(shared, own), "--source", "gateway", "--namespace", "shop")
    assert A.encode() in output


def test_without_namespaces_what_is_about_their_labels_is_told_so(render: Render) -> None:
    output, lines = render(BEFORE, one("a.example.com"), "--namespace-selector", "team=a")
    assert output == BEFORE.encode()
    (line,) = lines
    assert line.endswith("/ingresses holds no Namespace, and the settings are about labels or annotations of theirs")


def test_both_sources_lead_to_one_destination(render: Render) -> None:
    _, lines = render(BEFORE, objects(GATEWAY), "--source", "gateway", "--source", "ingress")
    assert [line for line in lines if "hosts of Ingresses and of Gateways are all led to" in line]


@pytest.mark.parametrize(
    ("flags", "environment"),
    [(["--install-namespace", "internal"], {}), ([], {"POD_NAMESPACE": "internal"})],
    ids=["flag", "variable"],
)
def test_a_second_installs_rules(render: Render, flags: list[str], environment: dict[str, str]) -> None:
    output, _ = render(BEFORE, one("a.example.com"), *flags, environment=environment)
    assert b"rewrite name a.example.com hairpin-proxy.internal.svc.cluster.local #" in output


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (
            {**GATEWAY, "spec": {"listeners": "x"}},
            "Gateway shop/public is no Gateway that an API server would send: not a list: 'x'",
        ),
        (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": {"a": 7}}},
            "Namespace shop is no Namespace that an API server would send: annotations has the value 7",
        ),
    ],
)
def test_an_object_that_no_api_server_would_send_is_named(render: Render, item: dict[str, Any], problem: str) -> None:
    assert render.refused(BEFORE, objects(item), "--source", "gateway") == f"ingresses: {problem}"
