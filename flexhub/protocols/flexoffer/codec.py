"""Flex-offer JSON to messages and back, in every dialect and wrapping; as written, so it is written back."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flexhub.core.errors import InvalidError, MalformedError
from flexhub.protocols import codec
from flexhub.protocols.flexoffer.messages import Document, FlexOffer
from flexhub.protocols.unknown import Unknown, depth, join, split

ROOT: Final = "FlexOffer"
WRAPPER: Final = "flexOffer"

_offer: Final = msgspec.json.Decoder(FlexOffer)
_offers: Final = msgspec.json.Decoder(tuple[FlexOffer, ...])
_any: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()
_LIST: Final = re.compile(rb"\s*\[")


class FlexOfferCodec:
    """The codec of `Document`; see `flexhub.protocols.codec.Codec`."""

    def __init__(self, max_bytes: int = codec.MAX_BYTES) -> None:
        self.max_bytes = max_bytes

    def decode(self, data: bytes) -> Document:
        """Read a bare offer, a list of offers, or V1's ``{"flexOffer": [...]}``.

        Raises:
            MalformedError: too large, nested too deep, or not JSON.
            InvalidError: a field of another type than the standard says.
        """
        codec.guard(data, ROOT, self.max_bytes)
        try:
            return _known(data)
        except msgspec.ValidationError:
            pass  # an unknown field, V1's wrapper, or a wrong type: the long way tells which
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise codec.explained(error, ROOT, data) from error
        try:
            return _document(_any.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise codec.explained(error, ROOT, data) from error

    def encode(self, message: Document) -> bytes:
        """Write the offers in the wrapping that the document names.

        Raises:
            InvalidError: a bare document that does not hold exactly one offer.
        """
        if message.wrapper == WRAPPER:
            return _encoder.encode({WRAPPER: [_builtins(o) for o in message.offers], **message.beside})
        if message.wrapper == "list":
            return _encoder.encode([_builtins(o) for o in message.offers])
        if len(message.offers) != 1:
            raise InvalidError(f"{len(message.offers)} offers need a list, not a bare object", path=ROOT)
        return _encoder.encode(_builtins(message.offers[0]))


def _known(data: bytes) -> Document:
    """The quick way, for messages without unknown fields."""
    if _LIST.match(data):
        document = Document(offers=_offers.decode(data), wrapper="list")
    else:
        document = Document(offers=(_offer.decode(data),))
    for i, offer in enumerate(document.offers):
        _check_text(offer, document.wrapper, i)
    return document


def _check_text(offer: FlexOffer, wrapper: str, i: int) -> None:
    """Free-form fields may nest: hold them to the same depth as everything else."""
    for free in (offer.location_id, offer.location_id_v1, offer.power_factor_constraint):
        if isinstance(free, dict | list):
            _depth(free, f"{ROOT}[{i}]" if wrapper else ROOT)


def _depth(value: object, root: str) -> None:
    try:
        depth(value)
    except MalformedError as error:
        raise MalformedError(error.message, path=root) from None


def _document(raw: object) -> Document:
    """The long way: unknown fields are taken out first."""
    _depth(raw, ROOT)
    if isinstance(raw, list):
        return Document(offers=tuple(_one(o, f"{ROOT}[{i}]") for i, o in enumerate(raw)), wrapper="list")
    if isinstance(raw, dict) and WRAPPER in raw:
        inner = raw.pop(WRAPPER)
        if not isinstance(inner, list):
            raise InvalidError("a list of flex-offers is needed", path=WRAPPER, clause="V1 section 1.4")
        offers = tuple(_one(o, f"{ROOT}[{i}]") for i, o in enumerate(inner))
        return Document(offers=offers, wrapper=WRAPPER, beside=raw)
    return Document(offers=(_one(raw, ROOT),))


def _one(raw: object, root: str) -> FlexOffer:
    if not isinstance(raw, dict):
        raise MalformedError("a flex-offer is a JSON object", path=root, clause="V1 section 1.4")
    known, tree = split(raw, FlexOffer)
    if tree:
        known["unknown"] = Unknown(tree)
    try:
        return msgspec.convert(known, FlexOffer)
    except msgspec.ValidationError as error:
        raise codec.explained(error, root) from error


def _builtins(offer: FlexOffer) -> FlexOffer | dict[str, Any]:
    """The offer itself, or where it has unknown fields a dict that holds them."""
    if offer.unknown is UNSET:
        return offer
    known: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(offer, unknown=UNSET))
    return join(known, offer.unknown.tree, FlexOffer)
