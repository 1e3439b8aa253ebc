"""Certificates, fingerprints and signatures of a VEN, being pushed to, and being killed."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web

from flexhub.adapters.store import open_store
from flexhub.app.access.certificates import authority, issue
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.ven.settings import document_id
from flexhub.core.documents import decode
from flexhub.core.errors import FlexhubError
from flexhub.core.timegrid import ceil_to_grid
from flexhub.core.trading import FlexRequest
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec, read
from flexhub.protocols.openadr2b.fingerprint import fingerprint
from flexhub.protocols.openadr2b.names import EventStatus
from flexhub.protocols.openadr2b.signature import SigningKey, sign, signing_key, verify
from tests.app.openadr.test_ven import answers, binding, config, go, staged
from tests.app.openadr.vtn import Vtn, ran, serving
from tests.app.uftp.test_kills import Program
from tests.ports import free_port
from tests.protocols.test_openadr2b_ven import event

CODEC = OadrCodec()


class Papers(NamedTuple):
    """Certificates of an authority: ours, the VTN's, and somebody else's."""

    folder: Path
    ven: SigningKey
    vtn: SigningKey

    def tls(self) -> ssl.SSLContext:
        """The VTN's side, which wants a client's certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.folder / "ca.pem")
        context.load_cert_chain(self.folder / "vtn.pem", self.folder / "vtn.key")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def keys(self, *, shown: str | None = None, sign_: bool = False) -> str:
        """Our keys of the configuration."""
        print_ = shown or fingerprint(self.vtn.certificate)
        mine = f'cert = "{self.folder}/ven.pem"\nkey = "{self.folder}/ven.key"\nca = "{self.folder}/ca.pem"\n'
        return f'opt = "in"\n{mine}fingerprint = "{print_}"\n' + ("sign = true\n" if sign_ else "")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder, now = tmp_path_factory.mktemp("certs"), datetime.now(UTC)
    authority(folder, now)
    made = []
    for name, client in (("ven", True), ("vtn", False)):
        issue(folder, name, () if client else ("127.0.0.1",), now, client=client)
        made.append(signing_key((folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes()))
    return Papers(folder, *made)


class Signing(Vtn):
    """Signs what it says by a key, and wants what it hears to be signed by the VEN's."""

    def __init__(self, key: SigningKey | None, ven: SigningKey, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self.key = key
        self.ven = ven
        self.clock = clock
        self.proofs = 0

    async def post(self, request: web.Request) -> web.Response:
        """One request, its signature checked before it is read."""
        root = CODEC.root(await request.read())
        verify(root, trusted=(self.ven.fingerprint,), now=self.clock())
        self.proofs += 1
        message = read(root).oadr_signed_object.message
        if not isinstance(message, wire.OadrPoll):
            self.heard.append(message)
        answer = self.answer(message)
        if self.key is None:
            return web.Response(body=CODEC.encode(answer), content_type="application/xml")
        body = sign(answer, self.key, now=self.clock(), nonce=uuid.uuid4().hex)
        return web.Response(body=body, content_type="application/xml")


@ran
async def test_it_shows_its_certificate_and_knows_the_vtns(tmp_path: Path, papers: Papers) -> None:
    async with staged(tmp_path, papers.keys(), tls=papers.tls()) as (vtn, hub):
        assert (await go(hub)).registered
        assert vtn.url.startswith("https://")


@ran
async def test_a_vtn_of_another_certificate_is_not_listened_to(tmp_path: Path, papers: Papers) -> None:
    other = fingerprint(papers.ven.certificate)
    async with staged(tmp_path, papers.keys(shown=other), tls=papers.tls()) as (vtn, hub):
        with pytest.raises(FlexhubError, match="a certificate of"):
            await go(hub)
        assert vtn.heard == []


@ran
async def test_without_a_certificate_nothing_is_had(tmp_path: Path, papers: Papers) -> None:
    bare = f'opt = "in"\nca = "{papers.folder}/ca.pem"\n'
    async with staged(tmp_path, bare, tls=papers.tls()) as (vtn, hub):
        with pytest.raises(FlexhubError):
            await go(hub)
        assert vtn.heard == []


@pytest.mark.parametrize("by", ["vtn", "ven", "nobody"])
def test_what_the_vtn_did_not_sign_is_not_read(tmp_path: Path, papers: Papers, by: str) -> None:
    now = datetime.now(UTC)
    key = {"vtn": papers.vtn, "ven": papers.ven, "nobody": None}[by]
    vtn = Signing(key, papers.ven, lambda: now)

    @ran
    async def main() -> None:
        more = papers.keys(sign_=True)
        async with staged(tmp_path, more, tls=papers.tls(), vtn=vtn, clock=lambda: now) as (_, hub):
            if by != "vtn":
                with pytest.raises(FlexhubError):
                    await go(hub)
                return
            assert (await go(hub)).registered
            vtn.tell(event(start=ceil_to_grid(now + timedelta(hours=1), 900)))
            await go(hub)
            assert answers(vtn) == [("e-1", 0, "200", "optIn")]
            assert vtn.proofs > 4

    main()


# -- pushed to --------------------------------------------------------------------------------------------------------


@ran
async def test_what_is_pushed_is_worked_as_what_is_polled(tmp_path: Path) -> None:
    port = free_port()
    push = f'opt = "in"\nlisten = "127.0.0.1:{port}"\npush_to = "http://127.0.0.1:{port}/OpenADR2/Simple/2.0b"\n'
    clock = datetime(2026, 3, 29, 10, tzinfo=UTC)
    async with staged(tmp_path, push, clock=lambda: clock) as (vtn, hub), aiohttp.ClientSession() as http:
        await go(hub)
        (registered,) = vtn.of(wire.OadrCreatePartyRegistration)
        assert (registered.oadr_http_pull_model, registered.oadr_transport_address) == (
            False, f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b"
        )  # fmt: skip
        assert vtn.polls == 0

        async def pushed(body: bytes) -> tuple[int, bytes]:
            url = f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b/EiEvent"
            async with http.post(url, data=body, headers={"Content-Type": "application/xml"}) as response:
                return response.status, await response.read()

        vtn.events = (event(start=clock + timedelta(hours=1)),)
        status, body = await pushed(CODEC.encode(vtn.distribute("")))
        assert status == 200
        assert isinstance(CODEC.decode(body), wire.OadrResponse)
        await hub.hub.sent()
        assert await binding(hub) == ["e-1"]
        assert answers(vtn) == [("e-1", 0, "200", "optIn")]
        assert (await pushed(b"<banana/>"))[0] == 400
        assert await binding(hub) == ["e-1"]


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)  # a hub takes its time to start where the machine is busy
@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.soak)])
def test_whenever_it_is_killed_every_event_is_answered_and_filed_in_the_end(tmp_path: Path, kills: int) -> None:
    """Killed while it registers, polls and answers, again and again; what it says last, of every event, is right."""
    dice, count = Random(7), 6  # noqa: S311 - moments, no secret

    async def main() -> None:
        start = ceil_to_grid(datetime.now(UTC) + timedelta(hours=2), 900)
        vtn = Vtn()
        vtn._poll = "PT1S"  # noqa: SLF001 - the test's own
        async with serving(vtn):
            told = tmp_path / "hub.toml"
            hub = Program(tmp_path, "hub")
            told.write_text(TEXT.format(folder=tmp_path, url=vtn.url))
            config(vtn, tmp_path)
            events = [
                event(f"e-{i}", start=start + i * timedelta(hours=1), level=float(1 + i % 3)) for i in range(count)
            ]
            for kill in range(kills):
                await asyncio.to_thread(hub.start)
                vtn.tell(*events[: 2 + kill])
                await asyncio.sleep(dice.uniform(0.0, 0.6))
                hub.kill()
            events[0] = event("e-0", 1, EventStatus.CANCELLED, start=start)
            vtn.tell(*events)
            await asyncio.to_thread(hub.start)
            wanted = {("e-0", 1), *((f"e-{i}", 0) for i in range(1, count))}
            async with asyncio.timeout(30):
                while not wanted <= {(name, number) for name, number, _, _ in answers(vtn)}:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            hub.kill()
        assert {code for _, _, code, _ in answers(vtn)} == {"200"}
        assert vtn.errors == []

    asyncio.run(main())
    store = open_store(f"sqlite:///{tmp_path}/hub.db")
    try:
        row = store.document("OpenadrVen", "utility")
        assert row is not None
        assert decode(OpenadrVen, row.body).state.events.keys() == {f"e-{i}" for i in range(count)}
        for i in range(count):
            found = store.document("FlexRequest", document_id("event", "utility", f"e-{i}"))
            assert i == 0 or found is not None
            if found is not None:
                request = decode(FlexRequest, found.body)
                assert (request.expires > datetime.now(UTC)) == (i > 0)
    finally:
        store.close()


TEXT = """
pages = false
[hub]
name = "agr"
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/hub.db"
[[openadr.ven]]
name = "utility"
vtn = "{url}"
congestion_point = "feeder"
levels = ["4 kW", "8 kW", "16 kW"]
opt = "in"
"""
