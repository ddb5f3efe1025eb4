"""A file that is overwritten, never replaced: nothing can be renamed over one that is mounted by itself (EBUSY)."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from hairpin_proxy import journal
from hairpin_proxy.errors import FinalError, OperatorError

_HINTS = {
    errno.ENOENT: "--etc-hosts names the file; an empty one will do",
    errno.EISDIR: "--etc-hosts names the hosts file",
    errno.EACCES: "run as its owner, which is root for /etc/hosts, and where SELinux is enforced as type spc_t",
    errno.EPERM: "if `lsattr` shows the file as immutable, `chattr -i` lets it be changed",
    errno.EROFS: "mount it writable",
    errno.ENOSPC: "make room on its file system",
}


def read(path: str) -> bytes:
    """The whole file. Raises OperatorError, or FinalError if this is no longer the file that others see."""
    try:
        with _opened(path, "rb") as file:
            return file.readall()
    except OSError as error:
        raise _refused(path, "read", error) from error


def write(path: str, before: bytes, after: bytes) -> None:
    """Turns a file that holds `before` into one that holds `after`; mode and owner stay.

    Raises OperatorError if it holds anything else by now, or cannot be written, and FinalError as `read` does. In each
    case the file is as it was, or the error says that it is not. See `journal` for what SIGKILL leaves.
    """
    try:
        with _opened(path, "rb+") as file:
            if file.readall() != before:
                raise OperatorError(f"{path} was changed by somebody else just now; nothing was written")
            _replace(file, before, after)
    except OSError as error:
        raise _refused(path, "written", error) from error


@contextmanager
def _opened(path: str, mode: str) -> Iterator[FileIO]:
    with FileIO(path, mode, opener=_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OperatorError(f"{path} is not a regular file; --etc-hosts names the hosts file")
        if not status.st_nlink:
            # What is mounted is a file and not its name, so the mount still shows the one that was there at the start.
            raise FinalError(f"{path} was replaced by another file, which only a new start of the container will see")
        yield file


def _at_once(path: str, flags: int) -> int:
    """Without waiting for somebody at the other end, if it is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _replace(file: FileIO, before: bytes, after: bytes) -> None:
    try:
        settling, before = journal.settle(before)
        for step in settling:
            _do(file, step)
        _turn(file, before, after)
    except _GrownError as error:
        raise OperatorError(
            f"{file.name} was added to by somebody else while it was written; the next poll goes on from there"
        ) from error


def _turn(file: FileIO, before: bytes, after: bytes) -> None:
    over = False
    try:
        for step in journal.steps(before, after):
            over = over or (isinstance(step, journal.Write) and step.over)
            _do(file, step)
    except _GrownError:
        raise
    except BaseException:
        # A signal ends a poll anywhere, by an exception, and half a hosts file must not be what it leaves.
        _put_back(file, before, journal.start(len(before), len(after)) if over else 0)
        raise


class _GrownError(Exception):
    """Somebody has added to the file, which must not be cut off."""


def _do(file: FileIO, step: journal.Step) -> None:
    match step:
        case journal.Write(offset, content):
            _write(file, offset, content)
        case journal.Cut(size, expected):
            if os.fstat(file.fileno()).st_size != expected:
                raise _GrownError
            file.truncate(size)
        case journal.Sync():
            os.fsync(file.fileno())


def _write(file: FileIO, offset: int, content: bytes) -> None:
    file.seek(offset)
    written = file.write(content)
    if written != len(content):
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: only {written} of {len(content)} bytes were taken")


def _put_back(file: FileIO, before: bytes, spoilt: int) -> None:
    """Where so many bytes may be others by now; what is behind them is a journal's, until it is cut off."""
    try:
        if spoilt:
            _write(file, 0, before.ljust(min(spoilt, os.fstat(file.fileno()).st_size), b"\n"))
        file.truncate(len(before))
        os.fsync(file.fileno())
    except OSError as error:
        raise OperatorError(
            f"{file.name} could not be written, nor could what was in it be put back: {error.strerror}; "
            "look at the file"
        ) from error


def _refused(path: str, what: str, error: OSError) -> OperatorError:
    hint = _HINTS.get(error.errno or 0)
    return OperatorError(f"{path} cannot be {what}: {error.strerror}" + (f" ({hint})" if hint else ""))
