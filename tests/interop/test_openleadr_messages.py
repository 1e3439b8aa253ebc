"""Every message that openleadr writes is read here, and what is written here is read there as the same.

"The same" is judged by the peer's own reader: what it sees in our rewriting of its message is what it sees in its own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from lxml import etree

from flexhub.core.errors import MalformedError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.shapes import name_of

messaging: Any = import_module("openleadr.messaging")  # by name, since it has no types
objects: Any = import_module("openleadr.objects")

CODEC = OadrCodec()
NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
OK = {"response_code": 200, "response_description": "OK", "request_id": "r1"}
REQUEST = {
    "report_request_id": "q1",
    "report_specifier": {
        "report_specifier_id": "s1",
        "granularity": QUARTER,
        "report_back_duration": timedelta(hours=1),
        "report_interval": {"dtstart": NOW, "duration": timedelta(days=1)},
        "specifier_payloads": [{"r_id": "a", "reading_type": "Direct Read"}],
    },
}
REPORT: dict[str, Any] = {
    "report_id": "i1",
    "report_request_id": "q1",
    "report_specifier_id": "s1",
    "created_date_time": NOW,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The peer warns of what it corrects by itself."""
    logger = logging.getLogger("openleadr")
    before, logger.level = logger.level, logging.ERROR
    yield
    logger.setLevel(before)


def event(**more: Any) -> Any:
    return objects.Event(
        event_descriptor=objects.EventDescriptor(
            event_id="e1",
            modification_number=0,
            market_context="http://market.example/1",
            event_status="far",
            created_date_time=NOW,
            modification_date_time=NOW,
        ),
        active_period=objects.ActivePeriod(
            dtstart=NOW,
            duration=2 * QUARTER,
            tolerance={"startafter": QUARTER},
            notification_period=QUARTER,
            ramp_up_period=QUARTER,
            recovery_period=QUARTER,
        ),
        event_signals=[
            objects.EventSignal(
                intervals=[
                    objects.Interval(dtstart=NOW + i * QUARTER, duration=QUARTER, uid=i, signal_payload=-1.5 * i)
                    for i in range(2)
                ],
                signal_name="LOAD_DISPATCH",
                signal_type="setpoint",
                signal_id="s1",
                current_value=0.5,
                measurement=objects.Measurement(
                    name="powerReal",
                    description="RealPower",
                    unit="W",
                    scale="k",
                    ns="power",
                    power_attributes=objects.PowerAttributes(hertz=50, voltage=230, ac=True),
                ),
            )
        ],
        targets=[objects.Target(ven_id="v1"), objects.Target(resource_id="boiler"), objects.Target(group_id="g")],
        response_required="always",
        **more,
    )


