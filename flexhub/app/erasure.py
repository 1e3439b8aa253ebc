"""The removal of all that is stored about a party (GDPR article 17); `export` tells it before.

What is erased: documents, journalled messages, notices, timers and tokens, wherever they name the party or something
of its own (connections, resources, offers, contracts, VENs and what they left). In the journal stands for each message
a mark with its digest, so that the audit log's chain still holds; a replay begins with what is there after the erasure.

What stays: bills, the contracts that they name and whom they were paid to, apart from all else, until the law of
accounts lets them go; and the audit log, which is there to show afterwards who did what.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from flexhub.adapters.store.erasing import Erasing, alone
from flexhub.adapters.store.interface import AccountRow, DocumentRow, JournalRow, NoticeRow, SendRow
from flexhub.app.access import audit
from flexhub.app.exchange.auction import Deal, Entry, Round
from flexhub.app.exchange.papers import LIVE, Held, Holding, Membership, PlanRecord
from flexhub.app.exchange.pseudonyms import Secret
from flexhub.app.exchange.running import Cadence
from flexhub.app.exchange.selling import Position, Selling
from flexhub.app.exchange.sold import Obligation
from flexhub.app.hub import origin
from flexhub.app.hub.told import Cursor
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.vtn.handlers import PEER, place
from flexhub.app.openadr.vtn.owners import VEN, vens_of
from flexhub.app.openadr.vtn.papers import VtnOffers, VtnPushed
from flexhub.app.uftp.cro import UftpConnection, UftpPoint, UftpPortfolio
from flexhub.app.uftp.papers import UftpAgreed, UftpMessage, UftpOrderPlaces, UftpOrders, UftpRevision, UftpTest
from flexhub.app.uftp.trading.papers import UftpDay, UftpOffering, UftpReckoned, UftpTrade
from flexhub.core import documents
from flexhub.core.errors import ForbiddenError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import Measurement, TimeSeries
from flexhub.core.trading import Bill, Contract, FlexRequest, Order
from flexhub.engines.slots import Assignment
from flexhub.protocols.openadr2b.session import state as vtn

Sold = TypeVar("Sold", Obligation, Position)

PAGE: Final = 1000
OWN: Final = "flexhub:"
"""What the names of the hub's own peers begin with; what they say in words names parties and offers, too."""


class Fate(enum.StrEnum):
    """What an erasure makes of documents of a kind. All but `STAYS` are exported where the party owns them."""

    NAMED = "removed with their owner, whose they are wherever their ids stand"
    OWNED = "removed with their owner"
    EDITED = "lose what they say about the party"
    STAYS = "say nothing about a prosumer"


def _faults_kept(record: PlanRecord, names: Names) -> PlanRecord:
    faults = tuple(f for f in record.faults if f.offer not in names.names and not names.within(f.message))
    return msgspec.structs.replace(record, faults=faults)


def _sold_kept(sold: Sold, names: Names) -> Sold:
    return msgspec.structs.replace(sold, offers=tuple(o for o in sold.offers if o not in names.names))


def _positions_kept(selling: Selling, names: Names) -> Selling:
    return msgspec.structs.replace(selling, positions=tuple(_sold_kept(p, names) for p in selling.positions))


def _held_kept(held: Held, names: Names) -> Held:
    return msgspec.structs.replace(held, offers={i: h for i, h in held.offers.items() if i not in names.names})


def _members_kept(kept: UftpOffering, names: Names) -> UftpOffering:
    def others(parts: Iterable[Assignment]) -> tuple[Assignment, ...]:
        return tuple(part for part in parts if part.offer not in names.names)

    offering = kept.offering
    behind = {reference: others(parts) for reference, parts in offering.behind.items()}
    offering = msgspec.structs.replace(offering, courses=others(offering.courses), behind=behind)
    faults = tuple(f for f in kept.faults if f.offer not in names.names and not names.within(f.message))
    return msgspec.structs.replace(kept, offering=offering, faults=faults)


