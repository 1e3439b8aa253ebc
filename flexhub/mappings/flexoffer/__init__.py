"""The flex-offer message (V1, GOFLEX) into the core and back, with every field's fate declared."""

from __future__ import annotations

from flexhub.mappings.flexoffer.context import Context, Form, Sign
from flexhub.mappings.flexoffer.reader import to_core
from flexhub.mappings.flexoffer.writer import to_wire

__all__ = ["Context", "Form", "Sign", "to_core", "to_wire"]
