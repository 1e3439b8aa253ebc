"""The one test set of stores; every implementation passes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import (
    AskRow,
    DocumentRow,
    JournalRow,
    NoticeRow,
    Position,
    Query,
    SendRow,
    Store,
    TimerRow,
    TokenRow,
)
from flexhub.core.errors import ConfigError
from tests.postgres import Cluster

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

STORES = ("sqlite", "postgres")


def empty(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'store.db'}"
    server: Cluster = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty(request, tmp_path)


@pytest.fixture(scope="module", params=STORES)
def old_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples of a property: each uses a kind or subject of its own."""
    opened = open_store(empty(request, tmp_path_factory.mktemp("old")))
    yield opened
    opened.close()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


def message(id_: str, peer: str = "anna", body: bytes = b"\x00\xffbytes") -> JournalRow:
    return JournalRow(peer, id_, "fill", "b", "prosumer", body, NOON, 201, b"ok")


def document(id_: str, hours: float | None = None, owner: str = "anna", state: str = "open") -> DocumentRow:
    starts = None if hours is None else NOON + HOUR * hours
    return DocumentRow("Box", id_, owner, state, starts, None if starts is None else starts + HOUR, 1, id_.encode())


def ids(found: list[DocumentRow]) -> list[str]:
    return [row.id for row in found]


class BrokenError(Exception):
    """What goes wrong in the middle of a transaction."""


def test_what_was_written_is_there_after_reopening(url: str) -> None:
    store = open_store(url)
    with store.begin() as transaction:
        transaction.add_journal([message("1"), message("2")])
        transaction.put_documents([document("a", 0), document("b")])
        transaction.add_notices([NoticeRow("anna", "box", "a", b"1", NOON)])
        transaction.add_asks([AskRow("q", "slot", "count", "a", NOON)])
        transaction.set_timers({("a", "alarm"): NOON})
        transaction.add_token(TokenRow("hash", "anna", "prosumer", NOON))
    store.close()
    store = open_store(url)
    assert store.journal(0, 10) == [message("1")._replace(seq=1), message("2")._replace(seq=2)]
    assert store.journal(1, 10) == [message("2")._replace(seq=2)]
    assert store.document("Box", "a") == document("a", 0)._replace(version=1)
    assert store.document("Box", "b") == document("b")._replace(version=1)
    assert store.document("Tin", "a") is None
    assert store.notices(None, 0, 10) == [NoticeRow("anna", "box", "a", b"1", NOON, 1)]
    assert store.asks() == [AskRow("q", "slot", "count", "a", NOON)]
    assert store.due_timers(NOON, 10) == [TimerRow("a", "alarm", NOON)]
    assert store.tokens_of(["other", "hash"]) == [TokenRow("hash", "anna", "prosumer", NOON)]
    assert store.tokens_of(["other"]) == store.tokens_of([]) == []
    store.close()


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(BrokenError), store.begin() as transaction:  # noqa: PT012 - it raises at the very end
        transaction.add_journal([message("1")])
        transaction.put_documents([document("a")])
        transaction.add_notices([NoticeRow("anna", "box", "a", b"1", NOON)])
        transaction.add_asks([AskRow("q", "slot", "count", "a", NOON)])
        transaction.set_timers({("a", "alarm"): NOON})
        transaction.add_token(TokenRow("hash", "anna", "prosumer", NOON))
        raise BrokenError
    assert store.journal(0, 10) == []
    assert store.document("Box", "a") is None
    assert store.last_notice() == 0
    assert store.asks() == []
    assert store.next_due() is None
    assert store.tokens_of(["hash"]) == []


def test_readers_see_only_what_is_committed(store: Store) -> None:
    with store.begin() as transaction:
        transaction.put_documents([document("a", state="old")])
    with store.begin() as transaction, ThreadPoolExecutor(1) as other:
        transaction.put_documents([document("a", state="new")])
        seen = other.submit(store.document, "Box", "a").result(timeout=10)
        assert seen is not None
        assert seen.state == "old"
        assert transaction.documents([("Box", "a")])["Box", "a"].state == "new"
    after = store.document("Box", "a")
    assert after is not None
    assert after.state == "new"


def test_a_message_is_known_by_peer_and_id_together(store: Store) -> None:
    with store.begin() as transaction:
        transaction.add_journal([message("1"), message("1", peer="bert"), message("2")])
        found = transaction.journalled([("anna", "1"), ("bert", "2"), ("carl", "1")])
        assert found == {("anna", "1"): message("1")._replace(seq=1)}
        assert transaction.journalled([]) == {}
    with pytest.raises(Exception, match=r"(?i)unique"), store.begin() as transaction:
        transaction.add_journal([message("3"), message("1")])
    assert len(store.journal(0, 10)) == 3


