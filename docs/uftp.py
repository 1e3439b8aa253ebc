"""The generated page about UFTP: rules with what they look up, states, differences from the schemas, and fates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from docs.words import first_paragraph
from flexhub.conformance.registry import suite
from flexhub.mappings.registry import mappings
from flexhub.protocols.uftp.messages import element
from flexhub.protocols.uftp.protocol import UNMAPPED
from flexhub.protocols.uftp.rules import RULES
from flexhub.protocols.uftp.session import DELIVERIES, STAGES
from flexhub.protocols.uftp.simple import DIFFERENCES


def page() -> str:
    """The page."""
    told = "Messages that no mapping is about"
    return "\n".join(
        [*_rules(), *_states(), *differences(DIFFERENCES), *_HEAD, *fates("uftp"), *unmapped(told, UNMAPPED), ""]
    )


def _rules() -> Iterator[str]:
    yield from (
        "# UFTP: rules and mappings",
        "",
        "What it is about is said in [UFTP](../concepts/uftp.md).",
        "",
        "## Rules",
        "",
    )
    yield "A rule that looks something up is judged in a conversation only, and lets pass what was not looked up."
    yield "[Suites](../uftp-conformance.md) judge it at endpoints of the roles that are sent such messages."
    yield from ("", "| rule | clause | rejection | looks up | judged at |", "| --- | --- | --- | --- | --- |")
    suites = {role: {case.requirement for case in suite(f"uftp-{role}").cases} for role in ("agr", "dso", "cro")}
    for rule in RULES:
        needs = ", ".join(map(str, rule.needs)) or "nothing"
        roles = ", ".join(role.upper() for role, judged in suites.items() if rule.id in judged)
        yield f"| {rule.id} | {rule.clause} | {rule.reject} | {needs} | {roles} |"


def _states() -> Iterator[str]:
    for title, table in (("What messages are about", STAGES), ("Messages that go out", DELIVERIES)):
        yield from ("", f"## {title}", "", "| state | event | next |", "| --- | --- | --- |")
        yield from (f"| {state} | {event} | {after} |" for (state, event), after in table.items())


def differences(told: Mapping[str, str]) -> Iterator[str]:
    """Where a codec's verdict is not the schema's."""
    yield from ("", "## Where our verdict is not that of the schemas", "", "| what | why |", "| --- | --- |")
    yield from (f"| {name} | {why} |" for name, why in told.items())


_HEAD = ("", "## What becomes of each field", "")


def fates(protocol: str) -> Iterator[str]:
    """What becomes of each field, mapping by mapping."""
    for mapping in mappings(protocol):
        yield from (
            f"### {element(mapping.message)} and {element(mapping.core)}",
            "",
            first_paragraph(mapping.to_core),
            "",
        )
        yield from ("| field | fate |", "| --- | --- |")
        for fate in (*mapping.read, *mapping.written):
            name = element(fate.of)
            told = {
                **dict.fromkeys(fate.exact, "exact"),
                **dict.fromkeys(fate.kept, "kept"),
                **{field: f"converted: {how}" for field, how in fate.converted.items()},
                **{field: f"defaulted: {how}" for field, how in fate.defaulted.items()},
                **{field: f"dropped: {why}" for field, why in fate.dropped.items()},
            }
            yield from (f"| `{name}/{field}` | {how} |" for field, how in sorted(told.items()))
        yield ""


def unmapped(title: str, told: Mapping[type, str]) -> Iterator[str]:
    """Messages without a counterpart, and why."""
    yield from (f"## {title}", "", "| message | why |", "| --- | --- |")
    yield from (f"| {element(kind)} | {why} |" for kind, why in told.items())
