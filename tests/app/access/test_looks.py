"""Tokens are looked up again once their time in memory is over: once for all who ask, and only those in use."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from flexhub.adapters.store.interface import TokenRow
from flexhub.app.hub.reading import TOKEN_S
from flexhub.app.hub.tokens import Bearer, token_hash
from flexhub.core.registry import Role
from tests.app.api.live import Live, config, live


def test_whoever_asks_waits_for_the_same_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(config(tmp_path)) as running:
        hub, now = running.running.hub, [100.0]
        looks: list[str] = []
        look = hub.store.tokens_of

        def counted(hashes: Collection[str]) -> list[TokenRow]:
            looks.extend(hashes)
            return look(hashes)

        monkeypatch.setattr(hub.store, "tokens_of", counted)
        monkeypatch.setattr(hub, "_monotonic", lambda: now[0])
        names = ("ann", "bob", "eve")
        ann, bob, eve = (token_hash(running.tokens[name]) for name in names)

        def ask(*hashes: str) -> list[Bearer | None]:
            async def together() -> list[Bearer | None]:
                return await asyncio.gather(*(hub.find_token(hashed) for hashed in hashes))

            return running.call(together())

        assert ask(ann, ann, bob, ann, bob, eve) == [
            Bearer(n, Role.PROSUMER) for n in ["ann", "ann", "bob", "ann", "bob", "eve"]
        ]
        assert sorted(looks) == sorted((ann, bob, eve))
        looks.clear()
        assert ask(ann, bob) == [Bearer(n, Role.PROSUMER) for n in ("ann", "bob")]
        assert looks == []
        now[0] += TOKEN_S
        assert ask(ann, ann) == [Bearer("ann", Role.PROSUMER)] * 2
        assert looks == [ann, bob], "bob's was used, too; eve's wasn't"
        assert ask(bob) == [Bearer("bob", Role.PROSUMER)]
        assert looks == [ann, bob]


def test_one_that_was_revoked_meanwhile_ends_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(config(tmp_path)) as running:
        now = [100.0]
        monkeypatch.setattr(running.running.hub, "_monotonic", lambda: now[0])

        def statuses(hub: Live) -> list[int]:
            return [hub.request("GET", "/flexoffer", who).status for who in ("ann", "bob", "ann", "bob")]

        assert statuses(running) == [200] * 4
        with running.running.hub.store.begin() as transaction:
            transaction.remove_tokens("bob")
        now[0] += TOKEN_S
        assert statuses(running) == [200, 401, 200, 401]
