"""A file that is overwritten in place: real files, and everything that comes between."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from hairpin_proxy import journal
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.providers import in_place

LONG = b"127.0.0.1 localhost\n" * 300  # 6,000 bytes
SHORT = b"::1 x"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hosts")


@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG), (b"", LONG), (LONG, b""), (b"a", b"b")])
def test_the_same_file_has_the_new_content(path: str, before: bytes, after: bytes) -> None:
    Path(path).write_bytes(before)
    os.chmod(path, 0o604)
    then = os.stat(path)
    in_place.write(path, before, after)
    assert in_place.read(path) == after
    now = os.stat(path)
    assert (now.st_ino, now.st_mode, now.st_uid, now.st_gid) == (then.st_ino, then.st_mode, then.st_uid, then.st_gid)


class Watched(FileIO):
    """Writes down what a reader could have seen after each call."""

    seen: list[bytes]

    def write(self, data: Any) -> int:
        written = super().write(data)
        self.seen.append(Path(str(self.name)).read_bytes())
        return written or 0


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [(b"a\nb\nc\n", b"x\n", [b"x\n\n\n\n\n"]), (b"a\n", b"x\ny\n", [b"x\ny\n"])],
)
def test_one_write_after_which_no_line_is_half_an_old_one(
    path: str, before: bytes, after: bytes, seen: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_place, "FileIO", Watched)
    monkeypatch.setattr(Watched, "seen", [], raising=False)
    Path(path).write_bytes(before)
    in_place.write(path, before, after)
    assert Watched.seen == seen
    assert Path(path).read_bytes() == after


@pytest.mark.parametrize("now", [LONG + b"\n", LONG[:-1], b"", LONG.replace(b"7", b"8")])
def test_what_somebody_changed_meanwhile_is_left_alone(path: str, now: bytes) -> None:
    Path(path).write_bytes(now)
    with pytest.raises(OperatorError, match="was changed by somebody else just now; nothing was written"):
        in_place.write(path, LONG, SHORT)
    assert Path(path).read_bytes() == now


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A write beyond that many bytes comes short, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (6000, "File too large"),  # not even the first line of the journal
        (8200, "No space left on device: only 8 of 1[0-9][0-9] bytes were taken"),
        (14_830, "No space left on device: only [0-9]+ of 4[0-9] bytes were taken"),
    ],
)
def test_when_a_write_comes_short_the_old_bytes_are_put_back(path: str, size: int, said: str) -> None:
    after = b"10.0.0.1 a\n" + LONG + b"#" * 489
    Path(path).write_bytes(LONG)
    with room_for(size), pytest.raises(OperatorError, match=f"{path} cannot be written: {said}"):
        in_place.write(path, LONG, after)
    assert Path(path).read_bytes() == LONG


def test_when_a_write_within_a_page_comes_short_the_old_bytes_are_put_back(path: str) -> None:
    before, after = LONG[:2000], b"10.0.0.1 a\n" + LONG[:2000]
    Path(path).write_bytes(before)
    with room_for(2007), pytest.raises(OperatorError, match=f"{path} cannot be written: .* 2007 of 2011 bytes were"):
        in_place.write(path, before, after)
    assert Path(path).read_bytes() == before


def fails_once(call: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    errors = [error]

    def failing(*arguments: Any) -> Any:
        result = call(*arguments)
        if errors:
            raise errors.pop()
        return result

    return failing


@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG)])
def test_a_disk_that_fails_afterwards_has_the_old_bytes_again(
    path: str, before: bytes, after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(path).write_bytes(before)
    monkeypatch.setattr(os, "fsync", fails_once(os.fsync, OSError(5, os.strerror(5))))
    with pytest.raises(OperatorError, match=f"^{path} cannot be written: Input/output error$"):
        in_place.write(path, before, after)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG), (b"", LONG), (LONG, LONG[20:] * 2)])
def test_whichever_call_fails_the_old_bytes_are_put_back(
    path: str, before: bytes, after: bytes, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has done its work, which is the worst: nobody knows."""
    calls = 0

    def failing(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            result = call(*arguments)
            if calls == number:
                raise OSError(5, os.strerror(5))
            return result

        return counted

    class Failing(FileIO):
        write = failing(FileIO.write)
        truncate = failing(FileIO.truncate)

    monkeypatch.setattr(in_place, "FileIO", Failing)
    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    Path(path).write_bytes(before)
    with pytest.raises(OperatorError, match=f"^{path} cannot be written: Input/output error$"):
        in_place.write(path, before, after)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG), (b"::1 x\n::1 y\n", SHORT)])
