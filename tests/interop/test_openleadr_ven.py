"""openleadr's VEN against our VTN, live: it registers, polls, answers events and sends reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flexhub.app.serving import utc_now
from flexhub.protocols.openadr2b.session.state import Stage as At
from flexhub.protocols.openadr2b.session.state import VtnAnswer, VtnOpt, VtnReport, VtnVen, opt_place
from tests.app.openadr.vtn_stage import Stage, draft, stage

client: Any = import_module("openleadr.client")  # by name, since it has no types
objects: Any = import_module("openleadr.objects")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The peer warns of what it corrects by itself."""
    logger = logging.getLogger("openleadr")
    before, logger.level = logger.level, logging.CRITICAL
    yield
    logger.setLevel(before)


@asynccontextmanager
async def ven_of(on: Stage, **more: Any) -> AsyncIterator[Any]:
    """A VEN of openleadr's, whose events are noted in `seen`; it polls when it is told to."""
    ven = client.OpenADRClient(ven_name="leaf", vtn_url=f"{on.url}/OpenADR2/Simple/2.0b", **more)
    ven.seen = []

    async def answer(event: Any) -> str:
        ven.seen.append(event)
        return "optIn"

    ven.add_handler("on_event", answer)
    ven.add_handler("on_update_event", answer)
    try:
        yield ven
    finally:
        await ven.stop()


def test_it_registers_and_answers_an_event_its_change_and_its_cancel(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as on, ven_of(on) as ven:
            await ven.run()
            assert ven.registration_id
            made = await on.utility.say("vtn.event.put", {"event": draft(utc_now() + timedelta(hours=1))})
            await on.until(lambda: polled(ven, 1))
            (seen,) = ven.seen
            assert seen["event_descriptor"]["event_id"] == made["id"]
            answer = await on.hub.get(VtnAnswer, f"{made['id']}|{ven.ven_id}")
            assert answer is not None
            assert (answer.opt, answer.modification_number) == ("optIn", 0)
            changed = draft(utc_now() + timedelta(hours=2), level=2)
            await on.utility.say("vtn.event.put", {"id": made["id"], "event": changed})
            await on.until(lambda: polled(ven, 2))
            assert ven.seen[1]["event_descriptor"]["modification_number"] == 1
            await on.utility.say("vtn.event.cancel", {"id": made["id"]})
            await on.until(lambda: polled(ven, 3))
            assert ven.seen[2]["event_descriptor"]["event_status"] == "cancelled"
            known = await on.hub.get(VtnVen, ven.ven_id)
            assert known is not None
            assert known.events[made["id"]].answered == 2
            await ven._poll()  # noqa: SLF001 - its own timer's
            assert len(ven.seen) == 3, "what is answered is not sent again"

    asyncio.run(main())


async def polled(ven: Any, events: int) -> bool:
    """Poll once; whether so many events were seen."""
    await ven._poll()  # noqa: SLF001 - its own timer's
    return len(ven.seen) >= events


def test_it_sends_a_report_that_it_is_asked_for_and_cancels_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as on, ven_of(on) as ven:
            ven.add_report(
                lambda: 11.5,
                "site",
                measurement="power_real",
                report_specifier_id="s1",
                r_id="p",
                sampling_rate=timedelta(seconds=10),
            )
            await ven.run()
            ask = {"ven_id": ven.ven_id, "report": {"report_specifier_id": "s1", "r_ids": ["p"]}}
            ask["report"] |= {"granularity": "PT0S", "report_back_duration": "PT0S"}
            await on.utility.say("vtn.report.ask", ask)

            async def came() -> bool:
                await ven._poll()  # noqa: SLF001 - its own timer's
                await asyncio.sleep(0)  # its queue is another task's
                return bool((await on.hub.documents(VtnReport, owner=ven.ven_id)).items)

            await on.until(came)
            (report,) = (await on.hub.documents(VtnReport, owner=ven.ven_id)).items
            (interval,) = report.report.intervals or ()
            (payload,) = interval.stream_payload_base
            assert payload.payload_base.value == 11.5  # type: ignore[union-attr]  # what was sent is a float
            known = await on.hub.get(VtnVen, ven.ven_id)
            assert known is not None
            assert [one.stage for one in known.requests.values()] == ["done"]

    asyncio.run(main())


def test_it_registers_with_a_ven_id_opts_by_a_schedule_and_leaves_when_it_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as on, ven_of(on, ven_id="site-42") as ven:
            await on.utility.say("vtn.ven.put", {"id": "site-42", "ven": {"name": "leaf"}})
            await ven.run()
            known = await on.hub.get(VtnVen, "site-42")
            assert known is not None
            assert (known.stage, known.registration_id) == (At.REGISTERED, ven.registration_id)
            times = objects.VavailabilityComponent(dtstart=utc_now() + timedelta(days=1), duration=timedelta(hours=1))
            opt_id = await ven.create_opt(
                "optOut",
                "economic",
                [objects.Target(ven_id="site-42")],
                vavailability=objects.Vavailability(components=[times]),
            )
            assert opt_id
            opt = await on.hub.get(VtnOpt, opt_place("site-42", opt_id))
            assert opt is not None
            assert (opt.opt, [one.duration for one in opt.available]) == ("optOut", ["PT1H"])
            await on.utility.say("vtn.ven.cancel", {"id": "site-42"})

            async def left() -> bool:
                if ven.registration_id is not None:
                    await ven._poll()  # noqa: SLF001 - its own timer's
                found = await on.hub.get(VtnVen, "site-42")
                return found is not None and found.stage is At.KNOWN

            await on.until(left)

    asyncio.run(main())
