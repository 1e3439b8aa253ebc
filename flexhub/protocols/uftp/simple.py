"""The simple types of the UFTP schemas: how each is read from an attribute, checked and written.

Verdicts are those of the published XSDs, but for the differences that `DIFFERENCES` lists. Texts (times, dates,
durations) stay as they were written; numbers, booleans and enumerations become values.
"""

from __future__ import annotations

import binascii
import enum
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

from flexhub.core.errors import InvalidError

DIFFERENCES: Final = {
    "integers": "xs:integer is unbounded; more than 18 digits are refused, or 64 characters: no power has them",
    "decimals": "xs:decimal is unbounded; more than 18 digits before or after the point are refused, or 64 characters",
    "years": "xs:date knows years before 1 and after 9999; they are refused, since no calendar of Python holds them",
    "midnight": "24:00:00 is refused, since libraries disagree about it; 00:00:00 of the next day says the same",
    "durations": "more than 9 digits in one field of xs:duration are refused; where libxml2 strays from XML Schema, "
    "the latter is followed: blanks around a duration collapse, and a point has digits on both sides",
    "ean": "Metering's EAN is E and 16 digits in the schema, but an EAN has 18: both are accepted",
    "xsi": "xsi:type and xsi:nil are refused: every element has one type",
    "doctype": "a document with a DOCTYPE is refused, and so is the word in a comment",
    "encoding": "only UTF-8 is read [section 4.2]",
    "base64": "libxml2 passes over what is no character of base64, XML Schema doesn't; the latter is followed",
}
"""Where our verdict is not that of the XSDs, and why; tests compare.

Interpretation: the text lets a message hold elements of other namespaces and lets FlexSettlement be without Result and
without either kind of settlement; the XSDs don't. The XSDs are followed.
"""

_BLANK: Final = " \t\n\r"
_LONGEST: Final = 64
"""Characters of a number that is read: leading zeros are legal, a megabyte of them is not meant well."""


_KNOWN: Final = 1 << 14
"""Texts of integers that are remembered: numbers of ISPs come again and again."""

_HUGE: Final = 10**18 - 1
"""Integers of 18 digits at most."""


class Simple:
    """One simple type.

    Args:
        name: as in the schema.
        read: text of an attribute -> value; None where the text is not of the type.
        write: value -> canonical text; None where the value is not of the type.
        says: what is allowed, for errors.
        safe: whether the canonical text never needs escaping.
        known: what `read` makes of texts that it has read, as far as it remembers them.
        spelled: whether equal values may differ in how they are spelled, as 1 and 1.0 do.
    """

    __slots__ = ("known", "name", "read", "safe", "says", "spelled", "write")

    def __init__(  # noqa: PLR0913 - what tells one type from another
        self,
        name: str,
        read: Callable[[str], Any],
        write: Callable[[Any], str | None],
        says: str,
        *,
        safe: bool = True,
        known: Mapping[str, Any] | None = None,
        spelled: bool = False,
    ) -> None:
        self.name, self.read, self.write, self.says, self.safe = name, read, write, says, safe
        self.known: Mapping[str, Any] = {} if known is None else known
        self.spelled = spelled

    def __repr__(self) -> str:
        return f"Simple({self.name})"

    def written(self, value: object, path: str) -> str:
        """Canonical text of a value.

        Raises:
            InvalidError: it is not of the type.
        """
        text = self.write(value)
        if text is None:
            raise InvalidError(f"{value!r} is not {self.says}", path=path, value=str(value), clause=self.name)
        return text


class Content(enum.Enum):
    """Marks the one field of an element that is not an attribute: what it holds between its tags, or all of it.

    USEF 2015 has such elements, UFTP hasn't.
    """

    TEXT = "the text between the tags"
    WHOLE = "an element of any other namespace, as the XML that it is"


