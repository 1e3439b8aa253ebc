"""What ``flexhub convert`` and ``flexhub validate`` do, on bytes: no files, no clock."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.app import convert_xml as xml
from flexhub.core import documents
from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.watch import Watch, unseen
from flexhub.mappings.fates import Kind, Loss, refuse_serious
from flexhub.mappings.flexoffer import Context, Form, Sign, to_core, to_wire
from flexhub.protocols import codec
from flexhub.protocols.flexoffer import messages as wire
from flexhub.protocols.flexoffer.codec import WRAPPER, FlexOfferCodec
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.rules import Broken, broken
from flexhub.protocols.unknown import shape

CORE: Final = "core"
TARGETS: Final = (Form.V1.value, Form.GOFLEX.value, *xml.PROTOCOLS, CORE)
"""What `convert` can write."""

_TELLING: Final = frozenset(shape(wire.FlexOffer)) - {"id", "label", "state"}
_CORE_FIELDS: Final = frozenset(("issuer", "created"))
_ROOT: Final = "FlexOffer"
_XML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


class Recognised(NamedTuple):
    """Which standard and message some bytes are."""

    protocol: str
    message: str
    offers: int


class Converted(NamedTuple):
    """The written message, and what was lost on the way."""

    data: bytes
    losses: tuple[Loss, ...]


def recognise(data: bytes) -> Recognised:
    """Tell which message it is.

    Raises:
        MalformedError: not JSON, not XML, too large, or no message that flexhub knows.
        InvalidError: XML that is a message by its name, and not by what it holds.
    """
    if _XML.match(data):
        protocol, message = xml.read(data)
        return Recognised(protocol, xml.name_of(message), 1)
    values = _values(data)
    objects = values[0] if len(values) == 1 else values
    if isinstance(objects, dict):
        objects = objects[WRAPPER] if isinstance(objects.get(WRAPPER), list) else [objects]
    if not isinstance(objects, list):
        raise MalformedError("neither a JSON object nor a list of them")
    first = objects[0] if objects else {}
    keys = first.keys() if isinstance(first, dict) else set()
    if keys >= _CORE_FIELDS:
        return Recognised("core", "FlexOffer", len(objects))
    if keys & _TELLING or (not objects and values != [{}]):
        return Recognised("flexoffer", "FlexOffer", len(objects))
    raise MalformedError("no known message; core flex-offers and flex-offer messages (V1, GOFLEX) are read")


def convert(  # noqa: PLR0913 - one argument per choice
    data: bytes,
    to: str,
    *,
    allow_loss: bool = False,
    sign_in: Sign = Sign.CONSUMPTION,
    sign_out: Sign = Sign.CONSUMPTION,
    watch: Watch = unseen,
) -> Converted:
    """Write any supported message as another.

    Args:
        data: a flex-offer message in any dialect and wrapping, core JSON (an object, a list, or JSON lines), or a
            message of UFTP or USEF 2015: any of those as one of the other, a FlexOffer also as a flex-offer.
        to: one of `TARGETS`; several core documents are written as JSON lines.
        allow_loss: let bounds and prices be lost.
        sign_in: what a positive amount means in a flex-offer message that is read.
        sign_out: what it is to mean in one that is written.
        watch: sees the offers go by.

    An offer without an id gets one that follows from the bytes and its place in them, so that the result is the same
    each time; V1 and GOFLEX have such an id written as null again.

    Raises:
        MalformedError, InvalidError: what is read is no such message.
        LossError: a bound or a price would be lost.
    """
    if to not in TARGETS:
        raise InvalidError(f"{to!r} is not a target; allowed: {', '.join(TARGETS)}", value=to)
    losses: list[Loss] = []
    if to in xml.PROTOCOLS and _XML.match(data):
        out = xml.rewritten(*_unbroken(data), to, losses)
        refuse_serious(losses, allow=allow_loss)
        return Converted(out, tuple(losses))
    offers = core_offers(data, sign_in, losses, watch)
    if to == CORE:
        out = b"".join(documents.encode(offer) + b"\n" for offer in watch(offers, "writing"))
    elif to in xml.PROTOCOLS:
        if len(offers) != 1:
            raise InvalidError(f"{len(offers)} offers; a FlexOffer holds one", path=_ROOT)
        out = xml.written(offers[0], to, losses)
    else:
        context = Context(form=Form(to), sign=sign_out, null_ids=True)
        messages = []
        for i, offer in enumerate(watch(offers, "writing")):
            written = to_wire(offer, context)
            losses += _placed(written.losses, i, len(offers))
            messages.append(written.value)
        wrapper = WRAPPER if context.form is Form.V1 else "" if len(messages) == 1 else "list"
        out = FlexOfferCodec().encode(wire.Document(offers=tuple(messages), wrapper=wrapper)) + b"\n"
    refuse_serious(losses, allow=allow_loss)
    return Converted(out, tuple(losses))


def validate(data: bytes, watch: Watch = unseen) -> list[Broken]:
    """Every rule that the message breaks by itself; what cannot be read is one finding, by the code of its error."""
    try:
        found = recognise(data)
        if found.protocol == "core":
            return _core_findings(data, watch)
        if _XML.match(data):
            return xml.findings(*xml.read(data))
        document = FlexOfferCodec().decode(data)
    except FlexhubError as error:
        return [_finding(error)]
    single = not document.wrapper
    return [
        finding
        for i, offer in enumerate(watch(document.offers, "judging"))
        for finding in broken(RULES, offer, at=_ROOT if single else f"{_ROOT}[{i}]")
    ]


def _values(data: bytes) -> list[Any]:
    """The JSON values in the bytes: one document, or JSON lines."""
    codec.guard(data, "")
    try:
        return [msgspec.json.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        values: list[Any] = []
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                try:
                    values.append(msgspec.json.decode(line))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
                    if not values:
                        break  # not JSON lines either: the error of the whole tells more
                    raise codec.explained(wrong, f"line {number}", line) from wrong
        else:
            if values:
                return values
        raise codec.explained(error, "", data) from error


def _core_documents(data: bytes) -> list[bytes]:
    values = _values(data)
    objects = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return [msgspec.json.encode(value) for value in objects]


def core_offers(data: bytes, sign: Sign, losses: list[Loss], watch: Watch = unseen) -> list[FlexOffer]:
    """The flex-offers of any message that `convert` reads; what is lost on the way is added to `losses`.

    Raises:
        MalformedError, InvalidError: as `convert`; of several core documents the path has the number.
    """
    if recognise(data).protocol == "core":
        parts = _core_documents(data)
        return [_document(part, i, len(parts)) for i, part in enumerate(watch(parts, "reading"))]
    if _XML.match(data):
        return [xml.offer_of(_unbroken(data)[1], losses)]
    document = FlexOfferCodec().decode(data)
    digest = hashlib.sha256(data).hexdigest()[:16]
    offers = []
    for i, message in enumerate(watch(document.offers, "reading")):
        findings = broken(RULES, message, at=f"{_ROOT}[{i}]" if document.wrapper else _ROOT)
        _refuse_broken(findings)
        read = to_core(message, Context(sign=sign, new_id=f"fo-{digest}-{i}"))
        losses += _placed(read.losses, i, len(document.offers))
        offers.append(read.value)
    for name, value in document.beside.items():
        losses.append(Loss(path=name, kind=Kind.DROPPED, value=value, why="stands beside the offers, in none of them"))
    return offers


def _document(data: bytes, i: int, count: int) -> FlexOffer:
    try:
        return documents.decode(FlexOffer, data)
    except FlexhubError as error:
        if count > 1:
            error.path = error.path.replace(_ROOT, f"{_ROOT}[{i}]", 1)
        raise


def _unbroken(data: bytes) -> tuple[str, xml.Message]:
    told = xml.read(data)
    _refuse_broken(xml.findings(*told))
    return told


def _refuse_broken(findings: list[Broken]) -> None:
    if findings:
        one = findings[0]
        raise InvalidError(one.message, path=one.path, clause=f"{one.rule}, {one.clause}")


def _placed(losses: tuple[Loss, ...], i: int, count: int) -> list[Loss]:
    """Losses with the number of their offer, where there are several."""
    if count == 1:
        return list(losses)
    return [msgspec.structs.replace(x, path=f"{_ROOT}[{i}]{x.path.removeprefix(_ROOT)}") for x in losses]


def _core_findings(data: bytes, watch: Watch) -> list[Broken]:
    findings = []
    parts = _core_documents(data)
    for i, document in enumerate(watch(parts, "judging")):
        try:
            documents.decode(FlexOffer, document)
        except FlexhubError as error:
            found = _finding(error)
            place = f"{_ROOT}[{i}]" if len(parts) > 1 else _ROOT
            findings.append(msgspec.structs.replace(found, path=found.path.replace(_ROOT, place, 1)))
    return findings


def _finding(error: FlexhubError) -> Broken:
    return Broken(rule=error.code, clause=error.clause, path=error.path, message=error.message)
