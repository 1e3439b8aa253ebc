"""Finds hidden inputs in source: clocks, chance, the environment, and whatever else does IO."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.arrows import modules

PURE: Final = ("core", "protocols", "mappings", "engines", "app.exchange", "app.convert")
"""Rooms whose code gets `now`, ids and seeds as arguments."""

BUILT_IN: Final = ("open", "input", "print")

HIDDEN: Final = re.compile(
    r"(datetime\.(datetime\.(now|utcnow|today)|date\.today)"  # the clock
    r"|random\.(?!Random$)\w+|numpy\.random\.(?!default_rng$)\w+|uuid\.uuid[14]"  # chance that nobody can repeat
    r"|sys\.(argv|stdin|stdout|stderr)"
    r"|(time|secrets|os|io|pathlib|socket|select|subprocess|threading|asyncio|tempfile|shutil|urllib|http|sqlite3|logging"
    r"|aiohttp|sqlalchemy|dask)(\..*)?|" + "|".join(BUILT_IN) + ")"
)
SEEDED: Final = ("random.Random", "numpy.random.default_rng")
"""Chance that can be repeated, if it is given a seed."""


def _names(tree: ast.AST) -> dict[str, str]:
    """Local name -> the dotted name that an import gave it."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name of an expression such as ``datetime.now``; empty where it is none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id if node.id in BUILT_IN else "")
    if isinstance(node, ast.Attribute):
        stem = _dotted(node.value, names)
        return f"{stem}.{node.attr}" if stem else ""
    return ""


def hidden(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of every hidden input, called or merely named."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if HIDDEN.fullmatch(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if HIDDEN.fullmatch(f"{node.module}.{alias.name}"):
                    yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute | ast.Name) and HIDDEN.fullmatch(name := _dotted(node, names)):
            yield node.lineno, name
        elif isinstance(node, ast.Call) and not node.args and _dotted(node.func, names) in SEEDED:
            yield node.lineno, f"{_dotted(node.func, names)} without a seed"


def impure(root: Path) -> list[str]:
    """A line for every hidden input in a pure room."""
    return [
        f"{module}:{line} uses {name}"
        for module, file in modules(root)
        if any(f"{module}.".startswith(f"flexhub.{room}.") for room in PURE)
        for line, name in hidden(file.read_text("utf-8"))
    ]
