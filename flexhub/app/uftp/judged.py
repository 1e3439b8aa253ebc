"""Anyone's UFTP endpoint, for the suites that judge one.

A file of the market, TOML, tells it of anyone's target; paths of keys are those that `flexhub keys uftp` wrote:

    [target]
    role = "AGR"
    domain = "agr.example.com"
    key = "cs1...."                       # its published key, or a list of them
    url = "http://127.0.0.1:8081/shapeshifter/api/v3/message"
    congestion_point = "ean.871685900012636543"
    token = "gateway.token"               # where a gateway before it wants one, a file with the bearer token
    # and whatever was agreed with it: `flexhub.conformance.uftp.market.Agreed`

    [inbox]
    listen = "127.0.0.1:8090"             # where the target has to find all of the following

    [prompt]                              # may be absent: what has the target send messages of its own
    url = "http://127.0.0.1:8080/uftp/message"
    token = "root.token"                  # a file with the bearer token to show

    [dso]
    domain = "dso.example.com"
    key = "dso.key"

    [agr]                                 # as are [other], [barred], [stranger] and [busy], which may be absent
    domain = "another-agr.example.com"
    key = "another-agr.key"

A prompt is a POST of JSON, ``{"xml": "<FlexOffer .../>"}``, as `flexhub`'s own ``POST /uftp/message``.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from flexhub.app.uftp.judging import PATIENCE_S, Net, bearer, connections, inbox_at
from flexhub.app.uftp.participants import key_of
from flexhub.conformance.uftp.inbox import Inbox
from flexhub.conformance.uftp.market import Agreed, Market, Speaker
from flexhub.conformance.uftp.target import Uftp
from flexhub.core.errors import ConfigError, UnavailableError
from flexhub.protocols.uftp.envelope import public_key
from flexhub.protocols.uftp.messages import Role


class _Speaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    domain: str
    key: str


class _Target(Agreed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Role
    domain: str
    key: str | tuple[str, ...]
    url: str | None = None
    token: str | None = None


class _Inbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8090"
    patience_s: float = PATIENCE_S


class _Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str | None = None
    token: str | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    target: _Target
    inbox: _Inbox = _Inbox()
    prompt: _Prompt = _Prompt()
    dso: _Speaker
    agr: _Speaker
    other: _Speaker | None = None
    barred: _Speaker | None = None
    stranger: _Speaker | None = None
    busy: _Speaker | None = None


def read(file: Path, role: str) -> tuple[Market, _File]:
    """A file of the market, about a target of this role.

    Raises:
        ConfigError: it cannot be read, or a key that it names can't, or it is about another role.
    """
    try:
        told = msgspec.toml.decode(file.read_bytes(), type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"no file of a market: {error}", path=str(file)) from error
    if told.target.role != role.upper():
        raise ConfigError(f"is about a {told.target.role}", path=f"{file}: target/role", value=role)
    keys = (told.target.key,) if isinstance(told.target.key, str) else told.target.key
    agreed = {name: getattr(told.target, name) for name in Agreed.__struct_fields__}
    main = Role.DSO if told.target.role is Role.AGR else Role.AGR

    def speaker(one: _Speaker | None, as_: Role) -> Any:  # noqa: ANN401 - one, or None
        return None if one is None else Speaker(domain=one.domain, role=as_, key=key_of(Path(one.key), str(file)))

    market = Market(
        role=told.target.role,
        domain=told.target.domain,
        keys=tuple(map(public_key, keys)),
        agreed=Agreed(**agreed),
        dso=speaker(told.dso, Role.DSO),
        agr=speaker(told.agr, Role.AGR),
        other=speaker(told.other, main),
        barred=speaker(told.barred, main),
        stranger=speaker(told.stranger, Role.AGR),
        busy=speaker(told.busy, main),
    )
    return market, told


def _token(file: str | None, section: str) -> str | None:
    try:
        return None if file is None else Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"no token: {error}", path=f"{section}/token", value=str(file)) from error


@asynccontextmanager
async def given(role: str, file: Path, target: str | None, prompt_url: str | None) -> AsyncIterator[Callable[[], Uftp]]:
    """Anyone's endpoint, as a file of the market tells it.

    Args:
        role: the target's.
        file: of the market.
        target: where the target is, whatever the file says.
        prompt_url: where a POST of a message has the target send it, whatever the file says.

    Raises:
        ConfigError: the file cannot be read, is about another role, or does not say where the target is.
        OSError: the inbox's address cannot be bound.
    """
    market, told = read(file, role)
    url = target or told.target.url
    if url is None:
        raise ConfigError("where the target is is told by --target, or by url", path=f"{file}: target/url")
    inbox = Inbox(market.keys)
    token = _token(told.target.token, "target")
    shown = bearer(_token(told.prompt.token, "prompt"))
    prompted = prompt_url or told.prompt.url
    async with connections(kept=False) as session, inbox_at(told.inbox.listen, inbox):

        async def prompt(xml: bytes) -> None:
            async with session.post(str(prompted), json={"xml": xml.decode()}, headers=shown) as response:
                if response.status >= 300:
                    raise UnavailableError(f"the prompt answered {response.status}: {(await response.text())[:200]}")

        net = Net(session, url, token)
        prompting = prompt if prompted else None
        yield lambda: Uftp(net, inbox, market, uuid.uuid4().hex, patience_s=told.inbox.patience_s, prompt=prompting)
