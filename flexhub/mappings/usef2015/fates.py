"""The declared fate of every field between USEF 2015 and the core; what is written is UFTP's, but for what is told."""

from __future__ import annotations

from typing import Final

import msgspec

from flexhub.mappings.fates import Fates, fates
from flexhub.mappings.uftp import fates as uftp
from flexhub.mappings.usef2015 import bridge_fates as bridge
from flexhub.protocols.usef2015 import messages as wire


def _but(declared: tuple[Fates, ...], at: int = 0, **told: dict[str, str] | tuple[str, ...]) -> tuple[Fates, ...]:
    """Declared fates, with other ones of some fields of the struct at a place."""
    other = fates(declared[at].of, **told)  # type: ignore[arg-type] # each fate has its own type
    named = other.listed()
    changed = msgspec.structs.replace(
        declared[at],
        exact=(declared[at].exact - named) | other.exact,
        kept=(declared[at].kept - named) | other.kept,
        **{
            name: {
                **{f: how for f, how in getattr(declared[at], name).items() if f not in named},
                **getattr(other, name),
            }
            for name in ("converted", "defaulted", "dropped")
        },
    )
    return (*declared[:at], changed, *declared[at + 1 :])


_GRID: Final = {
    "PTU-Duration": "resolution in seconds",
    "TimeZone": "into the time grid: PTU 1 begins at local midnight, on days of 92, 96 and 100",
    "Period": "first instant of the local day",
    "CongestionPoint": "a location, which may have another name; without it, the BRP's domain",
    "PTU": "W over each PTU -> kWh per slot",
}
_UNTIL: Final = "instant in UTC"
_PTU: Final = {"Power": "W -> kWh", "Start": "slot", "Duration": "that many slots"}
_NOT_HERE: Final = "not in this message"
_CONTRACT: Final = "USEF 2015 knows no contracts"
METADATA: Final = fates(
    wire.MessageMetadata,
    exact=("SenderDomain", "RecipientDomain", "MessageID"),
    converted={"TimeStamp": _UNTIL},
    kept=("SenderRole", "RecipientRole", "ConversationID", "Precedence", "ValidUntil"),
)
_HEAD: Final = {"MessageMetadata": "who, to whom and when"}
_TAIL: Final = {"*": "the core has no place for it"}

