"""Reads a source tree's imports and judges them by the table of arrows (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

PACKAGE: Final = "flexhub"

ARROWS: Final[dict[str, tuple[str, ...]]] = {
    # room          what it may import beside itself
    "core":         (),
    "protocols":    ("core.errors", "core.units", "core.effects"),
    "mappings":     ("core", "protocols"),
    "engines":      ("core",),
    "adapters":     ("core",),
    "conformance":  ("core", "protocols", "mappings"),
    "app":          ("core", "protocols", "mappings", "engines", "adapters", "conformance"),
    "__main__":     ("app",),
}  # fmt: skip


class Import(NamedTuple):
    """`module` imports `target`, an absolute dotted name, on this line."""

    module: str
    line: int
    target: str


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module below the folder that holds the package."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, wherever it stands: at the top, in a function, for type checking, or by name."""
    here = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, node.lineno, f"{stem}.{alias.name}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".")[-1] in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield Import(module, node.lineno, argument.value)


def within(target: str, room: str) -> bool:
    """Whether a dotted name is the room `flexhub.<room>` or lies in it."""
    return f"{target}.".startswith(f"{PACKAGE}.{room}.")


def allowed(one: Import) -> bool:
    """Whether an import runs along the arrows."""
    if one.target != PACKAGE and not one.target.startswith(f"{PACKAGE}."):
        return True
    parts = one.module.split(".")
    if len(parts) == 1:
        return False  # the package itself stays empty, so that importing it costs nothing
    room = parts[1]
    return any(within(one.target, to) for to in (room, *ARROWS.get(room, ())))


def against(root: Path) -> list[str]:
    """A line for every import that runs against the arrows, and for every room without a row."""
    found = []
    for module, file in modules(root):
        parts = module.split(".")
        if len(parts) > 1 and parts[1] not in ARROWS:
            found.append(f"{module}: no row for this room in the table of arrows")
        every = imports(module, file.read_text("utf-8"), is_package=file.name == "__init__.py")
        found += [f"{module}:{one.line} imports {one.target}" for one in every if not allowed(one)]
    return found
