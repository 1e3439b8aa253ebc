"""The generated pages say all of what the code says."""

from __future__ import annotations

import re
import tomllib

import msgspec
import pytest

from docs import generate, lifecycle_diagram
from flexhub.app import cli, config
from flexhub.app.api.problems import STATUS
from flexhub.app.api.routes import ROUTES
from flexhub.core import errors, lifecycle
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All pages, written into an empty folder."""
    folder = tmp_path_factory.mktemp("docs") / "generated"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "OUT", folder)
        generate.main()
    return {file.name: file.read_text("utf-8") for file in folder.iterdir()}


def test_every_generated_page_is_in_the_navigation(pages: dict[str, str]) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [name for name in pages if name.endswith(".md") and f"generated/{name}" not in navigation] == []


def test_the_drawn_life_cycle_names_every_transition(pages: dict[str, str]) -> None:
    drawn = pages["lifecycle.svg"]
    for (state, event), target in lifecycle.TRANSITIONS.items():
        assert event.__name__ in drawn
        assert f">{state}<" in drawn or f"→ {state}<" in drawn
        assert f">{target}<" in drawn or f"→ {target}<" in drawn
    assert f"| {lifecycle.Submitted.__name__} |" in pages["lifecycle.md"]


def test_a_drawing_is_as_wide_as_the_longest_way_through_life() -> None:
    moves = {("a", "Go"): "b", ("b", "Go"): "c", ("a", "Skip"): "c", ("b", "Back"): "a", ("b", "Drop"): "gone"}
    assert lifecycle_diagram.spine(moves, "a") == ["a", "b", "c"]
    drawn = lifecycle_diagram.draw(moves, "a")
    assert drawn.count("<path d=") == 1 + 4  # the arrow's tip, and four moves within the row
    assert "Drop → gone" in drawn


def test_every_key_of_the_configuration_is_listed(pages: dict[str, str]) -> None:
    page = pages["configuration.md"]

    def check(section: type[msgspec.Struct]) -> None:
        for field in msgspec.structs.fields(section):
            below = [kind for kind in generate.alternatives(field.type) if generate.is_section(kind)]
            assert below or f"| `{field.name}` |" in page
            for one in below:
                assert f"{field.name}]" in page
                check(one)

    check(config.Config)


def test_listed_defaults_are_read_back_as_they_are(pages: dict[str, str]) -> None:
    for section in ("hub", "store", "plan"):
        table = pages["configuration.md"].partition(f"## `[{section}]`")[2].partition("##")[0]
        lines = [f"[{section}]"]
        for key, kind, default in re.findall(r"^\| `(\w+)` \| (.+) \| `([^`]+)` \|$", table, re.MULTILINE):
            value = default if kind == "whole number" else f'"{default}"'
            lines.append(f"{key} = [{value}]" if kind.startswith("list of") else f"{key} = {value}")
        assert len(lines) > 1
        assert config.parse("\n".join(lines)) == config.Config()
        assert tomllib.loads("\n".join(lines))


def test_every_error_and_command_is_listed(pages: dict[str, str]) -> None:
    for code, kind in errors.BY_CODE.items():
        assert kind is errors.FlexhubError or f"| `{code}` |" in pages["errors.md"]
    for name in cli.COMMANDS:
        assert f"## flexhub {name}" in pages["commands.md"]


def test_every_interpretation_is_listed_with_its_file(pages: dict[str, str]) -> None:
    page = pages["interpretations.md"]
    for file in sorted((ROOT / "flexhub").rglob("*.py")):
        count = file.read_text("utf-8").count("Interpretation: ")
        assert page.count(f"`{file.relative_to(ROOT)}`") >= count, file


def test_the_json_forms_list_every_field_of_a_dump(pages: dict[str, str]) -> None:
    for kind in generate.FORMS.values():
        table = pages["forms.md"].partition(f"## {kind.__name__}\n")[2].partition("\n## ")[0]
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        assert [name for name in names if f"| `{name}` |" not in table] == []


TABLE_6 = """
GET /contract
GET /bill
POST /flexoffer
GET /flexoffer
GET /flexoffer/{from}/{to}
GET /flexoffer/{id}
PUT /flexoffer/{id}
DELETE /flexoffer/{id}
GET /flexoffer/stream
POST /flexoffer/measurement
GET /timeseries/{kind}/{from}/{to}
GET /kpi
"""


def test_the_exchange_interface_is_told_call_by_call(pages: dict[str, str]) -> None:
    page = pages["exchange.md"]
    listed = page.partition("## GOFLEX D2.1 Table 6")[2].partition("Beside it")[0]
    assert sorted(re.findall(r"^\| \[`(.+?)`\]", listed, re.MULTILINE)) == sorted(TABLE_6.strip().splitlines())
    for route in ROUTES:
        told = page.partition(f"## {route.method} {route.path} {{#{route.name.lower()}}}\n")[2].partition("\n## ")[0]
        assert route.text in told
        assert f"- Roles: {', '.join(route.roles)}" in told
        for status in (*route.returns, *route.problems):
            assert re.search(rf"\b{status} [A-Z]", told), (route.name, status)
        for field in msgspec.structs.fields(route.args):
            assert f"| `{field.encode_name}` |" in told, (route.name, field.name)
    for code, status in STATUS.items():
        assert f"| `{code}` | {status.value} " in page


def test_every_type_that_the_exchange_names_is_among_the_forms(pages: dict[str, str]) -> None:
    named = set(re.findall(r"\(forms\.md#(\w+)\)", pages["exchange.md"]))
    assert {"flexoffer", "bills", "registration"} <= named
    assert named <= {name.lower() for name in re.findall(r"^## (\w+)$", pages["forms.md"], re.MULTILINE)}


def test_generated_pages_are_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/docs/generated/" in ignored
