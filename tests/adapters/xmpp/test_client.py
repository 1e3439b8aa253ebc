"""The XMPP client against a real server: what it carries, what it refuses, and what it does when the server is gone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from lxml import etree

from flexhub.adapters.xmpp.client import Handler, Login, Refused, Told, XmppClient, bare
from tests import prosody as xmpp
from tests.app.demo.play import LOOPBACK_HEX, listening
from tests.conftest import need
from tests.ports import free_port

ELEMENT = "{urn:test}note"
NODE = "urn:test#notes"
NOTE = (
    b"<?xml version='1.0'?><n:note xmlns:n='urn:test' xmlns:m='urn:more' m:kind='a &amp; b' n:id='\xc3\xa9'>"
    b"<m:text xml:space='preserve'> 1 &lt; 2 \n</m:text><n:none/></n:note>"
)


def canonical(element: bytes) -> object:
    """Names, attributes and texts, whatever the prefixes."""

    def seen(one: etree._Element) -> object:
        return one.tag, sorted(one.attrib.items()), one.text or "", one.tail or "", [seen(child) for child in one]

    return seen(etree.fromstring(element))


def note(text: str) -> bytes:
    return f"<note xmlns='urn:test'>{text}</note>".encode()


def trouble(client: XmppClient) -> str | None:
    return client.trouble


async def echo(_: str, element: bytes) -> bytes:
    return element


async def soon(_: float) -> None:
    await asyncio.sleep(0)


class Stage:
    """Clients of one server."""

    def __init__(self, server: xmpp.Server, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack

    def login(self, name: str, **more: Any) -> Login:
        password = self._server.account(name).read_text().strip()
        told: dict[str, Any] = {"password": password, "server": ("127.0.0.1", self._server.port), "ca": self._server.ca}
        return Login(f"{name}@{xmpp.DOMAIN}/test", **told | more)

    async def client(
        self,
        name: str,
        handler: Handler = echo,
        told: Told = lambda _: None,
        login: Login | None = None,
        *,
        there: bool = True,
        **more: Any,
    ) -> XmppClient:
        """One that is connected, unless it is not to be `there`."""
        up = asyncio.Event()

        def hear(is_up: bool) -> None:
            up.set()
            told(is_up)

        usual: dict[str, Any] = {"max_bytes": 50_000, "timeout_s": 10.0, "pause": soon}
        made = XmppClient(login or self.login(name), ELEMENT, **usual | more)
        await self._stack.enter_async_context(made.connected(handler, hear))
        if there:
            async with asyncio.timeout(30):
                await up.wait()
        return made


@asynccontextmanager
async def staged(server: xmpp.Server) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(server, stack)


def jid(name: str) -> str:
    return f"{name}@{xmpp.DOMAIN}/test"


def test_an_element_and_its_answer_arrive_as_they_are(prosody: xmpp.Server) -> None:
    async def go() -> None:
        heard: list[tuple[str, bytes]] = []

        async def keep(sender: str, element: bytes) -> bytes:
            heard.append((sender, element))
            return element

        async with staged(prosody) as on:
            await on.client("anna", keep)
            ben = await on.client("ben")
            found = await until_there(ben, "anna", NOTE)
            assert (found.status, found.why) == (200, "")
            assert canonical(found.reply) == canonical(NOTE)
            assert [(sender, canonical(e)) for sender, e in heard] == [(jid("ben"), canonical(NOTE))]
            assert bare(heard[0][0]) == f"ben@{xmpp.DOMAIN}"

    asyncio.run(go())


async def until_there(client: XmppClient, name: str, element: bytes) -> Any:
    """Ask until the other one is connected again."""
    async with asyncio.timeout(30):
        while (found := await client.ask(jid(name), element)).why.startswith("service-unavailable"):
            pass
    return found


async def said(client: XmppClient, element: bytes) -> Any:
    """What comes of asking one that has tried to connect."""
    async with asyncio.timeout(30):
        while (found := await client.ask(jid("anna"), element)).why == "not connected yet":
            pass
    return found


def test_many_at_once_get_their_own_answers(prosody: xmpp.Server) -> None:
    async def go() -> None:
        async def late(_: str, element: bytes) -> bytes:
            await asyncio.sleep(0)
            return element

        async with staged(prosody) as on:
            await on.client("anna", late)
            ben = await on.client("ben")
            await until_there(ben, "anna", note("first"))
            found = await asyncio.gather(*(ben.ask(jid("anna"), note(str(i))) for i in range(200)))
            assert [canonical(one.reply) for one in found] == [canonical(note(str(i))) for i in range(200)]

    asyncio.run(go())


def test_what_is_refused_is_an_error_that_says_why(prosody: xmpp.Server) -> None:
    async def go() -> None:
        async def handler(_: str, element: bytes) -> bytes:
            kind = etree.fromstring(element).text or ""
            if kind == "broken":
                raise KeyError(kind)
            if kind == "nothing":
                return b""
            raise Refused("bad-request", kind, "no < such & thing\0")

        async with staged(prosody) as on:
            await on.client("anna", handler)
            ben = await on.client("ben")
            found = await until_there(ben, "anna", note("modify"))
            assert (found.status, found.why, found.final) == (0, "bad-request: no < such & thing", True)
            found = await ben.ask(jid("anna"), note("wait"))
            assert (found.status, found.final) == (0, False)
            found = await ben.ask(jid("anna"), note("broken"))
            assert (found.why, found.final) == ("internal-server-error: it could not be worked", False)
            found = await ben.ask(jid("anna"), note("nothing"))
            assert (found.status, found.reply) == (200, b"")
            # What is no such element gets the answer that XMPP has for it, and who is not there is not.
            found = await ben.ask(jid("anna"), b"<other xmlns='urn:other'/>")
            assert found.why.startswith("feature-not-implemented")
            found = await ben.ask(jid("nobody"), note("modify"))
            assert (found.why.partition(":")[0], found.final) == ("service-unavailable", False)
            found = await ben.ask(jid("anna"), b"<note")
            assert (found.why.partition(":")[0], found.final) == ("no XML", True)

    asyncio.run(go())


def test_too_much_is_not_sent_and_not_taken(prosody: xmpp.Server) -> None:
    async def go() -> None:
        async def double(_: str, element: bytes) -> bytes:
            return note("x" * 2 * len(element))

        async with staged(prosody) as on:
            anna = await on.client("anna", double, max_bytes=10_000)
            ben = await on.client("ben")
            assert (await until_there(ben, "anna", note("x" * 4_000))).status == 200
            found = await ben.ask(jid("anna"), note("x" * 6_000))
            assert (found.why, found.final) == ("policy-violation: the answer is too large", True)
            found = await ben.ask(jid("anna"), note("x" * 20_000))
            assert found.why.startswith("policy-violation: 200")
            assert found.final
            found = await ben.ask(jid("anna"), note("x" * 50_000))
            assert found.why.endswith("bytes, allowed: 50000")
            assert found.final
            assert anna.trouble is None
            assert ben.trouble is None

    asyncio.run(go())


def test_what_the_server_would_not_end_ends_the_connection(prosody: xmpp.Server) -> None:
    async def go() -> None:
        told: list[bool] = []
        async with staged(prosody) as on:
            await on.client("anna", told=told.append, max_bytes=2_000)
            ben = await on.client("ben", max_bytes=xmpp.MOST, timeout_s=2.0)
            await until_there(ben, "anna", note("x"))
            found = await ben.ask(jid("anna"), note("x" * 900_000))  # more than is read at once
            assert not found.final
            while told[:2] != [True, False]:
                assert (await until_there(ben, "anna", note("x"))).status in {0, 200}
            assert (await until_there(ben, "anna", note("x"))).status == 200  # it came back

    asyncio.run(go())


def test_service_discovery_tells_features_and_items(prosody: xmpp.Server) -> None:
    async def go() -> None:
        async with staged(prosody) as on:
            await on.client("anna", features=("urn:test",), items={NODE: ("urn:test/a", "urn:test/b")})
            ben = await on.client("ben")
            await until_there(ben, "anna", note("x"))
            assert await ben.items(jid("anna"), NODE) == {"urn:test/a": jid("anna"), "urn:test/b": jid("anna")}
            assert await ben.items(jid("anna"), "urn:other") == {}
            assert await ben.items(jid("nobody"), NODE) == {}

    asyncio.run(go())


def test_the_server_listens_on_loopback_only(prosody: xmpp.Server) -> None:
    assert set().union(*map(listening, prosody.pids())) == {LOOPBACK_HEX}


def test_a_server_that_comes_back_is_spoken_to_again(prosody: xmpp.Server) -> None:
    async def go() -> None:
        told: list[bool] = []
        async with staged(prosody) as on:
            await on.client("anna")
            ben = await on.client("ben", told=told.append, timeout_s=1.0)
            await until_there(ben, "anna", note("x"))
            await asyncio.to_thread(prosody.stop, signal.SIGKILL)
            try:
                found = await ben.ask(jid("anna"), note("x"))
                assert found.status == 0
                assert not found.final
                assert found.why
                async with asyncio.timeout(20):
                    while trouble(ben) is None:  # noqa: ASYNC110 - it is noticed a moment later, and nobody is told
                        await asyncio.sleep(0.01)
            finally:
                await asyncio.to_thread(prosody.start)
            async with asyncio.timeout(20):
                while (await ben.ask(jid("anna"), note("x"))).status != 200:
                    pass
            assert trouble(ben) is None
            assert told == [True, False, True]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        pytest.param({"password": "another"}, "let us in", id="password"),
        pytest.param({"ca": None}, "certificate", id="authority"),
        pytest.param({}, "", id="nothing"),
    ],
)
def test_who_may_not_in_is_told_why(prosody: xmpp.Server, wrong: dict[str, Any], why: str) -> None:
    async def go() -> None:
        async with staged(prosody) as on:
            await on.client("anna")
            ben = await on.client("ben", login=on.login("ben", **wrong), there=not why, timeout_s=1.0)
            found = await said(ben, note("x"))
            if why:
                assert found.status == 0
                assert not found.final
                assert why in found.why
            else:
                assert (await until_there(ben, "anna", note("x"))).status == 200

    asyncio.run(go())


def test_of_the_addresses_that_dns_tells_the_next_is_tried(
    prosody: xmpp.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [free_port(), prosody.port]

    async def told(*_: object) -> list[tuple[str, str, str, int]]:
        return [("xmpp-client", xmpp.DOMAIN, "127.0.0.1", port) for port in ports]

    monkeypatch.setattr("flexhub.adapters.xmpp.client.ClientXMPP.get_dns_records", told)

    async def go() -> None:
        async with staged(prosody) as on:
            await on.client("anna", login=on.login("anna", server=None))
            del ports[1:]
            ben = await on.client("ben", login=on.login("ben", server=None), there=False, timeout_s=1.0)
            assert "Connect call failed" in (await said(ben, note("x"))).why

    asyncio.run(go())


def test_a_certificate_lets_in_without_a_password(prosody: xmpp.Server) -> None:
    need(xmpp.CCERT.is_dir(), "no client certificates in the XMPP server; Debian's package prosody-modules")

    async def go() -> None:
        async with staged(prosody) as on:
            server, jids = ("127.0.0.1", prosody.port), {n: f"{n}@{xmpp.CERTIFIED}/test" for n in ("anna", "ben")}
            cert, key = prosody.certified("anna")
            anna = Login(jids["anna"], server=server, ca=prosody.ca, cert=(cert, key))
            await on.client("anna", login=anna)
            ben = Login(jids["ben"], server=server, ca=prosody.ca, cert=prosody.certified("ben"))
            client = await on.client("ben", login=ben)
            assert canonical((await client.ask(jids["anna"], note("x"))).reply) == canonical(note("x"))
        async with staged(prosody) as on:
            # By another's certificate nobody gets the name that he wants, and does not take the other.
            thief = await on.client("thief", login=ben._replace(cert=(cert, key)), there=False, timeout_s=1.0)
            assert f"it gives us {jids['anna']}" in (await said(thief, note("x"))).why

    asyncio.run(go())


def test_no_password_is_said_without_tls() -> None:
    """A server that offers no TLS, however it came to be there, learns nothing."""

    async def go() -> None:
        heard = bytearray()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' "
                b"from='localhost' version='1.0'><stream:features><mechanisms "
                b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
                b"<mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>"
            )
            while data := await reader.read(1000):
                heard.extend(data)
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            login = Login("ben@localhost/test", "secret", server.sockets[0].getsockname()[:2])
            client = XmppClient(login, ELEMENT, max_bytes=1000, timeout_s=1.0)
            async with client.connected(echo):
                found = await said(client, note("x"))
            assert found.status == 0
            assert "let us in" in found.why
            assert heard
            assert b"<auth" not in heard

    asyncio.run(go())
