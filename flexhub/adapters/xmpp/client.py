"""An XMPP client that stays connected (RFC 6120), and carries XML elements in IQs. It knows nothing of what they mean.

An element goes out in an IQ of type set, and what comes back in the result is the answer to it (section 8.2.3). What
others send is handed to a handler, whose answer is the result; what it refuses is an error (section 8.3). When the
connection is lost, it is made again, after pauses that double. TLS is always asked for (STARTTLS), and nothing that
authenticates is said without it.

Elements are written anew by every server on the way, with the same names and texts but other prefixes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final, NamedTuple, cast
from xml.sax.saxutils import quoteattr

from lxml import etree
from slixmpp import JID, ClientXMPP, Iq
from slixmpp.exceptions import IqError, IqTimeout, XMPPError
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher.base import MatcherBase
from slixmpp.xmlstream.xmlstream import NotConnectedError

from flexhub.adapters.http.sender import TIMEOUT_S, Reply
from flexhub.adapters.pauses import doubling
from flexhub.adapters.tls import trusting

log = logging.getLogger(__name__)

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""Pauses between tries to connect double from the first to the longest; each is cut by up to a half at random."""
STEADY_S: Final = 60.0
"""After a connection that lasted so long the pauses begin anew: one that is cut at once may be so again."""
CLOSING_S: Final = 2.0
"""How long what was begun may take when we close."""
PING_S: Final = 60.0
"""How often the server is asked whether it is there (XEP-0199), so that a dead connection is noticed."""
AT_ONCE: Final = 256
"""So many requests are worked at the same time; further ones are refused with the wish to wait."""
FLOOD: Final = 8
"""A stanza of so many times the largest element ends the connection before it is read to its end."""
FOR_GOOD: Final = frozenset(("modify", "auth"))
"""Types of errors after which the same element is not sent again (RFC 6120 section 8.3.2)."""
NAMESPACE: Final = "jabber:client"

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""A sender's full JID and an element -> the answer's element, or nothing."""
Told = Callable[[bool], None]
"""Is told that there is a connection (True), or no longer (False)."""


class Refused(Exception):  # noqa: N818 - it is what is answered
    """What a handler raises to answer an error.

    Args:
        condition: of RFC 6120 section 8.3.3, such as ``bad-request``.
        kind: the error's type: ``modify``, ``auth``, ``wait`` or ``cancel``.
        text: for people.
    """

    def __init__(self, condition: str, kind: str, text: str) -> None:
        self.condition = condition
        self.kind = kind
        self.text = text
        super().__init__(text)


class Login(NamedTuple):
    """Who connects, and where.

    Args:
        jid: the full JID, ``name@domain/resource``.
        password: its password; None where the certificate suffices (SASL EXTERNAL).
        server: host and port; by default as DNS says for the domain.
        ca: certificates of who may sign the server's, which has to be of the domain; by default those of the system.
        cert: our certificate and its key.
    """

    jid: str
    password: str | None = None
    server: tuple[str, int] | None = None
    ca: Path | None = None
    cert: tuple[Path, Path] | None = None


def bare(jid: str) -> str:
    """A JID without its resource."""
    return jid.partition("/")[0]


class _Matching(MatcherBase):
    """Matches IQs that a function takes."""

    def match(self, xml: StanzaBase) -> bool:
        return isinstance(xml, Iq) and bool(self._criteria(xml))


class _Stream(ClientXMPP):
    """One connection, from the first byte to the last; it is not used again."""

    def __init__(self, login: Login, tls: ssl.SSLContext, most: int) -> None:
        super().__init__(login.jid, login.password or "", ssl_context=tls)
        self.enable_direct_tls = False  # else a server that offers both is tried by TLS on the port of STARTTLS
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._server = login.server
        self._most = most
        self._unread = 0
        self._failed: object = "no address of it is known"
        if login.cert is not None and login.password is None:
            self.plugin["feature_mechanisms"].use_mech = "EXTERNAL"
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("connection_failed", self._not_there)
        self.add_event_handler("failed_all_auth", lambda _: self.ended("it does not let us in"))
        self.add_event_handler("stream_error", lambda error: self.ended(f"{error['condition']}: {error['text']}"))
        self.add_event_handler("ssl_invalid_chain", lambda error: self.ended(f"its certificate: {error}"))
        self.add_event_handler("disconnected", self.ended)

    def _started(self, _: object) -> None:
        if self.boundjid != self.requested_jid:  # nobody would find us there
            self.ended(f"it gives us {self.boundjid}")
        elif not self.up.done():
            self.up.set_result(None)

    def ended(self, why: object) -> None:
        """It is over; the first reason counts."""
        if not self.gone.done():
            self.gone.set_result(str(why or "the connection was lost"))

    def begin(self) -> None:
        """Connect."""
        host, port = self._server or (None, None)
        self.connect(host, port)

    def _not_there(self, why: object) -> None:
        """One of the addresses that DNS tells; there may be others."""
        self._failed = why

    def reschedule_connection_attempt(self) -> None:
        """All addresses failed; who made this stream makes another one."""
        self.ended(self._failed)

    def incoming_filter(self, xml: ET.Element) -> ET.Element:
        """A stanza was read to its end."""
        self._unread = 0
        return xml

    def data_received(self, data: bytes | str) -> None:
        """Bytes came; those of a stanza without an end end the connection."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > self._most:
            self.ended(f"a stanza of more than {self._most} bytes")
            self.abort()

    async def close(self, wait_s: float) -> None:
        """Say goodbye, and wait for the other side's so long."""
        self.ended("closed")
        self.cancel_connection_attempt()
        if self.transport is not None:
            await self.disconnect(wait_s, ignore_send_queue=True)
            self.abort()
        if self._run_out_filters is not None:
            self._run_out_filters.cancel()


