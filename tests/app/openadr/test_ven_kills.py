"""A VEN as the program that it is, killed again and again: what it told its VTN stands, and nothing is said anew."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from flexhub.adapters.store import open_store
from flexhub.app.config import load
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.ven.settings import document_id
from flexhub.core.documents import decode
from flexhub.core.timegrid import ceil_to_grid
from flexhub.core.trading import FlexRequest
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import Message, OadrEvent
from flexhub.protocols.openadr2b.names import EventStatus
from flexhub.protocols.openadr2b.session.ven_state import State
from tests.app.again import replayed
from tests.app.openadr.test_ven import answers
from tests.app.openadr.vtn import Vtn, serving
from tests.app.uftp.test_kills import Program
from tests.protocols.test_openadr2b_ven import asks, event, request

MOST_EVENTS = 12
TEXT = """
pages = false
[hub]
name = "agr"
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/hub.db"
[[openadr.ven]]
name = "utility"
vtn = "{url}"
congestion_point = "feeder"
levels = ["4 kW", "8 kW", "16 kW"]
opt = "in"
[[openadr.ven.report]]
subject = "meter"
"""


class Asking(Vtn):
    """Asks for reports poll by poll until it has heard that they are pending, as it does of events."""

    def __init__(self) -> None:
        super().__init__()
        self._poll = "PT1S"
        self.asked: dict[str, wire.OadrCreateReport] = {}
        self.pending: set[str] = set()

    def tell(self, *events: OadrEvent) -> None:
        """As any VTN does, which says what holds now and no longer what held before."""
        self.queue.clear()
        super().tell(*events)

    def ask(self, name: str, start: datetime) -> None:
        """For a report from then on, which is not due before the test is over."""
        (specifier,) = (r.report_specifier_id for r in self.of(wire.OadrRegisterReport)[0].oadr_reports[:1])
        point = self.of(wire.OadrRegisterReport)[0].oadr_reports[0].oadr_report_descriptions[0].r_id
        self.asked[name] = asks(request(name, specifier, point=point, interval=(start, "PT0S")))

    def answer(self, message: Message) -> Message:
        """As any VTN does."""
        if isinstance(message, wire.OadrCreatedReport):
            assert message.ei_response.response_code == "200"
            self.pending |= set(message.oadr_pending_reports)
        open_ = [ask for name, ask in self.asked.items() if name not in self.pending]
        if isinstance(message, wire.OadrPoll) and open_ and not self.queue:
            return open_[0]
        return super().answer(message)


@pytest.mark.timeout(600)  # a hub takes its time to start where the machine is busy
@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_killed_at_any_moment_what_it_told_stands_and_nothing_is_said_anew(tmp_path: Path, kills: int) -> None:
    """Killed while it registers, polls, answers and takes requests of reports; each time its store is looked at."""
    dice = Random(7)  # noqa: S311 - moments, no secret
    start = ceil_to_grid(datetime.now(UTC) + timedelta(hours=4), 900)
    vtn, hub = Asking(), Program(tmp_path, "hub")
    events: dict[str, OadrEvent] = {}

    def change(n: int) -> None:
        """Another event, and of each third one a change; a request for a report."""
        name = f"e-{n % MOST_EVENTS}"
        number = n // MOST_EVENTS
        at = start + n % MOST_EVENTS * timedelta(hours=1)
        events[name] = event(name, number, start=at, level=float(1 + n % 3))
        vtn.tell(*events.values())
        if vtn.of(wire.OadrRegisterReport):
            vtn.ask(f"q-{n}", start)

    async def main() -> None:
        registrations: int | None = None
        async with serving(vtn):
            (tmp_path / "hub.toml").write_text(TEXT.format(folder=tmp_path, url=vtn.url))
            for kill in range(kills):
                await asyncio.to_thread(hub.start)
                change(kill)
                await asyncio.sleep(dice.uniform(0.0, 1.5))
                hub.kill()
                state = stands(vtn, tmp_path)
                if registrations is not None:
                    assert len(vtn.of(wire.OadrCreatePartyRegistration)) == registrations, "it is registered already"
                if state.registered:
                    registrations = len(vtn.of(wire.OadrCreatePartyRegistration))
            change(kills)
            events["e-0"] = event("e-0", kills, EventStatus.CANCELLED, start=start)
            vtn.tell(*events.values())
            await asyncio.to_thread(hub.start)
            wanted = {(name, one.ei_event.event_descriptor.modification_number) for name, one in events.items()}
            async with asyncio.timeout(60):
                while not (  # noqa: ASYNC110 - another process
                    wanted <= {(name, number) for name, number, _, _ in answers(vtn)} and vtn.pending == set(vtn.asked)
                ):
                    await asyncio.sleep(0.05)
            hub.kill()

    asyncio.run(main())
    state = stands(vtn, tmp_path)
    assert state.events.keys() == events.keys()
    assert state.wanted.keys() == vtn.asked.keys()
    assert {code for _, _, code, _ in answers(vtn)} == {"200"}
    with closing(open_store(f"sqlite:///{tmp_path}/hub.db")) as store:
        for name in events:
            row = store.document("FlexRequest", document_id("event", "utility", name))
            assert row is not None or name == "e-0", "the one that was called off may never have been taken"
            if row is not None:
                assert (decode(FlexRequest, row.body).expires > datetime.now(UTC)) == (name != "e-0")
    replayed(load(tmp_path / "hub.toml", {}), f"sqlite:///{tmp_path}/hub.db")


def stands(vtn: Asking, folder: Path) -> State:
    """What the hub's store has of the VTN, once it is dead: at least all that the VTN was told."""
    with closing(open_store(f"sqlite:///{folder}/hub.db")) as store:
        row = store.document("OpenadrVen", "utility")
        state = State() if row is None else decode(OpenadrVen, row.body).state
        if vtn.polls or len(vtn.heard) > 2:  # beyond the query and the registration
            assert (state.ven_id, state.registration_id) == (vtn.ven_id, vtn.registration_id)
        assert vtn.pending <= state.wanted.keys()
        for name, number, code, opt in answers(vtn):
            assert code == "200"
            held = state.events[name]
            assert held.number >= number
            if held.number == number:
                assert held.opt is not None
                assert held.opt.value == opt
    return state
