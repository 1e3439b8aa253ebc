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
    """The first that meets an earlier one; one is enough. O(n log n): no span is written out, however long."""
    if {duration for _, duration in spans} <= {1} and len(set(spans)) == len(spans):
        return  # what most messages are
    order = sorted(range(len(spans)), key=spans.__getitem__)
    found: tuple[int, int] | None = None
    far, end = -1, 0
    for i in order:
        start, duration = spans[i]
        if far >= 0 and start < end:
            pair = max(i, far), min(i, far)
            found = pair if found is None else min(found, pair)
        if far < 0 or start + max(1, duration) > end:
            far, end = i, start + max(1, duration)
    if found is not None:
        (start, duration), name = spans[found[0]], path.rpartition("/")[2]
        told = f"{unit} {start} to {start + max(1, duration) - 1} meets {name}[{found[1]}]"
        yield Finding(f"{path}[{found[0]}]/@Start", told)
