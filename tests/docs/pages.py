"""Reads what a page tells its reader to do.

A fenced block ``console`` holds commands after ``$ ``; what stands below a command is what it prints, where ``...``
stands for anything. A block with a title is a file, written before the commands after it. An HTML comment before a
block changes what is expected of it:

    <!-- exits 1 -->            the block's last command exits with 1
    <!-- stays, until TEXT -->  its command is a server that runs until the page ends; the next waits for TEXT
    <!-- not run: reason -->    the block is not executed
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FENCE: Final = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\s*\n+)?"
    r"^(?P<indent> *)```(?P<language>\w+)?(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=indent)```",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Step:
    """A file to write, or a command to run."""

    line: int
    file: str = ""
    content: str = ""
    command: str = ""
    output: list[str] = field(default_factory=list)
    exits: int = 0
    until: str = ""
    skip: str = ""


def says(printed: str, output: list[str]) -> bool:
    """Whether a program printed what the page says, `...` standing for anything."""
    pattern = r".*".join(re.escape(part.strip()) for part in "\n".join(output).strip().split("..."))
    return re.search(pattern, "\n".join(line.rstrip() for line in printed.splitlines()), re.DOTALL) is not None


def steps(text: str) -> Iterator[Step]:
    """The steps of a page, in order."""
    for block in FENCE.finditer(text):
        line = text.count("\n", 0, block.start("body"))
        body = re.sub(f"^{block['indent']}", "", block["body"], flags=re.MULTILINE)
        title = re.search(r'title="([^"]+)"', block["info"])
        if title:
            yield Step(line, file=title[1], content=body)
        if block["language"] == "console":
            yield from _commands(body, line, block["note"] or "")


def _commands(body: str, line: int, note: str) -> Iterator[Step]:
    found: list[Step] = []
    lines = iter(enumerate(body.splitlines(), line + 1))
    for number, text in lines:
        if text.startswith("$ "):
            command = text[2:]
            while command.endswith("\\"):
                command = command[:-1] + next(lines)[1].strip()
            found.append(Step(number, command=command))
        elif found:
            found[-1].output.append(text)
    if found:
        exits = re.fullmatch(r"exits (\d+)", note)
        until = re.fullmatch(r"stays, until (.+)", note)
        skip = re.fullmatch(r"not run: (.+)", note)
        found[-1].exits = int(exits[1]) if exits else 0
        found[-1].until = until[1] if until else ""
        for step in found:
            step.skip = skip[1] if skip else ""
    yield from found


def pages(root: Path) -> list[Path]:
    """Every page that a person wrote."""
    written = [p for p in (root / "docs").rglob("*.md") if "generated" not in p.parts]
    return sorted([root / "README.md", root / "CONTRIBUTING.md", *written])
