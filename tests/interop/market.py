"""shapeshifter-uftp as a target of the suites: its process, and the market that it is in."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from flexhub.conformance.uftp.market import Speaker
from flexhub.protocols.uftp.envelope import key_of_seed
from flexhub.protocols.uftp.messages import Role
from tests.conftest import ROOT

PYTHON: Final = ROOT / "build" / "peers" / "shapeshifter-uftp" / "bin" / "python"
DRIVER: Final = Path(__file__).with_name("uftp_target.py")
PATIENCE_S: Final = 60.0
"""How long its process may take to start."""
ANSWER_S: Final = 5
"""How long its answers are waited for; it gives them within milliseconds, or never; three of it run at once."""
DOMAIN: Final = "peer.example.com"


def speakers(role: Role) -> dict[str, Speaker]:
    """As whom the suite speaks."""
    main = Role.DSO if role is Role.AGR else Role.AGR
    roles = {"dso": Role.DSO, "agr": Role.AGR, "other": main}
    return {
        name: Speaker(domain=f"{name}.example.com", role=as_, key=key_of_seed(name.encode().ljust(32)))
        for name, as_ in roles.items()
    }


@asynccontextmanager
async def peer(role: Role, folder: Path, port: int) -> AsyncIterator[tuple[Path, str]]:
    """The peer in this role, for as long as the block lasts.

    Args:
        role: its role.
        folder: where the file of the market and keys go.
        port: where the suite's inbox will be.

    Yields:
        The file of the market, and the address that prompts the peer.
    """
    own = key_of_seed(b"peer".ljust(32))
    told = speakers(role)
    inbox = f"http://127.0.0.1:{port}/shapeshifter/api/v3/message"
    setup: dict[str, Any] = {
        "role": str(role),
        "domain": DOMAIN,
        "key": own.text(),
        "participants": [
            {
                "domain": one.domain,
                "role": str(one.role),
                "key": base64.b64encode(one.key.public().sign).decode(),
                "url": inbox,
            }
            for one in told.values()
        ],
    }
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        DRIVER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(setup).encode() + b"\n")
        started = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
        lines = [
            "[target]",
            f'role = "{role}"',
            f'domain = "{DOMAIN}"',
            f'key = "{own.public()}"',
            f'url = "{started["url"]}"',
            'congestion_point = "ean.871685900012636543"',
            "[inbox]",
            f'listen = "127.0.0.1:{port}"',
            f"patience_s = {ANSWER_S}",
        ]
        for name, one in told.items():
            (folder / f"{name}.key").write_text(one.key.text())
            lines += [f"[{name}]", f'domain = "{one.domain}"', f'key = "{folder / name}.key"']
        market = folder / "market.toml"
        market.write_text("\n".join(lines))
        yield market, started["prompt"]
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
