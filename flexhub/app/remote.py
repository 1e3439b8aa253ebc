"""What commands do that ask a running hub over its exchange interface: where it is, who asks, and what is printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from flexhub.app import terminal
from flexhub.core.errors import BY_CODE, ConfigError, FlexhubError, InternalError, UnavailableError

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="FLEXHUB_URL", metavar="URL", help="The hub's address; that of hub.toml unless told."),
]
Token = Annotated[
    Path, typer.Option("--token", envvar="FLEXHUB_TOKEN", metavar="FILE", help="A file with an admin's token.")
]
TOKEN: Final = Path("root.token")


def told(found: dict[str, Any], text: str, *, as_json: bool) -> None:
    """What the hub answered, as JSON or in a word."""
    if as_json:
        terminal.json_line(found)
    else:
        typer.echo(text)


def table(found: list[Any], columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, as_json: bool) -> None:
    """A list, a JSON object a line or as a table."""
    if as_json:
        for one in found:
            terminal.json_line(one)
    else:
        terminal.table(columns, rows)


def every(url: str | None, token: Path, path: str, more: str = "") -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = call(url, token, "GET", f"{path}?limit=1000{more}{cursor}")
        items += page["items"]
        if page.get("next") is None:
            return items
        cursor = f"&cursor={page['next']}"


def configured() -> str:
    """The address of the hub that ``hub.toml`` here configures."""
    config = terminal.configuration(terminal.HUB_TOML)
    return f"http{'' if config.tls is None else 's'}://{config.hub.listen}"


def call(url: str | None, token: Path, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """One call of the exchange interface.

    Raises:
        FlexhubError: the hub's refusal, or that it cannot be reached.
    """
    import aiohttp  # noqa: PLC0415 - heavy

    from flexhub.adapters.http.client import Answer, HttpClient  # noqa: PLC0415 - as above

    try:
        secret = token.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError(f"no token: {error.strerror}", path="--token", value=str(token)) from error
    headers = {"Authorization": f"Bearer {secret}"}
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if sent is not None:
        headers |= {"Content-Type": "application/json"}

    at = url or configured()

    async def main() -> Answer:
        async with HttpClient(at) as http:
            return await http.request(method, path, headers, sent)

    try:
        answer = asyncio.run(main())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"no answer: {error}", path=at) from error
    if answer.status < 400:
        return json.loads(answer.body)
    try:
        problem = json.loads(answer.body)
    except ValueError:
        raise InternalError(f"HTTP {answer.status}", path=at) from None
    kind: type[FlexhubError] = BY_CODE.get(problem.get("code", ""), InternalError)
    said = problem.get("detail", f"HTTP {answer.status}")
    raise kind(said, path=problem.get("path", ""), clause=problem.get("clause", ""))
