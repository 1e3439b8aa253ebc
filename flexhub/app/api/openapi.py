"""The OpenAPI 3.1 document, made from the table of routes and the types themselves."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from flexhub.app.api import goflex
from flexhub.app.api.problems import CONTENT_TYPE, Problem
from flexhub.app.api.route import Route
from flexhub.core.base import Id

JSON: Final = "application/json"
GOFLEX: Final = goflex.MEDIA_TYPE
ANY: Final = {"description": "The same in the words of V1 and GOFLEX (FlexOffer specification V1); a page is a list."}
REF: Final = "#/components/schemas/{name}"
DRAFTED: Final = ("id", "issuer")
"""What a draft may leave out: the hub gives the id, the token tells the issuer."""

ABOUT: Final = """Flex-offers, requests, readings and bills. Energy in kWh, positive = consumption, prices in EUR/kWh,
instants RFC 3339 with a time zone. Every message may be sent again without harm: with the same Idempotency-Key it gets
the same answer. Errors are problem documents (RFC 9457) that name the field."""

CONDITIONS: Final = {
    "If-Match": "Entity tags, or *: only if it is in one of these states (or there at all), else 412.",
    "If-None-Match": "Entity tags, or *: only if it is in none of these states, else 304, or 412 for a change.",
}
"""Headers of conditional requests (RFC 9110 section 13.1)."""

Document = dict[str, Any]


def document(routes: Sequence[Route], version: str) -> Document:
    """The document that describes these routes."""
    kinds = _kinds(routes)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    components = {name: _readable(schema) for name, schema in components.items()}
    by_kind = dict(zip(map(repr, kinds), schemas, strict=True))
    for route in routes:
        if route.draft:
            name = route.body.__name__
            components[f"{name}Draft"] = _draft(components[name])
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flexhub exchange interface",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": ABOUT,
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of one party in one role; `flexhub keys` makes it.",
                },
                "oauth2": {
                    "type": "oauth2",
                    "description": "A token of minutes, where the hub is configured for it: from itself, in exchange "
                    "for a key (client_id: the party, client_secret: the key), or from the issuer that it names.",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": "/oauth/token",
                            "scopes": dict.fromkeys(sorted({r.scope for r in routes if r.scope}), ""),
                        }
                    },
                },
            },
        },
    }


def _kinds(routes: Iterable[Route]) -> list[Any]:
    kinds: dict[str, Any] = {repr(Problem): Problem, repr(Id): Id}
    for route in routes:
        for kind in (route.body, *route.returns.values()):
            if kind is not None:
                kinds[repr(kind)] = kind
    return list(kinds.values())


def _readable(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Docstrings as descriptions: unindented, and without what only concerns Python."""
    if isinstance(schema, dict):
        out = {key: _readable(value) for key, value in schema.items()}
        if isinstance(out.get("description"), str):
            out["description"] = inspect.cleandoc(out["description"]).partition("\n\nRaises:")[0]
        return out
    return [_readable(item) for item in schema] if isinstance(schema, list) else schema


def _draft(schema: Document) -> Document:
    """The schema of a body in which the hub fills in what is absent or null."""
    draft = copy.deepcopy(schema)
    draft["title"] += "Draft"
    draft["description"] += "\n\nAs it is sent: without an id it gets a new one, without an issuer the caller is meant."
    draft["required"] = [name for name in draft["required"] if name not in DRAFTED]
    for name in DRAFTED:
        draft["properties"][name] = {"anyOf": [draft["properties"][name], {"type": "null"}]}
    return draft


def _operation(route: Route, by_kind: dict[str, Any]) -> Document:
    problem = {CONTENT_TYPE: {"schema": by_kind[repr(Problem)]}}
    responses: dict[str, Any] = {}
    for status, kind in route.returns.items():
        content = (
            {route.media: {"schema": {"type": "string"}}} if kind is None else {JSON: {"schema": by_kind[repr(kind)]}}
        )
        if route.goflex:
            content[GOFLEX] = {"schema": ANY}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    if route.tagged and route.method == "GET":
        responses["200"]["headers"] = {"ETag": {"description": "Stands for this state.", "schema": {"type": "string"}}}
        responses["304"] = {"description": "The reader has it already (If-None-Match)"}
    conditional = (400, 412) if route.tagged else ()
    for status in sorted({*route.problems, *conditional, *([429] if route.roles else [])}):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    responses["default"] = {"description": "Any other problem", "content": problem}
    operation: Document = {
        "operationId": route.name,
        "summary": route.text.partition(". ")[0].rstrip("."),
        "description": f"{route.text} [{route.clause}]",
        "parameters": _parameters(route),
        "responses": responses,
    }
    if route.body is not None:
        schema = {"$ref": REF.format(name=f"{route.body.__name__}Draft")} if route.draft else by_kind[repr(route.body)]
        content = {JSON: {"schema": schema}} | ({GOFLEX: {"schema": ANY}} if route.goflex else {})
        operation["requestBody"] = {"required": True, "content": content}
    if route.roles:
        operation["security"] = [{"bearer": []}, {"oauth2": [route.scope]}]
        operation["x-roles"] = list(route.roles)
        operation["description"] += f"\n\nRoles: {', '.join(route.roles)}."
    return operation


def _parameters(route: Route) -> list[Document]:
    parameters = []
    for field in msgspec.structs.fields(route.args):
        in_path = f"{{{field.encode_name}}}" in route.path
        schema = _readable(msgspec.json.schema(_without_none(field.type)))
        schema = schema | schema.pop("$defs", {}).get(schema.pop("$ref", "").rpartition("/")[2], {})
        parameter: Document = {
            "name": field.encode_name,
            "in": "path" if in_path else "query",
            "required": in_path or field.required,
        }
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if field.default not in (None, msgspec.NODEFAULT):
            schema["default"] = field.default
        parameters.append(parameter | {"schema": schema})
    if route.method != "GET":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Id of the message: the same again gets the same answer and changes nothing; with other "
                "content it is refused (422). A String (RFC 9651), or bare: both are the same key.",
                "schema": msgspec.json.schema(Id),
            }
        )
    if route.tagged:
        parameters += [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in CONDITIONS.items()
        ]
    return parameters


def _without_none(kind: Any) -> Any:  # noqa: ANN401 - a type
    """`T` of ``T | None``: an absent parameter is absent, not null."""
    args = getattr(kind, "__args__", ())
    if type(None) in args:
        return next(arg for arg in args if arg is not type(None))
    return kind
