"""Where a VTN pushes to, over HTTP or XMPP: its messages are handed to the hub as those of a poll are.

An oadrDistributeEvent is answered by an oadrResponse, and then by an oadrCreatedEvent of ours; what asks for an answer
of its own gets that on the way of every message of ours, too.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from flexhub.app.endpoints import Refusal
from flexhub.app.openadr.ven.polling import Poller
from flexhub.app.openadr.ven.posting import VtnClient
from flexhub.app.openadr.ven.ways import MEDIA_TYPE, XmppWay
from flexhub.app.openadr.xmpp import error_of
from flexhub.core.errors import FlexhubError, UnauthorizedError, UnavailableError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse
from flexhub.protocols.openadr2b.names import ResponseCode, ServiceName

PREFIX = "/OpenADR2/Simple/2.0b"
MAX_BYTES = 1 << 20


class Listener:
    """Takes what one VTN pushes.

    Interpretation: the answer says that it was received (an oadrResponse); what comes of it follows by our own request,
    so that it is sent until the VTN has it.
    """

    def __init__(self, poller: Poller, client: VtnClient) -> None:
        self._poller = poller
        self._client = client

    def application(self) -> web.Application:
        """What an HTTP server runs."""
        app = web.Application(client_max_size=MAX_BYTES)
        for service in ServiceName:
            if service is not ServiceName.OADR_POLL:
                app.router.add_post(f"{PREFIX}/{service}", self.post)
        return app

    async def post(self, request: web.Request) -> web.Response:
        """One message over HTTP."""
        try:
            return web.Response(body=await self._take(await request.read()), content_type=MEDIA_TYPE)
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=f"{refusal.text}\n")

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
            await self._poller.submit(message)
        except UnauthorizedError as error:
            raise Refusal(HTTPStatus.FORBIDDEN, str(error)) from error
        except UnavailableError as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        except FlexhubError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error
        state = await self._poller.state()
        told = getattr(message, "request_id", "")
        response = EiResponse(response_code=ResponseCode.OK, response_description="OK", request_id=told)
        answer = wire.OadrResponse(schema_version=wire.VERSION, ei_response=response, ven_id=state.ven_id)
        return self._client.signed(answer)
