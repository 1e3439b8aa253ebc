"""What a data provider says is journalled: the hub asks, and decides upon the answer as upon any message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from flexhub.adapters.providers.series_file import SeriesFile
from flexhub.app.hub.contract import ENGINE, Answer, Decision, Key, Message, Put, Question, Reads, View
from flexhub.core.documents import decode, encode
from flexhub.core.effects import Ask
from flexhub.core.timeseries import SeriesKind, TimeSeries
from tests.app.hub.shop import NOON, hub, message

KNOWN = TimeSeries(subject="price", kind=SeriesKind.MEASUREMENT, start=NOON, values_kwh=(0.5, None, 2.0))


class Look:
    """Asks the provider about the conversation's subject."""

    def needs(self, _message: Message) -> Iterable[Key]:
        return ()

    def decide(self, message: Message, _view: View, _now: datetime) -> Decision:
        asks = Ask(slot="provider", question="fetch", subject=message.conversation)
        return Decision(answer=Answer(status=202), effects=(asks,))


class Keep:
    """Keeps what the provider said."""

    def needs(self, _message: Message) -> Iterable[Key]:
        return ()

    def decide(self, message: Message, _view: View, _now: datetime) -> Decision:
        series = decode(TimeSeries, message.body)
        put = Put(key=Key(TimeSeries, series.subject), value=series, owner="nobody")
        return Decision(answer=Answer(status=200), puts=(put,))


class Fetch:
    """Has the provider say what the next four quarter-hours bring."""

    def __init__(self, file: Path) -> None:
        self._provider = SeriesFile(file)

    async def gather(self, question: Question, _reads: Reads, now: datetime) -> tuple[str, datetime]:
        return question.subject, now

    def answer(self, arguments: tuple[str, datetime]) -> TimeSeries:
        return self._provider.fetch(*arguments, 4)


def test_a_providers_answer_is_journalled_and_decided_upon(tmp_path: Path) -> None:
    file = tmp_path / "series.jsonl"
    file.write_bytes(encode(KNOWN))

    async def story() -> None:
        h = hub(
            tmp_path,
            askers={"provider.fetch": Fetch(file)},
            handlers={"look": Look(), "fetch.result": Keep(), "fetch.failed": Keep()},
        )
        await h.start(timers=False)
        try:
            await h.handle(message("look", "price", id="1"))
            await asyncio.wait_for(h.settled(), 30)
            kept = await h.get(TimeSeries, "price")
            journalled = [m for m in h.store.journal(0, 10) if m.peer == ENGINE]
        finally:
            await h.stop()
            h.store.close()
        assert kept is not None
        assert (kept.start, kept.values_kwh) == (NOON, (0.5, None, 2.0, None))
        assert [(m.kind, decode(TimeSeries, m.body)) for m in journalled] == [("fetch.result", kept)]

    asyncio.run(story())