def test_more_keys_than_fit_one_statement(store: Store) -> None:
    many = [str(n) for n in range(1500)]
    with store.begin() as transaction:
        transaction.add_journal([message(id_) for id_ in many])
        transaction.put_documents([document(id_) for id_ in many])
        transaction.set_timers({(id_, "alarm"): NOON for id_ in many})
        assert len(transaction.journalled([("anna", id_) for id_ in [*many, "x"]])) == 1500
        assert len(transaction.documents([("Box", id_) for id_ in [*many, "x"]])) == 1500
        assert len(transaction.timers([(id_, "alarm") for id_ in [*many, "x"]])) == 1500


def test_writing_a_document_again_replaces_it_and_counts(store: Store) -> None:
    for state in ("open", "open", "full"):
        with store.begin() as transaction:
            transaction.put_documents([document("a", 3, state=state), document("b", 4)])
    found = store.document("Box", "a")
    assert found == document("a", 3, state="full")._replace(version=3)
    assert ids(store.documents(Query("Box", states=("full",)))) == ["a"]
    assert ids(store.documents(Query("Box", states=("open",)))) == ["b"]


def test_documents_are_found_by_owner_state_and_time(store: Store) -> None:
    with store.begin() as transaction:
        transaction.put_documents(
            [
                document("late", 5),
                document("early", 1),
                document("bert's", 2, owner="bert"),
                document("full", 3, state="full"),
                document("always"),
                document("instant", 4)._replace(ends=NOON + 4 * HOUR),
                document("early", 1)._replace(kind="Tin"),
            ]
        )

    def found(query: Query) -> list[str]:
        return ids(store.documents(query))

    assert found(Query("Box")) == ["always", "early", "bert's", "full", "instant", "late"]
    assert found(Query("Tin")) == ["early"]
    assert found(Query("Box", owner="bert")) == ["bert's"]
    assert found(Query("Box", states=("full", "other"))) == ["full"]
    assert found(Query("Box", states=())) == []
    assert found(Query("Box", owner="anna", states=("open",))) == ["always", "early", "instant", "late"]
    # [from, to): what ends at `from` or starts at `to` shares no time with it; an instant at `from` lies within.
    assert found(Query("Box", overlapping=(NOON + 2 * HOUR, NOON + 4 * HOUR))) == ["always", "bert's", "full"]
    assert found(Query("Box", overlapping=(NOON + 4 * HOUR, NOON + 5 * HOUR))) == ["always", "instant"]
    assert found(Query("Box", overlapping=(NOON - HOUR, NOON))) == ["always"]


@settings(max_examples=40)
@given(
    hours=st.lists(st.sampled_from([None, 0.0, 1.0, 2.0]), max_size=12),
    limit=st.integers(1, 5),
    owner=st.sampled_from([None, "anna"]),
)
def test_pages_are_the_whole_list_cut_up(
    old_store: Store, hours: list[float | None], limit: int, owner: str | None
) -> None:
    kind = uuid.uuid4().hex
    rows = [document(f"d{n}", at, owner=("anna", "bert")[n % 2])._replace(kind=kind) for n, at in enumerate(hours)]
    with old_store.begin() as transaction:
        transaction.put_documents(rows)
    seen: list[DocumentRow] = []
    after: Position | None = None
    while page := old_store.documents(Query(kind, owner=owner, after=after, limit=limit)):
        assert len(page) <= limit
        seen += page
        after = Position(page[-1].starts, page[-1].id)
    first = datetime.min.replace(tzinfo=UTC)
    expected = sorted((row for row in rows if owner in (None, row.owner)), key=lambda r: (r.starts or first, r.id))
    assert ids(seen) == ids(expected)


def test_ids_are_in_order_of_code_points_in_lists_and_across_pages(store: Store) -> None:
    names = ["-", "10", "9", "B", "Z", "_", "a", "ab", "á", "b", "ä", "中", "🔌"]
    assert sorted(names) == names
    with store.begin() as transaction:
        transaction.put_documents(
            [document(id_, 1, state=("open", "full")[n % 2]) for n, id_ in enumerate(reversed(names))]
        )
    for states in (None, ("open", "full")):
        assert ids(store.documents(Query("Box", states=states))) == names
        for n, id_ in enumerate(names):
            after = Position(NOON + HOUR, id_)
            assert ids(store.documents(Query("Box", states=states, after=after))) == names[n + 1 :]


