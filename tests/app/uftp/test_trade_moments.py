"""When things are done about a day, what is configured, and what a DSO needs of several AGRs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.config import Config, parse
from flexhub.app.uftp.outgoing import What
from flexhub.app.uftp.trading.demand import ChooseAsker, Grid, RequestAsker
from flexhub.app.uftp.trading.papers import Subject, UftpDay, UftpTrade, end_of
from flexhub.app.uftp.trading.reading import Said
from flexhub.app.uftp.trading.running import MOMENTS, trades
from flexhub.core.errors import ConfigError
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.mappings.uftp.requests import prognosis_to_wire
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Entry, Stage
from tests.app.uftp import stage as s
from tests.app.uftp import trade as t

ZONES = ("Europe/Amsterdam", "America/Los_Angeles", "Australia/Lord_Howe", "UTC")
MOMENT_OF = {moment.what: (role, moment) for role, several in MOMENTS.items() for moment in several}
LENGTHS = st.timedeltas(timedelta(minutes=1), timedelta(days=3)).map(
    lambda x: timedelta(seconds=int(x.total_seconds()))
)


def traded(role: wire.Role, zone: str = "Europe/Amsterdam", **more: object) -> UftpTrade:
    domain = f"{role.lower()}.example.com"
    fields = {"domain": domain, "role": role, "party": "us", "point": s.POINT, "partners": ("x.example.com",)}
    return UftpTrade(**fields, zone=zone, **more)  # type: ignore[arg-type] # its own fields


@given(
    st.sampled_from(sorted(MOMENT_OF)),
    st.sampled_from(ZONES),
    LENGTHS,
    st.datetimes(datetime(2026, 3, 20), datetime(2026, 11, 10)),  # noqa: DTZ001 - made aware below
)
def test_every_day_has_each_moment_once_whatever_the_clock_does(
    what: What, zone: str, length: timedelta, begin: datetime
) -> None:
    role, moment = MOMENT_OF[what]
    name = {What.PROGNOSIS: "prognosis_before", What.METERING: "metering_after", What.SETTLEMENT: "settle_after"}[what]
    trade = traded(role, zone, **{name: length})
    now, days = begin.replace(tzinfo=UTC), []
    for _ in range(5):
        due = moment.timer(trade, now).due
        assert due is not None
        assert due > now
        whole = moment.of(trade, due)
        assert whole is not None
        assert moment.due(trade, whole) == due
        days.append(whole)
        now = due
    for one, next_ in pairwise(days):
        assert end_of(one) == next_.first, "none is left out"


def test_a_moment_that_is_not_configured_never_comes() -> None:
    for role, moment in MOMENT_OF.values():
        timer = moment.timer(traded(role), t.MORNING)
        assert timer.due is None
        assert moment.of(traded(role), t.MORNING) is None


@given(st.text("|ean.12", max_size=20))
def test_a_subject_is_read_as_it_is_written(point: str) -> None:
    subject = Subject("AGR.agr.example.com", "dso.example.com", t.DAY, point)
    assert Subject.of(subject.text) == subject


def configured(folder: Path, was: str, now: str, name: str = "dso") -> Config:
    told = t.text(folder, name, 8081)
    assert was in told
    return parse(told.replace(was, now))


@pytest.mark.parametrize(
    ("name", "was", "now", "why"),
    [
        ("agr", "roles = ['aggregator']", "roles = []", "the role aggregator is needed"),
        ("dso", 'highest_price = "0.50 EUR/kWh"', "", "go together"),
        ("dso", 'answer_within = "PT4H"', 'choose_after = "PT5H"\nanswer_within = "PT4H"', "no longer be ordered"),
        ("dso", 'limit = "9 kW"', 'limit = "9 kW"\nreserve = "9 kW"', "less than the limit"),
        ("dso", 'role = "DSO"', 'role = "AGR"', "no participants"),
        ("dso", 'time_zone = "Europe/Amsterdam"', "", "needs a time_zone"),
        ("agr", '["dso.example.com"]', '["dso.example.com", "other.example.com"]', "has one DSO"),
    ],
)
def test_what_cannot_be_traded_is_refused(tmp_path: Path, name: str, was: str, now: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        configured(tmp_path, was, now, name)
    assert configured(tmp_path, was, was, name).uftp is not None


def test_a_hub_that_only_speaks_uftp_serves_no_role_and_one_that_does_neither_is_refused(tmp_path: Path) -> None:
    only = t.config(tmp_path, "dso", 8081)
    assert only.hub.roles == ()
    (trade,) = trades(only).values()
    assert (trade.own, trade.party, trade.limit_kw, trade.penalty_eur) == (
        "DSO.dso.example.com",
        "dso",
        9.0,
        Decimal(40),
    )
    with pytest.raises(ConfigError, match="not nothing"):
        parse("[hub]\nroles = []\n")


# -- several AGRs at one point ----------------------------------------------------------------------------------------

NAMES = ("one.example.com", "two.example.com")
TWO = UftpTrade(
    domain="dso.example.com",
    role=wire.Role.DSO,
    party="dso",
    point=s.POINT,
    partners=NAMES,
    zone="Europe/Amsterdam",
    limit_kw=10.0,
    highest_eur_per_kwh=1.0,
)
WHOLE = TWO.day(t.DAY)
PEAK = 80


def kept(partner: str, seed: str, **more: object) -> dict[str, Any]:
    ids = {
        "message_id": f"00000000-0000-4000-8000-{seed:0>12}",
        "conversation_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
    }
    told = {"version": "3.1.0", "sender_domain": partner, "recipient_domain": TWO.domain}
    return {**told, "time_stamp": "2026-03-30T09:00:00Z", **ids, **more}


def prognosis(partner: str, seed: str, peak_kw: float) -> Entry:
    values = tuple(peak_kw / 4 if n == PEAK else 0.5 for n in range(1, WHOLE.count + 1))
    series = TimeSeries(subject=s.POINT, kind=SeriesKind.BASELINE, start=WHOLE.first, values_kwh=values)
    message = prognosis_to_wire(series, TWO.context(kept=kept(partner, seed))).value
    return Entry(message=message, ours=False, stage=Stage.ACCEPTED, since=t.MORNING)


def offered(partner: str, seed: str, prognosis: str, power_w: int, price: str) -> Entry:
    option = wire.OfferOption(
        option_reference="full",
        price=Decimal(price),
        min_activation_factor=Decimal("0.01"),
        isps=(wire.Isp(power_w=power_w, start=PEAK),),
    )
    fields = s.about(period=t.DAY, expiration_date_time="2026-03-30T12:00:00Z", currency="EUR", offer_options=(option,))
    message = wire.FlexOffer(
        **kept(partner, seed), **fields, d_prognosis_message_id=prognosis, flex_request_message_id=prognosis
    )
    return Entry(message=message, ours=False, stage=Stage.ACCEPTED, since=t.MORNING)


def grid(told: dict[str, list[Entry]], partner: str = "", **more: object) -> Grid:
    found = {name: Said(tuple(told.get(name, ()))) for name in NAMES}
    return Grid(TWO, WHOLE, found, UftpDay(**more), partner, t.MORNING, "q")  # type: ignore[arg-type] # its own fields


def asked_w(found: Grid) -> int | None:
    wanted = RequestAsker().answer(found).request
    if wanted is None:
        return None
    (interval,) = [i for i in wanted.intervals if i.slot == PEAK - 1]
    return round((interval.hi_kwh or 0.0) * 4000)


def test_what_others_take_counts_and_what_begins_before_the_answer_is_not_asked_about() -> None:
    one, two = prognosis(NAMES[0], "1", 7.0), prognosis(NAMES[1], "2", 5.0)
    assert asked_w(grid({NAMES[0]: [one]}, NAMES[0])) is None
    assert asked_w(grid({NAMES[0]: [one], NAMES[1]: [two]}, NAMES[0])) == -2000
    assert asked_w(grid({NAMES[0]: [one], NAMES[1]: [two]}, NAMES[1])) == -2000
    assert asked_w(grid({NAMES[0]: [one]}, NAMES[1])) is None, "it has told nothing"
    late = grid({NAMES[0]: [prognosis(NAMES[0], "1", 12.0)]}, NAMES[0])
    assert asked_w(late) == -2000
    assert asked_w(late._replace(now=WHOLE.start(PEAK) - timedelta(minutes=59))) is None
    assert asked_w(late._replace(now=WHOLE.start(PEAK) - timedelta(minutes=60))) == -2000


def test_of_two_offers_the_cheaper_is_ordered_and_of_the_other_only_what_is_still_needed() -> None:
    one, two = prognosis(NAMES[0], "1", 9.0), prognosis(NAMES[1], "2", 5.0)
    dear = offered(NAMES[0], "3", one.message.message_id, -4000, "0.80")
    cheap = offered(NAMES[1], "4", two.message.message_id, -3000, "0.10")
    told = {NAMES[0]: [one, dear], NAMES[1]: [two, cheap]}
    first = ChooseAsker().answer(grid(told))
    # The dear one alone would do, at 0.80 EUR: of what leaves the least unmet, the cheapest is first.
    assert first.order is not None
    assert (first.partner, first.order.price) == (NAMES[0], Decimal("0.8"))
    only = ChooseAsker().answer(grid({NAMES[0]: [one], NAMES[1]: [two, cheap]}))
    assert only.order is not None
    assert (only.partner, only.order.activation_factor) == (NAMES[1], 1.0)
    order, taken = ordered(cheap, 1000), msgspec.structs.replace(cheap, stage=Stage.ORDERED)
    then = ChooseAsker().answer(grid({NAMES[0]: [one, dear], NAMES[1]: [two, taken, order]}, orders=("5",)))
    assert then.order is not None
    assert (then.partner, then.seen) == (NAMES[0], 1)
    assert then.order.activation_factor == pytest.approx(0.75), "3 of its 4 kW; one is ordered already"
    none = ChooseAsker().answer(grid({NAMES[0]: [one, dear], NAMES[1]: [two]}, refused=(dear.message.message_id,)))
    assert none.order is None


def ordered(entry: Entry, power_w: int) -> Entry:
    offer = entry.message
    assert isinstance(offer, wire.FlexOffer)
    fields = {name: getattr(offer, name) for name in ("isp_duration", "time_zone", "period", "congestion_point")}
    order = wire.FlexOrder(
        **kept(TWO.domain, "5", sender_domain=TWO.domain, recipient_domain=offer.sender_domain),
        **fields,
        flex_offer_message_id=offer.message_id,
        d_prognosis_message_id=offer.d_prognosis_message_id,
        price=Decimal("0.0333"),
        currency="EUR",
        order_reference="order",
        option_reference="full",
        activation_factor=Decimal("0.33"),
        isps=(wire.Isp(power_w=-power_w, start=PEAK),),
    )
    return Entry(message=order, ours=True, stage=Stage.ACCEPTED, since=t.MORNING)


def test_an_offer_of_an_older_prognosis_is_not_ordered() -> None:
    old, new = prognosis(NAMES[0], "1", 12.0), prognosis(NAMES[0], "2", 12.0)
    entry = offered(NAMES[0], "3", old.message.message_id, -2000, "0.10")
    assert ChooseAsker().answer(grid({NAMES[0]: [old, new, entry]})).order is None
    assert ChooseAsker().answer(grid({NAMES[0]: [old, entry]})).order is not None
