"""What is tried with a target of any role: HTTP, the envelope, metadata, and who may say what."""

from __future__ import annotations

import base64
from typing import Final

from lxml import etree

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp import drafts
from flexhub.conformance.uftp.drafts import base
from flexhub.conformance.uftp.probe import VALID, WAY, Make, Probe, Spoil, changed, http, put, refused, speaker
from flexhub.conformance.uftp.target import Draft, Outcome, Uftp, said
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.envelope import key_of_seed

NOBODY: Final = "nobody.example.com"
"""A domain that nobody has (RFC 2606)."""
_DOCTYPE: Final = b'<!DOCTYPE m [<!ENTITY e "e">]>'


async def test_message(x: Uftp) -> Draft:
    """Is anybody there?"""  # noqa: D400 - it asks
    return x.draft(x.make(wire.TestMessage))


def _with_doctype(data: bytes) -> bytes:
    head, mark, rest = data.partition(b"?>")
    return head + mark + _DOCTYPE + rest if mark else _DOCTYPE + data


def _envelope(draft: Draft, name: str, value: str | None) -> None:
    def outer(body: bytes) -> bytes:
        root = etree.fromstring(body)
        if value is None:
            del root.attrib[name]
        else:
            root.set(name, value)
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    draft.outer = outer


def _chunked(draft: Draft) -> None:
    draft.chunked = True


def _json(draft: Draft) -> None:
    draft.headers["Content-Type"] = "application/json"


def _latin(draft: Draft) -> None:
    draft.headers["Content-Type"] = "text/xml; charset=iso-8859-1"


def _garbage(draft: Draft) -> None:
    draft.outer = lambda _body: b"banana"


def _bare(draft: Draft) -> None:
    draft.outer = lambda _body: etree.tostring(draft.root)


def _outer_doctype(draft: Draft) -> None:
    draft.outer = _with_doctype


def _unknown(draft: Draft) -> None:
    draft.root.set("SenderDomain", NOBODY)
    draft.domain = NOBODY
    draft.key = key_of_seed(b"nobody".ljust(32))


def _other_key(draft: Draft) -> None:
    draft.key = key_of_seed(b"another".ljust(32))


def _tampered(draft: Draft) -> None:
    def outer(body: bytes) -> bytes:
        root = etree.fromstring(body)
        sealed = bytearray(base64.b64decode(root.get("Body", "")))
        sealed[-1] ^= 1
        root.set("Body", base64.b64encode(sealed).decode())
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    draft.outer = outer


def _inner_garbage(draft: Draft) -> None:
    draft.inner = b"banana"


def _inner_doctype(draft: Draft) -> None:
    draft.inner = _with_doctype(etree.tostring(draft.root, encoding="UTF-8", xml_declaration=True))


def _get(draft: Draft) -> None:
    draft.method = "GET"


def _nowhere(draft: Draft) -> None:
    draft.path = "/nowhere"