def _pattern(name: str, pattern: str, says: str, *, safe: bool = True) -> Simple:
    match = re.compile(pattern).fullmatch

    def read(text: str) -> str | None:
        return text if match(text) else None

    def write(value: object) -> str | None:
        return value if isinstance(value, str) and match(value) else None

    return Simple(name, read, write, says, safe=safe)


def _stripped(name: str, fits: Callable[[str], bool], says: str) -> Simple:
    """A text type whose white space collapses."""

    def read(text: str) -> str | None:
        text = text.strip(_BLANK)
        return text if fits(text) else None

    def write(value: object) -> str | None:
        return value if isinstance(value, str) and fits(value) else None

    return Simple(name, read, write, says)


def _integer(name: str, low: int | None, high: int | None, says: str) -> Simple:
    match = re.compile(r"[+-]?0*[0-9]{1,18}").fullmatch

    least = -_HUGE if low is None else max(low, -_HUGE)
    most = _HUGE if high is None else min(high, _HUGE)
    known: dict[str, int] = {}

    def read(text: str) -> int | None:
        if not match(text):
            text = text.strip(_BLANK)
            if not match(text):
                return None
        if len(text) > _LONGEST:
            return None
        value = int(text)
        if not least <= value <= most:
            return None
        if len(known) < _KNOWN:
            known[text] = value
        return value

    def write(value: object) -> str | None:
        return str(value) if type(value) is int and least <= value <= most else None

    return Simple(name, read, write, says, known=known)


def _decimal(name: str, digits: int, low: str | None, high: str | None, says: str) -> Simple:
    match = re.compile(rf"[+-]?(?:0*[0-9]{{1,18}}(?:\.[0-9]{{0,{digits}}}0*)?|\.[0-9]{{1,{digits}}}0*)").fullmatch
    least, most = (None if edge is None else Decimal(edge) for edge in (low, high))

    def fits(value: Decimal) -> bool:
        return (least is None or least <= value) and (most is None or value <= most)

    def read(text: str) -> Decimal | None:
        text = text.strip(_BLANK)
        if len(text) > _LONGEST or not match(text):
            return None
        value = Decimal(text)
        return value if fits(value) else None

    def write(value: object) -> str | None:
        if not isinstance(value, Decimal) or not value.is_finite() or not fits(value):
            return None
        text = f"{value:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return ("0" if text == "-0" else text) if match(text) else None

    return Simple(name, read, write, says, spelled=True)


_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}

_DATE: Final = r"(?P<day>[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))"
_ZONE: Final = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
_date: Final = re.compile(_DATE + _ZONE).fullmatch
_date_time: Final = re.compile(
    _DATE + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?" + _ZONE,
).fullmatch
_FIELD: Final = "[0-9]{1,9}"
_duration: Final = re.compile(
    rf"-?P(?=[0-9T])(?:{_FIELD}Y)?(?:{_FIELD}M)?(?:{_FIELD}D)?"
    rf"(?:T(?=[0-9])(?:{_FIELD}H)?(?:{_FIELD}M)?(?:{_FIELD}(?:\.{_FIELD})?S)?)?"
).fullmatch


@lru_cache(maxsize=1024)
def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    found = _date(text)
    return found is not None and _exists(found["day"])


def _is_date_time(text: str) -> bool:
    found = _date_time(text)
    return found is not None and _exists(found["day"])


def _base64() -> Simple:
    last = re.compile(r"(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?").fullmatch
    blanks = str.maketrans("", "", _BLANK)

    def fits(text: str) -> bool:
        try:
            binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            return False
        # About these the strict mode is not strict: the padding's number, and bits that say nothing.
        return len(text) % 4 == 0 and last(text[-4:]) is not None

    def read(text: str) -> str | None:
        if not fits(text):
            text = text.translate(blanks)
            return text if fits(text) else None
        return text

    return Simple("xs:base64Binary", read, lambda v: v if isinstance(v, str) and fits(v) else None, "base64")


