"""``[openadr]`` of the configuration, whose other sections are in `flexhub.app.config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from flexhub.app.openadr.ven.section import VenSection
from flexhub.app.openadr.xmpp import XmppSection
from flexhub.core.errors import InvalidError
from flexhub.protocols.openadr2b.session.state import Length, Uri


class VtnSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[openadr.vtn]``: the hub as a VTN, with a listener of its own, since client certificates admit there.

    `id` is its vtnID, `poll` how often VENs are asked to poll. With `anyone` a VEN that was not allocated beforehand
    may register, and is assigned a venID. `requests` is how many messages a second one VEN may send, `requests_at_once`
    how many more after a pause. `cert`, `key` and `client_ca` are PEM files: with them it speaks TLS, with `client_ca`
    to those only who show a certificate of these authorities. With `sign` what it sends is signed by that certificate
    and key, and what is not signed is refused. After `offline` without a message a VEN counts as offline. `ca` are the
    authorities of the certificates of VENs that are pushed to; the system's unless told. With `xmpp` it speaks XMPP,
    too.

    With `dispatch`, a market context, VENs whose allocation names a party are that prosumer's: their Projected reports
    and availabilities are its flex-offers, whose schedules go to them as events of that context.
    """

    listen: str = "127.0.0.1:8082"
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = "FLEXHUB-VTN"
    poll: Length = "PT10S"
    anyone: bool = False
    requests: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    requests_at_once: Annotated[float, msgspec.Meta(ge=1)] = 50.0
    max_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 26)] = 1 << 22
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    ca: Path | None = None
    sign: bool = False
    offline: Length = "PT5M"
    xmpp: XmppSection | None = None
    dispatch: Uri | None = None

    def __post_init__(self) -> None:
        from flexhub.app.config import host_port  # noqa: PLC0415 - that module imports this one

        host_port(self.listen)
        if (self.cert is None) is not (self.key is None):
            raise InvalidError("cert and key go together", path="cert")
        if self.cert is None and (self.client_ca is not None or self.sign):
            raise InvalidError("a certificate and key are needed for that", path="cert")
        if self.sign and self.xmpp is not None:
            raise InvalidError("signatures do not pass XMPP servers, which write elements anew", path="sign")


class OpenadrSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[openadr]``: what the hub is in OpenADR 2.0b."""

    vtn: VtnSection | None = None
    ven: tuple[VenSection, ...] = ()

    def __post_init__(self) -> None:
        names = [ven.name for ven in self.ven]
        if len(set(names)) < len(names):
            raise InvalidError("a name stands twice", path="ven")
        jids = [one.xmpp.jid.lower() for one in (*self.ven, self.vtn) if one is not None and one.xmpp is not None]
        if len(set(jids)) < len(jids):
            raise InvalidError("a JID stands twice; where one connects, the server cuts the other off", path="ven")