DELIVERY: Final = (
    Probe(
        name="get",
        rule=WAY,
        sent="GET",
        make=base,
        spoil=changed(_get),
        expected="HTTP 404 or 405",
        judge=http(404, 405),
        by_http=True,
    ),
    Probe(
        name="wrong-path",
        rule=WAY,
        sent="a path that is not the endpoint's",
        make=base,
        spoil=changed(_nowhere),
        expected="HTTP 404 or 405",
        judge=http(404, 405),
        by_http=True,
    ),
    Probe(name="no-length", rule="UFTP-01", sent="chunked, without a length", make=base, spoil=changed(_chunked)),
    Probe(name="json", rule="UFTP-02", sent="content type application/json", make=base, spoil=changed(_json)),
    Probe(name="latin-1", rule="UFTP-03", sent="charset iso-8859-1", make=base, spoil=changed(_latin)),
    Probe(name="garbage", rule="UFTP-05", sent="a body that is no XML", make=base, spoil=changed(_garbage)),
    Probe(name="no-envelope", rule="UFTP-05", sent="a message without its envelope", make=base, spoil=changed(_bare)),
    Probe(
        name="no-body",
        rule="UFTP-05",
        sent="an envelope without Body",
        make=base,
        spoil=changed(lambda draft: _envelope(draft, "Body", None)),
    ),
    Probe(
        name="not-base64",
        rule="UFTP-05",
        sent="a Body that is not base64",
        make=base,
        spoil=changed(lambda draft: _envelope(draft, "Body", "banana!")),
    ),
    Probe(
        name="doctype",
        rule="UFTP-05",
        sent="an envelope with a DOCTYPE and an internal entity",
        make=base,
        spoil=changed(_outer_doctype),
    ),
    Probe(
        name="unknown-sender",
        rule="UFTP-06",
        sent="a sender whose key is published nowhere",
        make=base,
        spoil=changed(_unknown),
    ),
    Probe(name="other-key", rule="UFTP-07", sent="signed by another key", make=base, spoil=changed(_other_key)),
    Probe(name="tampered", rule="UFTP-07", sent="changed after it was signed", make=base, spoil=changed(_tampered)),
    Probe(name="inner-garbage", rule="UFTP-08", sent="signed, but no XML", make=base, spoil=changed(_inner_garbage)),
    Probe(
        name="inner-doctype",
        rule="UFTP-08",
        sent="a message with a DOCTYPE and an internal entity",
        make=base,
        spoil=changed(_inner_doctype),
    ),
    Probe(
        name="id-no-uuid",
        rule="UFTP-08",
        sent="a MessageID that is no UUID",
        make=base,
        spoil=put("MessageID", "banana"),
    ),
    Probe(
        name="attribute-unknown",
        rule="UFTP-08",
        sent="an attribute that no version knows",
        make=base,
        spoil=put("Banana", "1"),
    ),
    Probe(
        name="zone-no-name",
        rule="UFTP-08",
        sent="a TimeZone that the schema does not admit",
        make=base,
        spoil=put("TimeZone", "banana"),
    ),
)


async def _says_another(x: Uftp, draft: Draft) -> None:
    draft.enveloped_by(speaker(x.market.other, "[other]"))


async def _barred(x: Uftp, draft: Draft) -> None:
    draft.said_by(speaker(x.market.barred, "[barred]"))


async def _same_id(x: Uftp, draft: Draft) -> None:
    draft.first = (await x.ask(draft)).came
    draft.root.set("TimeStamp", drafts.ahead(x))


async def _same_again(x: Uftp, draft: Draft) -> None:
    draft.first = (await x.ask(draft)).came


def _as_before(x: Uftp, draft: Draft, outcome: Outcome) -> str | None:
    """Interpretation: a copy counts as submitted, so its first answer again is as good as the rejection of rule 14."""
    if draft.first is None:
        return "the first was not answered"
    if outcome.came is not None and outcome.came.message == draft.first.message:
        return None
    if outcome.came is not None and isinstance(outcome.came.message, wire.Response):
        return x.rejected(draft, outcome, "UFTP-14")
    return str(outcome) if outcome.came is None else f"{said(outcome.came.message)}, another one"


async def _no_zone(x: Uftp, draft: Draft) -> None:
    if not x.market.agreed.zoned_times:
        raise NotJudged("that times say their zone was not agreed")
    draft.root.set("TimeStamp", x.net.now().strftime("%Y-%m-%dT%H:%M:%S"))


async def _by_wrong_role(x: Uftp, draft: Draft) -> None:
    draft.said_by(x.market.dso if x.market.main.role is wire.Role.AGR else x.market.agr)


async def _as_wrong_role(x: Uftp, draft: Draft) -> None:
    await _by_wrong_role(x, draft)
    draft.role = x.market.main.role


async def _own_kind(x: Uftp, draft: Draft) -> None:
    """What the target's own role sends, or (to a CRO) what a DSO sends an AGR."""
    wrong: wire.Payload
    if x.market.role is wire.Role.AGR:
        wrong = drafts.flex_offer(x, unsolicited=True, baseline_reference="conformance")
    else:
        wrong = drafts.flex_request(x)
    other = x.draft(wrong)
    draft.root = other.root
    draft.enveloped_by(other.by)


async def _burst(x: Uftp, draft: Draft) -> None:
    """Uses up what a participant may send, by messages that are none."""
    if x.market.agreed.rate is None:
        raise NotJudged("no rate was agreed")
    draft.said_by(speaker(x.market.busy, "[busy]"))
    draft.inner = b"banana"
    for _ in range(2 * x.market.agreed.rate):
        if (await x.post(draft)).status == 429:
            break
    draft.inner = None


