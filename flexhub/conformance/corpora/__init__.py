"""Corpora that ship with flexhub: accepted messages, and beside them rejects with the rule that each breaks."""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that breaks no rule; `seen` is what a rule that needs a conversation is to look up."""

    name: str
    shows: str
    data: bytes
    seen: dict[str, Any] = {}


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A message that breaks one `rule` (or is not read: `code`) at `path`; but for that it is its accepted `twin`.

    Where a look-up is what differs, the data are the twin's and `seen` is not.
    """

    name: str
    path: str
    twin: str
    data: bytes
    rule: str = ""
    code: str = ""
    shows: str = ""
    seen: dict[str, Any] = {}


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol's corpus."""

    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]


def corpus(protocol: str, root: Traversable | None = None) -> Corpus:
    """Read a corpus: ours of this protocol, or another in the same layout under `root`.

    The folder holds ``index.toml``, ``accept/`` and ``reject/``; the index names every file.
    """
    base = resources.files(__package__) / protocol if root is None else root
    index = tomllib.loads((base / "index.toml").read_text(encoding="utf-8"))
    return Corpus(
        accepted=tuple(
            Accepted(
                name=row["file"],
                shows=row["shows"],
                data=(base / "accept" / row["file"]).read_bytes(),
                seen=row.get("seen", {}),
            )
            for row in index["accept"]
        ),
        rejected=tuple(
            Rejected(
                name=row["file"],
                path=row["path"],
                twin=row["twin"],
                rule=row.get("rule", ""),
                code=row.get("code", ""),
                shows=row.get("shows", ""),
                seen=row.get("seen", {}),
                data=(base / "reject" / row["file"]).read_bytes(),
            )
            for row in index["reject"]
        ),
    )
