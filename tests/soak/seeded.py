"""Whether the soak would notice: bugs are put into a copy of the code one by one, and each must be found.

python -m tests.soak.seeded
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bugs import Bug
from tests.cluster.processes import EndingSignals
from tests.soak.ground import ROOT, ground
from tests.soak.run import run

PACKAGE = ROOT / "controller" / "hairpin_proxy"
STEPS = 5_000
"""Within so many a bug must be found."""


BUGS = (
    Bug("providers/configmap.py", '"data": {key: text}}', '"data": {key: (text or "").replace("    loop\\n", "")}}'),
    Bug(
        "kube.py",
        "            page = self._read(path, kind, query)\n",
        "            try:\n"
        "                page = self._read(path, kind, query)\n"
        "            except KubeError:\n"
        '                page = {"metadata": {"resourceVersion": "1"}, "items": []}\n',
    ),
    Bug("providers/configmap.py", '"metadata": {"resourceVersion": configmap.resource_version}, ', ""),
    Bug("reconcile.py", "hosts = hosts | kept if kept else hosts", ""),
    Bug("hostsfile.py", 'position = bare.rfind("\\n") + 1', "position = len(bare)"),
    Bug("guard.py", "return now < self.wait_until and", "return self.wait_until > 0 and"),
    Bug("providers/in_place.py", "file.truncate(size)", ""),
)
"""Each of them makes a mistake that shows only when something goes wrong beside it."""


def seeded(bug: Bug) -> str:
    """The code with the bug in it."""
    return bug.put_into(PACKAGE)


@contextmanager
def package(bug: Bug) -> Iterator[Path]:
    """The folder of a copy of the product with the bug in it."""
    with tempfile.TemporaryDirectory(prefix="hairpin-proxy-seeded-") as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / bug.file).write_text(seeded(bug))
        yield Path(folder)


def find(bug: Bug) -> str:
    """What the soak says of it; empty if it notices nothing."""
    with package(bug) as folder, ground(folder) as found:
        return run(found, STEPS, 1).broken


def main(bugs: Sequence[Bug] = BUGS) -> int:
    missed = 0
    for bug in bugs:
        found = find(bug)
        print(f"{bug}\n{found or 'NOT NOTICED'}\n", flush=True)
        missed += not found
    print(f"{len(bugs) - missed} of {len(bugs)} seeded bugs were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with EndingSignals():
        sys.exit(main())
