"""The simple types of OpenADR 2.0b: how each is read from the text of an element, checked and written.

Beside them stands where a field lies (`At`, `Within`, `Attr`). Verdicts are those of the published XSDs, but for the
differences that `DIFFERENCES` lists. Instants, durations and ids stay the text that they are; numbers, booleans and
closed enumerations become values.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeAlias, get_args

from lxml import etree

from flexhub.core.errors import InvalidError
from flexhub.protocols.openadr2b import names
from flexhub.protocols.uftp import simple
from flexhub.protocols.uftp.simple import Content, Simple

DIFFERENCES: Final = {
    "years": "xs:dateTime knows years before 1; they are refused, since no calendar of Python holds them",
    "midnight": "24:00:00 is refused, since libraries disagree about it; 00:00:00 of the next day says the same",
    "digits": "a duration's digits are any of Unicode to the schema, and any number of them; 0 to 9 are read, at most "
    "9 in one field",
    "numbers": "numbers of more than 64 characters are refused, and so are decimals of more than 18 digits on a side "
    "of the point: no quantity has them",
    "uri": "XML Schema takes almost any text for an xs:anyURI, libxml2 does not; the former is followed",
    "currencies": "the schema lists the currencies of 2010; any three capital letters are read, since new ones came",
    "components": "what stands in xcal:components is not told by the schema; anything there is refused, since 2.0b "
    "uses it for nothing",
    "foreign": "a signature or a feed of Green Button is kept as it is and not looked into; with the XSD check, it is",
    "ids": "the schema wants an Id but once in a document; whoever checks signatures looks for that",
    "roots": "an element that is part of a message is a document of its own to the schema; only oadrPayload is read",
    "xsi": "xsi:type is refused: every element has one type; xsi:nil is read in xcal:components only",
    "locations": "schema locations are read at the root and at the message only",
    "doctype": "a document with a DOCTYPE is refused, and so is the word in a comment",
    "encoding": "only UTF-8 is read",
}
"""Where our verdict is not that of the XSDs, and why; tests compare."""


def simple_of(hint: Any) -> Simple:  # noqa: ANN401 - a type
    """The simple type that annotates a hint."""
    return next(note for note in get_args(hint) if isinstance(note, Simple))


_date_time: Final = simple_of(simple.DateTime)
_legal: Final = simple_of(simple.Text).write
_BLANK: Final = " \t\n\r"
_BLANKS: Final = re.compile("[ \t\n\r]+")
_LONGEST: Final = 64
_CACHED: Final = 4096


class At:
    """Where a field lies: its element, or a way through elements of which each holds but the next.

    Of a tuple, the whole way is repeated.
    """

    __slots__ = ("path",)

    def __init__(self, *path: str) -> None:
        self.path = path


class Within:
    """The elements, once each, within which all of a tuple lies."""

    __slots__ = ("path",)

    def __init__(self, *path: str) -> None:
        self.path = path


class Attr:
    """A field that is an attribute, of this name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _collapsed(text: str) -> str:
    return _BLANKS.sub(" ", text).strip(" ")


def _cached(read: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """The same, remembered where the text is short and fits: times, durations and words come again and again."""
    known: dict[str, str] = {}

    def look(text: str) -> str | None:
        found = known.get(text)
        if found is None:
            found = read(text)
            if found is not None and len(text) <= _LONGEST:
                if len(known) >= _CACHED:
                    known.clear()
                known[text] = found
        return found

    return look


def _text(name: str, fits: Callable[[str], object], says: str, *, collapse: bool, safe: bool = True) -> Simple:
    """A type of texts, which are kept but for the blanks that XML Schema has collapsed."""

    def read(text: str) -> str | None:
        if collapse:
            text = _collapsed(text)
        return text if fits(text) else None

    def write(value: Any) -> str | None:  # noqa: ANN401 - anything may stand in a field
        same = _legal(value) is not None and (not collapse or _collapsed(value) == value)
        return value if same and fits(value) else None

    return Simple(name, _cached(read), write, says, safe=safe)


def open_enumeration(name: str, words: Iterable[str]) -> Simple:
    """A union of an enumeration and EiExtensionTokenType: these words, or x- and anything; kept as text."""
    known = frozenset(words)
    extension = re.compile(r"x-[^ ].*").fullmatch
    says = f"one of {', '.join(sorted(known))}, or x-..."
    return _text(name, lambda text: text in known or extension(text), says, collapse=True, safe=False)


def token(kind: type[enum.StrEnum]) -> Simple:
    """A closed enumeration of xs:token."""
    of = simple.one_of(kind)
    return Simple(kind.__name__, lambda text: of.read(_collapsed(text)), of.write, of.says)


def fixed(word: str) -> Simple:
    """A text that says but this; an empty element says it, too."""
    return Simple(
        f"fixed {word}",
        lambda text: word if text in ("", word) else None,
        lambda value: word if value == word else None,
        word,
    )


def _unsigned(name: str, most: int) -> Simple:
    match = re.compile(r"\+?[0-9]+|-0+").fullmatch

    def read(text: str) -> int | None:
        text = text.strip(_BLANK)
        if len(text) > _LONGEST or not match(text):
            return None
        value = int(text)
        return value if value <= most else None

    def write(value: object) -> str | None:
        return str(value) if type(value) is int and 0 <= value <= most else None

    return Simple(name, read, write, f"a whole number from 0 to {most}")


def _float() -> Simple:
    match = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?INF|NaN").fullmatch

    def read(text: str) -> float | None:
        if not match(text):
            text = text.strip(_BLANK)
            if not match(text):
                return None
        return float(text) if len(text) <= _LONGEST else None

    def write(value: object) -> str | None:
        if type(value) is not float:
            return str(value) if type(value) is int and abs(value) < 2**53 else None
        if math.isfinite(value):
            return repr(value)
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"

    return Simple("xs:float", read, write, "a number")


def _floats() -> Simple:
    one = _float()

    def read(text: str) -> tuple[float, ...] | None:
        found = [one.read(word) for word in text.split()]
        return None if None in found else tuple(found)

    def write(value: object) -> str | None:
        if not isinstance(value, tuple):
            return None
        words = [one.write(number) for number in value]
        return None if None in words else " ".join(word for word in words if word is not None)

    return Simple("doubleList", read, write, "numbers between blanks")


_no_offset: Final = re.compile("[0-9]+-[^+-]+-[^+-]+").fullmatch
_FIELD: Final = "[0-9]{1,9}"
_duration: Final = re.compile(
    rf"[+-]?P(?:{_FIELD}Y)?(?:{_FIELD}M)?(?:{_FIELD}D)?T?(?:{_FIELD}H)?(?:{_FIELD}M)?(?:{_FIELD}S)?|{_FIELD}W"
).fullmatch


def canonical(node: etree._Element) -> str:
    """An element as exclusive canonical XML, which is the same wherever it stands.

    Raises:
        InvalidError: it has no such form, since the name of a namespace is relative.
    """
    try:
        return etree.tostring(node, method="c14n", exclusive=True, with_comments=False, with_tail=False).decode()
    except etree.C14NError as error:
        name = etree.QName(node).localname
        raise InvalidError("the name of a namespace is relative", path=name, clause="Canonical XML 1.0") from error


_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True)


