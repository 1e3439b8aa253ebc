"""UFTP in the demo: who trades with whom, what is read of it in the end, and how the messages are written down."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

import msgspec

from flexhub.app.config import UftpSection, parse
from flexhub.app.demo.grid import limit_kw
from flexhub.app.demo.scene import Scene
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.reading import Reading
from flexhub.app.uftp.endpoint import PATHS
from flexhub.app.uftp.papers import UftpMessage
from flexhub.app.uftp.trading.papers import UftpReckoned
from flexhub.core.errors import InvalidError
from flexhub.mappings.uftp.settlement import as_delivered
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import key_of_seed
from flexhub.protocols.uftp.session import Entry, Stage
from flexhub.protocols.uftp.times import bounds, instant

POINT: Final = "ean.871685900012636543"
"""The congestion point that the site is behind."""

DOMAINS: Final = {"AGR": "aggregator.example", "DSO": "grid-operator.example"}
"""Role -> domain."""

ANSWER_WITHIN: Final = timedelta(seconds=2)
"""How long a request can be answered; nobody needs longer, since time stands still meanwhile."""

PENALTY_EUR: Final = 1
"""For a MW that lacks over a quarter-hour."""
HIGHEST_EUR_PER_KWH: Final = 0.50
"""What a kWh above the limit costs the grid operator."""
SHARE: Final = 7 / 8
"""The aggregator's share of the limit, as of the stations; the rest is for those who trade directly."""
RESERVE: Final = 0.1
"""Share of the limit that the grid operator asks for beyond it; it orders what it needs."""

UFTP_TOML: Final = """
[uftp]
listen = "{uftp_listen}"
{trust}

[uftp.directory]
file = "{participants}"

[[uftp.participant]]
domain = "{domain}"
role = "{role}"
key = "{key}"
time_zone = "{uftp_zone}"
congestion_points = ["{point}"]
currencies = ["EUR"]
prognoses = true

[[uftp.trade]]
congestion_point = "{point}"
partners = ["{partner}"]
penalty = "{penalty} EUR"
{terms}
"""

TERMS: Final = {
    "AGR": "margin = 0.2",
    "DSO": 'limit = "{limit:.6f} kW"\nreserve = "{reserve:.6f} kW"\nhighest_price = "{highest} EUR/kWh"\n'
    'answer_within = "PT{answer:.0f}S"',
}


_NAMED: Final = re.compile(r"(Africa|America|Australia|Europe|Pacific)/[a-zA-Z0-9_/]{3,}$")


def zone_in_uftp(zone: str, day: date) -> str:
    """A zone that UFTP can name and that has the same local day.

    Interpretation: its schema knows no zone of Asia and no UTC; by rule 16 a zone is as good as its offset.

    Raises:
        InvalidError: there is none.
    """
    whole = bounds(day.isoformat(), zone)
    for name in (zone, *sorted(available_timezones())):
        if not _NAMED.match(name) or bounds(day.isoformat(), name) != whole:
            continue
        return name
    raise InvalidError(f"UFTP knows no zone with the local day of {zone}", path="zone", value=zone)


def told(scene: Scene, role: str, folder: Path, *, listen: str, ca: Path | None) -> str:
    """The sections of a hub that trades in this role; its key is made, where it has none."""
    key = folder / f"{role.lower()}.key"
    if not key.exists():
        make_key(key)
    limit = SHARE * limit_kw(scene.usual)
    terms = TERMS[role].format(
        limit=limit, reserve=RESERVE * limit, highest=HIGHEST_EUR_PER_KWH, answer=ANSWER_WITHIN.total_seconds()
    )
    return UFTP_TOML.format(
        uftp_listen=listen,
        trust="" if ca is None else f'ca = "{ca}"',
        participants=folder / "participants.toml",
        domain=DOMAINS[role],
        role=role,
        key=key,
        uftp_zone=zone_in_uftp(scene.zone, scene.day),
        point=POINT,
        partner=next(domain for other, domain in DOMAINS.items() if other != role),
        penalty=PENALTY_EUR,
        terms=terms,
    )


def make_key(file: Path) -> None:
    """As ``flexhub keys uftp``: a private key, and beside it the public one."""
    key = key_of_seed(secrets.token_bytes(32))
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(key.text())
    file.with_suffix(".pub").write_text(str(key.public(secrets.token_bytes(32))))


def section(text: str) -> UftpSection:
    """The sections, read."""
    found = parse(text).uftp
    assert found is not None  # noqa: S101 - it is what the text is
    return found


def publish(folder: Path, urls: Mapping[str, str]) -> None:
    """Who is who: role -> where UFTP is spoken; of those that are there so far."""
    entries = []
    for role, url in urls.items():
        key = (folder / f"{role.lower()}.pub").read_text()
        entries.append(
            f'[[participant]]\ndomain = "{DOMAINS[role]}"\nrole = "{role}"\nkey = "{key}"\nurl = "{url}{PATHS[0]}"\n'
        )
    staged = folder / "participants.new"
    staged.write_text("\n".join(entries))
    staged.rename(folder / "participants.toml")


# -- what came of it --------------------------------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message, as it was sent."""

    sent: str
    sender: str
    recipient: str
    type: str
    message: str
    conversation: str
    xml: str


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """What one side holds: all messages in order, what was ordered to be left out (kWh), and what the day came to."""

    lines: tuple[Line, ...] = ()
    ordered_kwh: float = 0.0
    reckoned: tuple[UftpReckoned, ...] = ()

    @property
    def paid_eur(self) -> Decimal:
        """What is paid for what was ordered, as this side reckons it."""
        return sum((i.net_settlement for one in self.reckoned for i in one.items), Decimal("0.00"))


_CODEC: Final = UftpCodec()
_ORDER: Final = {kind: i for i, pair in enumerate(wire.RESPONSES.items()) for kind in pair}


async def traded(hub: Reading) -> Traded:
    """What a hub holds."""
    entries = [message.entry() for message in await every(hub, UftpMessage)]
    said = [message for entry in entries for message in (entry.message, entry.answer) if message is not None]
    return Traded(
        lines=tuple(_line(message) for message in sorted(said, key=_place)),
        ordered_kwh=round(_ordered(entries), 3),
        reckoned=tuple(await every(hub, UftpReckoned)),
    )


def _place(message: wire.Payload) -> tuple[datetime, str, int, bool, str]:
    """Time stands still while they talk: within a conversation, a question goes before what follows from it."""
    kind = type(message)
    asks = kind not in wire.RESPONSES
    return instant(message.time_stamp), message.conversation_id, _ORDER[kind], asks, message.message_id


def _line(message: wire.Payload) -> Line:
    return Line(
        sent=message.time_stamp,
        sender=message.sender_domain,
        recipient=message.recipient_domain,
        type=wire.element(type(message)),
        message=message.message_id,
        conversation=message.conversation_id,
        xml=_CODEC.encode(message).decode(),
    )


def _ordered(entries: Iterable[Entry]) -> float:
    """Energy that accepted orders leave out, kWh; what is caught up for it is not counted."""
    offers = {e.message.message_id: e.message for e in entries if isinstance(e.message, wire.FlexOffer)}
    total = 0.0
    for entry in entries:
        order = entry.message
        if isinstance(order, wire.FlexOrder) and entry.stage is Stage.ACCEPTED:
            moved = as_delivered(order, offers.get(order.flex_offer_message_id or ""))
            total += sum(max(0, -isp.power_w) * isp.duration for isp in moved.isps) / 4000
    return total
