"""What AGR, DSO and CRO make of what they accept: core documents by the mappings, for the engines and the exchange."""

from __future__ import annotations

import msgspec

from flexhub.app.exchange.papers import file_request
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.core.effects import Notify
from flexhub.mappings.uftp.context import Context
from flexhub.mappings.uftp.requests import request_to_core
from flexhub.protocols.uftp import messages as wire


class FileRequest(Hook):
    """An AGR files a FlexRequest for its manager engine, under the participant's party as recipient."""

    def work(self, case: Case) -> Work:
        """The core's request, and the party told."""
        assert isinstance(case.message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        request = request_to_core(case.message, Context()).value
        request = msgspec.structs.replace(request, recipient=case.own.party)
        told = Notify(party=case.own.party, topic="flexrequest", subject=request.id, body=request)
        return Work(puts=(file_request(request),), effects=(told,))


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what is made of it."""
    return {wire.FlexRequest: FileRequest()}
