"""What suites of the exchange interface work with: an HTTP transport that is handed in, and two prosumers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from flexhub.core.errors import ConfigError


class Answer(NamedTuple):
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - anybody's JSON
        """The body. Raises msgspec.DecodeError where it is not JSON."""
        return msgspec.json.decode(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:200].decode(errors='replace')}"


Whole: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers with names in lower case, and body."""


class Http(Protocol):
    """The transport: requests to the target; paths begin with a slash and may hold a query."""

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Whole:
        """Send one request and read the whole answer."""

    async def listen(
        self, path: str, headers: Mapping[str, str], heard: Callable[[bytes], bool], opened: asyncio.Event
    ) -> Whole:
        """Read a stream until `heard` says that its body so far is enough, or a time limit; set `opened` at once."""


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A prosumer with a contract in force at the target, and its bearer token."""

    party: str
    token: str


class Exchange:
    """The target: a transport, two prosumers, the target's time, and a name that no earlier run has used."""

    def __init__(
        self,
        http: Http,
        participants: tuple[Participant, Participant],
        now: datetime,
        run: str,
    ) -> None:
        self.http = http
        self.one, self.other = participants
        self.now = now
        self.run = run
        self._count = 0

    def over(self, http: Http) -> Exchange:
        """The same target over another transport; its ids differ from those used here."""
        return Exchange(http, (self.one, self.other), self.now, f"{self.run}x")

    def new_id(self) -> str:
        """An id that was not used before."""
        self._count += 1
        return f"{self.run}-{self._count}"

    async def send(  # noqa: PLR0913 - what a request is made of
        self,
        method: str,
        path: str,
        body: bytes | msgspec.Struct | None = None,
        *,
        who: Participant | None = None,
        token: str | None = None,
        kind: str = "application/json",
    ) -> Answer:
        """One request of the first prosumer, of `who`, or with this token ("" for none); `kind` is the body's type."""
        bearer = (who or self.one).token if token is None else token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        data = msgspec.json.encode(body) if isinstance(body, msgspec.Struct) else body
        if data is not None:
            headers["Content-Type"] = kind
        return Answer(*await self.http.request(method, path, headers, data))


def exchange(transports: Mapping[str, Any]) -> Exchange:
    """The target from what the caller handed in: ``http``, ``participants`` (two), ``now`` and ``run``.

    Raises:
        ConfigError: one of them is missing.
    """
    missing = {"http", "participants", "now", "run"} - transports.keys()
    if missing:
        raise ConfigError(f"the suite needs {', '.join(sorted(missing))}: an HTTP target and tokens of two prosumers")
    return Exchange(transports["http"], transports["participants"], transports["now"], transports["run"])
