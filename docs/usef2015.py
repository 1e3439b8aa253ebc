"""The generated page about USEF 2015: rules, differences from the schema, and fates on the way to the core and UFTP."""

from __future__ import annotations

from collections.abc import Iterator

from docs.uftp import differences, fates, unmapped
from flexhub.mappings.usef2015.bridge import NO_UFTP, NO_USEF
from flexhub.protocols.usef2015.protocol import UNMAPPED
from flexhub.protocols.usef2015.rules import RULES
from flexhub.protocols.usef2015.simple import DIFFERENCES


def page() -> str:
    """The page."""
    return "\n".join(
        [
            *_rules(),
            *differences(DIFFERENCES),
            "",
            "## To the core and back, field by field",
            "",
            *fates("usef2015"),
            *unmapped("Messages that no mapping to the core is about", UNMAPPED),
            "",
            "## To UFTP and back, field by field",
            "",
            *fates("usef2015-uftp"),
            *unmapped("Messages of USEF 2015 that UFTP has no counterpart of", NO_UFTP),
            "",
            *unmapped("Messages of UFTP that USEF 2015 has no counterpart of", NO_USEF),
            "",
        ]
    )


def _rules() -> Iterator[str]:
    yield from ("# USEF 2015: rules and mappings", "")
    yield from ("What it is about is said in [USEF 2015](../concepts/usef2015.md).", "", "## Rules", "")
    yield "A rule that looks something up is judged in a conversation only, and lets pass what was not looked up."
    yield from ("", "| rule | clause | rejection | looks up |", "| --- | --- | --- | --- |")
    for rule in RULES:
        yield f"| {rule.id} | {rule.clause} | {rule.reject} | {', '.join(map(str, rule.needs)) or 'nothing'} |"
