"""Trims a store two rows at a time, to be killed: python -m tests.app.trimming URL NOW

It says on stdout when a transaction is over.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime

from flexhub.adapters.store import open_store
from flexhub.app import retention
from flexhub.app.config import Duration, RetentionSection

LENGTHS = RetentionSection(journal=Duration(hours=1), notices=Duration(hours=1), measurements=Duration(hours=1))


def main(url: str, now: str) -> None:
    retention.AT_ONCE = 2  # type: ignore[misc] # smaller steps, so that there are many
    retention.LEASE_S = 0.5  # type: ignore[misc] # the next one need not wait long
    retention.trim(open_store(url), LENGTHS, datetime.fromisoformat(now), pause=say)


def say(_seconds: float) -> None:
    os.write(1, b"done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
