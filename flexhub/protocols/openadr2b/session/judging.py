"""The rules of OpenADR 2.0b that a VTN can judge only in a conversation, one row each, with the code of the answer."""

from __future__ import annotations

from typing import Final, NamedTuple

from flexhub.protocols.openadr2b.names import ResponseCode
from flexhub.protocols.rules import Broken


class VtnRule(NamedTuple):
    """A row: its id, where the profile says so, the code, and our words."""

    id: str
    clause: str
    code: ResponseCode
    words: str


_BAD_ID: Final = ResponseCode.INVALID_ID

_ROWS: Final = (
    VtnRule("OADR-V01", "2.0b EiRegisterParty", ResponseCode.NOT_REGISTERED_OR_AUTHORIZED, "Not registered"),
    VtnRule("OADR-V02", "2.0b rules 21, 402 and 403", _BAD_ID, "No VEN of this venID"),
    VtnRule(
        "OADR-V03", "2.0b section 10", ResponseCode.NOT_REGISTERED_OR_AUTHORIZED, "Not the VEN's certificate or JID"
    ),
    VtnRule("OADR-V04", "2.0b EiRegisterParty", _BAD_ID, "Not the registrationID of this VEN"),
    VtnRule("OADR-V05", "2.0b EiRegisterParty", ResponseCode.NOT_ALLOWED, "Profile or transport is not offered"),
    VtnRule("OADR-V06", "2.0b services", ResponseCode.COMPLIANCE_ERROR, "Not a message of a VEN"),
    VtnRule("OADR-V07", "2.0b EiRegisterParty", ResponseCode.NOT_REGISTERED_OR_AUTHORIZED, "Not known beforehand"),
    VtnRule("OADR-V21", "2.0b rule 21", _BAD_ID, "No such event of this VEN"),
    VtnRule("OADR-V48", "2.0b rules 5 and 48", ResponseCode.OUT_OF_SEQUENCE, "Not the event's modificationNumber"),
    VtnRule("OADR-V22", "2.0b rule 22", ResponseCode.TARGET_MISMATCH, "Target is not the VEN's own"),
    VtnRule("OADR-V23", "2.0b EiOpt", ResponseCode.INVALID_DATA, "Neither an event nor times"),
    VtnRule("OADR-V24", "2.0b EiOpt", _BAD_ID, "No such opt of this VEN"),
    VtnRule("OADR-V304", "2.0b rule 304", _BAD_ID, "Not a reportRequestID that was asked for"),
    VtnRule("OADR-V305", "2.0b EiReport", _BAD_ID, "Not the report that was asked for"),
    VtnRule("OADR-V306", "2.0b EiReport", ResponseCode.REPORT_NOT_SUPPORTED, "Not a report of this VTN"),
)
VTN_RULES: Final[dict[str, VtnRule]] = {row.id: row for row in _ROWS}
"""By id. The codes are the profile's; which one stands for what is, where the facts name none, an
Interpretation: the one whose words are nearest."""

TOLERATED: Final = frozenset({"OADR-045", "OADR-E5", "OADR-R1", "OADR-R4", "OADR-R6", "OADR-314"})
"""Rules of messages that this VTN does not insist on.

Interpretation: what breaks them says what it means all the same, and devices in the field do: a schemaLocation, a
requestID at both places of an oadrCreatedEvent, a start in metadata, data without durations. `flexhub validate` names
them.
"""


def broken(rule: str, path: str, message: str) -> Broken:
    """A finding of one of the rows."""
    return Broken(rule=rule, clause=VTN_RULES[rule].clause, path=path, message=message)
