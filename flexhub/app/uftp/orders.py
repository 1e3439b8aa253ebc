"""Accepted orders by day and congestion point, so that a settlement can be told which ones it lacks (rule 47)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from flexhub.app.hub.contract import Key, Put, View
from flexhub.app.uftp.papers import UftpOrderPlaces, UftpOrders, place
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import day_of

MOST_DAYS: Final = 400
"""So many days of a settlement are looked at; the rest, which no contract has, is taken as it is."""


def keys(own: str, other: str, order: wire.FlexOrder) -> list[Key]:
    """Where an order is filed."""
    day = order.period[:10]
    return [
        Key(UftpOrderPlaces, place(own, other, day)),
        Key(UftpOrders, place(own, other, f"{day} {order.congestion_point}")),
    ]


def filed(own: str, other: str, order: wire.FlexOrder, view: View) -> list[Put]:
    """An accepted order in its place; `keys` were looked up."""
    first, second = keys(own, other, order)
    places = view.get(UftpOrderPlaces, first.id)
    known = view.get(UftpOrders, second.id)
    references = () if known is None else known.references
    points = () if places is None else places.places
    puts = []
    if order.order_reference not in references:
        value = UftpOrders(references=(*references, order.order_reference))
        puts.append(Put(key=second, value=value, owner=other))
    if order.congestion_point not in points:
        puts.append(Put(key=first, value=UftpOrderPlaces(places=(*points, order.congestion_point)), owner=other))
    return puts


def days(own: str, other: str, settlement: wire.FlexSettlement) -> list[Key]:
    """The days of a settlement."""
    first, last = day_of(settlement.period_start), day_of(settlement.period_end)
    count = min((last - first).days + 1, MOST_DAYS)
    return [
        Key(UftpOrderPlaces, place(own, other, (first + timedelta(days=n)).isoformat())) for n in range(max(count, 0))
    ]


def of_days(own: str, other: str, settlement: wire.FlexSettlement, view: View) -> list[Key]:
    """Where the orders of those days are."""
    found: list[Key] = []
    for _, id_ in days(own, other, settlement):
        known = view.get(UftpOrderPlaces, id_)
        day = id_.split("|", 2)[-1]
        found += [Key(UftpOrders, place(own, other, f"{day} {at}")) for at in (known.places if known else ())]
    return found


def accepted(own: str, other: str, message: wire.Payload, view: View) -> frozenset[str] | None:
    """References of all accepted orders of a settlement's days; None for other messages."""
    if not isinstance(message, wire.FlexSettlement):
        return None
    found = [view.get(UftpOrders, id_) for _, id_ in of_days(own, other, message, view)]
    return frozenset(reference for known in found if known is not None for reference in known.references)
