"""`flexhub uftp`: one message to a participant, and what is published of one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from flexhub.app import terminal
from flexhub.core.errors import ConfigError, InvalidError
from flexhub.protocols.uftp.messages import Role

if TYPE_CHECKING:
    from flexhub.app.uftp.running import Uftp

T = TypeVar("T")

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def uftp() -> None:
    """Send a message to a UFTP participant, or look up what is published of one; by the hub's configuration."""


@app.command(epilog=terminal.example("flexhub uftp send request.xml --to agr.example.com"))
def send(
    file: terminal.File,
    *,
    to: Annotated[str | None, typer.Option(help="The recipient's domain; without it the message says so.")] = None,
    role: Annotated[Role | None, typer.Option(help="The recipient's role, for a TestMessage.")] = None,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Sign a message with the configured key and post it; print what HTTP answers, and wait for nothing more.

    Version, domains, TimeStamp, MessageID and ConversationID that the file leaves out are added. The hub's store is not
    touched: the answer comes to whoever listens at the published endpoint. Exits with 1 if the message is not taken.
    """
    from flexhub.app.uftp.handlers import MEDIA_TYPE, completed  # noqa: PLC0415 - heavy, as below
    from flexhub.app.uftp.outgoing import Outgoing  # noqa: PLC0415 - as above
    from flexhub.app.uftp.participants import takes  # noqa: PLC0415 - as above
    from flexhub.protocols.uftp.codec import UftpCodec  # noqa: PLC0415 - as above
    from flexhub.protocols.uftp.envelope import seal  # noqa: PLC0415 - as above

    xml = terminal.read(file).decode("utf-8", "replace")

    async def post(side: Uftp) -> tuple[int, str, str]:
        message = completed(Outgoing(xml=xml, to=to), side.participants, secrets.token_hex(16), datetime.now(UTC))
        if to is not None and message.recipient_domain != to:
            raise InvalidError(f"is {message.recipient_domain}, not {to}", path="@RecipientDomain")
        own = side.participants.sender(message)
        found = await side.lookup.find(message.recipient_domain, takes(type(message), role))
        if found.url is None:
            raise InvalidError("no endpoint of it is published", path="--to", value=message.recipient_domain)
        body = seal(UftpCodec().encode(message), own.domain, own.role, own.key)
        outcome = await side.sender.post(found.url, body, MEDIA_TYPE)
        return outcome.status, outcome.why, message.message_id

    status, why, message_id = _with(config, post)
    if as_json:
        terminal.json_line({"message_id": message_id, "status": status, "why": why or None})
    else:
        typer.echo(f"{message_id}: {why or f'HTTP {status}'}")
    if why:
        raise typer.Exit(1)


@app.command(epilog=terminal.example("flexhub uftp lookup agr.example.com"))
def lookup(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="The participant's domain.")],
    *,
    role: Annotated[Role, typer.Option(help="In which role.")] = Role.AGR,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Print the keys and the endpoint that are published of a participant. Exits with 1 if there is none."""

    async def look(side: Uftp) -> dict[str, object]:
        found = await side.lookup.find(domain, role)
        return {
            "domain": domain,
            "roles": sorted(str(told) for told in found.roles),
            "keys": [str(key) for key in found.keys],
            "url": found.url,
        }

    told = _with(config, look)
    if as_json:
        terminal.json_line(told)
        return
    keys = told["keys"]
    assert isinstance(keys, list)  # noqa: S101 - made above
    typer.echo(f"endpoint  {told['url'] or 'none'}")
    for key in keys:
        typer.echo(f"key       {key}")


def _with(config: Path, work: Callable[[Uftp], Awaitable[T]]) -> T:
    """Run this with the UFTP side of the hub that the file configures."""
    configured = terminal.configuration(config)
    from flexhub.app.uftp.running import speaking  # noqa: PLC0415 - a wrong configuration is told before it loads

    async def main() -> T:
        async with speaking(configured) as side:
            if side is None:
                raise ConfigError("there is no [uftp]", path=str(config))
            return await work(side)

    return asyncio.run(main())
