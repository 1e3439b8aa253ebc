"""``CLOCK run hub.toml``: `flexhub` with a clock as far ahead as a file says.

The file holds seconds. All else is the program itself.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from flexhub.app import cli, wiring


def clock(file: Path) -> datetime:
    """What time it is made to be."""
    return datetime.now(UTC) + timedelta(seconds=float(file.read_text()))


def main() -> None:
    """As that of `flexhub`."""
    ahead = Path(sys.argv.pop(1))
    wiring.running = partial(wiring.running, clock=partial(clock, ahead))
    cli.main()
