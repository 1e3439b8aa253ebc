"""Writes the pages that follow from the code into docs/generated/, for `make docs`. Nothing there is edited by hand."""

from __future__ import annotations

import enum
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
import typer
from typer.testing import CliRunner

from docs import access, algebra_pictures, exchange, openadr2b, uftp, usef2015
from docs.lifecycle_diagram import draw
from docs.words import first_paragraph, kind_of, one_line, sentence
from flexhub.app import cli, config
from flexhub.conformance import registry
from flexhub.core import errors, flexoffer, lifecycle, timeseries, trading
from flexhub.core.units import format_duration
from flexhub.engines.plugins import CONTRACTS
from flexhub.engines.slots import GROUPS, Assignment

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
OUT: Final = HERE / "generated"

FORMS: Final[dict[str, type]] = {
    "offers.jsonl": flexoffer.FlexOffer,
    "schedules.jsonl": Assignment,
    "measurements.jsonl": timeseries.Measurement,
    "bills.jsonl": trading.Bill,
    "contracts.jsonl": trading.Contract,
    "requests.jsonl": trading.FlexRequest,
}
"""Dump file -> the type of its lines."""


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
        "The types of the core and of the [exchange interface](exchange.md) in JSON. Energies are kWh (positive is",
        "consumption), powers kW, prices EUR/kWh, instants RFC 3339 in UTC. Fields at their defaults are left out;",
        "unknown fields are refused. `flexhub demo --dump` writes one object a line:",
        "",
        *(f"- `{name}`: [{kind.__name__}](#{kind.__name__.lower()})" for name, kind in FORMS.items()),
        "",
    ]
    kinds = list(dict.fromkeys((*FORMS.values(), *exchange.kinds())))
    _, components = msgspec.json.schema_components(kinds, ref_template="#/{name}")
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
            words = re.sub(r"\s*\n\s*(?:#\s*)?", " ", hit[1].partition('"""')[0]).strip()
            yield str(file.relative_to(ROOT)), words


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
    lines = [
        "# Plugin slots",
        "",
        "A package adds an engine through an entry point of the slot's group; `flexhub plugins` lists what is",
        "installed.",
        "",
        "| slot | entry point group | what it is |",
        "| --- | --- | --- |",
    ]
    kinds = {slot: contracts[0] for slot, contracts in CONTRACTS.items()}
    kinds["protocol"] = import_module("flexhub.protocols.registry").Protocol
    kinds["uftp"] = import_module("flexhub.app.uftp.hooks").Hook
    lines += [f"| {slot} | `{group}` | {first_paragraph(kinds[slot])} |" for slot, group in GROUPS.items()]
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


def configuration_page() -> str:
    """Every section and key of a hub's configuration."""
    lines = [
        "# Configuration",
        "",
        "A hub is configured in TOML. Every key has a default unless it says *required*. Durations are ISO 8601",
        "(`PT15M`), quantities texts with a unit (`11 kW`). Environment variables go before the file:",
        "`FLEXHUB__STORE__URL` is `url` in `[store]`. `flexhub check FILE` says line, key and what is allowed.",
        "",
    ]
    sections: list[tuple[str, bool, type[msgspec.Struct]]] = [("", False, config.Config)]
    for name, many, section in sections:
        plain = []
        for field in msgspec.structs.fields(section):
            below = next((t for t in alternatives(field.type) if is_section(t)), None)
            if below is None:
                plain.append(f"| `{field.name}` | {type_of(field.type)} | {default_of(field)} |")
            else:
                sections.append((f"{name}.{field.name}".lstrip("."), is_many(field.type), below))
        title = (f"`[[{name}]]`" if many else f"`[{name}]`") if name else "The whole"
        lines += [f"## {title}", "", sentence(first_paragraph(section).rpartition("``: ")[2]), ""]
        lines += [*(("| key | type | default |", "| --- | --- | --- |") if plain else ()), *plain, ""]
    return "\n".join(lines)


def alternatives(kind: Any) -> list[Any]:  # noqa: ANN401 - a type
    """The members of a union or the items of a tuple; the type itself where it is neither."""
    return [arg for arg in get_args(kind) if arg not in (Ellipsis, type(None))] or [kind]


def is_section(kind: object) -> bool:
    """Whether a type is a section of the configuration."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def is_many(kind: object) -> bool:
    """Whether a section may stand several times."""
    return get_origin(kind) is tuple


def type_of(kind: Any) -> str:  # noqa: ANN401 - a type
    """A type in the words of somebody who writes TOML."""
    if is_many(kind):
        return f"list of {type_of(get_args(kind)[0])}"
    options = [one for one in alternatives(kind) if one is not type(None)]
    kind = options[0]
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in kind)
    words: dict[Any, str] = {
        config.Duration: "duration",
        str: "text",
        bool: "`true` or `false`",
        int: "whole number",
        float: "number",
        datetime: "instant",
        Path: "path",
    }
    return words.get(kind) or first_paragraph(kind).rstrip(".")


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """A default as it would be written."""
    if field.required:
        return "*required*"
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if str(value) else "empty"


def conformance_page() -> str:
    """Suites, requirements and what each is judged by."""
    lines = [
        "# Conformance",
        "",
        "Suites ship with the package. `flexhub conformance run SUITE` judges flexhub itself, with `--target URL` an",
        "endpoint of anyone's. Each requirement also has a mutant, a target made wrong in just that requirement;",
        "`--self-check` shows that exactly the requirement's own cases notice it. `run uftp --role agr` is the suite",
        "`uftp-agr`; [judge a UFTP endpoint](../uftp-conformance.md) tells more.",
        "",
    ]
    for name in registry.names():
        suite = registry.suite(name)
        lines += [f"## {suite.name}", "", suite.title, ""]
        lines += ["| requirement | clause | what | cases | state |", "| --- | --- | --- | --- | --- |"]
        for requirement in suite.requirements:
            cases = sum(case.requirement == requirement.id for case in suite.cases)
            status = suite.status.get(requirement.id)
            state = "done" if status is None else f"{status.result.value}: {status.reason}"
            what = requirement.text.replace("|", "&#124;")
            lines.append(f"| {requirement.id} | {requirement.clause} | {what} | {cases} | {state} |")
        lines.append("")
    return "\n".join(lines)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "lifecycle.md": lifecycle_page,
    "forms.md": forms_page,
    "exchange.md": exchange.page,
    "access.md": access.page,
    "errors.md": errors_page,
    "interpretations.md": interpretations_page,
    "slots.md": slots_page,
    "commands.md": cli_page,
    "configuration.md": configuration_page,
    "conformance.md": conformance_page,
    "openadr2b.md": openadr2b.page,
    "uftp.md": uftp.page,
    "usef2015.md": usef2015.page,
}
"""File name -> what writes its Markdown."""


def main() -> None:
    """Write every page."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for name, page in PAGES.items():
        (OUT / name).write_text(page(), encoding="utf-8")
    for name, drawing in algebra_pictures.PICTURES.items():
        (OUT / name).write_text(drawing(), encoding="utf-8")
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](../")
        (OUT / name.lower()).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
