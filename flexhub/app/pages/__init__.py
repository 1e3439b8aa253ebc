"""Pages for people, made of what REST tells: nothing is shown that the reader's own token may not see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass
class Settings:
    """What the page is told: the hub's name, the zone of its local days, the day to open with, and a guest's token."""

    name: str
    zone: str
    version: str
    day: date | None = None
    guest: str | None = None