class XmppClient:
    """Stays connected to one server for as long as `connected` lasts.

    Args:
        login: who connects, and where.
        element: ``{namespace}name`` of the elements that are handed to the handler.
        max_bytes: the largest element that is sent or taken; no more than the server takes.
        timeout_s: seconds that a connection, or an answer, may take.
        features: what service discovery says that we can (XEP-0030).
        items: node -> the nodes that service discovery says are at this very JID.
        pause: waits for so many seconds.
        dice: where the random part of pauses comes from.

    Raises:
        OSError, ssl.SSLError: files of certificates that cannot be read.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        login: Login,
        element: str,
        *,
        max_bytes: int,
        timeout_s: float = TIMEOUT_S,
        features: Collection[str] = (),
        items: Mapping[str, Collection[str]] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Random | None = None,
    ) -> None:
        self._login = login
        self._element = element
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._features = features
        self._items = items or {}
        self._pause = pause
        self._dice = dice or Random()  # noqa: S311 - so that servers aren't called in step, not a secret
        self._tls = trusting(login.ca, login.cert)
        self._stream: _Stream | None = None
        self._up = asyncio.Event()
        self._waiting: dict[str, tuple[str, asyncio.Future[Iq]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self.trouble: str | None = "not connected yet"
        """Why there is no connection; None while there is one."""

    @asynccontextmanager
    async def connected(self, handler: Handler, told: Told = lambda _: None) -> AsyncIterator[None]:
        """Connect, and stay so for as long as the block lasts; a connection that there is not yet is not waited for.

        Args:
            handler: answers what others send.
            told: is told when a connection begins or ends.
        """
        self._closing = False
        task = asyncio.create_task(self._stay(handler, told), name="xmpp-client")
        try:
            yield
        finally:
            self._closing = True
            if self._tasks:  # what was begun is answered, if it can be soon
                await asyncio.wait(self._tasks, timeout=CLOSING_S)
            task.cancel()
            await asyncio.gather(task, *self._tasks, return_exceptions=True)

    async def ask(self, to: str, element: bytes) -> Reply:
        """Send an element, and wait for the answer to it; whatever goes wrong on the way may pass.

        Args:
            to: whose JID.
            element: XML.

        Returns:
            Status 200 and the answer's element, nothing where it has none; or why there is none.
        """
        try:
            text = _text(element)
        except etree.XMLSyntaxError as error:
            return Reply(0, why=f"no XML: {error}")
        if len(text.encode()) > self._max_bytes:
            return Reply(0, why=f"{len(text.encode())} bytes, allowed: {self._max_bytes}")
        try:
            async with asyncio.timeout(self._timeout_s):
                iq = await self._asked(to, text)
        except TimeoutError:
            return Reply(0, why=self.trouble or f"{to} does not answer", final=False)
        except ConnectionError as error:
            return Reply(0, why=str(error), final=False)
        if iq["type"] == "error":
            return _refusal(iq)
        found = list(iq.xml)
        return Reply(200, _bytes(found[0]) if found else b"")

    async def items(self, at: str, node: str) -> dict[str, str]:
        """Ask a JID for the items of a node (XEP-0030): node of each -> its JID. Nothing where it knows of none.

        Raises:
            TimeoutError: there is no connection, or no answer.
        """
        async with asyncio.timeout(self._timeout_s):
            stream = await self._there()
            try:
                found = await stream.plugin["xep_0030"].get_items(jid=JID(at), node=node, timeout=self._timeout_s)
            except IqTimeout:
                raise TimeoutError from None
            except IqError:
                return {}
        return {str(item_node): str(jid) for jid, item_node, _ in found["disco_items"]["items"] if item_node}

    # -- staying connected --

    async def _stay(self, handler: Handler, told: Told) -> None:
        pauses = doubling(FIRST_S, LONGEST_S, self._dice)
        while True:
            try:
                if await self._session(handler, told) >= STEADY_S:
                    pauses = doubling(FIRST_S, LONGEST_S, self._dice)
            except Exception as error:
                log.exception("a connection of %s failed", self._login.jid)
                self.trouble = f"{type(error).__name__}: {error}"
            if self._closing:  # being cancelled does not suffice: slixmpp's waits may swallow that
                return
            log.warning("no connection of %s: %s; trying again", self._login.jid, self.trouble)
            await self._pause(next(pauses))

    async def _session(self, handler: Handler, told: Told) -> float:
        """One connection, until it ends; how many seconds it lasted."""
        stream = _Stream(self._login, self._tls, FLOOD * self._max_bytes)
        await self._tell(stream)
        took = _Matching(lambda iq: iq["type"] in {"set", "get"} and iq.xml.find(self._element) is not None)
        answers = _Matching(lambda iq: iq["type"] in {"result", "error"} and iq["id"] in self._waiting)
        stream.register_handler(Callback("taken", took, partial(self._take, stream, handler)))
        stream.register_handler(Callback("answered", answers, self._answer))
        since: float | None = None
        try:
            stream.begin()
            await asyncio.wait((stream.up, stream.gone), timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if stream.up.done():
                since, self._stream, self.trouble = monotonic(), stream, None
                self._up.set()
                told(True)
                await self._watch(stream)
            stream.ended("the server does not answer")
            self.trouble = stream.gone.result()
        except asyncio.CancelledError:
            self.trouble = "closed"
            raise
        finally:
            self._stream = None
            self._up.clear()
            for _, answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError(self.trouble or "the connection was lost"))
            if since is not None:
                told(False)
            await stream.close(1.0)
        return 0.0 if since is None else monotonic() - since

    async def _tell(self, stream: _Stream) -> None:
        """What service discovery says of us."""
        disco = stream.plugin["xep_0030"]
        for feature in self._features:
            await disco.add_feature(feature)
        for node, items in self._items.items():
            for item in items:
                await disco.add_item(jid=self._login.jid, node=node, subnode=item)

    async def _watch(self, stream: _Stream) -> None:
        """Ask the server every so often whether it is there, until the connection ends."""
        while not stream.gone.done():
            await asyncio.wait((stream.gone,), timeout=PING_S)
            if not stream.gone.done():
                try:
                    await stream.plugin["xep_0199"].ping(jid=JID(stream.boundjid.domain), timeout=self._timeout_s)
                except IqError:
                    pass  # whatever it says, it is there
                except XMPPError:
                    return

    # -- what we ask --

    async def _there(self) -> _Stream:
        """The connection, once there is one."""
        while self._stream is None:
            await self._up.wait()
        return self._stream

    async def _asked(self, to: str, text: str) -> Iq:
        stream = await self._there()
        id_ = stream.new_id()
        answer: asyncio.Future[Iq] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = (to, answer)
        try:
            # Not as a stanza of slixmpp's: those lose the namespaces of attributes.
            stream.send_raw(f"<iq type='set' to={quoteattr(to)} id={quoteattr(id_)}>{text}</iq>")
            return await answer
        except NotConnectedError:
            raise ConnectionError("the connection was lost") from None
        finally:
            del self._waiting[id_]

    def _answer(self, stanza: StanzaBase) -> None:
        iq = cast("Iq", stanza)  # as above
        to, answer = self._waiting[iq["id"]]
        # An id is no secret: whoever else knows it must not answer in another's place.
        if JID(to) == iq["from"] and not answer.done():
            answer.set_result(iq)

    # -- what others ask --

    def _take(self, stream: _Stream, handler: Handler, stanza: StanzaBase) -> None:
        iq = cast("Iq", stanza)  # `_Matching` has seen to it
        task = asyncio.create_task(self._serve(stream, iq, handler), name="xmpp-request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, stream: _Stream, iq: Iq, handler: Handler) -> None:
        kind = "error"
        try:
            kind, inside = "result", await self._handled(iq, handler)
        except Refused as error:
            inside = _error(error)
        except Exception:
            log.exception("what %s sent could not be worked", iq["from"])
            inside = _error(Refused("internal-server-error", "wait", "it could not be worked"))
        to, id_ = quoteattr(str(iq["from"])), quoteattr(iq["id"])
        with suppress(NotConnectedError):  # whoever asked asks again
            stream.send_raw(f"<iq type='{kind}' to={to} id={id_}>{inside}</iq>")

    async def _handled(self, iq: Iq, handler: Handler) -> str:
        if iq["type"] != "set":
            raise Refused("bad-request", "modify", "of type set")
        if self._closing:
            raise Refused("service-unavailable", "wait", "closing")
        if len(self._tasks) > AT_ONCE:
            raise Refused("resource-constraint", "wait", "too much at once")
        body = _bytes(iq.xml.find(self._element))
        if len(body) > self._max_bytes:
            raise Refused("policy-violation", "modify", f"{len(body)} bytes, allowed: {self._max_bytes}")
        answer = await handler(str(iq["from"]), body)
        if not answer:
            return ""
        text = _text(answer)
        if len(text.encode()) > self._max_bytes:
            raise Refused("policy-violation", "modify", "the answer is too large")
        return text


_STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"


def _error(refused: Refused) -> str:
    error = etree.Element("error", type=refused.kind)
    etree.SubElement(error, f"{{{_STANZAS}}}{refused.condition}")
    text = etree.SubElement(error, f"{{{_STANZAS}}}text")
    text.text = "".join(c if c.isprintable() else " " for c in refused.text)
    return etree.tostring(error, encoding="unicode")


def _refusal(iq: Iq) -> Reply:
    """What an error says; its condition may be one that slixmpp does not know."""
    error = iq.xml.find(f"{{{NAMESPACE}}}error")
    told = {} if error is None else {child.tag.rpartition("}")[2]: child.text or "" for child in error}
    text = told.pop("text", "")
    why = f"{next(iter(told), 'an error')}: {text}".rstrip(": ")
    return Reply(0, why=why, final=error is not None and error.get("type") in FOR_GOOD)


def _text(element: bytes) -> str:
    """An element as it stands within others: without a declaration or document type.

    Raises:
        etree.XMLSyntaxError: it is none.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    return etree.tostring(etree.fromstring(element, parser), encoding="unicode")


def _bytes(element: Any) -> bytes:  # noqa: ANN401 - an element of whichever kind slixmpp reads with
    written: bytes = ET.tostring(element, "utf-8", xml_declaration=False)
    return written
