"""OpenADR 2.0b over simple HTTP (section 9.2): what both roles do alike."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/OpenADR2/Simple/2.0b"
"""Begins the path of each service."""
MEDIA_TYPE: Final = "application/xml"
MEDIA_TYPES: Final = (MEDIA_TYPE, "text/xml")
"""What is taken for a payload [rule 53]."""
