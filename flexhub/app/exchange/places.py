"""Behind which congestion point an offer is: what can be moved there, and nowhere else, relieves it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Connection, Resource


class Places:
    """The congestion points that the registry knows of, and those that requests name.

    An offer's `location` is a connection or resource of its issuer, the location or congestion point of one, or else
    the offer is where all connections of its issuer are. Another party's connection places nothing. Only for an issuer
    without a connection at any congestion point may the location name a point by itself.

    Interpretation: where none of this tells one point, the offer is at none: it is planned by its own costs, and no
    request counts on it. A request at a point where no offer is known to be moves nothing.
    """

    def __init__(self, connections: Iterable[Connection], resources: Iterable[Resource], asked: Iterable[str]) -> None:
        self._by_name: dict[tuple[str, str | None], set[str]] = defaultdict(set)
        self._points = set(asked)
        at: dict[str, tuple[str, str]] = {}
        for c in connections:
            if c.congestion_point is None:
                continue
            at[c.id] = (c.party, c.congestion_point)
            self._points.add(c.congestion_point)
            for name in (None, c.id, c.location, c.congestion_point):
                self._by_name[c.party, name].add(c.congestion_point)
        for resource in resources:
            if resource.connection in at:
                party, point = at[resource.connection]
                self._by_name[party, resource.id].add(point)

    def point_of(self, offer: FlexOffer) -> str | None:
        """The congestion point that the offer is behind; None where that isn't known."""
        points = self._by_name.get((offer.issuer, offer.location)) or self._by_name.get((offer.issuer, None))
        if points is None:
            return offer.location if offer.location in self._points else None
        return next(iter(points)) if len(points) == 1 else None