PROGNOSIS_READ: Final = (
    METADATA,
    fates(
        wire.Prognosis,
        converted={**_HEAD, **_GRID, "Type": "an A-Plan has no congestion point"},
        kept=("Sequence",),
        dropped=_TAIL,
    ),
    fates(wire.Ptu, converted=_PTU, dropped={"Disposition": _NOT_HERE, "Price": _NOT_HERE}),
)
PROGNOSIS_WRITTEN: Final = uftp.PROGNOSIS_WRITTEN
REQUEST_READ: Final = (
    METADATA,
    fates(
        wire.FlexRequest,
        converted={**_HEAD, **_GRID, "ExpirationDateTime": _UNTIL, "Sequence": "revision; one below zero is 0"},
        kept=("PrognosisOrigin", "PrognosisSequence"),
        dropped=_TAIL,
    ),
    fates(
        wire.Ptu,
        exact=("Disposition",),
        converted={**_PTU, "Power": "W -> kWh, a bound; the other is nothing"},
        dropped={"Price": _NOT_HERE},
    ),
)
REQUEST_WRITTEN: Final = _but(
    uftp.REQUEST_WRITTEN,
    dropped={
        "reference": "USEF 2015 asks for deviations from the prognosis; another is refused",
        "contract": _CONTRACT,
        "service_type": "USEF 2015 knows no service types",
    },
    converted={"resolution_s": "PTU-Duration"},
)
OFFER_READ: Final = (
    METADATA,
    fates(
        wire.FlexOffer,
        converted={
            **_HEAD,
            **_GRID,
            "ExpirationDateTime": "one becomes two: accepted and assigned before it",
            "PTU": "baseline plus W over each PTU, the one profile; PTUs that are not named stay at the baseline",
        },
        kept=("Sequence", "FlexRequestOrigin", "FlexRequestSequence", "Currency"),
        dropped=_TAIL,
    ),
    fates(
        wire.Ptu,
        converted={**_PTU, "Price": "EUR per kWh moved in its slot; restored exactly where the sum still is the same"},
        dropped={"Disposition": _NOT_HERE},
    ),
)
_FIRST: Final = "only the earliest is written; others are a lost bound"
OFFER_WRITTEN: Final = _but(
    _but(
        uftp.OFFER_WRITTEN,
        dropped={"contract": _CONTRACT},
        converted={
            "start_after": _FIRST,
            "start_before": _FIRST,
            "start_before_duration_s": _FIRST,
            "resolution_s": "PTU-Duration",
            "profiles": "the first, from the baseline to the most; what is between or beside is a lost bound",
            "price": "what each slice costs, a price per PTU",
        },
    ),
    2,
    converted={"price": "what it costs, a price per PTU"},
)
ORDER_READ: Final = (
    METADATA,
    fates(
        wire.FlexOrder,
        exact=("Currency",),
        converted={**_HEAD, **_GRID, "FlexOfferOrigin": "offer", "FlexOfferSequence": "offer, by `Context.ids`"},
        kept=("Sequence", "ExpirationDateTime", "OrderReference"),
        dropped=_TAIL,
    ),
    fates(wire.Ptu, converted={**_PTU, "Price": "the sum over all PTUs"}, dropped={"Disposition": _NOT_HERE}),
)
ORDER_WRITTEN: Final = _but(
    uftp.ORDER_WRITTEN,
    converted={
        "offer": "FlexOfferSequence, by `Context.ids`",
        "activation_factor": "into the powers; less than 1 is a lost bound",
        "price": "split over PTUs by |power| where none are kept",
        "resolution_s": "PTU-Duration",
    },
    dropped={"option": "an offer is one option"},
)
SETTLEMENT_READ: Final = (
    METADATA,
    fates(
        wire.SettlementMessage,
        exact=("Currency",),
        converted={
            **_HEAD,
            "PeriodStart": "first instant of the local day",
            "PeriodEnd": "first instant of the next local day",
            "FlexOrderSettlement": "one line each, and one for its penalty",
        },
        kept=("TimeZone", "Reference", "PTU-Duration"),
        dropped=_TAIL,
    ),
    fates(
        wire.FlexOrderSettlement,
        exact=("OrderReference",),
        converted={"PTU-Settlement": "sums of energy and money"},
        kept=("Period", "CongestionPoint"),
        dropped=_TAIL,
    ),
    fates(
        wire.PtuSettlement,
        converted={
            "Duration": "that many slots",
            "DeliveredFlexPower": "kWh",
            "PowerDeficiency": "kWh",
            "Price": "in the sum: amount of a line, to the cent",
            "Penalty": "in the sum: amount of a line, negative, to the cent",
            "NetSettlement": "in the sum of the lines",
        },
        kept=("Start", "PrognosisPower", "OrderedFlexPower", "ActualPower"),
    ),
)
SETTLEMENT_WRITTEN: Final = _but(uftp.SETTLEMENT_WRITTEN, dropped={"contract": _CONTRACT})
METER_DATA_READ: Final = (
    METADATA,
    *(
        fate
        for fate in bridge.METER_DATA[0]
        if fate.of not in (wire.MessageMetadata, wire.ConnectionMeterData, wire.PtuMeterData)
    ),
    fates(
        wire.ConnectionMeterData,
        converted={"EntityAddress": "the subject; else the aggregator, or the parent", "PTU-MeterData": "kWh per slot"},
        kept=("EntityCount", "AGR-Domain"),
        dropped=_TAIL,
    ),
    fates(wire.PtuMeterData, converted={**_PTU, "Power": "W, negative = consumption -> kWh, positive = consumption"}),
)
METER_DATA_WRITTEN: Final = _but(
    uftp.METERING_WRITTEN,
    converted={
        "subject": "EntityAddress",
        "values_kwh": "kWh -> W, the nearest, negated",
        "resolution_s": "length of a PTU, which the message does not tell",
    },
    dropped={"offer": "meter data know no orders"},
)
