"""The ways that a VEN's payloads go to its VTN: by HTTP to the path of the service, by XMPP to its JID."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from flexhub.adapters.http.sender import Connections, Reply
from flexhub.adapters.tls import trusting
from flexhub.app.openadr.simple_http import MEDIA_TYPE
from flexhub.app.openadr.ven.section import VenSection
from flexhub.app.openadr.xmpp import SERVICE_NODE, SERVICES_NODE, XmppSection, client_of
from flexhub.core.errors import ConfigError
from flexhub.protocols.openadr2b.fingerprint import fingerprint_of, normal
from flexhub.protocols.openadr2b.identity import XMPP, bare


class HttpWay(Connections):
    """To the paths of a VTN's services.

    Raises:
        ConfigError: files of certificates that cannot be read.
    """

    def __init__(self, section: VenSection) -> None:
        super().__init__(_tls(section))
        self._url = section.vtn.rstrip("/")

    async def say(self, service: str, body: bytes) -> Reply:
        """One try."""
        return await self.post(f"{self._url}/{service}", body, {"Content-Type": MEDIA_TYPE})


class XmppWay:
    """To the JIDs of a VTN's services, which service discovery tells (2.0b section 9.3.4).

    Interpretation: they are asked for once a connection, of the JID that is configured, be it a domain or a client;
    one that tells none, but is a full JID, is that of all services.

    Args:
        vtn: ``xmpp:`` and a JID.
        section: how we log in.

    Raises:
        ConfigError: files that cannot be read, or the extra ``xmpp`` is not installed.
    """

    def __init__(self, vtn: str, section: XmppSection) -> None:
        self._vtn = vtn.removeprefix(XMPP)
        self._client = client_of(section, "openadr/ven/xmpp")
        self._services: dict[str, str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @asynccontextmanager
    async def connected(
        self, handler: Callable[[str, bytes], Awaitable[bytes]], told: Callable[[bool], None]
    ) -> AsyncIterator[None]:
        """Connected, for as long as the block lasts; `told` is told when that begins or ends meanwhile."""

        def heard(there: bool) -> None:
            self._services = None
            told(there)

        async with self._client.connected(handler, heard):
            yield

    async def say(self, service: str, body: bytes) -> Reply:
        """One try."""
        try:
            to = (await self._told()).get(SERVICE_NODE.format(service).lower(), self._vtn)
        except TimeoutError:
            return Reply(0, why=self._client.trouble or f"{self._vtn} does not answer", final=False)
        if to == self._vtn and "/" not in to:
            return Reply(0, why=f"{to} tells of no {service}", final=False)
        return await self._client.ask(to, body)

    async def _told(self) -> dict[str, str]:
        if self._services is None:
            found = await self._client.items(self._vtn, SERVICES_NODE)
            # The profile writes the namespace in both ways, openadr2 and OpenADR2.
            self._services = {node.lower(): jid for node, jid in found.items()} or None
        return self._services or {}

    def is_vtn(self, sender: str) -> bool:
        """Whether a JID is the VTN's: who else would push is nobody."""
        return bare(sender) in {bare(jid) for jid in (self._vtn, *(self._services or {}).values())}


def _tls(section: VenSection) -> ssl.SSLContext:
    try:
        context = trusting(section.ca, None if section.cert is None else (section.cert, section.key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificates: {error}", path="openadr/ven/cert", value=str(section.cert)) from error
    if section.fingerprint is not None:
        context.sslobject_class = _knowing(normal(section.fingerprint))
    return context


def _knowing(expected: str) -> type[ssl.SSLObject]:
    """Connections that end in the handshake, before anything is said, where the certificate is another than agreed."""

    class Known(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            der = self.getpeercert(binary_form=True)
            shown = "nobody" if der is None else fingerprint_of(der)
            if shown != expected:
                raise ssl.SSLCertVerificationError(f"a certificate of {shown}, not of {expected}")

    return Known
