"""The peers of a configuration are reached as it says: over TLS, with a token, and by nobody else's certificate."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from flexhub.adapters.http.idempotency import HEADER, read
from flexhub.adapters.store.interface import SendRow
from flexhub.app.access.certificates import authority, issue
from flexhub.app.config import Config, PeerSection
from flexhub.app.hub.outbox import Outcome
from flexhub.app.wiring import posting
from flexhub.core.errors import ConfigError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(peer: str = "other") -> SendRow:
    return SendRow(peer, "m1", "c", "/inbox", "application/json", b"{}", "send", NOON, NOON + timedelta(hours=1))


def sent(peer: PeerSection, folder: Path) -> tuple[Outcome, list[str]]:
    """What comes of one try, and the tokens that the server behind TLS has seen."""
    seen: list[str] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"id": read(request.headers.getall(HEADER))})

    async def main() -> Outcome:
        app = web.Application()
        app.router.add_post("/base/inbox", take)
        runner = web.AppRunner(app)
        await runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "hub.pem", folder / "hub.key")
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/base/"
        there = PeerSection(id=peer.id, url=url, token=peer.token, ca=peer.ca)
        try:
            async with posting(Config(peer=(there,))) as post:
                assert post is not None
                return await post.send(row())
        finally:
            await runner.cleanup()

    return asyncio.run(main()), seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    now = datetime.now(UTC)
    authority(tmp_path, now)
    issue(tmp_path, "hub", ["127.0.0.1"], now, client=False)
    authority(tmp_path / "other", now)
    (tmp_path / "token").write_text("secret\n")
    return tmp_path


def test_a_peer_is_reached_over_tls_with_its_token(folder: Path) -> None:
    peer = PeerSection(id="other", url="https://flexhub.example", token=folder / "token", ca=folder / "ca.pem")
    outcome, seen = sent(peer, folder)
    assert (outcome.status, outcome.reply, outcome.final, seen) == (200, b'{"id": "m1"}', True, ["Bearer secret"])


def test_a_peer_that_somebody_else_vouches_for_is_told_nothing(folder: Path) -> None:
    peer = PeerSection(
        id="other", url="https://flexhub.example", token=folder / "token", ca=folder / "other" / "ca.pem"
    )
    outcome, seen = sent(peer, folder)
    assert (outcome.status, outcome.final, seen) == (0, False, [])
    assert "ertificate" in outcome.why


def test_without_its_token_or_its_configuration_it_waits(folder: Path) -> None:
    gone = PeerSection(id="other", url="https://flexhub.example", token=folder / "none", ca=folder / "ca.pem")
    outcome, seen = sent(gone, folder)
    assert (outcome.status, outcome.final, seen) == (0, False, [])
    stranger = PeerSection(id="stranger", url="https://flexhub.example", ca=folder / "ca.pem")
    assert sent(stranger, folder)[0].why == "no such peer is configured"


def test_certificates_that_are_none_are_told_at_the_start(folder: Path) -> None:
    async def main(ca: Path) -> None:
        async with posting(Config(peer=(PeerSection(id="other", url="https://flexhub.example", ca=ca),))):
            pass

    asyncio.run(main(folder / "ca.pem"))
    for bad in (folder / "token", folder / "absent"):
        with pytest.raises(ConfigError, match="no certificates"):
            asyncio.run(main(bad))
