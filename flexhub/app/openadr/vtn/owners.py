"""Under which venIDs a party speaks: by what the registry says of its resources, and by what the VTN allocated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flexhub.adapters.store.interface import DocumentRow
from flexhub.app.openadr.vtn.prosumers import party_of
from flexhub.core import documents
from flexhub.core.registry import Resource
from flexhub.protocols.openadr2b.session.state import VtnVen

RESOURCE: Final = Resource.__name__
VEN: Final = VtnVen.__name__


def vens_of(party: str, rows: Iterable[DocumentRow]) -> list[str]:
    """The venIDs of a party that are not its own name; `rows` are its resources, and all VENs, and may be more."""
    found = set[str]()
    for row in rows:
        if row.kind == RESOURCE and row.owner == party:
            ven_id = documents.upcast(Resource, row.schema_version, row.body).ven_id
            found |= set() if ven_id is None else {ven_id}
        elif row.kind == VEN and party_of(documents.upcast(VtnVen, row.schema_version, row.body)) == party:
            found.add(row.id)
    return sorted(found - {party})