def _pushed_kept(kept: VtnPushed, names: Names) -> VtnPushed:
    return msgspec.structs.replace(kept, ven_ids=tuple(i for i in kept.ven_ids if i not in names.names))


def _agenda_kept(kept: vtn.VtnAgenda, names: Names) -> vtn.VtnAgenda:
    return msgspec.structs.replace(kept, events=tuple(i for i in kept.events if i not in names.names))


def _event_kept(kept: vtn.VtnEvent, names: Names) -> vtn.VtnEvent:
    """Of a utility's event: whom of those that are erased it means. What meant nobody else does not mean everybody."""
    target = kept.event.target
    others = tuple(i for i in target.ven_ids if i not in names.names)
    if others == target.ven_ids:
        return kept
    target = msgspec.structs.replace(target, ven_ids=others)
    if target.everybody:
        target = msgspec.structs.replace(target, ven_ids=(NOBODY,))
    return msgspec.structs.replace(kept, event=msgspec.structs.replace(kept.event, target=target))


NOBODY: Final = "erased"
"""A venID that no VEN has."""

EDITS: Final[dict[type[msgspec.Struct], Callable[[Any, Names], msgspec.Struct]]] = {
    PlanRecord: _faults_kept,
    Obligation: _sold_kept,
    Selling: _positions_kept,
    Held: _held_kept,
    UftpOffering: _members_kept,
    VtnPushed: _pushed_kept,
    vtn.VtnAgenda: _agenda_kept,
    vtn.VtnEvent: _event_kept,
}
"""What is left of a document that says something about an erased party: runs of planning, what was sold, events."""

KINDS: Final[dict[type, Fate]] = {
    Party: Fate.NAMED,
    Connection: Fate.NAMED,
    Resource: Fate.NAMED,
    Holding: Fate.NAMED,
    FlexOffer: Fate.NAMED,
    Contract: Fate.NAMED,
    Membership: Fate.NAMED,
    Bill: Fate.NAMED,
    Measurement: Fate.OWNED,
    FlexRequest: Fate.OWNED,
    Tariff: Fate.OWNED,
    OpenadrVen: Fate.STAYS,
    Entry: Fate.OWNED,
    Deal: Fate.OWNED,
    **dict.fromkeys(EDITS, Fate.EDITED),
    Cursor: Fate.OWNED,
    Order: Fate.OWNED,
    TimeSeries: Fate.OWNED,
    UftpMessage: Fate.STAYS,
    UftpRevision: Fate.STAYS,
    UftpTest: Fate.STAYS,
    UftpOrders: Fate.STAYS,
    UftpOrderPlaces: Fate.STAYS,
    UftpConnection: Fate.STAYS,
    UftpPoint: Fate.STAYS,
    UftpPortfolio: Fate.STAYS,
    UftpReckoned: Fate.STAYS,
    vtn.VtnVen: Fate.OWNED,
    vtn.VtnCertificate: Fate.OWNED,
    vtn.VtnMetadata: Fate.OWNED,
    vtn.VtnAnswer: Fate.OWNED,
    vtn.VtnOpt: Fate.OWNED,
    vtn.VtnReport: Fate.OWNED,
    VtnOffers: Fate.OWNED,
    vtn.VtnProgram: Fate.STAYS,
    UftpAgreed: Fate.STAYS,
    UftpTrade: Fate.STAYS,
    UftpDay: Fate.STAYS,
    Round: Fate.STAYS,
    Cadence: Fate.STAYS,
    Secret: Fate.STAYS,
}
"""Every kind of document that the hub stores; a test sees to it that none is missing."""

STAYING: Final = frozenset(kind.__name__ for kind, fate in KINDS.items() if fate is Fate.STAYS)
"""Kinds of documents that no prosumer owns; who owns one, such as a domain of UFTP, takes part in business."""

NAMED: Final = frozenset(kind.__name__ for kind, fate in KINDS.items() if fate is Fate.NAMED)
"""Kinds of documents whose ids mean their owner wherever they stand."""

