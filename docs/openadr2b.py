"""The generated page about OpenADR 2.0b: rules with their codes, messages, differences."""

from __future__ import annotations

from collections.abc import Iterator

from docs.words import first_paragraph
from flexhub.protocols.openadr2b.messages import SERVICES, OadrResponse
from flexhub.protocols.openadr2b.rules import ELSEWHERE, RULES
from flexhub.protocols.openadr2b.session.judging import TOLERATED, VTN_RULES
from flexhub.protocols.openadr2b.session.state import ASKING, STAGES
from flexhub.protocols.openadr2b.shapes import name_of
from flexhub.protocols.openadr2b.simple import DIFFERENCES


def page() -> str:
    """The page."""
    return "\n".join([*_rules(), *_vtn(), *_messages(), *_differences(), ""])


def _rules() -> Iterator[str]:
    yield from ("# OpenADR 2.0b: rules and messages", "")
    yield from ("What it is about is said in [OpenADR 2.0b](../concepts/openadr2b.md).", "")
    yield from ("## Rules about one message", "")
    yield "Numbers are those of the profile's conformance rules; a letter marks a demand that stands elsewhere in it."
    yield "The code is that of the answer to what breaks the rule; its words are ours."
    yield from ("", "| rule | clause | about | what it demands | code and words |", "| --- | --- | --- | --- | --- |")
    for rule in RULES:
        kinds = rule.of if isinstance(rule.of, tuple) else (rule.of,)
        about = ", ".join(_element(kind) for kind in kinds)
        yield f"| {rule.id} | {rule.clause} | {about} | {first_paragraph(rule.check)} | {rule.reject} |"
    yield from ("", "## Rules that no message breaks alone", "", "| rule | what it says | where it is judged |")
    yield "| --- | --- | --- |"
    yield from (f"| {number} | {what} | {where} |" for number, (what, where) in ELSEWHERE.items())


def _vtn() -> Iterator[str]:
    yield from ("", "## Rules that a VTN judges in a conversation", "")
    yield f"A VTN of ours does not insist on {', '.join(sorted(TOLERATED))}: what breaks them says what it means."
    yield from ("", "| rule | clause | code and words |", "| --- | --- | --- |")
    yield from (f"| {rule.id} | {rule.clause} | {rule.code} {rule.words} |" for rule in VTN_RULES.values())
    for title, table in (("A VEN's registration", STAGES), ("A report that is asked for", ASKING)):
        yield from ("", f"## {title}", "", "| state | event | next |", "| --- | --- | --- |")
        yield from (f"| {state} | {event} | {after} |" for (state, event), after in table.items())


def _element(kind: type) -> str:
    name = name_of(kind)
    return f"`{name.rpartition(':')[2]}`" if ":" in name else "every message"


def _messages() -> Iterator[str]:
    yield from ("", "## Messages", "", "| service | message | what it is |", "| --- | --- | --- |")
    for service, kinds in SERVICES.items():
        yield from (f"| {service} | {_element(kind)} | {first_paragraph(kind)} |" for kind in kinds)
    yield f"| all | {_element(OadrResponse)} | {first_paragraph(OadrResponse)} |"


def _differences() -> Iterator[str]:
    yield from ("", "## Where our verdict is not that of the schemas", "")
    yield "With the XSD check, which is on where the schemas are installed, both have to accept."
    yield from ("", "| what | why |", "| --- | --- |")
    yield from (f"| {name} | {why} |" for name, why in DIFFERENCES.items())
