"""Docstrings and JSON schemas in the words of a page."""

from __future__ import annotations

from typing import Any


def first_paragraph(thing: object) -> str:
    """What a docstring says first, in one line."""
    return " ".join((getattr(thing, "__doc__", None) or "").strip().split("\n\n")[0].split())


def sentence(text: str) -> str:
    """A text with a capital letter."""
    return text[:1].upper() + text[1:]


def one_line(text: str) -> str:
    """The first paragraph of a text in one line."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def kind_of(schema: dict[str, Any], forms: str = "") -> str:
    """A JSON schema in words, linking to the types of the page `forms` (empty: the same page)."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({forms}#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind_of(one, forms) for one in schema["anyOf"])
    if schema.get("type") == "array":
        inside = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {kind_of(inside, forms)}"
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