PAPERS: Final = tuple(kind.__name__ for kind in (Party, Contract, Bill))
"""Kinds of documents that the law of accounts may keep."""

MARKS: Final = (audit.ERASED, audit.ERASURE)
"""Kinds of messages that stay: they stand for others, or tell of them."""

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

    def of_message(self, row: JournalRow, own: Collection[str]) -> bool:
        """Whether a message is the party's, or about it; `own` are the peers that it is."""
        if row.peer in own or row.conversation in self.names:
            return True
        ours = row.peer.startswith(OWN)
        if ours and (self.within(row.message_id) or self.within(row.conversation)):
            return True
        return self.told(row.body, words=ours) or self.told(row.answer, words=ours)

    def of_notice(self, row: NoticeRow, party: str) -> bool:
        """Whether a notice is to the party, or about it."""
        return row.party == party or row.subject in self.names or self.told(row.body, words=False)

    def of_send(self, row: SendRow, own: Collection[str]) -> bool:
        """Whether a message that the hub sends is to the party, or about it."""
        return row.peer in own or row.conversation in self.names or self.told(row.body, words=True)


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
        vens = vens_of(party, chain(store.every_document(owner=party), store.every_document(kind=VEN)))
        own = _look(store, party, vens)
        _refuse(store, own, party)
        names = Names({party} | own.names)
        peers = {party, *vens, *(PEER + ven for ven in vens)}
        accounts = _accounts(own, party, years)
        store.keep_accounts(accounts)
        documents_gone = sum(
            store.remove_documents(row_key(row) for row in store.every_document(owner=owner))
            for owner in (party, *vens)
        )
        for kind, edit in EDITS.items():
            for row in store.every_document(kind=kind.__name__):
                without = _without(row, kind, edit, names)
                if without is not None:
                    store.put_documents([without])
        timers = {(row.subject, row.event): None for row in store.every_timer() if row.subject in names.names}
        store.set_timers(timers)
        notices = [row.seq for row in store.every_notice() if names.of_notice(row, party)]
        store.remove_notices(notices)
        store.remove_sends([row.seq for row in store.every_send() if names.of_send(row, peers)])
        messages, seal = _blot(store, name, names, peers)
        tokens = store.remove_tokens(party)
        if not documents_gone and not messages and not notices and not tokens:
            raise NotFoundError("nothing is stored about this party", path="party", value=party)
        told = audit.Erasure(
            documents=documents_gone,
            notices=len(notices),
            messages=messages,
            tokens=tokens,
            kept=len(accounts),
            seal=seal,
        )
        journal(store, name, told, now)
        _begin_anew(store)
    return Erased(
        erasure=name,
        documents=documents_gone - len(accounts),
        messages=messages,
        notices=len(notices),
        tokens=tokens,
        accounts=len(accounts),
        until=max((row.until for row in accounts), default=None),
        kept=((WHY_ACCOUNTS,) if accounts else ()) + (WHY_AUDIT,),
    )


def row_key(row: DocumentRow) -> tuple[str, str, int]:
    """What names this state of a document."""
    return row.kind, row.id, row.version


class _Own(NamedTuple):
    """What is to be known of a party's documents: its roles, what still goes on, names, what may be kept, and kinds."""

    roles: set[str]
    going: list[str]
    names: set[str]
    papers: list[DocumentRow]
    kinds: set[str]


def _look(store: Erasing, party: str, vens: Iterable[str]) -> _Own:
    """Look through a party's documents; ids that others' documents have, too, are no names of it."""
    own = _Own(set(), [], set(), [], set())
    for ven in vens:
        own.names.update((ven, place(ven)), (row.id for row in store.every_document(owner=ven)))
    for row in store.every_document(owner=party):
        own.kinds.add(row.kind)
        if row.kind in NAMED:
            own.names.add(row.id)
        if row.kind in PAPERS:
            own.papers.append(row)
        if row.kind == Party.__name__:
            own.roles.update(documents.upcast(Party, row.schema_version, row.body).roles)
        elif row.kind == FlexOffer.__name__:
            offer = documents.upcast(FlexOffer, row.schema_version, row.body)
            if offer.state in LIVE or (offer.state is State.EXECUTED and offer.contract is not None):
                own.going.append(f"{offer.id} is {offer.state}")
    if own.names:
        owners = {party, *vens}
        own.names.difference_update(row.id for row in store.every_document() if row.owner not in owners)
    return own


