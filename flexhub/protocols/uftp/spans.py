"""Spans of a local day: elements of one list that each stand for some ISPs, or PTUs as USEF 2015 calls them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flexhub.protocols.rules import Finding
from flexhub.protocols.uftp.times import isps_in

Spans = list[tuple[int, int]]
"""(First ISP, number of ISPs) of each element of one list."""
MOST: Final = 1500
"""A day of 25 hours has as many ISPs of a minute; beyond it nothing is written out, so that no list costs more."""


def out_of_bounds(path: str, spans: Spans, day: tuple[str, str, str], unit: str) -> Iterator[Finding]:
    """Those that the local day doesn't have: 92, 96 or 100 of 15 minutes; nothing where its zone or length say nothing.

    Args:
        path: of the elements, without their index.
        spans: the elements'.
        day: (day, time zone, length of an ISP).
        unit: what they are called.
    """
    count = isps_in(*day)
    if count is None:
        return
    for i, (start, duration) in enumerate(spans):
        if duration < 1:
            yield Finding(f"{path}[{i}]/@Duration", f"{duration} is less than 1")
        elif not 1 <= start <= count:
            where = f"({day[0][:10]} has {count} {unit}s in {day[1]})"
            yield Finding(f"{path}[{i}]/@Start", f"{start} is outside 1..{count} {where}")
        elif start + duration - 1 > count:
            yield Finding(f"{path}[{i}]/@Duration", f"{duration} from {start} on goes beyond the last {unit}, {count}")


def overlap(path: str, spans: Spans, unit: str) -> Iterator[Finding]:
    """The first that meets an earlier one; one is enough, and bounds the work."""
    if {duration for _, duration in spans} <= {1} and len(set(spans)) == len(spans):
        return  # what most messages are
    taken: dict[int, int] = {}
    for i, (start, duration) in enumerate(spans):
        span = range(start, start + max(1, min(duration, MOST)))
        before = next((taken[n] for n in span if n in taken), None)
        if before is not None:
            name = path.rpartition("/")[2]
            yield Finding(f"{path}[{i}]/@Start", f"{unit} {start} to {span[-1]} meets {name}[{before}]")
            return
        taken.update(dict.fromkeys(span, i))
