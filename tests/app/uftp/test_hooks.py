"""Somebody's own hooks, which answer in the transaction of what they answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import msgspec
import pytest

from flexhub.app.hub.loop import Hub
from flexhub.app.uftp.hooks import Case, Work
from flexhub.app.uftp.participants import metadata
from flexhub.app.uftp.roles import FileOffer, FileRequest
from flexhub.app.uftp.running import hooks_of
from flexhub.core.errors import ConfigError, EngineError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.trading import FlexRequest, Order
from flexhub.engines import plugins
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import text_of
from tests.app.uftp import stage as s
from tests.app.uftp.stage import config, kept, offer, order, post, request, sealed, until
from tests.app.uftp.test_conversations import play, same_again

NAMED = 'hooks = "prompt"'


def _of(case: Case, **more: object) -> dict[str, object]:
    m = case.message
    return metadata(case.own.domain, m.sender_domain, case.now, seed=case.seed, conversation=m.conversation_id) | more


class Offering(FileRequest):
    """Offers what is asked, at once."""

    def work(self, case: Case) -> Work:
        assert isinstance(case.message, wire.FlexRequest)
        fields = _of(case, expiration_date_time=text_of(case.now + timedelta(hours=20)))
        made = msgspec.structs.replace(offer(case.message), **fields)
        return super().work(case)._replace(sends=(made,))


class Ordering(FileOffer):
    """Orders what is offered, at once."""

    times = 1

    def work(self, case: Case) -> Work:
        assert isinstance(case.message, wire.FlexOffer)
        first = msgspec.structs.replace(order(case.message), **_of(case))
        more = msgspec.structs.replace(first, message_id=first.conversation_id)
        return super().work(case)._replace(sends=(first, more)[: self.times])


class OrderingTwice(Ordering):
    """What no rule allows."""

    times = 2


PROMPT = {wire.FlexRequest: Offering(), wire.FlexOffer: Ordering()}
RASH = {wire.FlexOffer: OrderingTwice()}


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have the plugin ``prompt`` installed, with this target."""

    def installed(target: str) -> None:
        point = EntryPoint("prompt", target, "flexhub.uftp")
        monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])

    return installed


def test_a_request_is_offered_and_an_offer_ordered_without_anybody_else(
    plug: Callable[[str], None], tmp_path: Path
) -> None:
    plug(f"{__name__}:PROMPT")

    async def story() -> None:
        async with s.stage(tmp_path, "agr", "dso", side=NAMED) as there:
            agr, dso = there.hub("agr"), there.hub("dso")
            asked = request()
            await s.send(dso, asked)
            (told,) = await until(lambda: [row for row in dso.store.notices("dso", 0, 100) if b"Order" in row.body])
            assert b'"result":"Accepted"' in told.body
            for hub, kind in ((agr, FlexRequest), (dso, FlexOffer), (agr, Order)):
                assert len((await hub.documents(kind)).items) == 1
            for hub in (agr, dso):
                await until(partial(_sent, hub))
            sent = [hub.store.sends(0, 100) for hub in (agr, dso)]
            assert [[row.reply_kind for row in rows] for rows in sent] == [
                ["", "uftp.sent", ""],  # the answer to the request, the offer, the answer to the order
                ["uftp.sent", "", "uftp.sent"],
            ], "the answer goes before what follows from it"

    play(story())
    for name in ("agr", "dso"):
        same_again(tmp_path, name, side=NAMED)


def _sent(hub: Hub) -> bool:
    return all(row.state == "sent" for row in hub.store.sends(0, 100))


def test_hooks_that_break_a_rule_change_nothing(plug: Callable[[str], None], tmp_path: Path) -> None:
    plug(f"{__name__}:RASH")

    async def story() -> None:
        async with s.stage(tmp_path, "agr", "dso", side=NAMED) as there:
            dso, asked = there.hub("dso"), request()
            await s.send(dso, asked)
            await s.answered(dso, "dso", "agr", asked)
            await until(partial(_sent, dso))
            before = dso.store.journal(0, 100), dso.store.sends(0, 100)
            # An order of an offer is fine, a second one is not: so there is neither, nor the offer.
            offered = offer(asked)
            assert await post(there.ports["dso"], sealed(offered, "agr")) >= 400
            assert kept(dso, "dso", "agr", offered) is None
            assert (dso.store.journal(0, 100), dso.store.sends(0, 100)) == before

    play(story())


def test_hooks_are_named_or_refused(plug: Callable[[str], None], tmp_path: Path) -> None:
    s.publish(tmp_path, {"agr": 1})
    plug(f"{__name__}:PROMPT")
    assert hooks_of(config(tmp_path, "agr", 1)) == {}
    assert hooks_of(config(tmp_path, "agr", 1, side=NAMED)) is PROMPT
    with pytest.raises(ConfigError, match="allowed: prompt") as failure:
        hooks_of(config(tmp_path, "agr", 1, side='hooks = "nonesuch"'))
    assert failure.value.path == "uftp/hooks"
    plug(f"{__name__}:NAMED")
    with pytest.raises(ConfigError, match="no hooks"):
        hooks_of(config(tmp_path, "agr", 1, side=NAMED))
    plug("no.such.module:X")
    with pytest.raises(EngineError, match="ModuleNotFoundError"):
        hooks_of(config(tmp_path, "agr", 1, side=NAMED))
