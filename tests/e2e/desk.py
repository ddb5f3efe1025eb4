"""An administrator's machine: kubectl, helm, hairpin-proxy, and this repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cluster.install import HELMS, locate
from tests.cluster.node.namespaces import dying_with_us
from tests.cluster.node.node import Node
from tests.cluster.processes import clean_environment
from tests.e2e.product import NAMESPACE, ROOT


def at_a_desk(node: Node, command: str, helm: int = 4) -> subprocess.CompletedProcess[str]:
    """Runs a command line of the shell, in the repository's folder, with this Helm."""
    with begun_at_a_desk(node, command, helm) as process:
        stdout, stderr = process.communicate(timeout=600)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@contextmanager
def begun_at_a_desk(node: Node, command: str, helm: int = 4) -> Iterator[subprocess.Popen[str]]:
    """The same beside what else is done; killed when the with-block ends before it."""
    environment = clean_environment(node.folder) | {"KUBECONFIG": str(node.kubeconfig)}
    commands = [os.path.dirname(path) for path in (node.kubectl_path, locate("helm", [HELMS[helm]]))]
    folders = [str(ROOT / ".venv/bin"), *commands, environment["PATH"]]
    environment["PATH"] = ":".join(folders)
    # All that it starts ends with it, and with us.
    alone = [locate("unshare"), "--pid", "--fork", "--kill-child=SIGKILL"]
    process = subprocess.Popen(
        dying_with_us([*alone, "bash", "-c", command]),
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def followed(node: Node, controller: str) -> Iterator[Callable[[], str]]:
    """What a controller of ours says, to its very end."""
    with begun_at_a_desk(node, f"kubectl -n {NAMESPACE} logs -f {controller}") as process:
        assert process.stdout
        # Only a kubectl that has begun to read will read to the end.
        assert "starts:" in line(process.stdout.fileno())
        yield lambda: process.communicate(timeout=120)[0]


def line(file: int) -> str:
    """The next one of a file descriptor, and no byte of what follows: what a buffer holds is lost to `communicate`."""
    read = b""
    while not read.endswith(b"\n") and (byte := os.read(file, 1)):
        read += byte
    return read.decode()
