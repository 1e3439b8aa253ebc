"""Processes of a simulated day: started, told the time in lock step, and stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Self

from flexhub.app.agent.program import NOTHING, Config
from flexhub.core import documents
from flexhub.core.errors import InternalError
from flexhub.core.units import parse_instant

ANSWER_WITHIN_S = 60.0
LINE_BYTES = 1 << 24


class Process:
    """A program of ours that answers each line it is told with one of its own.

    Raises:
        InternalError: it does not answer in time, says another thing than expected, or has stopped.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name

    @classmethod
    async def start(cls, module: str) -> Self:
        """Start it; it waits for its first line."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_BYTES
        )
        return cls(process, module)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def ask(self, line: str, expected: str) -> str:
        """What follows the expected words in the answer to a line."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise InternalError(f"{self._name} has no pipes")
        try:
            stdin.write(f"{line}\n".encode())
            await stdin.drain()
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = (await stdout.readline()).decode().strip()
        except (BrokenPipeError, ConnectionResetError):
            answer = ""
        except TimeoutError:
            sentence = f"{self._name} did not answer {line[:60]!r} within {ANSWER_WITHIN_S} s"
            raise InternalError(sentence) from None
        if not answer.startswith(f"{expected} "):
            why = f"said {answer!r}" if answer else f"stopped: {await self._last_words()}"
            raise InternalError(f"{self._name} {why}")
        return answer.removeprefix(f"{expected} ")

    async def _last_words(self) -> str:
        _, errors = await self._process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Close its input, which ends it; kill it if it does not go."""
        if self._process.returncode is not None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            await self.kill()


class AgentProcess:
    """One process of ``python -m flexhub.app.agent``. `next` is when it has something to do; None: never again."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.next: datetime | None = None

    @classmethod
    async def start(cls) -> AgentProcess:
        """Start it; it waits for its configuration."""
        return cls(await Process.start("flexhub.app.agent"))

    async def configure(self, config: Config) -> None:
        """Tell it who it is; when this returns, its streams are open."""
        await self._tell(documents.encode(config).decode(), "ready")

    async def at(self, now: datetime) -> None:
        """Let it do what is due by now."""
        await self._tell(f"now {now.isoformat()}", f"done {now.isoformat()}")

    async def _tell(self, line: str, expected: str) -> None:
        word = await self._process.ask(line, expected)
        self.next = None if word == NOTHING else parse_instant(word)

    async def stop(self) -> None:
        """Close its input, which ends it; kill it if it does not go."""
        await self._process.stop()


def share(items: Sequence[str], parts: int) -> list[list[str]]:
    """Deal items to `parts` hands, none of them empty."""
    hands = [list(items[i::parts]) for i in range(max(1, parts))]
    return [hand for hand in hands if hand]