PAYLOADS: dict[str, dict[str, Any]] = {
    "oadrQueryRegistration": {"request_id": "r1"},
    "oadrCreatePartyRegistration": {
        "request_id": "r1",
        "ven_name": "ven",
        "http_pull_model": True,
        "profile_name": "2.0b",
        "transport_name": "simpleHttp",
        "transport_address": "http://127.0.0.1:1",
        "report_only": False,
        "xml_signature": False,
        "ven_id": "v1",
        "registration_id": "g1",
    },
    "oadrCreatedPartyRegistration": {
        "response": OK,
        "ven_id": "v1",
        "vtn_id": "t1",
        "registration_id": "g1",
        "profiles": [
            {"profile_name": "2.0b", "transports": [{"transport_name": "simpleHttp"}, {"transport_name": "xmpp"}]}
        ],
        "requested_oadr_poll_freq": timedelta(seconds=10),
    },
    "oadrRequestReregistration": {"ven_id": "v1"},
    "oadrCancelPartyRegistration": {"request_id": "r1", "ven_id": "v1", "registration_id": "g1"},
    "oadrCanceledPartyRegistration": {"response": OK, "ven_id": "v1", "registration_id": "g1"},
    "oadrRequestEvent": {"request_id": "r1", "ven_id": "v1", "reply_limit": 3},
    "oadrDistributeEvent": {"request_id": "r1", "response": OK, "vtn_id": "t1", "events": [event(), event()]},
    "oadrCreatedEvent": {
        "response": OK,
        "ven_id": "v1",
        "event_responses": [
            {
                "response_code": 200,
                "response_description": "OK",
                "request_id": "r1",
                "event_id": "e1",
                "modification_number": 0,
                "opt_type": opt,
            }
            for opt in ("optIn", "optOut")
        ],
    },
    "oadrResponse": {"response": OK, "ven_id": "v1"},
    "oadrRegisterReport": {
        "request_id": "r1",
        "ven_id": "v1",
        "reports": [
            {
                **REPORT,
                "duration": timedelta(hours=1),
                "report_name": "METADATA_TELEMETRY_USAGE",
                "report_descriptions": [
                    {
                        "r_id": "a",
                        "report_type": "usage",
                        "reading_type": "Direct Read",
                        "market_context": "http://market.example/1",
                        "report_subject": {"end_device_asset": {"mrid": "boiler"}},
                        "report_data_source": {"resource_id": "boiler"},
                        "sampling_rate": {"min_period": QUARTER, "max_period": QUARTER, "on_change": False},
                        "measurement": {
                            "name": "energyReal",
                            "description": "RealEnergy",
                            "unit": "Wh",
                            "scale": "k",
                            "ns": "power",
                        },
                    }
                ],
            }
        ],
    },
    "oadrRegisteredReport": {"response": OK, "ven_id": "v1", "report_requests": [REQUEST]},
    "oadrCreateReport": {"request_id": "r1", "ven_id": "v1", "report_requests": [REQUEST, REQUEST]},
    "oadrCreatedReport": {"response": OK, "ven_id": "v1", "pending_reports": [{"report_request_id": "q1"}]},
    "oadrUpdateReport": {
        "request_id": "r1",
        "ven_id": "v1",
        "reports": [
            {
                **REPORT,
                "dtstart": NOW,
                "report_name": "TELEMETRY_USAGE",
                "intervals": [
                    {
                        "dtstart": NOW + i * QUARTER,
                        "duration": QUARTER,
                        "report_payload": {
                            "r_id": "a",
                            "value": 1.5 * i,
                            "confidence": 99,
                            "accuracy": 0.5,
                            "data_quality": "Quality Good - Non Specific",
                        },
                    }
                    for i in range(2)
                ],
            }
        ],
    },
    "oadrUpdatedReport": {
        "response": OK,
        "ven_id": "v1",
        "cancel_report": {"request_id": "r2", "report_request_id": ["q1"], "report_to_follow": True, "ven_id": "v1"},
    },
    "oadrCancelReport": {"request_id": "r1", "ven_id": "v1", "report_request_id": "q1", "report_to_follow": True},
    "oadrCanceledReport": {"response": OK, "ven_id": "v1", "pending_reports": [{"report_request_id": "q1"}]},
    "oadrCreateOpt": {
        "request_id": "r1",
        "ven_id": "v1",
        "opt_id": "o1",
        "opt_type": "optOut",
        "opt_reason": "economic",
        "market_context": "http://market.example/1",
        "created_date_time": NOW,
        "vavailability": {"components": [{"dtstart": NOW, "duration": QUARTER}]},
        "event_id": "e1",
        "modification_number": 0,
        "targets": [{"ven_id": "v1"}],
        "signal_target_mrid": "boiler",
    },
    "oadrCreatedOpt": {"response": OK, "opt_id": "o1"},
    "oadrCancelOpt": {"request_id": "r1", "ven_id": "v1", "opt_id": "o1"},
    "oadrCanceledOpt": {"response": OK, "opt_id": "o1"},
    "oadrPoll": {"ven_id": "v1"},
}


def theirs(name: str, **changed: Any) -> bytes:
    """A message as the peer writes it."""
    payload = copy.deepcopy(PAYLOADS[name]) | changed
    return str(messaging.create_message(name, **payload)).encode()


def seen(data: bytes) -> Any:
    """A message as the peer reads it, after its check of the schema."""
    messaging.validate_xml_schema(data)
    return messaging.parse_message(data)


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_the_peer_writes_is_read_and_written_as_the_same(name: str) -> None:
    data = theirs(name)
    message = CODEC.decode(data)
    assert name_of(type(message)) == f"oadr:{name}"
    ours = CODEC.encode(message)
    assert CODEC.decode(ours) == message
    assert seen(ours) == seen(data)


def test_the_peer_writes_every_message_there_is() -> None:
    assert {f"oadr:{name}" for name in PAYLOADS} == set(map(name_of, wire.MESSAGES))


def _texts(data: bytes) -> list[str]:
    return [str(text) for text in etree.fromstring(data).itertext() if text.strip()]


@pytest.mark.parametrize("name", PAYLOADS)
def test_all_texts_of_the_peer_are_kept(name: str) -> None:
    """But for a number's spelling, which is canonical."""
    data = theirs(name)
    kept = _texts(CODEC.encode(CODEC.decode(data)))
    assert list(map(_number, kept)) == list(map(_number, _texts(data)))


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def test_where_the_peer_guesses_a_type_ours_keeps_the_text() -> None:
    data = CODEC.encode(wire.OadrPoll(ven_id="0042"))
    assert seen(data) == ("oadrPoll", {"ven_id": 42})
    assert CODEC.decode(data) == wire.OadrPoll(ven_id="0042")


def test_where_the_peer_leaves_out_the_escapes_ours_says_that_it_is_not_xml() -> None:
    with pytest.raises(MalformedError, match="not XML"):
        CODEC.decode(theirs("oadrPoll", ven_id="A & B"))
    ours = CODEC.encode(wire.OadrPoll(ven_id="A & B"))
    assert seen(ours) == ("oadrPoll", {"ven_id": "A & B"})
