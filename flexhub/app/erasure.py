"""All that is stored about a party, and its removal (GDPR articles 15, 17 and 20).

What is erased: documents, journalled messages, notices, timers and tokens, wherever they name the party or something
of its own (connections, resources, offers, contracts). In the journal stands for each message a mark with its digest,
so that the audit log's chain still holds; a replay begins with what is there after the erasure.

What stays: bills, the contracts that they name and whom they were paid to, apart from all else, until the law of
accounts lets them go; and the audit log, which is there to show afterwards who did what.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flexhub.adapters.store.erasing import Erasing, alone
from flexhub.adapters.store.interface import (
    AccountRow,
    DocumentRow,
    JournalRow,
    NoticeRow,
    OriginRow,
    SendRow,
    Store,
    numbered,
)
from flexhub.app.access import audit
from flexhub.app.config import RetentionSection
from flexhub.app.exchange.papers import LIVE, UNSETTLED, Holding, Membership, PlanRecord
from flexhub.core import documents
from flexhub.core.errors import ForbiddenError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract

PAGE: Final = 1000
OWN: Final = "flexhub:"
"""What the names of the hub's own peers begin with; what they say in words names parties and offers, too."""

NAMED: Final = tuple(
    kind.__name__ for kind in (Party, Connection, Resource, Holding, FlexOffer, Contract, Membership, Bill)
)
"""Kinds of documents whose ids mean their owner wherever they stand."""

WHY_ACCOUNTS: Final = "bills, their contracts and whom they were paid to: records of accounts (GDPR article 17(3)(b))"
WHY_AUDIT: Final = "the audit log, which shows who did what (GDPR articles 17(3)(e) and 32)"

_WORD: Final = re.compile(r"[^\s/?#,;'\"()\[\]{}]+")


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure took away, what it kept (`accounts`, until then) and why."""

    erasure: str
    documents: int
    messages: int
    notices: int
    tokens: int
    accounts: int
    until: datetime | None
    kept: tuple[str, ...]


class Names:
    """What a party is known by, looked for in what is stored."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)

    def within(self, text: str) -> bool:
        """Whether a text names one: as a word, or as the subject in a timer's name (``plan:SUBJECT@TIME``)."""
        return any(not self.names.isdisjoint(_readings(word)) for word in _WORD.findall(text))

    def told(self, body: bytes, *, words: bool) -> bool:
        """Whether JSON has one as a value or a key, with `words` also within texts; what is no JSON, within."""
        if not body:
            return False
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.within(body.decode("utf-8", "replace"))
        return any(text in self.names or (words and self.within(text)) for text in _texts(value))

    def of_message(self, row: JournalRow, party: str) -> bool:
        """Whether a message is the party's, or about it."""
        if row.peer == party or row.conversation in self.names:
            return True
        own = row.peer.startswith(OWN)
        if own and (self.within(row.message_id) or self.within(row.conversation)):
            return True
        return self.told(row.body, words=own) or self.told(row.answer, words=own)

    def of_notice(self, row: NoticeRow, party: str) -> bool:
        """Whether a notice is to the party, or about it."""
        return row.party == party or row.subject in self.names or self.told(row.body, words=False)

    def of_send(self, row: SendRow, party: str) -> bool:
        """Whether a message that the hub sends is to the party, or about it."""
        return row.peer == party or row.conversation in self.names or self.told(row.body, words=True)


def _readings(word: str) -> Iterator[str]:
    yield word
    bare = word.rstrip(".:")
    yield bare
    behind = bare.partition(":")[2]
    for text in (bare, behind):
        yield text
        yield text.rpartition("@")[0]


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            stack += found.keys()
            stack += found.values()
        elif isinstance(found, list):
            stack += found


def export(store: Store, party: str, now: datetime) -> dict[str, Any]:
    """All that is stored of and about a party, as one JSON object with an index (GDPR articles 15 and 20).

    Messages of others that name the party (its contract, its bills) are others' words, and told as they were said only
    in what came of them: the party's documents and notices.

    Raises:
        NotFoundError: nothing is stored.
    """
    filed: dict[str, list[Any]] = {}
    after = ("", "")
    while rows := store.all_documents(after, PAGE):
        for row in rows:
            if row.owner == party:
                filed.setdefault(row.kind, []).append({"id": row.id, "state": row.state, "body": _json(row.body)})
        after = (rows[-1].kind, rows[-1].id)
    messages = [
        {"id": row.message_id, "kind": row.kind, "received": row.received, "status": row.status}
        | {"body": _json(row.body), "answer": _json(row.answer)}
        for row in audit.journal(store)
        if row.peer == party
    ]
    notices = [
        {"seq": row.seq, "topic": row.topic, "subject": row.subject, "created": row.created, "body": _json(row.body)}
        for row in _notices(store, party)
    ]
    tokens = [{"role": row.role, "created": row.created} for row in store.tokens() if row.party == party]
    accounts = [
        {"kind": row.kind, "id": row.id, "until": row.until, "body": _json(row.body)} for row in store.accounts(party)
    ]
    requests = [
        told for row, block in audit.blocks(store) if block for told in audit.told(row, block) if told["party"] == party
    ]
    parts = {"messages": messages, "notices": notices, "tokens": tokens, "accounts": accounts, "requests": requests}
    index = {kind: len(found) for kind, found in filed.items()} | {name: len(part) for name, part in parts.items()}
    if not any(index.values()):
        raise NotFoundError("nothing is stored about this party", path="party", value=party)
    return {"party": party, "exported": now, "index": index, "documents": filed, **parts}