def _canonical(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        root = etree.fromstring(value, _PARSER)
        told = canonical(root)
    except (etree.XMLSyntaxError, InvalidError, ValueError):
        return None
    return value if root.getroottree().docinfo.internalDTD is None and told == value else None


def _is_instant(text: str) -> bool:
    return _no_offset(text) is not None and _date_time.read(text) is not None


Text: TypeAlias = simple.Text
Xml: TypeAlias = Annotated[
    str,
    Content.WHOLE,
    Simple("xs:any", lambda text: text, _canonical, "an element in exclusive canonical form", safe=False),
]
"""An element that is kept as it is. Where namespaces are told above it, these are taken along if its names use them."""
Boolean: TypeAlias = simple.Boolean
Number: TypeAlias = simple.Number
Float: TypeAlias = Annotated[float, _float()]
Floats: TypeAlias = Annotated[tuple[float, ...], _floats()]
UnsignedInt: TypeAlias = Annotated[int, _unsigned("xs:unsignedInt", 2**32 - 1)]
Percent: TypeAlias = Annotated[int, _unsigned("ConfidenceType", 100)]
DateTime: TypeAlias = Annotated[
    str, _text("DateTimeType", _is_instant, "an instant, such as 2026-03-29T10:00:00Z", collapse=True)
]
"""Interpretation: an instant without Z is one of UTC, too; an offset is refused by the schema."""
Duration: TypeAlias = Annotated[str, _text("DurationValueType", _duration, "a duration, such as PT15M", collapse=False)]
AnyUri: TypeAlias = Annotated[str, _text("xs:anyURI", lambda _: True, "a URI", collapse=True, safe=False)]
Code: TypeAlias = Annotated[
    str, _text("ResponseCodeType", re.compile("[0-9]{3}").fullmatch, "three digits", collapse=False)
]
CurrencyCode: TypeAlias = Annotated[
    str,
    _text(
        "ISO3AlphaCurrencyCodeContentType",
        re.compile("[A-Z]{3}").fullmatch,
        "three capital letters [ISO 4217]",
        collapse=True,
    ),
]
Id: TypeAlias = Annotated[
    str, _text("xs:ID", re.compile(r"[^\W\d][\w.-]*").fullmatch, "a name without a colon", collapse=True, safe=False)
]
SchemaVersion: TypeAlias = Annotated[str, open_enumeration("schemaVersionType", ("2.0a", "2.0b"))]
SignalName: TypeAlias = Annotated[str, open_enumeration("signalNameType", names.SIGNAL_NAMES)]
OptReason: TypeAlias = Annotated[str, open_enumeration("OptReasonType", names.OPT_REASONS)]
ReportName: TypeAlias = Annotated[str, open_enumeration("reportNameType", names.REPORT_NAMES)]
ReportType: TypeAlias = Annotated[str, open_enumeration("ReportTypeType", names.REPORT_TYPES)]
ReadingType: TypeAlias = Annotated[str, open_enumeration("ReadingTypeType", names.READING_TYPES)]
DataQuality: TypeAlias = Annotated[str, open_enumeration("oadrDataQualityTypeType", names.DATA_QUALITIES)]
