"""Bugs that are put into a copy of the code, to see whether what looks for mistakes would notice them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bug:
    """Other code in a file of the product."""

    file: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.old.split())}  ->  {' '.join(self.new.split())}"

    def put_into(self, folder: Path) -> str:
        """The file of this folder with the bug in it; it must have exactly one place, so the code may have changed."""
        before, *after = (folder / self.file).read_text().split(self.old)
        if len(after) != 1:
            raise LookupError(f"{len(after)} places for {self}")
        return self.new.join([before, *after])
