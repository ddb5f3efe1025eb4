"""The pictures of docs are those that their texts make."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.pictures import PICTURES, mark, sources


def test_each_text_has_its_picture_and_each_picture_its_text() -> None:
    assert sources()
    assert [path.stem for path in sources()] == sorted(path.stem for path in PICTURES.glob("*.svg"))


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.name)
def test_a_picture_is_drawn_from_its_present_text(source: Path) -> None:
    drawn = source.with_suffix(".svg").read_text()
    assert drawn.endswith(mark(source)), "run `make pictures`"


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.name)
def test_a_picture_is_small_and_asks_nobody(source: Path) -> None:
    drawn = source.with_suffix(".svg").read_text()
    ElementTree.fromstring(drawn)
    assert len(drawn) < 100_000
    assert "<script" not in drawn
    assert 'href="http' not in drawn
    assert "url(http" not in drawn
