"""`flexhub keys uftp`, `flexhub uftp send` and `flexhub uftp lookup`, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from flexhub.protocols.uftp.envelope import private_key, public_key
from tests import programs
from tests.app.uftp import stage as s


def run(folder: Path, *arguments: str) -> programs.Ran:
    return programs.run(*arguments, cwd=folder, env={"PATH": "/usr/bin"})


def test_keys_are_a_pair_and_only_ours_to_read(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "keys", "uftp", "agr.key", "--json")
    file = tmp_path / "agr.key"
    assert code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public_key(json.loads(out)["public_key"]).sign == private_key(file.read_text()).public().sign
    code, _, err = run(tmp_path, "keys", "uftp", "agr.key")
    assert (code, "exists" in err) == (2, True), "a key is never written over"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "request.xml").write_bytes(s.CODEC.encode(s.request()))
    return tmp_path


def test_a_message_is_sent_and_what_http_says_is_printed(folder: Path) -> None:
    async def main() -> None:
        async with s.stage(folder, "agr", others=("dso",)) as there:
            (folder / "hub.toml").write_text(s.text(folder, "dso", there.ports["dso"]))
            code, out, err = await asyncio.to_thread(run, folder, "uftp", "send", "request.xml", "--json")
            assert (code, json.loads(out)["status"]) == (0, 200), err
            stripped = (folder / "request.xml").read_text()
            for name in ("Version", "SenderDomain", "RecipientDomain", "TimeStamp", "MessageID", "ConversationID"):
                before, _, after = stripped.partition(f' {name}="')
                stripped = before + after.partition('"')[2]
            (folder / "short.xml").write_text(stripped)
            to = ("--to", s.domain("agr"))
            code, out, err = await asyncio.to_thread(run, folder, "uftp", "send", "short.xml", *to)
            assert (code, "HTTP 200" in out) == (0, True), err
            kinds = [row.kind for row in there.hub("agr").store.journal(0, 100)]
            assert kinds.count("uftp.receive") == 2
            (folder / "dso.key").write_text(s.key("agr").text())
            code, out, _ = await asyncio.to_thread(run, folder, "uftp", "send", "short.xml", *to)
            assert (code, "HTTP 401" in out) == (1, True), "not our published key"

    asyncio.run(main())


def test_a_participant_is_looked_up(folder: Path) -> None:
    s.publish(folder, {"agr": 4711, "dso": 4712})
    (folder / "hub.toml").write_text(s.text(folder, "dso", 4712))
    code, out, _ = run(folder, "uftp", "lookup", s.domain("agr"), "--json")
    assert code == 0
    assert json.loads(out) == {
        "domain": s.domain("agr"),
        "roles": ["AGR"],
        "keys": [str(s.key("agr").public(bytes(32)))],
        "url": "http://127.0.0.1:4711/shapeshifter/api/v3/message",
    }
    assert run(folder, "uftp", "lookup", s.domain("nobody"))[0] == 1
    (folder / "hub.toml").write_text("")
    assert run(folder, "uftp", "lookup", s.domain("agr"))[0] == 2
