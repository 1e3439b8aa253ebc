"""OpenADR 2.0b over XMPP (section 9.3): how a hub logs in, and what both roles do alike.

A payload is the one child of an IQ of type set, the answer's payload that of the result, in both directions. A VTN
tells by service discovery where its services are (section 9.3.4): the feature `FEATURE`, and for the node
`SERVICES_NODE` an item for each.

Interpretation: whoever has something to say says it, and nobody polls. What no payload answers is an error of XMPP, as
it is a status of HTTP: `CONDITIONS` says which. No presence is sent: who is there answers.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from flexhub.core.errors import ConfigError, InvalidError
from flexhub.protocols.openadr2b.identity import JID
from flexhub.protocols.openadr2b.names import ServiceName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flexhub.adapters.xmpp.client import Refused, XmppClient
    from flexhub.app.endpoints import Refusal

ELEMENT: Final = "{http://openadr.org/oadr-2.0b/2012/07}oadrPayload"
FEATURE: Final = "http://openadr.org/openadr2"
SERVICES_NODE: Final = f"{FEATURE}#services"
SERVICE_NODE: Final = "http://openadr.org/OpenADR2/{}"
PUSHED: Final = tuple(SERVICE_NODE.format(name) for name in ServiceName if name is not ServiceName.OADR_POLL)
"""The services that a VTN tells of. Interpretation: without OadrPoll, as nobody polls; who does is answered."""
CONDITIONS: Final = {
    HTTPStatus.BAD_REQUEST: ("bad-request", "modify"),
    HTTPStatus.UNAUTHORIZED: ("not-authorized", "auth"),
    HTTPStatus.FORBIDDEN: ("forbidden", "auth"),
    HTTPStatus.TOO_MANY_REQUESTS: ("resource-constraint", "wait"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("service-unavailable", "wait"),
}
"""Status of HTTP -> the condition and type of an error (RFC 6120 section 8.3); else it is ours."""


class XmppSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[openadr.vtn.xmpp]`` and ``[openadr.ven.xmpp]``: the account of an XMPP server that OpenADR is spoken by.

    `jid` is the full JID (``name@domain/resource``). `password` is a file that holds the account's password; without
    one, the certificate `cert` and its `key` have to suffice (SASL EXTERNAL). `server` is ``host:port``, where DNS does
    not say it; `ca` the authorities that the server's certificate, which has to be of the JID's domain, is of (the
    system's unless told). `max_bytes` is the largest payload, and has to be less than the server's limit of a stanza.
    """

    jid: Annotated[str, msgspec.Meta(pattern=f"^{JID}/[^\\s]+$", max_length=3071)]
    password: Path | None = None
    server: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 26)] = 250_000

    def __post_init__(self) -> None:
        from flexhub.app.config import host_port  # noqa: PLC0415 - that module imports this one

        if self.server is not None:
            host_port(self.server)
        if (self.cert is None) is not (self.key is None):
            raise InvalidError("cert and key go together", path="cert")
        if self.cert is None and self.password is None:
            raise InvalidError("a password is needed, or a cert and key", path="password")


def client_of(
    section: XmppSection,
    path: str,
    features: Collection[str] = (),
    items: Mapping[str, Collection[str]] | None = None,
) -> XmppClient:
    """A client that is not connected yet; `path` is the section's, for errors.

    Raises:
        ConfigError: files that cannot be read, or the extra ``xmpp`` is not installed.
    """
    try:
        from flexhub.adapters.xmpp.client import Login, XmppClient  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise ConfigError(f"flexhub[xmpp] is not installed: {error}", path=path) from error
    from flexhub.app.config import host_port  # noqa: PLC0415 - that module imports this one

    try:
        login = Login(
            section.jid,
            None if section.password is None else section.password.read_text("utf-8").strip(),
            None if section.server is None else host_port(section.server),
            section.ca,
            None if section.cert is None or section.key is None else (section.cert, section.key),
        )
        return XmppClient(login, ELEMENT, max_bytes=section.max_bytes, features=features, items=items)
    except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigError(f"no password or certificates: {error}", path=path) from error


def error_of(refusal: Refusal) -> Refused:
    """A refusal, as XMPP says it."""
    from flexhub.adapters.xmpp.client import Refused  # noqa: PLC0415 - of an extra

    condition, kind = CONDITIONS.get(HTTPStatus(refusal.status), ("internal-server-error", "wait"))
    return Refused(condition, kind, refusal.text)