def _json(body: bytes) -> Any:  # noqa: ANN401 - what others said
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def _notices(store: Store, party: str) -> Iterator[NoticeRow]:
    return numbered(lambda behind: store.notices(party, behind, PAGE))


def forget(url: str, now: datetime) -> int:
    """Remove the accounts whose time is over; how many there were.

    Raises:
        ForbiddenError: the store is in use.
    """
    with alone(url) as store:
        return store.remove_accounts(now)


def erase(url: str, party: str, name: str, now: datetime, years: int) -> Erased:
    """Erase a prosumer, in one transaction, while no hub runs on the store.

    Args:
        url: the store's address.
        party: who is erased.
        name: what the erasure is called, and stands where the party was named.
        now: the time.
        years: so many years behind the one that it is of, a bill is kept.

    Raises:
        NotFoundError: nothing is stored about it.
        ForbiddenError: the store is in use, the party is no prosumer, or something of it is still going on.
    """
    with alone(url) as store:
        store.remove_accounts(now)
        filed = list(store.every_document())
        own = [row for row in filed if row.owner == party]
        _refuse(store, own, party)
        others = {row.id for row in filed if row.owner != party}
        names = Names({party} | {row.id for row in own if row.kind in NAMED and row.id not in others})
        accounts = _accounts(own, party, years)
        store.keep_accounts(accounts)
        store.remove_documents([(row.kind, row.id) for row in own])
        store.put_documents([row for found in filed if (row := _without(found, names)) is not None])
        timers = {(row.subject, row.event): None for row in store.every_timer() if row.subject in names.names}
        store.set_timers(timers)
        notices = [row.seq for row in store.every_notice() if names.of_notice(row, party)]
        store.remove_notices(notices)
        store.remove_sends([row.seq for row in store.every_send() if names.of_send(row, party)])
        messages, seal = _blot(
            store,
            name,
            lambda row: names.of_message(row, party),
            lambda row: row.peer == party or names.within(row.message_id),
        )
        tokens = store.remove_tokens(party)
        if not own and not messages and not notices and not tokens:
            raise NotFoundError("nothing is stored about this party", path="party", value=party)
        told = audit.Erasure(
            documents=len(own),
            notices=len(notices),
            messages=messages,
            tokens=tokens,
            kept=len(accounts),
            seal=seal,
        )
        _journal(store, name, told, now)
        store.replace_origin(_origin(store))
    return Erased(
        erasure=name,
        documents=len(own) - len(accounts),
        messages=messages,
        notices=len(notices),
        tokens=tokens,
        accounts=len(accounts),
        until=max((row.until for row in accounts), default=None),
        kept=((WHY_ACCOUNTS,) if accounts else ()) + (WHY_AUDIT,),
    )


def trim(url: str, name: str, now: datetime, lengths: RetentionSection) -> audit.Erasure:
    """Take away what is older than these lengths of time, while no hub runs on the store; None keeps all.

    Of messages the marks stay, so that one that comes again is not worked anew. Measurements stay as long as the
    flex-offer that they were taken under is not settled.

    Raises:
        ForbiddenError: the store is in use.
    """
    journal, notices, measurements = lengths.journal, lengths.notices, lengths.measurements
    with alone(url) as store:
        gone: list[tuple[str, str]] = []
        if measurements is not None:
            filed = list(store.every_document())
            unsettled = {row.id for row in filed if row.kind == FlexOffer.__name__ and row.state in UNSETTLED}
            for row in filed:
                if row.kind != Measurement.__name__ or row.ends is None or row.ends > now - measurements:
                    continue
                if documents.upcast(Measurement, row.schema_version, row.body).offer not in unsettled:
                    gone.append((row.kind, row.id))
            store.remove_documents(gone)
        old: list[int] = []
        if notices is not None:
            old = [row.seq for row in store.every_notice() if row.created < now - notices]
            store.remove_notices(old)
            ended = [r.seq for r in store.every_send() if r.state != "waiting" and r.created < now - notices]
            store.remove_sends(ended)
        messages, seal = 0, hashlib.sha256().hexdigest()
        if journal is not None:
            messages, seal = _blot(store, name, lambda row: row.received < now - journal, lambda _: False)
        forgotten = store.remove_accounts(now)
        told = audit.Erasure(
            documents=len(gone) + forgotten, notices=len(old), messages=messages, tokens=0, kept=0, seal=seal
        )
        if gone or old or messages:
            _journal(store, name, told, now)
            store.replace_origin(_origin(store))
    return told


