"""``python -m flexhub.app.agent``: configuration and time on standard input, answers on standard output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from flexhub.app.agent.program import converse
from flexhub.core.errors import FlexhubError

LINE_BYTES = 16 * 1024 * 1024
"""The configuration is one line; this many sessions no day has."""


async def lines() -> AsyncIterator[str]:
    """The lines of standard input."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode()


def say(line: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the agent until its input ends."""
    try:
        asyncio.run(converse(lines(), say))
    except FlexhubError as error:
        sys.stderr.write(f"flexhub agent: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
