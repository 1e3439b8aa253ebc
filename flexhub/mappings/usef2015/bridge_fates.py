"""The declared fate of every field between USEF 2015 and UFTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from flexhub.mappings.fates import Fates, fates
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.usef2015 import messages as wire

Pair = tuple[tuple[Fates, ...], tuple[Fates, ...]]

_NOTHING_ELSE: Final = "the other side's messages hold nothing else"
_NO_CONTRACTS: Final = "USEF 2015 knows no contracts"
_PLACE: Final = "the same; without one, a message to or from a BRP has no counterpart in UFTP"
_NAMED: Final = "one names the other by Sequence and origin, the other by MessageID (`Context.ids`)"
_PTU: Final = {"Start": "Start", "Duration": "Duration"}
_AT_ONCE: Final = "the day of TimeStamp; another is a lost bound"

METADATA: Final = fates(
    wire.MessageMetadata,
    exact=("SenderDomain", "RecipientDomain", "TimeStamp", "MessageID", "ConversationID"),
    kept=("SenderRole", "RecipientRole", "Precedence", "ValidUntil"),
)
_IDENTITY: Final = ("SenderDomain", "RecipientDomain", "TimeStamp", "MessageID", "ConversationID")
_VERSION: Final = {"Version": "3.1.0; others have no place in USEF 2015"}


def _usef(
    of: type[msgspec.Struct],
    *,
    exact: Iterable[str] = (),
    converted: Mapping[str, str] | None = None,
    kept: Iterable[str] = (),
    dropped: Mapping[str, str] | None = None,
) -> Fates:
    """Fates of a message of USEF 2015: metadata and elements of other namespaces beside the rest."""
    names = {field.encode_name for field in msgspec.structs.fields(of)}
    head: dict[str, str] = {"MessageMetadata": "attributes"} if "MessageMetadata" in names else {}
    tail: dict[str, str] = {"*": _NOTHING_ELSE} if "*" in names else {}
    told: dict[str, Any] = {"converted": {**head, **(converted or {})}, "dropped": {**tail, **(dropped or {})}}
    return fates(of, exact=exact, kept=kept, **told)


def _uftp(of: type[msgspec.Struct], *, exact: Iterable[str] = (), **told: Any) -> Fates:  # noqa: ANN401 - as `fates`
    """Fates of a message of UFTP: its identity beside the rest."""
    told["defaulted"] = {**_VERSION, **told.get("defaulted", {})}
    return fates(of, exact=(*_IDENTITY, *exact), **told)


_DAY: Final = {"PTU-Duration": "ISP-Duration", "PTU": "ISP", "CongestionPoint": _PLACE}
_ISP_DAY: Final = {"ISP-Duration": "PTU-Duration", "ISP": "PTU"}
_NO_PROGNOSIS: Final = {
    "D-PrognosisMessageID": "USEF 2015's offers deviate from the prognosis of their request",
    "BaselineReference": "USEF 2015's offers deviate from the prognosis of their request",
}

PROGNOSIS: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.Prognosis,
            exact=("Period", "TimeZone"),
            converted={**_DAY, "Sequence": "Revision"},
            dropped={"Type": "D-Prognosis only; an A-Plan has no counterpart in UFTP, and is refused"},
        ),
        fates(wire.Ptu, exact=("Power", *_PTU), dropped={"Disposition": "not in a prognosis", "Price": "nor is this"}),
    ),
    (
        _uftp(
            uftp.DPrognosis,
            exact=("Period", "TimeZone", "CongestionPoint"),
            converted={**_ISP_DAY, "Revision": "Sequence"},
        ),
        fates(uftp.PrognosisIsp, exact=("Power", *_PTU)),
    ),
)
REQUEST: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.FlexRequest,
            exact=("Period", "TimeZone", "ExpirationDateTime"),
            converted={**_DAY, "Sequence": "Revision"},
            kept=("PrognosisOrigin", "PrognosisSequence"),
        ),
        fates(
            wire.Ptu,
            exact=("Disposition", *_PTU),
            converted={"Power": "MinPower and MaxPower: between nothing and it"},
            dropped={"Price": "not in a request"},
        ),
    ),
    (
        _uftp(
            uftp.FlexRequest,
            exact=("Period", "TimeZone", "ExpirationDateTime", "CongestionPoint"),
            converted={**_ISP_DAY, "Revision": "Sequence"},
            dropped={"ContractID": _NO_CONTRACTS, "ServiceType": "USEF 2015 knows no service types"},
        ),
        fates(
            uftp.FlexRequestIsp,
            exact=tuple(_PTU),
            converted={
                "Disposition": "absent: available",
                "MinPower": "Power, where it is farther from zero; else zero, or a lost bound",
                "MaxPower": "Power, where it is farther from zero; else zero, or a lost bound",
            },
        ),
    ),
)
_PRICE: Final = "the sum over all PTUs; back as kept where it is still the sum, else by |power|"
OFFER: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.FlexOffer,
            exact=("Period", "TimeZone", "ExpirationDateTime", "Currency"),
            converted={**_DAY, "FlexRequestSequence": _NAMED, "FlexRequestOrigin": _NAMED},
            kept=("Sequence",),
        ),
        fates(
            wire.Ptu, exact=("Power", *_PTU), converted={"Price": _PRICE}, dropped={"Disposition": "not in an offer"}
        ),
    ),
    (
        _uftp(
            uftp.FlexOffer,
            exact=("Period", "TimeZone", "ExpirationDateTime", "CongestionPoint", "Currency"),
            converted={
                "ISP-Duration": "PTU-Duration",
                "FlexRequestMessageID": _NAMED,
                "Unsolicited": "false; of what is unsolicited FlexRequestSequence is 0",
                "OfferOption": "the first; others are lost bounds",
            },
            dropped={"ContractID": _NO_CONTRACTS, **_NO_PROGNOSIS},
        ),
        fates(
            uftp.OfferOption,
            converted={
                "ISP": "PTU",
                "Price": "Price of each PTU, split by |power| where none are kept",
                "MinActivationFactor": "1; less is a lost bound",
            },
            defaulted={"OptionReference": "the Sequence"},
        ),
        fates(uftp.Isp, exact=("Power", *_PTU)),
    ),
)
ORDER: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.FlexOrder,
            exact=("Period", "TimeZone", "Currency", "OrderReference"),
            converted={**_DAY, "FlexOfferSequence": _NAMED, "FlexOfferOrigin": _NAMED},
            kept=("Sequence", "ExpirationDateTime"),
        ),
        OFFER[0][2],
    ),
    (
        _uftp(
            uftp.FlexOrder,
            exact=("Period", "TimeZone", "CongestionPoint", "Currency", "OrderReference"),
            converted={
                **_ISP_DAY,
                "FlexOfferMessageID": _NAMED,
                "Unsolicited": "false; of what is unsolicited FlexOfferSequence is 0",
                "Price": "Price of each PTU, split by |power| where none are kept",
                "ActivationFactor": "into the powers; less than 1 is a lost bound",
            },
            defaulted={"OptionReference": "the offer's Sequence"},
            dropped={"ContractID": _NO_CONTRACTS, "ServiceType": "USEF 2015 knows no service types", **_NO_PROGNOSIS},
        ),
        fates(uftp.Isp, converted={"Power": "times ActivationFactor, where copied"}, exact=tuple(_PTU)),
    ),
)
REVOCATION: Final[Pair] = (
    (METADATA, _usef(wire.FlexOfferRevocation, converted={"Sequence": _NAMED})),
    (_uftp(uftp.FlexOfferRevocation, converted={"FlexOfferMessageID": _NAMED}),),
)
_ITEM: Final = ("OrderedFlexPower", "ActualPower", "DeliveredFlexPower", "PowerDeficiency")
SETTLEMENT: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.SettlementMessage,
            exact=("PeriodStart", "PeriodEnd", "Currency"),
            converted={"FlexOrderSettlement": "FlexOrderSettlement"},
            kept=("TimeZone", "Reference", "PTU-Duration"),
        ),
        _usef(
            wire.FlexOrderSettlement,
            exact=("Period", "OrderReference"),
            converted={"CongestionPoint": _PLACE, "PTU-Settlement": "ISP, and sums"},
        ),
        fates(
            wire.PtuSettlement,
            exact=(*_PTU, *_ITEM),
            converted={
                "PrognosisPower": "BaselinePower",
                "Price": "the sum over all PTUs; back as kept, else by what was delivered",
                "Penalty": "the sum over all PTUs; back as kept, else by what lacked",
                "NetSettlement": "price minus penalty of the sums",
            },
        ),
    ),
    (
        _uftp(
            uftp.FlexSettlement,
            exact=("PeriodStart", "PeriodEnd", "Currency"),
            converted={"FlexOrderSettlement": "FlexOrderSettlement"},
            defaulted={"Result": "Accepted", "ContractSettlement": "one that reserved nothing; another is dropped"},
            dropped={"RejectionReason": "a SettlementMessage rejects nothing"},
        ),
        fates(
            uftp.FlexOrderSettlement,
            exact=("Period", "OrderReference", "CongestionPoint"),
            converted={
                "Price": "split over PTUs",
                "Penalty": "split over PTUs",
                "NetSettlement": "price minus penalty",
                "ISP": "PTU-Settlement",
            },
            dropped={
                "ContractID": _NO_CONTRACTS,
                "D-PrognosisMessageID": "a settlement names no prognosis",
                "BaselineReference": "a settlement names no baseline",
            },
        ),
        fates(uftp.SettlementIsp, exact=(*_PTU, *_ITEM), converted={"BaselinePower": "PrognosisPower"}),
    ),
)
METER_DATA: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.MeterDataQueryResponse,
            converted={"MeterDataSet": "one connection on one day"},
            kept=("DateRangeStart", "DateRangeEnd", "QueryType"),
            dropped={"Result": "Success", "Message": "of failures, which are empty and refused"},
        ),
        fates(wire.MeterDataSet, converted={"MeterData": "one day"}, kept=("EntityAddress",)),
        _usef(
            wire.MeterData,
            exact=("Period",),
            converted={"ConnectionMeterData": "one connection"},
            dropped={"ConnectionMeterEvent": "events are not energy"},
        ),
        _usef(
            wire.ConnectionMeterData,
            converted={"EntityAddress": "EAN, where it is one of 16 or 18 digits", "PTU-MeterData": "ISP"},
            kept=("EntityCount", "AGR-Domain"),
        ),
        fates(
            wire.PtuMeterData,
            converted={
                "Power": "W, negative = consumption -> kW, positive = consumption",
                "Duration": "that many ISPs",
            },
            exact=("Start",),
        ),
    ),
    (
        _uftp(
            uftp.Metering,
            exact=("Period",),
            converted={"EAN": "EntityAddress", "Profile": "PTU-MeterData: Power, else import minus export"},
            kept=("Revision", "ISP-Duration", "TimeZone"),
            dropped={"Currency": "USEF 2015 meters no money"},
        ),
        fates(
            uftp.MeteringProfile,
            converted={"ProfileType": "Power; readings are dropped", "Unit": "kW or kWh -> W", "ISP": "PTU-MeterData"},
        ),
        fates(uftp.MeteringIsp, exact=("Start",), converted={"Value": "W to the nearest, negated"}),
    ),
)
_CONNECTION: Final = {"BRP-Domain": "UFTP has no place for it", "AGR-Domain": "UFTP has no place for it"}
_DATED: Final = fates(
    uftp.DatedConnection,
    exact=("EntityAddress",),
    converted={"StartPeriod": _AT_ONCE, "EndPeriod": "absent; another is a lost bound"},
)
CUSTOMERS: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.CommonReferenceUpdate,
            converted={"Entity": "Aggregator", "Connection": "Connection"},
            dropped={"EntityAddress": "it is to be ignored"},
        ),
        fates(
            wire.Connection,
            exact=("EntityAddress",),
            converted={"IsCustomer": "true; false has no counterpart, and is refused"},
            dropped=_CONNECTION,
        ),
    ),
    (_uftp(uftp.AGRPortfolioUpdate, converted={"Connection": "Connection"}, kept=("TimeZone",)), _DATED),
)
POINT: Final[Pair] = (
    (
        METADATA,
        _usef(
            wire.CommonReferenceUpdate,
            converted={
                "Entity": "CongestionPoint",
                "EntityAddress": "the congestion point's",
                "Connection": "Connection; none deletes the point, which has no counterpart and is refused",
            },
        ),
        fates(
            wire.Connection,
            exact=("EntityAddress",),
            dropped={"IsCustomer": "it is to be ignored", **_CONNECTION},
        ),
    ),
    (
        _uftp(
            uftp.DSOPortfolioUpdate,
            converted={"CongestionPoint": "one; of several each is an update of its own"},
            kept=("TimeZone",),
        ),
        fates(
            uftp.UpdatedCongestionPoint,
            exact=("EntityAddress",),
            converted={
                "StartPeriod": _AT_ONCE,
                "EndPeriod": "absent; another is a lost bound",
                "Connection": "Connection",
            },
            defaulted={"MutexOffersSupported": "false", "DayAheadRedispatchBy": "DSO"},
            dropped={"IntradayRedispatchBy": "USEF 2015 has no place for it"},
        ),
        _DATED,
    ),
)
_ASKED: Final = _usef(
    wire.CommonReferenceQuery,
    converted={
        "Entity": "CongestionPoint; others have no counterpart, and are refused",
        "EntityAddress": "what a DSO asks about; an AGR's is a lost bound",
        "ConnectionEntityAddress": "all; some are a lost bound",
    },
)
_ADDRESS: Final = fates(wire.ConnectionAddress, dropped={"EntityAddress": "a lost bound"})
AGR_QUERY: Final[Pair] = (
    (METADATA, _ASKED, _ADDRESS),
    (_uftp(uftp.AGRPortfolioQuery, converted={"Period": _AT_ONCE}, kept=("TimeZone",)),),
)
DSO_QUERY: Final[Pair] = (
    (METADATA, _ASKED, _ADDRESS),
    (_uftp(uftp.DSOPortfolioQuery, exact=("EntityAddress",), converted={"Period": _AT_ONCE}, kept=("TimeZone",)),),
)
TEST: Final[Pair] = ((METADATA, _usef(wire.TestMessage)), (_uftp(uftp.TestMessage),))
TEST_ANSWER: Final[Pair] = ((METADATA, _usef(wire.TestMessageResponse)), (_uftp(uftp.TestMessageResponse),))

_STATUSES: Final[dict[str, Pair]] = {
    "FlexOrderStatus": (
        (fates(wire.FlexOrderStatus, exact=("IsValidated",), converted={"Sequence": _NAMED}),),
        (fates(uftp.FlexOrderStatus, exact=("IsValidated",), converted={"FlexOrderMessageID": _NAMED}),),
    ),
    "FlexOrderSettlementStatus": (
        (fates(wire.FlexOrderSettlementStatus, exact=("OrderReference", "Disposition")),),
        (
            fates(
                uftp.FlexOrderSettlementStatus,
                exact=("OrderReference", "Disposition"),
                dropped={"DisputeReason": "disputes are settled outside of USEF 2015"},
            ),
        ),
    ),
}


def answer(of: type[wire.Response], to: type[uftp.Response]) -> Pair:
    """Fates of an answer: Result and reason are the same, what it answers is named in another way."""
    own = {f.encode_name for f in msgspec.structs.fields(of)} - {"MessageMetadata", "Result", "Message", "*"}
    below = own & _STATUSES.keys()
    theirs = {f.encode_name for f in msgspec.structs.fields(to)} - {*_IDENTITY, "Version", "Result", "RejectionReason"}
    read, written = ((), ()) if not below else _STATUSES[next(iter(below))]
    kept = own & {"EntityAddress"}
    named = {name: _NAMED if name not in below else name for name in own - kept}
    return (
        (METADATA, _usef(of, exact=("Result",), converted={"Message": "RejectionReason", **named}, kept=kept), *read),
        (
            _uftp(
                to,
                exact=("Result",),
                converted={"RejectionReason": "Message", **{n: n if n in below else _NAMED for n in theirs}},
            ),
            *written,
        ),
    )
