"""The hub's time: the machine's, as long as that goes forward."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

TOLERATED: Final = timedelta(seconds=1)
"""So far the machine's time may be behind without being called wrong; clocks are put right in small steps."""


class ForwardClock:
    """Never earlier than it once said, nor than what was journalled: a clock that was set back stands until it is past.

    So the journal's times rise with its numbers, and what was late stays late.

    Args:
        clock: the machine's time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: datetime | None = None
        self._turn = threading.Lock()

    def __call__(self) -> datetime:
        """What time it is."""
        now = self._clock()
        with self._turn:
            if self._last is None or now > self._last:
                self._last = now
            return self._last

    def not_before(self, at: datetime | None) -> None:
        """It is at least this late."""
        with self._turn:
            if at is not None and (self._last is None or at > self._last):
                self._last = at

    def behind(self) -> str | None:
        """A check (`readiness`): whether the machine's time has gone back."""
        now = self._clock()
        last = self()
        if last - now <= TOLERATED:
            return None
        return f"the clock was set back: it is {(last - now).total_seconds():.0f} s behind; the hub's time stands still"
