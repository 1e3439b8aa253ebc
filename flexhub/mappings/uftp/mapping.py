"""UFTP's mappings' entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.mappings.registry import Mapping

MAPPINGS: Final[tuple[Mapping, ...]] = ()
