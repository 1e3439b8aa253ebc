"""`flexhub vtn` beside a running VTN: what a utility does from the command line, and what it is told when it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flexhub.app.cli import run
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b import messages as wire
from tests.app.openadr.vtn_stage import CONTEXT, Stage, draft, stage
from tests.protocols.test_openadr2b_vtn_session import METADATA

Say = Callable[..., Awaitable[tuple[int, str, str]]]


def beside(folder: Path, capsys: pytest.CaptureFixture[str], act: Callable[[Stage, Say], Awaitable[None]]) -> None:
    """Have it happen beside a VTN; `say` runs a command, and tells its exit code, and what it printed."""

    async def main() -> None:
        async with stage(folder) as on:
            token = folder / "root.token"
            token.write_text(await on.hub.add_token("root", Role.ADMIN))

            async def say(*words: str) -> tuple[int, str, str]:
                where = ("--url", on.running.url, "--token", str(token))
                code = await asyncio.to_thread(run, ["vtn", *words, *where])
                told = capsys.readouterr()
                assert on.running.vtn is not None
                # Polls are answered from the board, which hears of a command a moment after its answer.
                await on.running.vtn.board.caught_up(on.hub.store)
                return code, told.out.strip(), told.err.strip()

            await act(on, say)

    asyncio.run(main())


def test_a_report_is_asked_for_and_ended_and_a_ven_asked_again_and_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(on: Stage, say: Say) -> None:
        assert await say("ven", "site 1", "--group", "north") == (0, "site 1", "")
        ven = await on.ven("site 1").register()
        await ven.say(wire.OadrRegisterReport(request_id="r", oadr_reports=(METADATA,), ven_id="site 1"))
        code, _, why = await say("ask", "site 1", "s1", "--point", "nothing")
        assert code == 1
        assert "it registered p" in why
        code, request, _ = await say("ask", "site 1", "s1", "--point", "p", "--every", "PT15M")
        assert code == 0
        assert (await ven.poll()).request_id == request
        assert await say("stop", "site 1", request, "--follow") == (0, "cancelling", "")
        assert (await ven.poll()).report_to_follow
        assert (await say("again", "site 1"))[1] == "asked to register again"
        assert (await say("cancel-ven", "site 1"))[1] == "cancelling"
        code, _, why = await say("again", "site 1")
        assert code == 1
        assert "cancelling" in why

    beside(tmp_path, capsys, act)


def test_an_event_is_made_listed_and_cancelled_and_what_breaks_a_rule_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(on: Stage, say: Say) -> None:  # noqa: ARG001 - the VTN is asked by commands only
        for name, level in (("good", 1.0), ("bad", 7.0)):
            (tmp_path / name).write_bytes(encode(draft(datetime.now(UTC) + timedelta(hours=1), level=level)))
        code, _, why = await say("event", str(tmp_path / "bad"))
        assert code == 1
        assert "OADR-009" in why
        code, id_, _ = await say("event", str(tmp_path / "good"))
        assert code == 0
        code, listed, _ = await say("events", "--json")
        assert [json.loads(line)["id"] for line in listed.splitlines()] == [id_]
        assert await say("cancel", id_) == (0, "cancelled, modification 1", "")
        assert (await say("answers", "nothing"))[0] == 1
        assert (await say("program", CONTEXT, "--name", "Peak"))[:2] == (0, CONTEXT)

    beside(tmp_path, capsys, act)


def test_without_a_token_or_a_hub_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    none = str(tmp_path / "none")
    assert run(["vtn", "vens", "--url", "http://127.0.0.1:9", "--token", none]) == 2
    assert "no token" in capsys.readouterr().err
    (tmp_path / "token").write_text("t")
    assert run(["vtn", "vens", "--url", "http://127.0.0.1:9", "--token", str(tmp_path / "token")]) == 1
    assert "no answer" in capsys.readouterr().err
