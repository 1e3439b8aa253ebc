"""Bearer tokens: bound to a party and a role; only their SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime
from functools import lru_cache

import msgspec

from flexhub.adapters.store.interface import Store, TokenRow
from flexhub.core.registry import Role


class Bearer(msgspec.Struct, frozen=True):
    """Who a token stands for."""

    party: str
    role: Role


@lru_cache(4096)
def token_hash(token: str) -> str:
    """SHA-256 of a token in hex. Tokens are random, so neither salt nor stretching is needed."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def add_token(store: Store, party: str, role: Role, now: datetime) -> str:
    """Make a token, keep its hash, return the token; it cannot be shown again."""
    token = secrets.token_urlsafe(32)
    with store.begin() as transaction:
        transaction.add_token(TokenRow(token_hash(token), party, role, now))
    return token


def find_tokens(store: Store, hashes: Collection[str]) -> dict[str, Bearer | None]:
    """Whom the tokens with these hashes stand for; one look for all of them."""
    known = {row.hash: Bearer(row.party, Role(row.role)) for row in store.tokens_of(hashes)}
    return {one: known.get(one) for one in hashes}
