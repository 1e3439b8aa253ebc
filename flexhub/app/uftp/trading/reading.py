"""What was said about a day, read from the store: messages of ours and of a partner, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Reads
from flexhub.app.uftp.papers import UftpMessage
from flexhub.app.uftp.trading.papers import Subject, UftpTrade, end_of
from flexhub.core.errors import NotFoundError
from flexhub.mappings.uftp.context import Day
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Entry, Stage

STANDING = frozenset(Stage) - {Stage.PENDING, Stage.REJECTED}
"""Stages of what was accepted, whatever came later."""


class Said(NamedTuple):
    """Messages of one day with one partner, oldest first."""

    entries: tuple[Entry, ...]

    def all(self, kind: type[wire.Payload], point: str | None = None, *, ours: bool | None = None) -> list[Entry]:
        """Those of a type that were not rejected."""
        return [
            entry
            for entry in self.entries
            if isinstance(entry.message, kind)
            and entry.stage is not Stage.REJECTED
            and (point is None or getattr(entry.message, "congestion_point", None) == point)
            and (ours is None or entry.ours is ours)
        ]


async def said(reads: Reads, own: str, partner: str, whole: Day, kinds: Iterable[type[wire.Payload]]) -> Said:
    """What one of our domains and a partner said to each other about a day."""
    states = tuple(wire.element(kind) for kind in kinds)
    span = whole.first, end_of(whole)
    found = await every(reads, UftpMessage, owner=partner, states=states, overlapping=span)
    entries = [message.entry() for message in found]
    mine = [e for e in entries if own in (e.message.sender_domain, e.message.recipient_domain)]
    about = [e for e in mine if getattr(e.message, "period", "")[:10] == whole.period]
    return Said(tuple(sorted(about, key=_age)))


def _age(entry: Entry) -> tuple[datetime, int, str]:
    """Of two of one instant the later revision is the newer one."""
    return entry.since, getattr(entry.message, "revision", 0), entry.message.message_id


async def trade_of(reads: Reads, subject: Subject) -> UftpTrade:
    """What is traded there.

    Raises:
        NotFoundError: nothing is any more.
    """
    found = await reads.get(UftpTrade, subject.trade.id)
    if found is None:
        raise NotFoundError("nothing is traded there", path="Subject/point", value=subject.point)
    return found
