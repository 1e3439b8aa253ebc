"""The endpoint's codes, each beside the valid twin: over real HTTP, and over raw sockets where no client would do."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import pytest

from flexhub.app.wiring import running
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.envelope import seal
from tests.app.uftp import stage as s
from tests.app.uftp.stage import CODEC, domain, key, post, request, sealed
from tests.ports import free_port

HEAD = "POST /shapeshifter/api/v3/message HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n"


def play(folder: Path, story: Callable[[s.Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with s.stage(folder, "agr", others=("dso",)) as there:
            await story(there)

    asyncio.run(main())


async def raw(port: int, data: bytes, seconds: float = 5.0) -> int:
    """The status that some bytes get."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(seconds):
            line = await reader.readline()
        return int(line.split()[1])
    finally:
        writer.close()


class Bad(NamedTuple):
    """A body that is refused."""

    name: str
    body: Callable[[], bytes]
    status: int


def inner(xml: bytes) -> bytes:
    return seal(xml, domain("dso"), wire.Role.DSO, key("dso"))


def changed(old: bytes, new: bytes) -> bytes:
    return inner(CODEC.encode(request()).replace(old, new, 1))


BAD = [
    Bad("outer garbage", lambda: b"no xml", 400),
    Bad("outer without Body", lambda: b'<SignedMessage SenderDomain="dso.example.com" SenderRole="DSO"/>', 400),
    Bad("Body not base64", lambda: sealed(request(), "dso").replace(b'Body="', b'Body="!'), 400),
    Bad("another's signature", lambda: sealed(request(), "dso", by=key("agr")), 401),
    Bad("an unknown sender", lambda: sealed(request(frm="nobody"), "nobody"), 419),
    Bad("inner not XML", lambda: inner(b"no xml"), 400),
    Bad("MessageID not a UUID", lambda: changed(b'MessageID="', b'MessageID="x'), 400),
    Bad(
        "an unknown attribute",
        lambda: changed(b"<FlexRequest ", b'<FlexRequest A="" '),
        400,
    ),
    Bad("a DOCTYPE", lambda: inner(b'<!DOCTYPE a [<!ENTITY b "c">]>' + CODEC.encode(request())), 400),
    Bad("larger than is read", lambda: sealed(request(), "dso") + b" " * 100_000, 413),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_delivery_is_refused_with_its_code_and_its_twin_is_taken(bad: Bad, tmp_path: Path) -> None:
    async def story(there: s.Stage) -> None:
        port = there.ports["agr"]
        assert await post(port, bad.body()) == bad.status
        assert not [row for row in there.hub("agr").store.journal(0, 100) if row.kind == "uftp.receive"]
        assert await post(port, sealed(request(), "dso")) == 200

    play(tmp_path, story)


def test_headers_paths_and_methods(tmp_path: Path) -> None:
    async def story(there: s.Stage) -> None:
        port, body = there.ports["agr"], sealed(request(), "dso")
        assert await post(port, body, kind="application/json") == 400
        assert await post(port, body, kind="application/xml") == 400
        assert await post(port, body, kind="text/xml; charset=latin-1") == 400
        assert await post(port, body, path="/elsewhere") == 404
        async with aiohttp.ClientSession() as session:
            for path in ("/shapeshifter/api/v3/message", "/USEF/2019/SignedMessage"):
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert await post(port, body, path="/USEF/2019/SignedMessage") == 200
        assert await post(port, body) == 200

    play(tmp_path, story)


def test_no_length_an_endless_body_and_a_huge_one_cost_nothing(tmp_path: Path) -> None:
    async def story(there: s.Stage) -> None:
        port, body = there.ports["agr"], sealed(request(), "dso")
        assert await raw(port, (HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + b"5\r\nabcde\r\n" * 3) == 411
        assert await raw(port, (HEAD + "\r\n").encode()) == 411
        assert await raw(port, (HEAD + "Content-Length: 1000000000\r\n\r\n").encode() + b"<" * 1000) == 413
        assert await raw(port, (HEAD + f"Content-Length: {len(body)}\r\n\r\n").encode() + body) == 200

    play(tmp_path, story)


def test_who_sends_too_slowly_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexhub.app.endpoints.BODY_S", 0.2)

    async def story(there: s.Stage) -> None:
        port, body = there.ports["agr"], sealed(request(), "dso")
        head = (HEAD + f"Content-Length: {len(body)}\r\n\r\n").encode()
        assert await raw(port, head + body[:-1]) == 408
        assert await raw(port, head + body) == 200

    play(tmp_path, story)


def test_a_sender_has_its_rate_and_holds_up_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        ports = {name: free_port() for name in ("agr", "dso", "other")}
        s.publish(tmp_path, ports)
        told = s.config(tmp_path, "agr", ports["agr"])
        limits = msgspec.structs.replace(told.limits, requests=0.01, requests_at_once=2.0)
        async with running(msgspec.structs.replace(told, limits=limits)):
            found = [await post(ports["agr"], sealed(request(f"{n}"), "dso")) for n in range(3)]
            assert found == [200, 200, 429]
            # Who cannot sign as the other uses up nothing of what the other may send.
            assert await post(ports["agr"], sealed(request(frm="other"), "other", by=key("dso"))) == 401
            assert await post(ports["agr"], sealed(request(frm="other"), "other")) == 200

    asyncio.run(main())


def test_a_new_key_is_taken_as_soon_as_it_is_published_and_the_old_one_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flexhub.app.uftp.lookup.AGAIN_S", 0.0)

    async def story(there: s.Stage) -> None:
        port, new = there.ports["agr"], key("dso", 1)
        assert await post(port, sealed(request("1"), "dso")) == 200
        assert await post(port, sealed(request("2"), "dso", by=new)) == 401
        s.publish(tmp_path, there.ports, {"dso": [new, key("dso")]})
        assert await post(port, sealed(request("2"), "dso", by=new)) == 200
        assert await post(port, sealed(request("3"), "dso")) == 200, "both, while one takes the other's place"
        s.publish(tmp_path, there.ports, {"dso": [new]})
        assert await post(port, sealed(request("4"), "dso", by=key("dso", 2))) == 401  # and has the file read again
        assert await post(port, sealed(request("4"), "dso")) == 401
        assert await post(port, sealed(request("4"), "dso", by=new)) == 200

    play(tmp_path, story)


async def endless(port: int, length: str) -> None:
    """Send for as long as anybody listens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST /shapeshifter/api/v3/message HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n{length}\r\n\r\n"
        writer.write(head.encode())
        while True:
            writer.write(b"<" * (1 << 20))
            async with asyncio.timeout(5):
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        reader.feed_eof()
        writer.close()


@pytest.mark.parametrize("length", ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
def test_a_body_of_a_gigabyte_or_without_an_end_is_cut_off_and_takes_no_memory(length: str, tmp_path: Path) -> None:
    async def story(there: s.Stage) -> None:
        port = there.ports["agr"]
        assert await post(port, sealed(request("before"), "dso")) == 200
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await endless(port, length)
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        assert grown_mib < 64
        assert await post(port, sealed(request("after", revision=2), "dso")) == 200
        assert len([row for row in there.hub("agr").store.journal(0, 100) if row.kind == "uftp.receive"]) == 2

    play(tmp_path, story)
