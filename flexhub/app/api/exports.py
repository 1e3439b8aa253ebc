"""A party's own data, to take along: streamed, so that neither the hub nor the client holds it whole."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web

from flexhub.app.access.gate import too_often
from flexhub.app.api.calls import Call, Reply, Service
from flexhub.app.export import export
from flexhub.core.errors import NotFoundError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

UNDER_WAY: Final = web.AppKey("exports", set[str])
"""Whose data are being exported by this process."""

AT_ONCE: Final = 4
"""Exports at once: each reads through the whole audit log."""

AGAIN_S: Final = 10
WRITE_S: Final = 30.0
"""How long a client may take to read a piece."""


async def get_export(service: Service, call: Call) -> Reply | web.StreamResponse:
    """All that is stored about a party, for itself and for an admin; others are told what they are told of nobody."""
    party: str = call.args.id
    if call.caller.role is not Role.ADMIN and call.party != party:
        raise NotFoundError("nothing is stored about this party", path="party", value=party)
    under_way = call.request.app[UNDER_WAY]
    if party in under_way or len(under_way) >= AT_ONCE:
        raise too_often(AGAIN_S)
    under_way.add(party)
    try:
        return await _send(service, call, party)
    finally:
        under_way.discard(party)


async def _send(service: Service, call: Call, party: str) -> web.StreamResponse:
    pieces = service.hub.pieces(lambda store: export(store, party, service.clock()))
    piece: bytes | None = await anext(pieces)  # nothing is said before there is something
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-store"})
    await response.prepare(call.request)
    try:
        while piece is not None:
            async with asyncio.timeout(WRITE_S):
                await response.write(piece)
            piece = await anext(pieces, None)
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        _cut(call.request)
    except Exception:
        log.exception("an export ended early")
        _cut(call.request)
    return response


def _cut(request: web.Request) -> None:
    """End the connection before the answer's own end, which tells the client that it is not whole."""
    if request.transport is not None:
        request.transport.abort()
