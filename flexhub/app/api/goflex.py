"""The same routes in the words of V1 and GOFLEX: bodies are mapped to core JSON on the way in, and back on the way out.

The sign is GOFLEX's (positive = consumption). What the hub journals is the core's form.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from flexhub.app.api.messages import Offers
from flexhub.app.hub.contract import Reads
from flexhub.core.documents import decode, encode
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.mappings.fates import refuse_serious
from flexhub.mappings.flexoffer import Context, to_core, to_wire
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.messages import Document
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.rules import broken

MEDIA_TYPE: Final = "application/vnd.goflex+json"

_codec: Final = FlexOfferCodec()


class Read(NamedTuple):
    """One flex-offer, and whether its creation time was filled in."""

    offer: FlexOffer
    undated: bool


def read(body: bytes, *, issuer: str, new_id: str, now: datetime) -> Read:
    """One flex-offer; a null id, issuer or creation time is filled in.

    Raises:
        MalformedError, InvalidError: no such message, or one that breaks a rule.
        LossError: a bound or price that the core cannot hold.
    """
    offers = _codec.decode(body).offers
    if len(offers) != 1:
        raise InvalidError(f"{len(offers)} offers, allowed: 1", path="FlexOffer")
    # What FO-01 calls mandatory is filled in here.
    findings = broken(RULES, offers[0], off=("FO-01",))
    if findings:
        found = findings[0]
        raise InvalidError(found.message, path=found.path, clause=f"{found.rule}, {found.clause}")
    mapped = to_core(offers[0], Context(issuer=issuer, new_id=new_id, now=now))
    refuse_serious(mapped.losses)
    dates = (offers[0].creation_time, offers[0].creation_interval)
    return Read(mapped.value, all(date in (None, msgspec.UNSET) for date in dates))


async def read_again(body: bytes, hub: Reads, *, issuer: str, new_id: str, now: datetime) -> bytes:
    """As `read`, as core JSON. A repeat without a creation time gets the one that was filled in at first.

    So the same bytes stay the same message, and are answered as before.

    Raises:
        FlexhubError: as `read`.
    """
    offer, undated = read(body, issuer=issuer, new_id=new_id, now=now)
    if undated:
        known = await hub.get(FlexOffer, offer.id)
        if known is not None and known.issuer == issuer:
            offer, _ = read(body, issuer=issuer, new_id=new_id, now=known.created)
    return encode(offer)


def write(body: bytes) -> bytes:
    """A flex-offer, or a page of them as a list, in GOFLEX's words; the Link header leads to the next page."""
    if body.startswith(b'{"items":'):
        offers, wrapper = decode(Offers, body).items, "list"
    else:
        offers, wrapper = (decode(FlexOffer, body),), ""
    context = Context()
    return _codec.encode(Document(offers=tuple(to_wire(o, context).value for o in offers), wrapper=wrapper))
