"""A VTN's side of XMPP: hands payloads to the endpoint, which is that of HTTP, too, and carries what is pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flexhub.app.endpoints import COUNTED, Refusal
from flexhub.app.hub.outbox import Outcome
from flexhub.app.openadr.vtn.endpoint import Endpoint, Speaker
from flexhub.app.openadr.xmpp import FEATURE, PUSHED, SERVICES_NODE, XmppSection, client_of, error_of
from flexhub.protocols.openadr2b.identity import XMPP, bare, of_jid

if TYPE_CHECKING:
    from flexhub.adapters.store.interface import SendRow
    from flexhub.adapters.xmpp.client import XmppClient

PATH: Final = "openadr/vtn/xmpp"


def vtn_client(section: XmppSection) -> XmppClient:
    """The VTN's client, which tells of its services.

    Raises:
        ConfigError: files that cannot be read, or the extra ``xmpp`` is not installed.
    """
    return client_of(section, PATH, features=(FEATURE,), items={SERVICES_NODE: PUSHED})


class Stanzas:
    """What VENs send: whose it is says the JID that the server vouches for.

    Args:
        endpoint: takes it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, sender: str, payload: bytes) -> bytes:
        """One payload, and the answer.

        Raises:
            Refused: what is answered instead.
        """
        failures = self._endpoint.limits.failures
        who = Speaker(of_jid(sender), bare(sender), sender)
        try:
            self._endpoint.bear(who)
            return await self._endpoint.take(payload, who)
        except Refusal as refusal:
            if refusal.status in COUNTED:
                failures.take(who.remote)
            raise error_of(refusal) from refusal


async def push(client: XmppClient | None, row: SendRow, body: bytes) -> Outcome:
    """One try of what is for a JID; that nobody is there may pass."""
    if client is None:
        return Outcome(0, why="no XMPP is configured", final=False)
    return Outcome(*await client.ask(row.path.removeprefix(XMPP), body))
