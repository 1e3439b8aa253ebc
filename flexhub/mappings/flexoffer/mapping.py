"""The flex-offer mapping's entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.core.flexoffer import FlexOffer
from flexhub.mappings.flexoffer.fates import READ, WRITTEN
from flexhub.mappings.flexoffer.reader import to_core
from flexhub.mappings.flexoffer.writer import to_wire
from flexhub.mappings.registry import Mapping
from flexhub.protocols.flexoffer import messages as wire

MAPPINGS: Final = (
    Mapping(message=wire.FlexOffer, core=FlexOffer, read=READ, written=WRITTEN, to_core=to_core, to_wire=to_wire),
)
