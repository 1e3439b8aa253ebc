"""Every kind of document that is stored: an erasure knows it, and those of earlier versions are read for ever.

``golden/`` holds documents as version 1 wrote them, each field set to something. They are never changed: a change of
the types that cannot read them any more needs an upcaster.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import DocumentRow
from flexhub.app import erasure
from flexhub.app.hub.reading import Reading
from flexhub.core import documents
from flexhub.core.errors import InvalidError
from flexhub.core.registry import Party, Role
from tests.conftest import ROOT

GOLDEN: Final = sorted((Path(__file__).parent / "golden").glob("*.json"))
KINDS: Final = {kind.__name__: kind for kind in erasure.KINDS}
NAMES: Final = frozenset(("NamedTuple", "NewType"))
"""What a class named `Key` is made from, rather than a kind."""


def named() -> Iterator[tuple[str, str]]:
    """Every type that the program makes a document's key of, ``Key(Type, ...)`` or ``file(Type, ...)``, and where."""
    for file in sorted((ROOT / "flexhub" / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            first = node.args[0]
            if node.func.id not in ("Key", "file") or not isinstance(first, ast.Name) or first.id in NAMES:
                continue
            if first.id[0].isupper():  # a variable's types are named where it gets them
                yield first.id, f"{file.relative_to(ROOT)}:{node.lineno}"


def test_an_erasure_knows_every_kind_that_is_stored() -> None:
    found = dict(named())
    assert {"FlexOffer", "Contract", "Cadence", "Deal"} <= found.keys(), "it looks in the right places"
    unknown = {kind: where for kind, where in found.items() if kind not in KINDS}
    assert unknown == {}, "say in flexhub.app.erasure.KINDS what becomes of them"
    # These are filed by a variable.
    variable = {"Connection", "Resource", "UftpConnection", "UftpPoint", "UftpPortfolio"}
    assert KINDS.keys() - found.keys() <= variable, "kinds that nobody stores any more"


def test_every_kind_has_a_golden_document_with_every_field() -> None:
    seen: dict[str, set[str]] = {}
    for file in GOLDEN:
        seen.setdefault(file.name.partition(".")[0], set()).update(msgspec.json.decode(file.read_bytes()))
    expected: dict[str, set[str]] = {
        name: {field.encode_name for field in msgspec.structs.fields(kind)} for name, kind in KINDS.items()
    }
    missing = {name: fields - seen.get(name, set()) for name, fields in expected.items()}
    assert {name: fields for name, fields in missing.items() if fields} == {}
    assert seen.keys() == expected.keys()


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_document_of_version_1_is_read_and_nothing_of_it_is_lost(file: Path) -> None:
    kind, data = KINDS[file.name.partition(".")[0]], file.read_bytes()
    value: Any = documents.upcast(kind, 1, data)
    assert documents.upcast(kind, documents.VERSION, documents.encode(value)) == value
    if documents.VERSION == 1:
        assert msgspec.json.decode(documents.encode(value)) == msgspec.json.decode(data)


PARTY: Final = Party(id="anna", name="Anna", roles=(Role.PROSUMER,))


def read(folder: Path, version: int, body: bytes) -> Party | None:
    """As a hub reads a document that was stored by a program of that version."""
    with closing(open_store(f"sqlite:///{folder / 'hub.db'}")) as store:
        with store.begin() as transaction:
            transaction.put_documents([DocumentRow("Party", "anna", "anna", "", None, None, version, body)])
        reading = Reading(store)
        try:
            return asyncio.run(reading.get(Party, "anna"))
        finally:
            reading._readers.shutdown()  # noqa: SLF001 - `close` ends a feed, which was never begun


def test_a_stored_document_of_an_older_version_is_upcast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = b'{"id": "anna", "title": "Anna", "role": "prosumer"}'

    def named_and_with_roles(was: dict[str, Any]) -> dict[str, Any]:
        return {"id": was["id"], "name": was["title"], "roles": [was["role"]]}

    with pytest.raises(InvalidError, match="no upcaster from version 0"):
        read(tmp_path, 0, old)
    monkeypatch.setitem(documents.UPCASTERS, ("Party", 0), named_and_with_roles)
    assert read(tmp_path, 0, old) == PARTY
    assert read(tmp_path, 1, documents.encode(PARTY)) == PARTY, "one of today is not"


def test_a_stored_document_of_a_newer_version_is_refused_by_its_number(tmp_path: Path) -> None:
    newer = documents.VERSION + 1
    with pytest.raises(InvalidError) as refused:
        read(tmp_path, newer, documents.encode(PARTY))
    assert str(refused.value) == f"Party: version {newer} is later than {documents.VERSION}, the latest known"