METADATA: Final = (
    Probe(
        name="sender-other",
        rule="UFTP-09",
        sent="another sender than its envelope's",
        make=base,
        spoil=_says_another,
    ),
    Probe(
        name="time-without-zone",
        rule="UFTP-10",
        sent="a TimeStamp without a time zone",
        make=base,
        spoil=_no_zone,
    ),
    Probe(
        name="recipient-unknown",
        rule="UFTP-11",
        sent="for a domain that is not the target's",
        make=base,
        spoil=put("RecipientDomain", NOBODY),
    ),
    Probe(name="sender-barred", rule="UFTP-12", sent="by a barred sender", make=base, spoil=_barred),
    Probe(name="same-id-other-body", rule="UFTP-13", sent="an id again, other content", make=base, spoil=_same_id),
    Probe(
        name="same-again",
        rule="UFTP-14",
        sent="the same message again",
        make=base,
        spoil=_same_again,
        expected="its first answer again, or Rejected: Already Submitted",
        judge=_as_before,
    ),
    Probe(
        name="test-again",
        rule="UFTP-14",
        sent="the same TestMessage again",
        make=test_message,
        spoil=_same_again,
        expected="its first answer again",
        judge=_as_before,
    ),
    Probe(
        name="version-9",
        rule="UFTP-26",
        sent="Version 9.9.9",
        make=base,
        spoil=put("Version", "9.9.9"),
        expected="Rejected, or HTTP 400",
        judge=refused("UFTP-26", 400),
    ),
    Probe(
        name="role-not-ours",
        rule="UFTP-27",
        sent="a message that the target's role does not take",
        make=base,
        spoil=_own_kind,
        expected="Rejected, or HTTP 400",
        judge=refused("UFTP-27", 400),
    ),
)

LAST: Final = (
    Probe(
        name="too-many",
        rule="UFTP-04",
        sent="more messages at once than agreed",
        make=base,
        spoil=_burst,
    ),
)
"""After all others."""

VALIDS: Final = (Probe(name="test", rule=VALID, sent="TestMessage", make=test_message),)


def address(name: str, where: str = "", make: Make = base) -> tuple[Probe, ...]:
    """Rows about an entity address: none at all, and one of a month 13."""
    return (
        Probe(
            name="address-none",
            rule="UFTP-08",
            sent=f"{name} that is no entity address",
            make=make,
            spoil=put(name, "banana", where),
        ),
        Probe(
            name="address-month",
            rule="UFTP-50",
            sent=f"{name} of a month 13",
            make=make,
            spoil=put(name, "ea1.2020-13.com.example:point.1", where),
        ),
    )


def by_wrong_role(make: Make = base) -> tuple[Probe, ...]:
    """Rows about who says something; `make` refers to nothing that only the right one may refer to."""
    return (
        Probe(
            name="role-wrong",
            rule="UFTP-27",
            sent="by a participant of a role that may not send it",
            make=make,
            spoil=_by_wrong_role,
            expected="Rejected, or HTTP 400",
            judge=refused("UFTP-27", 400),
        ),
        Probe(
            name="role-not-theirs",
            rule="UFTP-27",
            sent="in a role that its sender is not published in",
            make=make,
            spoil=_as_wrong_role,
            expected="Rejected, or HTTP 401 or 419",
            judge=refused("UFTP-27", 401, 419),
        ),
    )


def every(where: str, name: str, value: str, step: int = 0) -> Spoil:
    """An attribute of every element of a name is another; `step`: a number that rises by it."""

    async def spoil(_x: Uftp, draft: Draft) -> None:
        for i, element in enumerate(draft.root.findall(where)):
            element.set(name, str(int(value) + i * step) if step else value)

    return spoil


def copied(element: etree._Element) -> etree._Element:
    """The same again."""
    return etree.fromstring(etree.tostring(element))


def zone_other() -> Probe:
    """A time zone that was not agreed."""
    return Probe(
        name="zone-other",
        rule="UFTP-16",
        sent="a TimeZone of another offset than agreed",
        make=base,
        spoil=put("TimeZone", lambda x: _far(x.market.agreed.time_zone)),
    )


def _far(agreed: str) -> str:
    return "Pacific/Auckland" if not agreed.startswith("Pacific/") else "Europe/Amsterdam"
