"""Where a VTN pushes to, over HTTP or XMPP: its messages are handed to the hub as those of a poll are.

An oadrDistributeEvent is answered by an oadrResponse, and then by an oadrCreatedEvent of ours; what asks for an answer
of its own gets that on the way of every message of ours, too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web

from flexhub.app.access.limits import Buckets
from flexhub.app.endpoints import AGAIN_S, Refusal, bear, payload_of, plain, refused, submitted
from flexhub.app.openadr.simple_http import MEDIA_TYPE, MEDIA_TYPES, PREFIX
from flexhub.app.openadr.ven.polling import Poller
from flexhub.app.openadr.ven.posting import VtnClient
from flexhub.app.openadr.ven.ways import XmppWay
from flexhub.app.openadr.xmpp import error_of
from flexhub.core.errors import FlexhubError, UnauthorizedError, UnavailableError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse
from flexhub.protocols.openadr2b.names import ResponseCode, ServiceName

MAX_BYTES: Final = 1 << 20


class Listener:
    """Takes what one VTN pushes.

    Interpretation: the answer says that it was received (an oadrResponse); what comes of it follows by our own request,
    so that it is sent until the VTN has it.

    Args:
        poller: hands messages to the hub.
        client: reads what the VTN says.
        failures: refused messages of an address, over HTTP.
    """

    def __init__(self, poller: Poller, client: VtnClient, failures: Buckets) -> None:
        self._poller = poller
        self._client = client
        self._failures = failures

    def application(self) -> web.Application:
        """What an HTTP server runs."""
        app = web.Application(middlewares=[plain], client_max_size=MAX_BYTES)
        for service in ServiceName:
            if service is not ServiceName.OADR_POLL:
                app.router.add_post(f"{PREFIX}/{service}", self.post)
        return app

    async def post(self, request: web.Request) -> web.Response:
        """One message over HTTP."""
        try:
            bear(self._failures, request.remote or "")
            body = await self._take(await payload_of(request, MAX_BYTES, MEDIA_TYPES))
        except Refusal as refusal:
            return refused(request, refusal, self._failures)
        return web.Response(body=body, content_type=MEDIA_TYPE)

    async def stanza(self, sender: str, payload: bytes) -> bytes:
        """One message over XMPP.

        Raises:
            Refused: what is answered instead.
        """
        way = self._client.way
        if not isinstance(way, XmppWay) or not way.is_vtn(sender):
            raise error_of(Refusal(HTTPStatus.FORBIDDEN, "only the VTN may push"))
        try:
            return await self._take(payload)
        except Refusal as refusal:
            raise error_of(refusal) from refusal

    async def _take(self, payload: bytes) -> bytes:
        """One message, and the answer."""
        try:
            message = self._client.opened(payload)
        except UnauthorizedError as error:
            raise Refusal(HTTPStatus.UNAUTHORIZED, str(error)) from error
        except UnavailableError as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": AGAIN_S}) from error
        except FlexhubError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error
        await submitted(self._poller.submit, message, "a VTN")
        state = await self._poller.state()
        told = getattr(message, "request_id", "")
        response = EiResponse(response_code=ResponseCode.OK, response_description="OK", request_id=told)
        answer = wire.OadrResponse(schema_version=wire.VERSION, ei_response=response, ven_id=state.ven_id)
        return self._client.signed(answer)