def test_notices_rise_and_are_read_by_party(store: Store) -> None:
    for start in (0, 3):
        with store.begin() as transaction:
            transaction.add_notices(
                [
                    NoticeRow(party, "box", "a", b"%d" % (start + n), NOON)
                    for n, party in enumerate(("anna", "bert", "anna"))
                ]
            )
    everything = store.notices(None, 0, 100)
    assert [row.body for row in everything] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert [row.seq for row in everything] == sorted({row.seq for row in everything})
    assert [row.body for row in store.notices("anna", 0, 3)] == [b"0", b"2", b"3"]
    assert [row.body for row in store.notices("anna", everything[2].seq, 100)] == [b"3", b"5"]
    assert [row.body for row in store.notices(("bert", "all"), 0, 100)] == [b"1", b"4"]
    assert store.notices(("bert", "anna"), 0, 100) == everything
    assert store.last_notice() == everything[-1].seq


def test_asks_stay_until_removed(store: Store) -> None:
    asks = [AskRow(id_, "slot", "count", "a", NOON + HOUR * n) for n, id_ in enumerate("zya")]
    with store.begin() as transaction:
        transaction.add_asks(asks)
    with store.begin() as transaction:
        transaction.remove_asks(["y", "unknown"])
    assert store.asks() == [asks[0], asks[2]]


def test_timers_are_set_moved_cleared_and_come_in_order(store: Store) -> None:
    with store.begin() as transaction:
        transaction.set_timers({("a", "x"): NOON + HOUR, ("a", "y"): NOON, ("b", "x"): NOON, ("c", "x"): NOON})
    with store.begin() as transaction:
        transaction.set_timers({("a", "x"): NOON - HOUR, ("c", "x"): None, ("nowhere", "x"): None})
        assert transaction.timers([("a", "x"), ("a", "y"), ("b", "y"), ("c", "x")]) == {
            ("a", "x"): NOON - HOUR,
            ("a", "y"): NOON,
        }
    assert store.next_due() == NOON - HOUR
    every = [TimerRow("a", "x", NOON - HOUR), TimerRow("a", "y", NOON), TimerRow("b", "x", NOON)]
    assert store.due_timers(NOON, 10) == every
    assert store.due_timers(NOON, 2) == every[:2]
    assert store.due_timers(NOON - timedelta(microseconds=1), 10) == every[:1]


def test_tokens_are_forgotten_by_party(store: Store) -> None:
    with store.begin() as transaction:
        for hash_, party in (("1", "anna"), ("2", "bert"), ("3", "anna")):
            transaction.add_token(TokenRow(hash_, party, "prosumer", NOON))
    assert [(row.party, row.hash) for row in store.tokens()] == [("anna", "1"), ("anna", "3"), ("bert", "2")]
    with store.begin() as transaction:
        assert transaction.remove_tokens("anna") == 2
    assert [row.hash for row in store.tokens()] == ["2"]
    assert [row.hash for row in store.tokens_of("123")] == ["2"]


@settings(max_examples=30)
@given(at=st.datetimes(timezones=st.just(UTC)))
def test_instants_are_kept_to_the_microsecond(old_store: Store, at: datetime) -> None:
    with old_store.begin() as transaction:
        transaction.set_timers({("a", "x"): at})
    assert old_store.next_due() == at


def test_only_known_databases_are_opened() -> None:
    with pytest.raises(ConfigError, match="sqlite:///"):
        open_store("mysql://localhost/hub")


def test_what_is_sent_again_waits_again_behind_all_others_and_what_waits_is_kept_once(store: Store) -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def add(minute: int, *ids: str, reply: str = "send") -> list[str]:
        """The ids of what waits then, in order."""
        at = begin + timedelta(minutes=minute)
        until = at + timedelta(hours=1)
        with store.begin() as transaction:
            transaction.add_sends(
                [SendRow("peer", id_, "c", "/", "text/plain", id_.encode(), reply, at, until) for id_ in ids]
            )
        return [r.message_id for r in store.sends(0, 10, "waiting")]

    assert add(0, "a", "b") == ["a", "b"]
    assert add(1, "a", "c", "c") == ["a", "b", "c"]
    with store.begin() as transaction:
        transaction.mark_sends({("peer", "a"): "sent"})
    assert add(2, "d", "a", "b", "e") == ["b", "c", "d", "a", "e"]
    assert add(3, "x", "y", reply="") == ["b", "c", "d", "a", "e", "x", "y"]
    assert add(4, "x", reply="") == ["b", "c", "d", "a", "e", "y", "x"], "nobody asks whether it still waits"