def _refuse(store: Erasing, own: _Own, party: str) -> None:
    roles, going = {row.role for row in store.every_token() if row.party == party} | own.roles, own.going
    if party.startswith(OWN) or roles - {Role.PROSUMER} or own.kinds & STAYING:
        raise ForbiddenError("only prosumers are erased", path="party", value=party)
    if going:
        more = f" and {len(going) - 3} more" if len(going) > 3 else ""
        message = f"cancel its flex-offers first, or wait until they are settled: {', '.join(going[:3])}{more}"
        raise ForbiddenError(message, path="party", value=party)


def _accounts(own: _Own, party: str, years: int) -> list[AccountRow]:
    """What is kept: bills, without the names of offers, the contracts that they name, and who the party is."""
    bills = [documents.upcast(Bill, row.schema_version, row.body) for row in own.papers if row.kind == Bill.__name__]
    if not bills:
        return []
    contracts = {bill.contract for bill in bills}
    last = max(_until(bill, years) for bill in bills)
    kept = [
        AccountRow("Bill", bill.id, party, _until(bill, years), documents.encode(_pseudonymous(bill))) for bill in bills
    ]
    kept += [
        AccountRow(row.kind, row.id, party, last, row.body)
        for row in own.papers
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


def _without(
    row: DocumentRow, kind: type[msgspec.Struct], edit: Callable[[Any, Names], msgspec.Struct], names: Names
) -> DocumentRow | None:
    """A document without what it says about the party; None where it says nothing."""
    found = documents.upcast(kind, row.schema_version, row.body)
    kept = edit(found, names)
    if kept == found:
        return None
    return row._replace(body=documents.encode(kept), schema_version=documents.VERSION, version=0)


def _blot(store: Erasing, name: str, names: Names, peers: Collection[str]) -> tuple[int, str]:
    """Put marks in the place of messages of a party or about it: how many, and the hash over digests.

    Those of its own hide whose they were.
    """
    seal, count = hashlib.sha256(), 0
    for row in store.every_message():
        hidden = row.peer in peers or names.within(row.message_id)
        if row.kind == audit.ERASED and hidden:  # trimmed before: its mark still says whose it was
            store.replace_messages([row._replace(peer=name, message_id=str(row.seq))])
        if row.kind in MARKS or not names.of_message(row, peers):
            continue
        digest = audit.digest(row)
        seal.update(digest.encode())
        count += 1
        # Otherwise (peer, message_id) stays: the same message again is refused, rather than worked as a new one.
        hider = row._replace(peer=name, message_id=str(row.seq)) if hidden else row
        store.replace_messages([mark(hider, name, digest)])
    return count, seal.hexdigest()


def mark(row: JournalRow, name: str, digest: str) -> JournalRow:
    """What stands in a message's place: by which erasure it went (`name`), and its digest."""
    return row._replace(kind=audit.ERASED, conversation="", body=f"{name} {digest}".encode(), answer=b"")


def journal(store: Erasing, name: str, told: audit.Erasure, now: datetime) -> None:
    """Say what was erased, in the journal and so in the audit log."""
    row = JournalRow(audit.ERASER, name, audit.ERASURE, name, Role.ADMIN, msgspec.json.encode(told), now, 200, b"{}")
    before = store.last_audit() or audit.BEGIN
    store.add_journal([row])
    store.add_audit(audit.block_row(now, before, (), 0, [row]))


def _begin_anew(store: Erasing) -> None:
    """Have a replay begin with what there is now."""
    generation = store.begin_origin()
    store.add_origin(generation, origin.parts(store))
    store.add_origin(generation, [origin.ends(store)])
    while store.remove_stale_origin(PAGE):
        pass
