"""Writes the pages that follow from the code into docs/generated/, for `make docs`. Nothing there is edited by hand."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from typer.testing import CliRunner

from docs.lifecycle_diagram import draw
from flexhub.app import cli
from flexhub.core import errors, flexoffer, lifecycle, timeseries, trading
from flexhub.engines.slots import GROUPS

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
OUT: Final = HERE / "generated"

FORMS: Final[dict[str, type]] = {
    "offers.jsonl": flexoffer.FlexOffer,
    "schedules.jsonl": flexoffer.Schedule,
    "measurements.jsonl": timeseries.Measurement,
    "bills.jsonl": trading.Bill,
}
"""Dump file -> the type of its lines."""


def first_paragraph(thing: object) -> str:
    """What a docstring says first, in one line."""
    return " ".join((getattr(thing, "__doc__", None) or "").strip().split("\n\n")[0].split())


def lifecycle_page() -> str:
    """States, events and the table of transitions."""
    names = {(str(at), event.__name__): str(target) for (at, event), target in lifecycle.TRANSITIONS.items()}
    (OUT / "lifecycle.svg").write_text(draw(names, str(flexoffer.State.INITIAL)), encoding="utf-8")
    events = dict.fromkeys(event for _, event in lifecycle.TRANSITIONS)
    return "\n".join(
        [
            "# Life of a flex-offer",
            "",
            "Drawn from `flexhub.core.lifecycle.TRANSITIONS`, the one place where a state changes. What is not drawn",
            "is refused, with an error that names the state and the event.",
            "",
            "![States and the events that lead from one to another](lifecycle.svg)",
            "",
            "| event | what it means | from | to |",
            "| --- | --- | --- | --- |",
            *(
                f"| {event.__name__} | {first_paragraph(event)} | "
                f"{', '.join(at for at, name in names if name == event.__name__)} | "
                f"{', '.join(dict.fromkeys(to for (_, name), to in names.items() if name == event.__name__))} |"
                for event in events
            ),
            "",
        ]
    )


def forms_page() -> str:
    """The JSON forms of the core's types, field by field."""
    lines = [
        "# JSON forms",
        "",
        "The core's types in JSON, as `flexhub demo --dump` writes them, one object a line. Energies are kWh",
        "(positive is consumption), powers kW, prices EUR/kWh, instants RFC 3339 in UTC. Fields at their defaults",
        "are left out; unknown fields are refused.",
        "",
        *(f"- `{name}`: [{kind.__name__}](#{kind.__name__.lower()})" for name, kind in FORMS.items()),
        "",
    ]
    _, components = msgspec.json.schema_components(list(FORMS.values()), ref_template="#/{name}")
    for name in sorted(components):
        schema = components[name]
        lines += [f"## {name}", "", one_line(schema.get("description", "")), ""]
        if "enum" in schema:
            lines += ["One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".", ""]
        if "properties" in schema:
            lines += ["| field | type | default |", "| --- | --- | --- |"]
            needed = set(schema.get("required", ()))
            for field, of in schema["properties"].items():
                default = "required" if field in needed else f"`{msgspec.json.encode(of.get('default')).decode()}`"
                lines.append(f"| `{field}` | {kind_of(of)} | {default} |")
            lines.append("")
    return "\n".join(lines)


def one_line(text: str) -> str:
    """The first paragraph of a text in one line."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def kind_of(schema: dict[str, Any]) -> str:
    """A JSON schema in words, linking to the types of the page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        inside = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {kind_of(inside)}"
    words = schema.get("type", "any")
    words = {"null": "null", "string": "text", "number": "number", "integer": "whole number"}.get(words, words)
    if "format" in schema:
        words = {"date-time": "instant", "decimal": "decimal as text"}.get(schema["format"], schema["format"])
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
        if key in schema
    ]
    return " ".join([words, *bounds])


def errors_page() -> str:
    """The errors and their codes."""
    return "\n".join(
        [
            "# Errors",
            "",
            "An error says where, what is wrong and which clause demands it: `path: what is wrong [clause]`. In JSON",
            "it has `code`, `path`, `message`, `value` and `clause`.",
            "",
            "| code | what it means | whose fault |",
            "| --- | --- | --- |",
            *(
                f"| `{code}` | {first_paragraph(kind)} | {kind.fault} |"
                for code, kind in errors.BY_CODE.items()
                if kind is not errors.FlexhubError
            ),
            "",
        ]
    )


INTERPRETATION: Final = re.compile(
    r"Interpretation:\s*((?:.+\n?)+?)(?=\s*\n\s*\n|\s*\"\"\"|\n(?!\s*#)\s*\S+ ?[=(:]|\Z)"
)
"""The word, and the sentences up to the end of the paragraph or comment."""


def interpretations() -> Iterator[tuple[str, str]]:
    """(file, sentence) of every `Interpretation:` in the code: choices that a standard leaves open."""
    for file in sorted((ROOT / "flexhub").rglob("*.py")):
        text = file.read_text("utf-8")
        for hit in INTERPRETATION.finditer(text):
            words = re.sub(r"\s*\n\s*(?:#\s*)?", " ", hit[1]).strip()
            yield str(file.relative_to(ROOT)), words.replace('"""', "").strip()


def interpretations_page() -> str:
    """What we chose where a standard is silent."""
    lines = [
        "# Interpretations",
        "",
        "Where a standard is silent or contradicts itself, the code says what it does after the word",
        "`Interpretation:`. This is the list.",
        "",
        "| where | what |",
        "| --- | --- |",
        *(f"| `{file}` | {words.replace('|', '&#124;')} |" for file, words in interpretations()),
        "",
    ]
    return "\n".join(lines)


def slots_page() -> str:
    """The plugin slots."""
    slots = import_module("flexhub.engines.slots")
    lines = [
        "# Plugin slots",
        "",
        "A package adds an engine through an entry point of the slot's group; `flexhub plugins` lists what is",
        "installed.",
        "",
        "| slot | entry point group | what it is |",
        "| --- | --- | --- |",
    ]
    kinds = {"manager": "ManagerEngine", "market": "MarketEngine", "provider": "DataProvider"}
    for slot, group in GROUPS.items():
        kind = getattr(slots, kinds.get(slot, slot.capitalize()), None)
        lines.append(f"| {slot} | `{group}` | {first_paragraph(kind) if kind else 'A wire protocol.'} |")
    return "\n".join([*lines, ""])


def cli_page() -> str:
    """The help of every command."""
    lines = ["# Commands", "", "Exit codes: 0 done, 1 the answer is no, 2 wrong usage.", ""]
    for name in cli.COMMANDS:
        command = typer.main.get_command(import_module(f"flexhub.app.commands.{name}").app)
        below: list[tuple[str, ...]] = [(name, sub) for sub in getattr(command, "commands", ())]
        for words in below or [(name,)]:
            ran = CliRunner().invoke(cli.app, [*words, "--help"], prog_name="flexhub", env={"COLUMNS": "100"})
            lines += [f"## flexhub {' '.join(words)}", "", "```text", ran.output.rstrip(), "```", ""]
    return "\n".join(lines)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "lifecycle.md": lifecycle_page,
    "forms.md": forms_page,
    "errors.md": errors_page,
    "interpretations.md": interpretations_page,
    "slots.md": slots_page,
    "commands.md": cli_page,
}
"""File name -> what writes its Markdown."""


def main() -> None:
    """Write every page."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for name, page in PAGES.items():
        (OUT / name).write_text(page(), encoding="utf-8")
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](../")
        (OUT / name.lower()).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
