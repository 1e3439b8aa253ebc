"""Writes the pages that follow from the code into docs/generated/, for `make docs`. Nothing there is edited by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

OUT: Final = Path(__file__).parent / "generated"

PAGES: Final[dict[str, Callable[[], str]]] = {}
"""File name -> what writes its Markdown."""


def main() -> None:
    """Write every page."""
    OUT.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (OUT / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
