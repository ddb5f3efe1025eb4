"""What changed, for people."""

import time

from hairpin_proxy.diff import diff


def numbered(*numbers: int) -> str:
    return "".join(f"line {number}\n" for number in numbers)


def test_the_same_is_no_difference() -> None:
    assert diff("a\n", "a\n") == ""


def test_unified() -> None:
    assert diff("a\nb\nc\n", "a\nB\nc\n") == "--- current\n+++ desired\n@@ -1,4 +1,4 @@\n a\n-b\n+B\n c\n "


def test_a_missing_final_line_break_is_a_difference() -> None:
    assert diff("a\n", "a") == "--- current\n+++ desired\n@@ -1,2 +1 @@\n a\n-"


def test_a_long_difference_is_cut() -> None:
    lines = diff("", numbered(*range(1000))).split("\n")
    assert len(lines) == 201
    assert lines[199] == "+line 196"
    assert lines[200] == "... and 804 lines more"


def test_long_texts_are_compared_as_sets_of_lines() -> None:
    before = numbered(*range(5000))
    assert diff(before, before + "x\n") == "+x"
    assert diff(before + "x\n", before) == "-x"
    assert diff(before, before.replace("line 7\n", "line seven\n")) == "-line 7\n+line seven"


def test_the_longest_texts_take_no_time_to_speak_of() -> None:
    """Compared in place, they would take minutes."""
    started = time.process_time()
    diff(numbered(*range(20_000)), numbered(*range(0, 20_000, 2)))
    assert time.process_time() - started < 5
