"""USEF 2015's rules on whatever can be read: they judge it, in time, and say who writes to whom."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.conformance.corpora import corpus
from flexhub.core.errors import FlexhubError
from flexhub.mappings.usef2015.bridge import to_uftp
from flexhub.mappings.usef2015.context import Context
from flexhub.protocols.rules import Finding
from flexhub.protocols.uftp.codec import Shape
from flexhub.protocols.uftp.spans import overlap
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import roles
from flexhub.protocols.usef2015.codec import UsefCodec, shapes
from flexhub.protocols.usef2015.messages import Role
from flexhub.protocols.usef2015.rules import RULES, findings
from flexhub.protocols.usef2015.seen import Market, Seen, alone
from tests.protocols.generated import EACH, elements
from tests.protocols.test_usef2015_codec import ENUMS

CODEC = UsefCodec()
FILES: dict[str, Any] = {f.name: CODEC.decode(f.data) for f in corpus("usef2015").accepted}
FORMS = [form for form in shapes() if issubclass(form.kind, wire.Payload)]
MARKET = Market(
    domain="agr.example.com",
    role=Role.AGR,
    time_zone="Europe/Amsterdam",
    congestion_points=frozenset(),
    max_power_w=1,
    currencies=frozenset(),
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@EACH
@given(data=st.data())
def test_every_message_that_is_read_is_judged_and_mapped_or_refused(form: Shape, data: st.DataObject) -> None:
    message = data.draw(elements(form, ENUMS))
    edges = {"period": "9999-12-31", "expiration_date_time": "9999-12-31T23:59:59-14:00", "period_start": "0001-01-01"}
    told = {name: edge for name, edge in edges.items() if hasattr(message, name) and data.draw(st.booleans())}
    if data.draw(st.booleans()):
        early = "0001-01-01T00:00:00+14:00"
        told["message_metadata"] = msgspec.structs.replace(message.message_metadata, time_stamp=early)
    message = msgspec.structs.replace(message, **told)
    seen = Seen(
        now=alone(message).now,
        market=MARKET,
        past={},
        asked=(),
        sequence=0,
        prognosis=0,
        orders=frozenset(("o",)),
    )
    for found in (*findings(message, alone(message)), *findings(message, seen)):
        assert found.path.startswith(form.name)
    with suppress(FlexhubError):  # and nothing else
        to_uftp(message, Context())


@pytest.mark.parametrize("kind", wire.MESSAGES, ids=lambda kind: kind.__name__)
def test_an_answer_goes_the_other_way(kind: type[wire.Payload]) -> None:
    if kind in wire.RESPONSES:
        assert roles(wire.RESPONSES[kind]) == {(to, frm) for frm, to in roles(kind)}
    for row in RULES:
        assert isinstance(row.of, tuple) or issubclass(row.of, wire.Payload)


def _slow(spans: list[tuple[int, int]]) -> bool:
    taken: set[int] = set()
    for start, duration in spans:
        span = set(range(start, start + max(1, duration)))
        if span & taken:
            return True
        taken |= span
    return False


@given(st.lists(st.tuples(st.integers(-3, 30), st.integers(-1, 6)), max_size=8))
def test_overlaps_are_found_as_by_writing_them_out(spans: list[tuple[int, int]]) -> None:
    found = list(overlap("a/PTU", spans, "PTU"))
    assert len(found) == _slow(spans)
    for place, told in found:
        late = int(place.partition("[")[2].partition("]")[0])
        early = int(told.rpartition("[")[2].rstrip("]"))
        assert early < late
        assert _slow([spans[early], spans[late]])


def test_the_later_of_two_that_meet_is_told() -> None:
    assert list(overlap("PTU", [(41, 4), (37, 4), (40, 1)], "PTU")) == [
        Finding("PTU[2]/@Start", "PTU 40 to 40 meets PTU[1]")
    ]
    assert list(overlap("PTU", [(41, 4), (37, 4), (45, 1)], "PTU")) == []


def test_many_long_spans_are_judged_without_writing_them_out() -> None:
    """Of a list whose day nobody told: 200,000 spans of ten thousand million PTUs each."""
    m = FILES["meter-usage.xml"]
    step = 10**10
    ptus = tuple(wire.PtuMeterData(power_w=1, start=n * step + 1, duration=step) for n in range(200_000))
    group = m.meter_data_sets[0]
    data = msgspec.structs.replace(group.meter_data[0].connection_meter_data[0], ptu_meter_data=ptus)
    day = msgspec.structs.replace(group.meter_data[0], connection_meter_data=(data,))
    m = msgspec.structs.replace(m, meter_data_sets=(msgspec.structs.replace(group, meter_data=(day,)),))
    assert findings(m, alone(m)) == []
    twice = msgspec.structs.replace(data, ptu_meter_data=(*ptus, ptus[7]))
    day = msgspec.structs.replace(day, connection_meter_data=(twice,))
    m = msgspec.structs.replace(m, meter_data_sets=(msgspec.structs.replace(group, meter_data=(day,)),))
    assert [found.rule for found in findings(m, alone(m))] == ["USEF-18"]
