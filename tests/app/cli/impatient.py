"""``SECONDS ...``: `flexhub` that shows a bar after so many."""

from __future__ import annotations

import sys

from flexhub.app import cli, terminal


def main() -> None:
    """As that of `flexhub`."""
    terminal.PATIENCE_S = float(sys.argv.pop(1))  # type: ignore[misc] # final but here
    cli.main()
