"""Gathers what a viewer's sight needs, the contracts and the secret, and shows pages and notices through it."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterable
from typing import Final, TypeVar

from flexhub.adapters.store.interface import NoticeRow
from flexhub.app.exchange.papers import Change, PlanRecord
from flexhub.app.exchange.places import Places
from flexhub.app.exchange.portfolio import every
from flexhub.app.exchange.pseudonyms import ONLY, Pseudonyms, Secret
from flexhub.app.exchange.sight import NEEDED, Reach, Sight, Viewer
from flexhub.app.hub.contract import Message
from flexhub.app.hub.reading import Front
from flexhub.core.documents import decode, encode
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Connection, Resource, Role
from flexhub.core.trading import Contract

T = TypeVar("T")

FEW: Final = 32
"""So many documents are read one by one; of more, all of their kind are read at once."""

PEER: Final = "flexhub:sight"

PLAIN: Final = (Reach.OWN, Reach.ALL)
"""Who sees things as they are."""


async def pseudonyms(hub: Front) -> Pseudonyms:
    """The hub's pseudonyms; their secret is made when there is none yet.

    Raises:
        UnavailableError: there is none, and the store cannot be written.
    """
    secret = await hub.get(Secret, ONLY)
    if secret is None:
        body = encode(Secret(key=secrets.token_hex(32)))
        message = Message(
            peer=PEER, id=uuid.uuid4().hex, kind="secret.put", conversation=ONLY, body=body, role=Role.ADMIN
        )
        secret = decode(Secret, (await hub.handle(message)).body)
    return Pseudonyms(secret)


async def sight(hub: Front, viewer: Viewer, contracts: Iterable[str | None]) -> Sight:
    """How the viewer sees what was made under these contracts."""
    if viewer.reach in PLAIN:
        return Sight(viewer, {}, None)
    wanted = set(contracts)
    found = await _by_id(hub, Contract, {id_ for id_ in wanted if id_ is not None})
    needed = set(NEEDED[viewer.role].values())
    withheld = any(id_ not in found or not needed <= set(found[id_].scopes) for id_ in wanted)
    return Sight(viewer, found, await pseudonyms(hub) if withheld else None)


async def _by_id(hub: Front, kind: type[T], ids: set[str]) -> dict[str, T]:
    if len(ids) <= FEW:
        read = await asyncio.gather(*(hub.get(kind, id_) for id_ in ids))
        return {id_: found for id_, found in zip(ids, read, strict=True) if found is not None}
    return {found.id: found for found in await every(hub, kind) if found.id in ids}  # type: ignore[attr-defined] # all have


async def notice(hub: Front, viewer: Viewer, row: NoticeRow) -> NoticeRow:
    """The notice as its reader may see it; what a prosumer or an admin is told stays as it is."""
    if viewer.reach in PLAIN:
        return row
    body = row.body
    if row.topic == "flexoffer":
        offer = await hub.get(FlexOffer, row.subject)
        seen = await sight(hub, viewer, [offer.contract if offer is not None else None])
        if offer is not None and offer.issuer != viewer.party:
            body = encode(seen.change(decode(Change, body), offer))
    elif row.topic == "plan":
        record = decode(PlanRecord, body)
        if record.faults:
            offers = await _by_id(hub, FlexOffer, {fault.offer for fault in record.faults})
            seen = await sight(
                hub, viewer, [offers[f.offer].contract if f.offer in offers else None for f in record.faults]
            )
            body = encode(seen.plan(record, offers))
    return row if body is row.body else row._replace(body=body)


async def places(hub: Front) -> Places:
    """Where offers are, by the registry alone: a grid operator's own requests make no places smaller for it."""
    return Places(await every(hub, Connection), await every(hub, Resource), ())