def _refuse(store: Erasing, own: list[DocumentRow], party: str) -> None:
    roles = {row.role for row in store.every_token() if row.party == party}
    going: list[str] = []
    for row in own:
        if row.kind == Party.__name__:
            roles |= set(documents.upcast(Party, row.schema_version, row.body).roles)
        elif row.kind == FlexOffer.__name__:
            offer = documents.upcast(FlexOffer, row.schema_version, row.body)
            if offer.state in LIVE or (offer.state is State.EXECUTED and offer.contract is not None):
                going.append(f"{offer.id} is {offer.state}")
    if party.startswith(OWN) or roles - {Role.PROSUMER}:
        raise ForbiddenError("only prosumers are erased", path="party", value=party)
    if going:
        more = f" and {len(going) - 3} more" if len(going) > 3 else ""
        message = f"cancel its flex-offers first, or wait until they are settled: {', '.join(going[:3])}{more}"
        raise ForbiddenError(message, path="party", value=party)


def _accounts(own: list[DocumentRow], party: str, years: int) -> list[AccountRow]:
    """What is kept: bills, without the names of offers, the contracts that they name, and who the party is."""
    bills = [documents.upcast(Bill, row.schema_version, row.body) for row in own if row.kind == Bill.__name__]
    if not bills:
        return []
    contracts = {bill.contract for bill in bills}
    last = max(_until(bill, years) for bill in bills)
    kept = [
        AccountRow("Bill", bill.id, party, _until(bill, years), documents.encode(_pseudonymous(bill))) for bill in bills
    ]
    kept += [
        AccountRow(row.kind, row.id, party, last, row.body)
        for row in own
        if row.kind == Party.__name__ or (row.kind == Contract.__name__ and row.id in contracts)
    ]
    return kept


def _until(bill: Bill, years: int) -> datetime:
    return datetime(bill.end.year + years + 1, 1, 1, tzinfo=UTC)


def _pseudonymous(bill: Bill) -> Bill:
    numbers: dict[str, str] = {}
    lines = tuple(
        line
        if line.offer is None
        else msgspec.structs.replace(line, offer=numbers.setdefault(line.offer, f"offer-{len(numbers) + 1}"))
        for line in bill.lines
    )
    return msgspec.structs.replace(bill, lines=lines)


def _without(row: DocumentRow, names: Names) -> DocumentRow | None:
    """A record of a planning run without what it says about the party; None where it says nothing."""
    if row.kind != PlanRecord.__name__:
        return None
    record = documents.upcast(PlanRecord, row.schema_version, row.body)
    faults = tuple(f for f in record.faults if f.offer not in names.names and not names.within(f.message))
    if faults == record.faults:
        return None
    body = documents.encode(msgspec.structs.replace(record, faults=faults))
    return row._replace(body=body, schema_version=documents.VERSION, version=0)


def _blot(
    store: Erasing, name: str, erased: Callable[[JournalRow], bool], hidden: Callable[[JournalRow], bool]
) -> tuple[int, str]:
    """Put marks in the place of messages, which hide whose they were, or not: how many, and the hash over digests."""
    seal, count = hashlib.sha256(), 0
    for row in store.every_message():
        if row.kind == audit.ERASED and hidden(row):  # trimmed before: its mark still says whose it was
            store.replace_message(row._replace(peer=name, message_id=str(row.seq)))
        if row.kind in (audit.ERASED, audit.ERASURE) or not erased(row):
            continue
        digest = audit.digest(row)
        seal.update(digest.encode())
        count += 1
        # Otherwise (peer, message_id) stays: the same message again is refused, rather than worked as a new one.
        peer, id_ = (name, str(row.seq)) if hidden(row) else (row.peer, row.message_id)
        store.replace_message(
            row._replace(
                peer=peer,
                message_id=id_,
                kind=audit.ERASED,
                conversation="",
                body=f"{name} {digest}".encode(),
                answer=b"",
            )
        )
    return count, seal.hexdigest()


def _journal(store: Erasing, name: str, told: audit.Erasure, now: datetime) -> None:
    row = JournalRow(audit.ERASER, name, audit.ERASURE, name, Role.ADMIN, msgspec.json.encode(told), now, 200, b"{}")
    block = audit.block_row(now, store.last_audit() or audit.BEGIN, (), 0, [row])
    store.add_journal([row])
    store.add_audit(block)


def _origin(store: Erasing) -> Iterator[OriginRow]:
    """What a replay begins with: where in journal and outbox, and all that there is then."""
    yield OriginRow("ends", msgspec.msgpack.encode(store.ends()))
    # Listed first: what is read must not be read from while it is written beside.
    for what, rows in (
        ("document", list(store.every_document())),
        ("timer", store.every_timer()),
        ("ask", store.every_question()),
        ("send", store.every_send()),
    ):
        for row in rows:
            yield OriginRow(what, msgspec.msgpack.encode(row))