def one_of(kind: type[enum.StrEnum]) -> Simple:
    """The simple type of an enumeration; UFTP's are closed."""
    words = {member.value: member for member in kind}
    texts = {word: word for word in words}  # a member is found as its text is
    return Simple(
        kind.__name__,
        words.get,
        texts.get,
        f"one of {', '.join(words)}",
    )


_LEGAL: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*").fullmatch

Version: TypeAlias = Annotated[
    str, _pattern("SpecVersion", r"\d+\.\d+\.\d+", "a version of three numbers, such as 3.1.0")
]
_HEX: Final = "[0-9A-Fa-f]"
Uuid: TypeAlias = Annotated[str, _pattern("UUIDType", rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", "a UUID")]
Domain: TypeAlias = Annotated[
    str, _pattern("InternetDomainType", r"(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,}", "an Internet domain in lower case")
]
EntityAddress: TypeAlias = Annotated[
    str,
    _pattern(
        "EntityAddressType",
        r"ea1\.[0-9]{4}-[0-9]{2}\.[^\n\r]{1,244}:[^\n\r]{1,244}|ean\.[0-9]{12,34}",
        "an entity address: ea1.yyyy-mm.domain:name, or ean. and 12 to 34 digits",
        safe=False,
    ),
]
Currency: TypeAlias = Annotated[str, _pattern("ISO4217CurrencyType", "[A-Z]{3}", "three capital letters [ISO 4217]")]
TimeZoneName: TypeAlias = Annotated[
    str,
    _pattern(
        "TimeZoneNameType",
        r"(?:Africa|America|Australia|Europe|Pacific)/[a-zA-Z0-9_/]{3,}",
        "a time zone of Africa, America, Australia, Europe or the Pacific",
    ),
]
"""Interpretation: the schema's pattern admits no zone of Asia and no UTC, and it is followed."""
Ean: TypeAlias = Annotated[str, _pattern("EANType", "[Ee][0-9]{16}(?:[0-9]{2})?", "E and 16 or 18 digits")]
"""Interpretation: the schema asks 16 digits, an EAN of a connection has 18; both are read and written."""
Text: TypeAlias = Annotated[
    str,
    Simple(
        "xs:string", lambda text: text, lambda v: v if isinstance(v, str) and _LEGAL(v) else None, "text", safe=False
    ),
]
Base64: TypeAlias = Annotated[str, _base64()]
Date: TypeAlias = Annotated[str, _stripped("xs:date", _is_date, "a day, such as 2026-03-29")]
DateTime: TypeAlias = Annotated[
    str, _stripped("xs:dateTime", _is_date_time, "an instant, such as 2026-03-29T10:00:00Z")
]
Duration: TypeAlias = Annotated[
    str, _stripped("xs:duration", lambda text: _duration(text) is not None, "a duration, such as PT15M")
]
Integer: TypeAlias = Annotated[int, _integer("xs:integer", None, None, "a whole number")]
Long: TypeAlias = Annotated[int, _integer("xs:long", -(2**63), 2**63 - 1, "a whole number of 64 bits")]
PositiveInteger: TypeAlias = Annotated[int, _integer("xs:positiveInteger", 1, None, "a whole number of at least 1")]
Number: TypeAlias = Annotated[Decimal, _decimal("xs:decimal", 18, None, None, "a decimal number")]
Amount: TypeAlias = Annotated[Decimal, _decimal("CurrencyAmountType", 4, None, None, "an amount of at most 4 decimals")]
ActivationFactor: TypeAlias = Annotated[
    Decimal, _decimal("ActivationFactorType", 2, "0.01", "1.00", "a factor from 0.01 to 1.00 in at most 2 decimals")
]
Boolean: TypeAlias = Annotated[
    bool,
    Simple(
        "xs:boolean",
        lambda text: _TRUTH.get(text.strip(_BLANK)),
        lambda v: str(v).lower() if isinstance(v, bool) else None,
        "true or false",
    ),
]
