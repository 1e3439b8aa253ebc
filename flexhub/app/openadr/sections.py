"""``[openadr]`` of the configuration, whose other sections are in `flexhub.app.config`."""

from __future__ import annotations

import msgspec

from flexhub.app.openadr.ven.section import VenSection
from flexhub.core.errors import InvalidError


class OpenadrSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[openadr]``: what the hub is in OpenADR 2.0b."""

    ven: tuple[VenSection, ...] = ()

    def __post_init__(self) -> None:
        names = [ven.name for ven in self.ven]
        if len(set(names)) < len(names):
            raise InvalidError("a name stands twice", path="ven")