def test_what_somebody_adds_while_it_is_written_stays(
    path: str, before: bytes, after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the last byte that was to come."""
    added = b"10.9.9.9 added\n"

    class Slow(FileIO):
        def write(self, data: Any) -> int:
            written = super().write(data)
            if bytes(data).startswith(after) and added not in Path(path).read_bytes():
                with open(path, "ab") as file:
                    file.write(added)
            return written or 0

    monkeypatch.setattr(in_place, "FileIO", Slow)
    Path(path).write_bytes(before)
    with pytest.raises(OperatorError, match="was added to by somebody else while it was written"):
        in_place.write(path, before, after)
    monkeypatch.undo()
    left = in_place.read(path)
    found = journal.recovered(left)
    assert found.startswith(after)
    assert found.endswith(added)
    assert not found.removeprefix(after).removesuffix(added).strip(b"\n")
    in_place.write(path, left, found)
    assert Path(path).read_bytes() == found


class SignalError(BaseException):
    pass


@pytest.mark.parametrize("call", ["write", "truncate"])
@pytest.mark.parametrize(("before", "after"), [(LONG, SHORT), (SHORT, LONG)])
def test_a_signal_leaves_no_half_written_file(
    path: str, before: bytes, after: bytes, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(FileIO):
        pass

    setattr(Interrupted, call, fails_once(getattr(FileIO, call), SignalError()))
    monkeypatch.setattr(in_place, "FileIO", Interrupted)
    Path(path).write_bytes(before)
    with pytest.raises(SignalError):
        in_place.write(path, before, after)
    assert Path(path).read_bytes() == before


def test_when_nothing_can_be_put_back_either_that_is_said(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_file: int) -> None:
        raise OSError(5, os.strerror(5))

    Path(path).write_bytes(SHORT)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OperatorError, match="nor could what was in it be put back: Input/output error; look at the"):
        in_place.write(path, SHORT, LONG)


def test_a_file_that_was_replaced_is_final(path: str) -> None:
    """As in a container, where a mounted file stays the one that it was: here by way of a descriptor."""
    Path(path).write_bytes(SHORT)
    with open(path, "rb+") as mounted:
        Path(path).unlink()
        same = f"/proc/self/fd/{mounted.fileno()}"
        for attempt in (lambda: in_place.read(same), lambda: in_place.write(same, SHORT, LONG)):
            with pytest.raises(FinalError, match="was replaced by another file"):
                attempt()
        assert mounted.read() == SHORT


def test_a_file_that_is_not_there_is_not_made(path: str) -> None:
    with pytest.raises(OperatorError, match=f"^{path} cannot be read: No such file or directory \\(--etc-hosts names"):
        in_place.read(path)
    with pytest.raises(
        OperatorError, match=f"^{path} cannot be written: No such file or directory \\(--etc-hosts names"
    ):
        in_place.write(path, b"", SHORT)
    assert not Path(path).exists()


@pytest.mark.parametrize(("path", "problem"), [("/tmp", "Is a directory"), ("/dev/null", "is not a regular file")])
def test_what_is_no_file(path: str, problem: str) -> None:
    for attempt in (lambda: in_place.read(path), lambda: in_place.write(path, b"", b"x")):
        with pytest.raises(OperatorError, match=f"{path} .*{problem}.*--etc-hosts names the hosts file"):
            attempt()


def test_a_pipe_is_not_waited_for(path: str) -> None:
    os.mkfifo(path)
    for attempt in (lambda: in_place.read(path), lambda: in_place.write(path, b"", b"x")):
        with pytest.raises(OperatorError, match=f"{path} is not a regular file"):
            attempt()
