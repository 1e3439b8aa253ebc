"""Certificates, fingerprints and signatures of a VEN, and being pushed to."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web

from flexhub.app.access.certificates import authority, issue
from flexhub.app.openadr.ven.pushed import MAX_BYTES
from flexhub.core.errors import FlexhubError
from flexhub.core.timegrid import ceil_to_grid
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec, read
from flexhub.protocols.openadr2b.fingerprint import fingerprint
from flexhub.protocols.openadr2b.signature import SigningKey, sign, signing_key, verify
from tests.app.openadr.test_ven import answers, binding, go, staged
from tests.app.openadr.vtn import Vtn, ran
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


@ran
async def test_what_is_pushed_is_refused_as_any_endpoint_does(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b/EiEvent"
    push = f'listen = "127.0.0.1:{port}"\npush_to = "http://127.0.0.1:{port}/OpenADR2/Simple/2.0b"\n'
    limits = "[limits]\nfailures = 0.001\nfailures_at_once = 3\n"
    async with staged(tmp_path, push + limits) as (vtn, hub), aiohttp.ClientSession() as http:
        await go(hub)
        good = CODEC.encode(vtn.distribute(""))

        async def answered(body: bytes = good, media_type: str = "application/xml", encoding: str = "identity") -> int:
            headers = {"Content-Type": media_type, "Content-Encoding": encoding}
            async with http.post(url, data=body, headers=headers) as response:
                assert response.headers["Server"] == "flexhub"
                return response.status

        assert await answered() == 200
        assert await answered(media_type="text/xml") == 200
        assert await answered(media_type="application/json") == 415
        assert await answered(encoding="gzip") == 415
        assert await answered(good + b" " * MAX_BYTES) == 413
        async with http.get(url) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert [await answered(b"<banana/>") for _ in range(4)] == [400, 400, 400, 429]
        assert await answered() == 429, "who had too much refused waits"
