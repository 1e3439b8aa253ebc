"""What is around a UFTP participant: clocks that are wrong, published schemas, and a gateway that wants a token."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from flexhub.core.trading import FlexRequest
from flexhub.protocols.uftp import messages as wire
from tests.app.uftp import stage as s
from tests.app.uftp.stage import answered, post, request, sealed, send, until
from tests.app.uftp.test_conversations import play, result


@pytest.mark.parametrize(
    ("skew", "told"),
    [
        (timedelta(), ("Accepted", "")),
        (timedelta(minutes=-20), ("Accepted", "")),
        (timedelta(minutes=20), ("Accepted", "")),
        # Its day is over where the clock is four days ahead; by the sender's it is not.
        (timedelta(days=4), ("Rejected", "Period out of bounds")),
    ],
)
def test_each_judges_by_its_own_clock(skew: timedelta, told: tuple[str, str], tmp_path: Path) -> None:
    async def story() -> None:
        clocks = {"agr": lambda: datetime.now(UTC) + skew}
        async with s.stage(tmp_path, "agr", "dso", clocks=clocks) as there, asyncio.timeout(30):
            asked = request()
            await send(there.hub("dso"), asked)
            # The answer is taken though it bears a time that is not yet, or long ago.
            assert result(await answered(there.hub("dso"), "dso", "agr", asked)) == told
            filed = await there.hub("agr").get(FlexRequest, asked.message_id)
            assert (filed is not None) == (told[0] == "Accepted")

    play(story())


@pytest.mark.parametrize("switched", [False, True])
def test_the_published_schemas_are_a_check_besides(switched: bool, shared: Path, tmp_path: Path) -> None:
    """A meter's EAN of 18 digits is taken; its schema admits 16, and is heard where it is switched on."""

    async def story() -> None:
        side = f'schemas = "{shared}/schemas/uftp-3.1.0"' if switched else ""
        async with s.stage(tmp_path, "dso", side=side, others=("agr",)) as there:
            value = wire.MeteringIsp(start=1, value=Decimal(1))
            profile = wire.MeteringProfile(profile_type=wire.ProfileType.POWER, unit=wire.Unit.KW, isps=(value,))
            fields = {key: given for key, given in s.about(period=s.day(-1)).items() if key != "congestion_point"}
            for digits, status in ((16, 200), (18, 400 if switched else 200)):
                meter = wire.Metering(
                    **s.said("agr", "dso", f"m{digits}"),
                    **fields,
                    revision=1,
                    ean="E" + digits * "1",
                    profiles=(profile,),
                )
                assert await post(there.ports["dso"], sealed(meter, "agr")) == status

    play(story())


SECRET: Final = "a secret, with = and %"  # noqa: S105 - of a gateway that lives as long as its test


class Gateway:
    """Gives tokens for a client's secret, each good for so many posts, and takes nothing without one."""

    def __init__(self, posts: int) -> None:
        self._posts = posts
        self._left: dict[str, int] = {}
        self.bodies: list[bytes] = []
        self.refused = 0
        self.strangers = 0
        self.scopes: list[str] = []

    async def token(self, asked: web.Request) -> web.Response:
        """RFC 6749, section 4.4."""
        basic = base64.b64encode(b"hub:a+secret%2C+with+%3D+and+%25").decode()
        form = await asked.post()
        if asked.headers.get("Authorization") != f"Basic {basic}" or form["grant_type"] != "client_credentials":
            self.strangers += 1
            return web.Response(status=401)
        self.scopes.append(str(form.get("scope")))
        name = f"token-{len(self._left)}"
        self._left[name] = self._posts
        return web.json_response({"access_token": name, "token_type": "Bearer", "expires_in": 3600})

    async def take(self, posted: web.Request) -> web.Response:
        """A participant's endpoint behind the gateway."""
        name = posted.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._left.get(name):
            self.refused += 1
            return web.Response(status=401)
        self._left[name] -= 1
        self.bodies.append(await posted.read())
        return web.Response()


@asynccontextmanager
async def guarded(port: int, posts: int) -> AsyncIterator[Gateway]:
    gateway = Gateway(posts)
    posted = web.post("/token", gateway.token), web.post("/shapeshifter/api/v3/message", gateway.take)
    async with s.serving(*posted, port=port):
        yield gateway


@pytest.mark.parametrize("secret", [SECRET, "another one"])
def test_what_is_sent_carries_a_token_that_is_renewed_when_it_is_not_taken(secret: str, tmp_path: Path) -> None:
    async def story() -> None:
        gate = s.free_port()
        (tmp_path / "secret").write_text(secret + "\n")
        side = (
            f'oauth = {{url = "http://127.0.0.1:{gate}/token", client = "hub", '
            f'secret = "{tmp_path}/secret", scope = "uftp"}}'
        )
        async with s.stage(tmp_path, "dso", side=side, others=("agr",)) as there, asyncio.timeout(30):
            dso = there.hub("dso")
            s.publish(tmp_path, {**there.ports, "agr": gate})
            async with guarded(gate, posts=2) as gateway:
                for n in range(5):
                    assert (await send(dso, request(f"r{n}", revision=n + 1))).status == 202
                if secret != SECRET:
                    await until(lambda: gateway.strangers > 1)  # it is tried again
                    assert {row.state for row in dso.store.sends(0, 100)} == {"waiting"}
                    assert (gateway.bodies, gateway.refused) == ([], 0)
                    return
                await until(lambda: all(row.state == "sent" for row in dso.store.sends(0, 100)))
                assert len(set(gateway.bodies)) == len(gateway.bodies) == 5
                assert (gateway.refused, gateway.scopes) == (2, ["uftp"] * 3)

    play(story())
