"""What an erased prosumer's VENs left is erased with it, whatever their venIDs, and what others' VENs left is not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.agent.ven import Ven
from flexhub.app.erasure import erase
from flexhub.app.export import export
from flexhub.core.errors import ForbiddenError
from flexhub.core.timeseries import Measurement
from flexhub.protocols.openadr2b.session.state import Target, VenSpec, VtnAgenda, VtnEvent
from tests.app.openadr.test_prosumers import NOW, SLOT, START, Chain, draft, played
from tests.app.openadr.vtn_stage import draft as simple

LATER = NOW + timedelta(days=2)


async def two_days(chain: Chain) -> None:
    """Anna and bob, a VEN each: a visit from the offer to the bill. A utility's events mean one of them, and both."""
    async with AsyncExitStack() as stack:
        vens: list[tuple[str, str, Ven]] = []
        for party, ven_id in (("anna", "heat-pump-7"), ("bob", "wallbox-8")):
            await chain.enrol(party, ven_id)
            ven = await stack.enter_async_context(chain.ven(party, ven_id))
            vens.append((party, ven_id, ven))
            await ven.post_offer(msgspec.structs.replace(draft(f"visit-{party}"), issuer=party))
        await chain.plan()
        for party, _, ven in vens:
            await ven.wait(f"visit-{party}", lambda _: True)
        chain.clock.now = START + 8 * SLOT
        await chain.settled()
        for party, ven_id, ven in vens:
            ven.now = chain.clock.now
            offer = await chain.offer(ven_id, f"visit-{party}")
            assert offer.schedule is not None
            done = offer.schedule.by_slot_kwh(900)
            first = int(START.timestamp()) // 900
            taken = tuple(done.get(first + i, 0.0) for i in range(8))
            await ven.post_measurements([Measurement(subject=party, start=START, values_kwh=taken)])
    for meant in (("heat-pump-7",), ("heat-pump-7", "wallbox-8")):
        start = NOW + timedelta(days=len(meant))
        spec = simple(start, market_context=(await chain.program()), target=Target(ven_ids=meant))
        await chain.say("vtn.event.put", "openadr events", {"event": spec})
    chain.clock.now = START + timedelta(hours=12)
    await chain.settled()
    await chain.say("settle.ask", "agr", None)


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'vtn.db'}"


def left(folder: Path) -> str:
    """All that is stored, but what the law of accounts and the audit log keep."""
    with closing(sqlite3.connect(folder / "vtn.db")) as connection:
        lines = list(connection.iterdump())
    return "\n".join(x for x in lines if not x.startswith(('INSERT INTO "account"', 'INSERT INTO "audit"')))


def test_nothing_that_a_ven_left_survives_its_party_and_others_do(tmp_path: Path) -> None:
    played(tmp_path, two_days)
    before = left(tmp_path)
    assert all(name in before for name in ("heat-pump-7", "wallbox-8", "visit-anna", "visit-bob"))
    done = erase(address(tmp_path), "anna", "erased-1", LATER, 10)
    assert done.accounts > 0
    after = left(tmp_path)
    assert [name for name in ("heat-pump-7", "visit-anna", "anna.meter") if name in after] == []
    assert all(name in after for name in ("wallbox-8", "visit-bob", "bob.meter"))
    with closing(open_store(address(tmp_path))) as store:
        rows = [row for row in store.all_documents(("", ""), 10_000) if row.kind == VtnEvent.__name__]
        targets = sorted(msgspec.json.decode(row.body)["event"]["target"]["ven_ids"] for row in rows)
        assert targets == [["erased"], ["wallbox-8"], ["wallbox-8"]], "bob's dispatch, and the utility's two"
        agenda = store.document(VtnAgenda.__name__, "vtn")
        assert agenda is not None
        assert b"openadr-offer" not in agenda.body


def test_a_venid_that_only_the_registry_knows_is_followed_too(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "heat-pump-7", ven_id_in_registry=True)
        await chain.say("vtn.ven.put", "heat-pump-7", {"id": "heat-pump-7", "ven": VenSpec(name="of nobody")})
        async with chain.ven("anna", "heat-pump-7"):
            pass

    played(tmp_path, act)
    assert "heat-pump-7" in left(tmp_path)
    erase(address(tmp_path), "anna", "erased-1", LATER, 10)
    assert "heat-pump-7" not in left(tmp_path)


def test_while_an_offer_of_its_ven_goes_on_nothing_is_erased(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "heat-pump-7")
        async with chain.ven("anna", "heat-pump-7") as ven:
            await ven.post_offer(draft())

    played(tmp_path, act)
    with pytest.raises(ForbiddenError, match="cancel its flex-offers first"):
        erase(address(tmp_path), "anna", "erased-1", LATER, 10)
    assert "heat-pump-7" in left(tmp_path)


def test_an_export_tells_what_vens_left(tmp_path: Path) -> None:
    played(tmp_path, two_days)
    with closing(open_store(address(tmp_path))) as store:
        told = json.loads(b"".join(export(store, "anna", LATER)))
    kinds = told["documents"]
    assert {"FlexOffer", "VtnVen", "VtnReport", "VtnOpt", "VtnAnswer", "VtnMetadata", "VtnOffers"} <= kinds.keys()
    assert [ven["id"] for ven in kinds["VtnVen"]] == ["heat-pump-7"]
    assert {message["kind"] for message in told["messages"]} == {"openadr.vtn.receive"}
    assert "wallbox-8" not in json.dumps({k: v for k, v in kinds.items() if k != "VtnEvent"})
