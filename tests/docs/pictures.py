"""Draws docs/pictures: each NAME.svg from NAME.d2, by d2. `make pictures`.

Each picture ends with a check sum of what it was drawn from, so that a test without d2 sees one that is old.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster import install

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
# Built only here, for nothing else needs it.
D2 = install.GoModule("d2", ("oss.terrastruct.com/d2",))
STYLE = PICTURES / "style.d2"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
NEEDS = (install.Need("the DejaVu fonts", "fonts-dejavu-core", FONTS.is_dir),)
# Where a viewer drops the font that comes with the picture, any other fits: few are as wide as this one.
FACES = {"regular": "DejaVuSans", "italic": "DejaVuSans", "bold": "DejaVuSans-Bold", "semibold": "DejaVuSans-Bold"}
SCALE = "0.8"


def sources() -> list[Path]:
    """The text of each picture."""
    return [path for path in sorted(PICTURES.glob("*.d2")) if path != STYLE]


def mark(source: Path) -> str:
    """The last line of the picture that this text makes."""
    inputs = [STYLE.read_text(), source.read_text(), D2.go_mod(), SCALE, *FACES.values()]
    check_sum = hashlib.sha256("\0".join(inputs).encode()).hexdigest()
    return f"<!-- drawn by `make pictures` from {source.name}, {check_sum} -->\n"


def draw(source: Path, d2: Path) -> None:
    """Writes the picture beside its text."""
    target = source.with_suffix(".svg")
    fonts = [f"--font-{style}={FONTS / face}.ttf" for style, face in FACES.items()]
    # To stdout, for a file would be made readable for its owner alone.
    argv = [str(d2), f"--scale={SCALE}", *fonts, str(source), "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise install.InstallError(f"{source.name}: {done.stderr}")
    # A viewer that drops the font would otherwise take one with serifs.
    picture = re.sub(r'(font-family: "d2-[^"]+")', r"\1, sans-serif", done.stdout)
    target.write_text(f"{picture.rstrip()}\n{mark(source)}")
    print(f"{target.name}: {target.stat().st_size} bytes")


def main() -> int:
    try:
        install.packages(NEEDS)
        (d2,) = install.binaries((D2,))
        for source in sources():
            draw(source, d2)
    except install.InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
