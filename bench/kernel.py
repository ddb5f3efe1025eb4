"""What the kernel says of a process while it runs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple


class Taken(NamedTuple):
    """What something took: until it was seen, and of the CPU."""

    seconds: float
    cpu_seconds: float


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """What the scheduler has given to all threads, also to those that ended, in nanoseconds' resolution."""
    # A process's CPU clock has this number: see clock_getcpuclockid(3).
    return sum(time.clock_gettime(~each << 3 | 2) for each in family(pid))


def rss_mib(pid: int) -> float:
    return sum(_status_mib(each, "VmRSS") for each in family(pid))


def peak_mib(pid: int) -> float:
    """The most that a process has held since its program began."""
    return _status_mib(pid, "VmHWM")


def bytes_read(pid: int) -> int:
    """All that a process has read: of files, and by way of OpenSSL of sockets."""
    found = re.search(r"^rchar: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def _status_mib(pid: int, key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0
