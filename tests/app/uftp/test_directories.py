"""Every directory tells the same of the same participant; what nobody can tell is temporary, and asked again soon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from aiohttp import web

from flexhub.adapters.directories.address_book import AddressBook
from flexhub.adapters.directories.dns import DnsDirectory
from flexhub.adapters.directories.file import FileDirectory
from flexhub.adapters.directories.interface import Directory, Listing
from flexhub.adapters.http.oauth import Credentials
from flexhub.app.uftp.lookup import Lookup
from flexhub.core.errors import ConfigError, NotFoundError, UnavailableError
from flexhub.protocols.uftp.messages import Role
from tests.app.uftp import stage as s

KEY = str(s.key("agr").public(bytes(32)))
URL = "https://hub.example.com/shapeshifter/api/v3/message"


class Zone(asyncio.DatagramProtocol):
    """A DNS server for one zone, over UDP; `vouched` sets AD, as a validating resolver does."""

    def __init__(self, *, vouched: bool = True, answers: bool = True) -> None:
        self.records = {
            ("_agr._usef.agr.example.com.", "TXT"): f'"{KEY}"',
            ("_http._agr._usef.agr.example.com.", "CNAME"): "hub.example.com.",
            ("_usef.all.example.com.", "TXT"): f'"{KEY[:60]}" "{KEY[60:]}"',
        }
        self.vouched, self.answers, self.asked = vouched, answers, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        if not self.answers:
            return
        query = dns.message.from_wire(data)
        asked = query.question[0]
        name, kind = asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA | (dns.flags.AD if self.vouched else 0)
        if (name, kind) in self.records:
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, self.records[name, kind]))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(reply.to_wire(), addr)


@asynccontextmanager
async def in_dns(**more: Any) -> AsyncIterator[tuple[DnsDirectory, Zone]]:
    zone = Zone(**more)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: zone, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    assert host == "127.0.0.1"
    try:
        yield DnsDirectory([f"{host}:{port}"]), zone
    finally:
        transport.close()


@asynccontextmanager
async def in_a_book(folder: Path) -> AsyncIterator[tuple[AddressBook, list[str]]]:
    """An authority that wants a token of its own token endpoint, which gives each only once."""
    seen: list[str] = []

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "client_credentials"
        assert request.headers["Authorization"].startswith("Basic ")
        return web.json_response({"access_token": f"t{len(seen)}", "expires_in": 3600, "token_type": "Bearer"})

    async def participant(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        told = request.match_info["domain"]
        if not seen[-1].startswith("Bearer t"):
            return web.Response(status=401)
        if told == "broken.example.com":
            return web.Response(text="no json")
        if told != s.domain("agr"):
            return web.Response(status=404)
        return web.json_response({"domain": told, "publicKey": KEY, "endpoint": URL, "other": 1})

    (folder / "secret").write_text("secret\n")
    routes = web.post("/token", token), web.get("/uftp-participants/v3/participants/{domain}", participant)
    async with s.serving(*routes) as port:
        base = f"http://127.0.0.1:{port}"
        credentials = Credentials(f"{base}/token", "us", folder / "secret")
        book = AddressBook(f"{base}/uftp-participants/v3/participants", credentials=credentials)
        try:
            yield book, seen
        finally:
            await book.close()


@asynccontextmanager
async def in_a_file(folder: Path, suffix: str) -> AsyncIterator[FileDirectory]:
    path = folder / f"participants.{suffix}"
    entry = {"domain": s.domain("agr"), "role": "AGR", "key": KEY, "url": URL}
    if suffix == "json":
        path.write_text(json.dumps({"participant": [entry]}))
    else:
        path.write_text("[[participant]]\n" + "\n".join(f'{name} = "{value}"' for name, value in entry.items()))
    yield FileDirectory(path)


@pytest.mark.parametrize("kind", ["toml", "json", "dns", "book"])
def test_a_directory_tells_who_is_published_and_who_is_not(kind: str, tmp_path: Path) -> None:
    async def both(directory: Directory) -> None:
        found = await directory.find(s.domain("agr"), "AGR")
        assert found is not None
        assert (found.keys, found.url) == ((KEY,), URL)
        assert await directory.find(s.domain("nobody"), "AGR") is None

    async def main() -> None:
        if kind == "dns":
            async with in_dns() as (directory, _):
                await both(directory)
                found = await directory.find("all.example.com", "DSO")
                assert found is not None
                assert (found.keys, found.url, found.lasts_s) == ((KEY,), None, 60.0)
        elif kind == "book":
            async with in_a_book(tmp_path) as (book, seen):
                await both(book)
                assert set(seen) == {"Bearer t0"}, "one token, as long as it lasts"
                with pytest.raises(UnavailableError, match="cannot be read"):
                    await book.find("broken.example.com", "AGR")
        else:
            async with in_a_file(tmp_path, kind) as file:
                await both(file)

    asyncio.run(main())


def test_what_dnssec_does_not_vouch_for_is_told_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexhub.adapters.directories.dns.LIFETIME_S", 0.3)

    async def main() -> None:
        async with in_dns(vouched=False) as (directory, zone):
            for domain in ("agr", "nobody"):
                with pytest.raises(UnavailableError, match="DNSSEC"):
                    await directory.find(s.domain(domain), "AGR")
            port = zone.transport.get_extra_info("sockname")[1]
            trusting = DnsDirectory([f"127.0.0.1:{port}"], dnssec=False)
            assert await trusting.find(s.domain("agr"), "AGR") is not None
        async with in_dns(answers=False) as (directory, _):
            with pytest.raises(UnavailableError, match="does not answer"):
                await directory.find(s.domain("agr"), "AGR")

    asyncio.run(main())


@pytest.mark.parametrize("text", ["[[participant]]\ndomain = 1", "no toml", '[[participant]]\nrole = "X"'])
def test_a_file_that_is_none_is_told_at_the_start_and_later_leaves_what_was_known(text: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with in_a_file(tmp_path, "toml") as directory:
            path = tmp_path / "participants.toml"
            path.write_text(text)
            with pytest.raises(ConfigError, match="is no directory"):
                FileDirectory(path)
            assert await directory.find(s.domain("agr"), "AGR") is not None
            with pytest.raises(UnavailableError):
                await directory.find(s.domain("dso"), "DSO")

    asyncio.run(main())


class Counting:
    """A directory that counts how often it is asked, and answers when it is let."""

    def __init__(self, answer: Callable[[], Listing | None]) -> None:
        self.answer, self.asked, self.open = answer, 0, asyncio.Event()

    async def find(self, domain: str, role: str) -> Listing | None:  # noqa: ARG002 - the directory's signature
        self.asked += 1
        await self.open.wait()
        return self.answer()

    async def close(self) -> None:
        """Nothing."""


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    asyncio.run(main())


def test_many_who_ask_at_once_are_one_question_and_the_answer_is_remembered() -> None:
    async def story() -> None:
        now = [0.0]
        directory = Counting(lambda: Listing((KEY,), URL, ("AGR",)))
        lookup = Lookup(directory, 300, lambda: now[0])
        waiting = [asyncio.create_task(lookup.find("agr.example.com", Role.AGR)) for _ in range(100)]
        await asyncio.sleep(0)
        directory.open.set()
        assert len(set(await asyncio.gather(*waiting))) == 1
        assert directory.asked == 1
        now[0] = 299
        assert lookup.known("agr.example.com", Role.AGR) is not None
        now[0] = 301
        assert lookup.known("agr.example.com", Role.AGR) is None
        await lookup.find("agr.example.com", Role.AGR)
        assert directory.asked == 2
        await lookup.close()

    play(story)


def test_who_is_not_there_is_asked_for_again_soon() -> None:
    async def story() -> None:
        now = [0.0]
        directory = Counting(lambda: None)
        directory.open.set()
        lookup = Lookup(directory, 300, lambda: now[0])
        for at, asked in ((0.0, 1), (4.0, 1), (6.0, 2)):
            now[0] = at
            with pytest.raises(NotFoundError):
                await lookup.find("agr.example.com", Role.AGR)
            assert directory.asked == asked
        await lookup.close()

    play(story)
