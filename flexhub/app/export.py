"""All that is stored of and about a party, as JSON, piece by piece (GDPR articles 15 and 20)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import chain, groupby
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.adapters.store.interface import DocumentRow, JournalRow, Position, Query, Store, numbered
from flexhub.app.access import audit
from flexhub.app.openadr.vtn.owners import RESOURCE, VEN, vens_of
from flexhub.core.errors import NotFoundError

PAGE: Final = 50
"""Rows in memory at once; a message may have a mebibyte."""
PIECE: Final = 1 << 16
"""So many bytes are handed out at once, and some more."""

DOCUMENTS: Final = "documents"
PARTS: Final = (DOCUMENTS, "messages", "notices", "tokens", "accounts", "requests")
"""What an export is made of, in this order; documents are told by kind."""


class _Item(NamedTuple):
    """One thing that is stored; `kind` is the part's name, or that of a document's type."""

    part: str
    kind: str
    value: dict[str, Any]


def export(store: Store, party: str, now: datetime, *, lines: bool = False) -> Iterator[bytes]:
    """The text of one JSON object: `party`, when it was `exported`, the `PARTS`, and an `index` of how much there is.

    Messages of others that name the party (its contract, its bills) are others' words, and told as they were said only
    in what came of them: the party's documents and notices. Its VENs are the party, whatever their venIDs. What others
    write meanwhile may be in it or not.

    Args:
        store: the store; memory is needed for a page of it.
        party: whose data.
        now: the time.
        lines: each thing begins a line.

    Raises:
        NotFoundError: nothing is stored; raised before the first piece.
    """
    items = _items(store, party)
    first = next(items, None)
    if first is None:
        raise NotFoundError("nothing is stored about this party", path="party", value=party)
    return _pieces(_text(party, now, chain((first,), items), b"\n" if lines else b""))


def _pieces(text: Iterator[bytes]) -> Iterator[bytes]:
    piece = bytearray()
    for part in text:
        piece += part
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _text(party: str, now: datetime, items: Iterator[_Item], end: bytes) -> Iterator[bytes]:
    encode, counts = msgspec.json.encode, Counter[str]()
    yield b'{"party":' + encode(party) + b',"exported":' + encode(now)
    found = groupby(items, key=lambda item: item.part)
    part, of_part = next(found, ("", iter(())))
    for name in PARTS:
        yield b"," + end + encode(name) + (b":{" if name == DOCUMENTS else b":[")
        if name == part:
            for number, (kind, of_kind) in enumerate(groupby(of_part, key=lambda item: item.kind)):
                if name == DOCUMENTS:
                    yield (b"," if number else b"") + end + encode(kind) + b":["
                for place, item in enumerate(of_kind):
                    counts[kind] += 1
                    yield (b"," if place else b"") + end + encode(item.value)
                if name == DOCUMENTS:
                    yield b"]"
            part, of_part = next(found, ("", iter(())))
        yield b"}" if name == DOCUMENTS else b"]"
    index = dict(counts) | {name: counts[name] for name in PARTS if name != DOCUMENTS}
    yield b"," + end + b'"index":' + encode(index) + b"}" + end


def _items(store: Store, party: str) -> Iterator[_Item]:
    names = (party, *vens_of(party, chain(_of_kind(store, RESOURCE, party), _of_kind(store, VEN))))
    for row in merge(*(_documents(store, name) for name in names), key=lambda row: (row.kind, row.id)):
        yield _Item(DOCUMENTS, row.kind, {"id": row.id, "state": row.state, "body": _json(row.body)})
    for m in chain.from_iterable(_messages(store, name) for name in names):
        told = {"id": m.message_id, "kind": m.kind, "received": m.received, "status": m.status}
        yield _Item("messages", "messages", told | {"body": _json(m.body), "answer": _json(m.answer)})
    for n in numbered(lambda behind: store.notices(party, behind, PAGE)):
        told = {"seq": n.seq, "topic": n.topic, "subject": n.subject, "created": n.created, "body": _json(n.body)}
        yield _Item("notices", "notices", told)
    for token in store.tokens():
        if token.party == party:
            yield _Item("tokens", "tokens", {"role": token.role, "created": token.created})
    for account in store.accounts(party):
        told = {"kind": account.kind, "id": account.id, "until": account.until, "body": _json(account.body)}
        yield _Item("accounts", "accounts", told)
    for row_, block in audit.blocks(store):
        for access in audit.told(row_, block) if block else ():
            if access["party"] == party:
                yield _Item("requests", "requests", access)


def _of_kind(store: Store, kind: str, owner: str | None = None) -> Iterator[DocumentRow]:
    after: Position | None = None
    while rows := store.documents(Query(kind, owner=owner, after=after, limit=PAGE)):
        yield from rows
        after = Position(rows[-1].starts, rows[-1].id)


def _messages(store: Store, peer: str) -> Iterator[JournalRow]:
    return numbered(lambda behind: store.journal(behind, PAGE, peer))


def _documents(store: Store, party: str) -> Iterator[DocumentRow]:
    after = ("", "")
    while rows := store.all_documents(after, PAGE, party):
        yield from rows
        after = (rows[-1].kind, rows[-1].id)


def _json(body: bytes) -> Any:  # noqa: ANN401 - what others said
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")
