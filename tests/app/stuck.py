"""`flexhub` with an engine that never comes to an end."""

from __future__ import annotations

import time

from flexhub.app import cli
from flexhub.engines.reference.manager import ReferenceManager


def main() -> None:
    """As that of `flexhub`."""
    ReferenceManager.plan = lambda *_: time.sleep(600)  # type: ignore[assignment,method-assign] # all that is other
    cli.main()
