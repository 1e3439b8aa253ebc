"""A prosumer's data, exported and erased: what is gone, what stays and why, and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import DocumentRow, NoticeRow, SendRow, Store
from flexhub.app import erasure, retention
from flexhub.app.access import audit
from flexhub.app.config import Duration, RetentionSection
from flexhub.app.demo.day import AGGREGATOR
from flexhub.app.demo.trading import DOMAINS
from flexhub.app.exchange.papers import file_offer
from flexhub.app.export import export
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import Replayed, replay
from flexhub.core import documents
from flexhub.core.errors import FlexhubError, ForbiddenError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill
from tests.app.cli.conftest import Program
from tests.app.demo.play import usual_day
from tests.app.hub.shop import HANDLERS, Clock, hub_at, message, running
from tests.app.market import make_offer
from tests.postgres import Cluster

ANNA, BOB = "garage-22", "garage-23"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
NAME = "erased-1"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a day of the demo: offers, readings, plans and bills of 48 prosumers."""
    return usual_day(tmp_path_factory).store


@pytest.fixture
def hub(day: Path, tmp_path: Path) -> Path:
    """A copy of it, to erase in."""
    return Path(shutil.copy(day, tmp_path / "hub.db"))


def address(file: Path) -> str:
    return f"sqlite:///{file}"


def erase(file: Path, party: str = ANNA, now: datetime = NOW) -> erasure.Erased:
    return erasure.erase(address(file), party, NAME, now, 10)


def trim(file: Path, now: datetime, lengths: RetentionSection) -> retention.Trimmed:
    with closing(open_store(address(file))) as store:
        return retention.trim(store, lengths, now, pause=lambda _: None)


def filed(file: Path) -> dict[tuple[str, str], DocumentRow]:
    with closing(open_store(address(file))) as store:
        return {(row.kind, row.id): row for row in store.all_documents(("", ""), 10_000)}


def told(file: Path) -> list[NoticeRow]:
    with closing(open_store(address(file))) as store:
        return store.notices(None, 0, 100_000)


