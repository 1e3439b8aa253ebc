"""What a route is: a row that the server serves, the access check asks, and the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from flexhub.app.api import messages as m
from flexhub.app.api.calls import Call, Reply, Service
from flexhub.app.exchange.sight import REACH, Data, Reach
from flexhub.core.registry import Role

OWNERS: Final = (Role.PROSUMER, Role.AGGREGATOR, Role.ADMIN)
WRITING: Final = (400, 401, 403, 408, 409, 411, 413, 415, 422)
READING: Final = (401, 403, 422)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    `args` are its path and query parameters, `body` what it takes, `returns` what it answers by status (None: `media`),
    `problems` the statuses of its problem documents. No `roles`: open to anyone. `scope` is what an OAuth token must be
    for. `shows` is what it tells of prosumers. `draft`: id and issuer may be absent.
    `tagged`: what it reads has an entity tag, or what it changes may be named by one. `of` is the role of a hub that
    serves it; None: every hub does. `streams`: its length is not known when its answer begins.
    """

    method: str
    path: str
    call: Callable[[Service, Call], Awaitable[Reply | web.StreamResponse]]
    name: str
    text: str
    returns: dict[int, Any]
    args: type[m.Arguments] = m.Arguments
    body: Any = None
    roles: tuple[Role, ...] = ()
    scope: str = ""
    shows: tuple[Data, ...] = ()
    problems: tuple[int, ...] = READING
    draft: bool = False
    goflex: bool = False
    tagged: bool = False
    clause: str = "GOFLEX D2.1 Table 6"
    media: str = "text/event-stream"
    streams: bool = False
    of: Role | None = Role.AGGREGATOR

    def reach(self, role: Role) -> Reach | None:
        """How far a role sees and acts here; None: it may not call."""
        if role not in self.roles:
            return None
        far = REACH[role]
        # Sums are of plans and readings alike: nothing but series is told that way.
        summed = set(self.shows) == {Data.OFFERS, Data.READINGS}
        if far is Reach.ALL or (self.shows and (far is not Reach.SUMS or summed)):
            return far
        return Reach.OWN


def get(path: str, call: Any, name: str, returns: Any, text: str, **more: Any) -> Route:  # noqa: ANN401 - as in Route
    """A row that reads."""
    return Route(
        method="GET", path=path, call=call, name=name, text=text, returns={200: returns}, **{"roles": OWNERS} | more
    )
