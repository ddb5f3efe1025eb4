"""What is not worked out anew."""

from typing import Any

import pytest

from hairpin_proxy.latest import Latest


def test_only_another_argument_makes_another_call() -> None:
    calls: list[Any] = []

    def pair(first: Any, *, second: Any = None) -> list[Any]:
        calls.append((first, second))
        return [first, second]

    latest = Latest(pair)
    found = latest({"a"}, second=1)
    assert latest({"a"}, second=1) is found == [{"a"}, 1]
    assert latest({"a"}, second=2) == [{"a"}, 2]
    assert latest({"b"}, second=2) == [{"b"}, 2]
    assert latest({"a"}, second=1) is not found
    assert len(calls) == 4


def test_nothing_is_remembered_of_a_failure() -> None:
    results: list[Any] = ["first", ValueError(), ValueError(), "again"]

    def pop(_argument: int) -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    latest = Latest(pop)
    assert latest(1) == "first"
    for _ in range(2):
        with pytest.raises(ValueError, match="^$"):
            latest(2)
    assert latest(1) == "again"  # for the failure was the latest call


def test_no_arguments_are_arguments_too() -> None:
    latest = Latest(object)
    assert latest() is latest()