def everything(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return sorted(connection.iterdump())


def traces(party: str, file: Path) -> dict[str, bytes]:
    """What would give the party away: its ids, its name, the ids of its offers and its readings."""
    found, rows = {}, filed(file)
    others = b"".join(row.body for row in rows.values() if row.owner != party)
    for (kind, id_), row in rows.items():
        if row.owner != party or kind == Bill.__name__:
            continue
        if kind == Measurement.__name__:
            readings = msgspec.json.encode(documents.decode(Measurement, row.body).values_kwh)[1:-1]
            if len(readings) > 7 and readings not in others:  # a car that charges steadily reads like any other
                found[f"readings {id_}"] = readings
        elif kind == FlexOffer.__name__:
            found[f"offer {id_}"] = id_.encode()
    assert len(found) > 3  # an offer, and readings under it
    return found


def test_no_byte_in_the_file_gives_an_erased_party_away(hub: Path, tmp_path: Path) -> None:
    before = traces(ANNA, hub)
    assert all(trace in hub.read_bytes() for trace in before.values())
    others = traces(BOB, hub)
    erase(hub)
    left = hub.read_bytes()
    assert [what for what, trace in before.items() if trace in left] == []
    assert [what for what, trace in others.items() if trace not in left] == []
    assert [file.name for file in tmp_path.iterdir()] == [hub.name]  # nor in a log beside it
    assert ANNA.encode() in left  # in what is kept, and only there:
    with closing(sqlite3.connect(hub, isolation_level=None)) as connection:
        connection.execute("DROP TABLE account")
        connection.execute("DROP TABLE audit")
        connection.execute("VACUUM")
    assert ANNA.encode() not in hub.read_bytes()
    assert BOB.encode() in hub.read_bytes()


def left_of(row: DocumentRow, offers: set[str]) -> DocumentRow:
    """A document without these offers among those behind something that was sold, on a market or over UFTP."""
    told = json.loads(row.body)
    for behind in (told, *told.get("positions", ())) if row.kind in ("Obligation", "Selling") else ():
        if "offers" in behind:
            behind["offers"] = [offer for offer in behind["offers"] if offer not in offers]
    if row.kind == "UftpOffering":
        offering = told["offering"]
        for holder, name in ((offering, "courses"), *((offering["behind"], name) for name in offering["behind"])):
            holder[name] = [part for part in holder[name] if part["offer"] not in offers]
    return row if told == json.loads(row.body) else row._replace(body=documents.encode(told))


@pytest.mark.parametrize(("party", "where"), [(ANNA, {"UftpOffering"}), ("garage-09", {"Obligation", "Selling"})])
def test_nobody_else_notices(hub: Path, party: str, where: set[str]) -> None:
    before, notices = filed(hub), told(hub)
    done = erase(hub, party)
    mine = {id_ for (kind, id_), row in before.items() if row.owner == party and kind == FlexOffer.__name__}
    expected = {key: left_of(row, mine) for key, row in before.items() if row.owner != party}
    sold = [key for key, row in expected.items() if row != before[key]]
    left = filed(hub)
    for key in sold:  # what is edited is a new version of it, so that nobody writes over it what they read before
        assert left[key].version == before[key].version + 1
        expected[key] = expected[key]._replace(version=left[key].version)
    assert left == expected
    assert {kind for kind, _ in sold} == where, "the day names the party's offers there"
    after = told(hub)
    assert after == [row for row in notices if row in set(after)]
    assert [row for row in after if row.party not in (party, AGGREGATOR)] == [
        row for row in notices if row.party not in (party, AGGREGATOR)
    ]
    assert (len(notices) - len(after), len(before) - len(filed(hub))) == (done.notices, done.documents + done.accounts)


def test_bills_stay_apart_without_offers_until_accounts_may_go(hub: Path) -> None:
    bills = [row for row in filed(hub).values() if row.kind == Bill.__name__ and row.owner == ANNA]
    done = erase(hub)
    assert (done.until, len(done.kept)) == (datetime(2036, 1, 1, tzinfo=UTC), 2)
    with closing(open_store(address(hub))) as store:
        kept = {(row.kind, row.id): row for row in store.accounts(ANNA)}
    assert {kind for kind, _ in kept} == {"Bill", "Contract", "Party"}
    for row in bills:
        was, is_ = (documents.decode(Bill, body) for body in (row.body, kept["Bill", row.id].body))
        assert [line.amount for line in is_.lines] == [line.amount for line in was.lines]
        assert {line.offer for line in is_.lines} <= {None, "offer-1"} != {line.offer for line in was.lines}
    assert erasure.forget(address(hub), datetime(2035, 12, 31, tzinfo=UTC)) == 0
    assert erasure.forget(address(hub), datetime(2036, 1, 1, tzinfo=UTC)) == len(kept)


def test_the_audit_log_holds_and_a_forged_erasure_does_not(hub: Path, day: Path) -> None:
    erase(hub)
    erasure.erase(address(hub), BOB, "erased-2", NOW, 10)
    assert verified(hub).faults == []
    with closing(sqlite3.connect(hub)) as connection, connection:
        select = "SELECT seq, body FROM journal WHERE kind = 'erased' LIMIT 1"
        seq, body = connection.execute(select).fetchone()
    with closing(open_store(address(day))) as store:
        victim = next(row for row in store.journal(0, 1000) if row.peer == "garage-09")
    forged = f"{NAME} {audit.digest(victim)}"
    with closing(sqlite3.connect(hub)) as connection, connection:
        change = "UPDATE journal SET kind = 'erased', body = ? WHERE seq = ?"
        connection.execute(change, (forged.encode(), victim.seq))
    assert NAME in " ".join(verified(hub).faults)
    with closing(sqlite3.connect(hub)) as connection, connection:
        connection.execute(change, (body + b"0", seq))
    assert "was changed" in " ".join(verified(hub).faults)


def verified(file: Path) -> audit.Audited:
    with closing(open_store(address(file))) as store:
        return audit.verify(store)


def put_offer(file: Path, state: State, contract: str | None = None) -> None:
    offer = msgspec.structs.replace(make_offer("ongoing", ANNA), state=state, contract=contract)
    put = file_offer(offer)
    row = DocumentRow("FlexOffer", offer.id, put.owner, put.state, put.starts, put.ends, 1, documents.encode(offer))
    with closing(open_store(address(file))) as store, store.begin() as transaction:
        transaction.put_documents([row])


@pytest.mark.parametrize(
    ("state", "contract"),
    [(State.OFFERED, None), (State.ACCEPTED, "c"), (State.EXECUTING, "c"), (State.EXECUTED, "c")],
)
def test_what_is_still_going_on_is_not_erased(hub: Path, state: State, contract: str | None) -> None:
    put_offer(hub, state, contract)
    before = everything(hub)
    with pytest.raises(ForbiddenError, match=f"ongoing is {state}"):
        erase(hub)
    assert everything(hub) == before


@pytest.mark.parametrize("state", [State.CANCELED, State.EXPIRED, State.SETTLED, State.EXECUTED])
def test_what_is_over_is_erased(hub: Path, state: State) -> None:
    put_offer(hub, state)
    erase(hub)
    assert ("FlexOffer", "ongoing") not in filed(hub)


@pytest.mark.parametrize(
    ("party", "error"),
    [
        (AGGREGATOR, ForbiddenError),
        (DOMAINS["DSO"], ForbiddenError),
        ("flexhub:config", ForbiddenError),
        ("nobody", NotFoundError),
    ],
)
def test_who_is_no_prosumer_is_not_erased(hub: Path, party: str, error: type[FlexhubError]) -> None:
    before = everything(hub)
    with pytest.raises(error):
        erase(hub, party)
    assert everything(hub) == before


def test_a_store_in_use_is_left_alone(hub: Path) -> None:
    with closing(open_store(address(hub))) as store:
        store.last_notice()
        with pytest.raises(ForbiddenError, match="stop the hub first"):
            erase(hub)
    assert erase(hub).documents > 0
    with pytest.raises(NotFoundError):
        erase(hub.with_name("other.db"))
    assert not hub.with_name("other.db").exists()


async def lively(url: str) -> None:
    """A story of two parties, one of which is erased while timers and a question of the other are open."""
    clock = Clock()
    async with running(hub_at(url, clock)) as one:
        for number, (kind, box, peer) in enumerate(
            [("fill", "a", "bob"), ("fill", "b", "anna"), ("alarm", "a", "bob"), ("fill", "b", "anna")]
        ):
            await one.handle(message(kind, box, "5", id=f"before {number}", peer=peer))
            clock.forward(0.5)
    sends = [
        SendRow("dso", f"m-{n}", "x", "/", "text/xml", f"<a of='{n}'/>".encode(), "r", clock.now, clock.now)
        for n in ("anna", "bob")
    ]
    with closing(open_store(url)) as store, store.begin() as transaction:
        transaction.add_sends(sends)
    erasure.erase(url, "anna", NAME, clock.now, 10)
    with closing(open_store(url)) as store:
        assert [row.message_id for row in store.sends(0, 9)] == ["m-bob"]
    async with running(hub_at(url, clock)) as one:
        with pytest.raises(FlexhubError) as refused:  # what bob said of his own stays said
            await one.handle(message("fill", "a", "6", id="before 0", peer="bob"))
        assert refused.value.code == "reused"
        clock.forward(30)
        await one.tick()
        await one.handle(message("wonder", "a", "", id="after", peer="bob"))
        await one.handle(message("fill", "b", "1", id="again", peer="anna"))
        await one.settled()  # the answer to what was wondered is worked, too


def again(url: str, other: Path) -> Replayed:
    with closing(open_store(url)) as stored, closing(open_store(address(other))) as fresh:
        return replay(stored, fresh, office(HANDLERS, ("test.count",), holder=""))


def anna(store: Store) -> list[Any]:
    return [row for row in store.journal(0, 100) if row.peer == "anna"]


def check_lively(url: str, folder: Path) -> None:
    asyncio.run(lively(url))
    seen = again(url, folder / "again.db")
    assert (seen.differences, seen.messages) == ([], 4)
    with closing(open_store(url)) as store:
        assert [row.message_id for row in anna(store)] == ["again"]
        assert audit.verify(store).faults == []


def test_a_replay_begins_behind_an_erasure(tmp_path: Path) -> None:
    url = address(tmp_path / "hub.db")
    check_lively(url, tmp_path)
    with closing(sqlite3.connect(tmp_path / "hub.db")) as connection, connection:
        connection.execute("UPDATE document SET state = 'void' WHERE id = 'a'")
    assert {d.what for d in again(url, tmp_path / "third.db").differences} == {"document"}


def test_it_is_the_same_on_postgres(postgres: Cluster, tmp_path: Path) -> None:
    check_lively(postgres.database(), tmp_path)


NAMES = erasure.Names({"anna", "car-1"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("anna", True),
        ("offer car-1 ends at 12:00.", True),
        ("it is 'anna':", True),
        ("deadline:car-1@2026-03-01T12:00:00+00:00", True),
        ("joanna", False),
        ("car-10", False),
        ("deadline:car-10@2026-03-01T12:00:00+00:00", False),
        ("anna-lena", False),
    ],
)
def test_a_name_is_found_as_a_whole_word(text: str, found: bool) -> None:
    assert NAMES.within(text) is found


def test_what_others_write_in_words_of_their_own_is_not_taken_for_a_name() -> None:
    label = msgspec.json.encode({"id": "x", "label": "my anna car"})
    assert not NAMES.told(label, words=False)
    assert NAMES.told(label, words=True)
    assert NAMES.told(b'{"list": [{"offer": "car-1"}]}', words=False)
    assert NAMES.told(b'{"car-1": 1}', words=False)
    assert NAMES.told(b"<offer>\xff anna </offer>", words=False)


def test_an_export_has_all_of_a_party_and_nothing_of_others(hub: Path) -> None:
    with closing(open_store(address(hub))) as store:
        text = b"".join(export(store, ANNA, NOW))
        found = msgspec.json.decode(text)
        assert msgspec.json.decode(b"".join(export(store, ANNA, NOW, lines=True))) == found
        assert BOB.encode() not in text
        own = [row for row in store.all_documents(("", ""), 10_000) if row.owner == ANNA]
        assert sum(len(rows) for rows in found["documents"].values()) == len(own)
        assert all(documents.encode(msgspec.json.decode(row.body)) in text for row in own)
        assert found["index"]["messages"] == sum(row.peer == ANNA for row in store.journal(0, 10_000))
        with pytest.raises(NotFoundError):
            export(store, "nobody", NOW)
    erase(hub)
    with closing(open_store(address(hub))) as store:
        index = msgspec.json.decode(b"".join(export(store, ANNA, NOW)))["index"]
    assert {what for what, count in index.items() if count} == {"accounts", "requests"}


@pytest.fixture
def configured(hub: Path) -> Path:
    file = hub.with_name("hub.toml")
    file.write_text(f'[hub]\nname = "{AGGREGATOR}"\n[store]\nurl = "{address(hub)}"\n')
    return file


def test_the_commands_export_and_erase(flexhub: Program, configured: Path) -> None:
    options = ("-c", str(configured))
    ran = flexhub("db", "export", "--party", ANNA, *options)
    assert (ran.code, msgspec.json.decode(ran.out)["party"]) == (0, ANNA)
    ran = flexhub("db", "erase", "--party", ANNA, *options)
    assert (ran.code, ran.err) == (0, "")
    assert "kept apart until 2036-01-01" in ran.out
    assert flexhub("db", "erase", "--party", ANNA, *options).code != 0
    assert flexhub("db", "erase", *options).out.startswith("0 accounts")
    configured.write_text(configured.read_text() + f'[[party]]\nid = "{BOB}"\nroles = ["prosumer"]\n')
    ran = flexhub("db", "erase", "--party", BOB, *options)
    assert ran.code != 0
    assert "it is in the configuration" in ran.err


def test_what_is_old_is_trimmed_and_the_rest_goes_on(hub: Path, tmp_path: Path) -> None:
    with closing(open_store(address(hub))) as store:
        rows, notices = store.journal(0, 10_000), store.notices(None, 0, 100_000)
    then = rows[len(rows) // 2].received
    put_offer(hub, State.EXECUTED, "c")
    before = filed(hub)
    week = Duration(days=7)
    lengths = RetentionSection(journal=week, notices=week, measurements=week)
    done = trim(hub, then + week, lengths)
    assert 0 < done.messages == sum(row.received < then for row in rows) < len(rows)
    assert 0 < done.notices == sum(row.created < then for row in notices) < len(notices)
    after = filed(hub)
    gone = before.keys() - after.keys()
    assert 0 < len(gone) == done.documents < sum(kind == "Measurement" for kind, _ in before)
    assert all(row.ends is not None and row.ends <= then for key, row in before.items() if key in gone)
    assert verified(hub).faults == []
    assert again(address(hub), tmp_path / "again.db").differences == []
    last = trim(hub, then + week, lengths)
    assert (last.documents, last.messages, last.notices) == (0, 0, 0)


def test_readings_of_what_is_not_settled_and_all_that_has_no_length_stay(hub: Path) -> None:
    with closing(sqlite3.connect(hub)) as connection, connection:
        connection.execute("UPDATE document SET state = 'executed' WHERE kind = 'FlexOffer' AND owner = ?", (ANNA,))
    dump = everything(hub)
    assert trim(hub, NOW, RetentionSection()).messages == 0
    assert everything(hub) == dump
    trim(hub, NOW, RetentionSection(measurements=Duration(days=1)))
    assert {row.owner for row in filed(hub).values() if row.kind == Measurement.__name__} == {ANNA}


def test_marks_of_trimmed_messages_do_not_say_whose_they_were_after_an_erasure(hub: Path) -> None:
    trim(hub, NOW, RetentionSection(journal=Duration(days=1)))
    with closing(open_store(address(hub))) as store:
        assert {ANNA, BOB} <= {row.peer for row in store.journal(0, 10_000)}
    erase(hub)
    with closing(open_store(address(hub))) as store:
        rows = store.journal(0, 10_000)
    assert BOB in {row.peer for row in rows}
    assert not any(ANNA in f"{row.peer} {row.message_id} {row.conversation}" for row in rows)
    assert verified(hub).faults == []


def peak_mib(work: Callable[[], object]) -> float:
    """Memory that Python's objects take at most meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_neither_reads_everything_into_memory(tmp_path: Path) -> None:
    file, count, size = tmp_path / "hub.db", 6000, 16_000
    with closing(open_store(address(file))) as store:
        for at in range(0, count, 1000):
            rows = [
                DocumentRow("Box", f"b-{n}", "bob", "", None, None, 1, b'"%s"' % (b"x" * size))
                for n in range(at, at + 1000)
            ]
            with store.begin() as transaction:
                transaction.put_documents(rows)
        with store.begin() as transaction:
            old = datetime(2026, 1, 1, tzinfo=UTC)
            transaction.add_notices([NoticeRow(ANNA, "t", "s", b"{}", old), NoticeRow(BOB, "t", "s", b"{}", old)])
    whole = count * size / 2**20
    with closing(open_store(address(file))) as store, store.begin() as transaction:
        transaction.add_notices([NoticeRow(ANNA, "t", "s", b"{}", NOW)])
    assert peak_mib(lambda: trim(file, NOW, RetentionSection(notices=Duration(days=1)))) < whole / 2
    assert peak_mib(lambda: erase(file)) < whole / 2
    with closing(open_store(address(file))) as store:
        assert len(store.all_documents(("", ""), 2 * count)) == count
        assert sum(row.what == "document" for row in store.origin(0, 2 * count)) == count
