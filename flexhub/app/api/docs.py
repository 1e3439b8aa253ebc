"""The page that shows the OpenAPI document to people: plain HTML, no script, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from flexhub.app.api.problems import STATUS, TITLES

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f4f6f8; border-radius: 4px; padding: .1em .3em; }
pre { padding: .8em; overflow-x: auto; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dae0; }
.method { display: inline-block; min-width: 4.2em; font-weight: 700; color: #0b5cad; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top; padding: .2em 1em .2em 0; }
summary { cursor: pointer; } details { margin: .4em 0; } .quiet { color: #5b6570; }
"""


def page(document: dict[str, Any]) -> str:
    """The document as a page: every path with its parameters, body and answers; every schema; every problem."""
    info = document["info"]
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style><h1>{escape(info['title'])}</h1>",
        f'<p class="quiet">Version {escape(info["version"])}, <a href="/openapi.json">openapi.json</a></p>',
        f"<p>{escape(info['description'])}</p><h2>Calls</h2>",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += _operation(path, method, operation)
    parts.append("<h2>Types</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts += _schema(name, schema)
    parts.append("<h2>Problems</h2><table><tr><th>code<th>status<th>meaning</tr>")
    parts += (
        f'<tr id="problem-{code}"><td><code>{code}</code><td>{status.value}<td>{escape(TITLES.get(code, ""))}</tr>'
        for code, status in STATUS.items()
    )
    parts.append("</table></html>")
    return "\n".join(parts)


def _text(text: str) -> str:
    """Text as HTML, with what stands in backticks as code."""
    return re.sub(r"(`+)([^`]+)\1", r"<code>\2</code>", escape(text))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(block)}</p>" for block in text.split("\n\n"))


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<details id="{operation["operationId"]}"><summary><span class="method">{method.upper()}</span>'
    yield f"<code>{escape(path)}</code> {_text(operation['summary'])}</summary>{_paragraphs(operation['description'])}"
    if operation["parameters"]:
        yield "<table><tr><th>parameter<th>in<th>type<th></tr>"
        for p in operation["parameters"]:
            need = "" if p["required"] else "optional. "
            yield f"<tr><td><code>{p['name']}</code><td>{p['in']}<td>{_kind(p['schema'])}"
            yield f"<td>{need}{_text(p.get('description', ''))}</tr>"
        yield "</table>"
    if "requestBody" in operation:
        for media, content in operation["requestBody"]["content"].items():
            yield f"<p>Body: {_kind(content['schema'])} <span class=quiet>{escape(media)}</span></p>"
    yield "<table><tr><th>status<th>answer<th></tr>"
    for status, answer in operation["responses"].items():
        kinds = ", ".join(f"{_kind(c['schema'])}" for c in answer.get("content", {}).values())
        yield f"<tr><td>{status}<td>{kinds}<td>{escape(answer['description'])}</tr>"
    yield "</table></details>"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f'<details id="{name}"><summary><code>{name}</code></summary>{_paragraphs(schema.get("description", ""))}'
    if "properties" in schema:
        required = schema.get("required", [])
        yield "<table><tr><th>field<th>type<th></tr>"
        for field, kind in schema["properties"].items():
            need = "required" if field in required else _default(kind)
            yield f"<tr><td><code>{field}</code><td>{_kind(kind)}<td>{need}</tr>"
        yield "</table>"
    elif "enum" in schema:
        yield "<p>" + ", ".join(f"<code>{escape(json.dumps(v))}</code>" for v in schema["enum"]) + "</p>"
    yield "</details>"


def _default(schema: dict[str, Any]) -> str:
    return f"default <code>{escape(json.dumps(schema['default']))}</code>" if schema.get("default") else ""


def _kind(schema: dict[str, Any]) -> str:
    """A type in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    words += (f"{label} {schema[key]}" for key, label in _BOUNDS.items() if key in schema)
    return escape(" ".join(words))


_BOUNDS: Final = {"minimum": "from", "maximum": "to", "exclusiveMinimum": "above", "maxLength": "up to length"}
