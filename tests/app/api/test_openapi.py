"""The OpenAPI document is valid, complete, and what it promises holds for whatever is sent."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode, checks
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES
from tests.app.api.live import TOKENS, Live
from tests.app.market import make_offer

ROLE_TOKENS = {role: who for who, role in reversed(TOKENS.items())}


@pytest.fixture(scope="module")
def document(hub: Live) -> dict[str, Any]:
    described: dict[str, Any] = hub.get("/openapi.json", None)
    return described


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"


def test_every_route_is_in_it_with_its_parameters_answers_and_problems(document: dict[str, Any]) -> None:
    assert {(m.upper(), p) for p, ops in document["paths"].items() for m in ops} == {(r.method, r.path) for r in ROUTES}
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", route.path)), route.path
        assert set(operation["responses"]) >= {str(s) for s in (*route.returns, *route.problems)}
        assert ("security" in operation) == bool(route.roles)
        assert ("requestBody" in operation) == (route.body is not None)


def test_table_6_is_served() -> None:
    served = {(r.method, r.path) for r in ROUTES}
    assert served >= {
        ("GET", "/contract"),
        ("GET", "/bill"),
        ("POST", "/flexoffer"),
        ("GET", "/flexoffer"),
        ("GET", "/flexoffer/{from}/{to}"),
        ("GET", "/flexoffer/{id}"),
        ("PUT", "/flexoffer/{id}"),
        ("DELETE", "/flexoffer/{id}"),
        ("GET", "/flexoffer/stream"),
        ("POST", "/flexoffer/measurement"),
        ("GET", "/timeseries/{kind}/{from}/{to}"),
        ("GET", "/kpi"),
    }


class Links(HTMLParser):
    """Ids, links within the page, and what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if (given.get("href") or "").startswith("#"):
            self.targets.add((given["href"] or "")[1:])
        if tag in ("script", "link", "img", "iframe"):
            self.loaded.add(tag)


def test_the_page_shows_every_call_and_loads_nothing(hub: Live) -> None:
    answer = hub.request("GET", "/docs", None)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Links()
    page.feed(answer.body.decode())
    assert page.ids >= {route.name for route in ROUTES} | {"FlexOffer", "problem-invalid"}
    assert page.targets <= page.ids
    assert page.loaded == set()
    assert b"<code>Last-Event-ID</code>" in answer.body
    assert b"`" not in answer.body


CHECKS = [checks.not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [r for r in ROUTES if r.path != "/flexoffer/stream"]  # it never ends; its arguments are tested elsewhere


@pytest.fixture(scope="module")
def schema(hub: Live) -> BaseSchema:
    hub.request("POST", "/flexoffer", "ann", make_offer("known", "ann"))
    return schemathesis.openapi.from_url(f"{hub.running.url}/openapi.json")


@pytest.mark.parametrize(
    ("route", "mode"),
    # Where a route takes nothing, there is nothing to get wrong.
    [(r, m) for r in OPERATIONS for m in GenerationMode if m.is_positive or r.body or r.args.__struct_fields__],
    ids=lambda value: getattr(value, "name", value).lower(),
)
def test_whatever_is_sent_is_answered_as_documented(
    hub: Live, schema: BaseSchema, route: Route, mode: GenerationMode
) -> None:
    """Valid and invalid calls of every operation, in a role that may make them: no server error, documented answers."""
    token = hub.tokens[ROLE_TOKENS[route.roles[0]]] if route.roles else ""
    answered: set[int] = set()

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[route.path][route.method].as_strategy(generation_mode=mode))
    def attack(case: Case[Any]) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, checks=CHECKS)
        answered.add(answer.status_code)

    attack()
    # Some invalid calls come without the token.
    assert answered - {401} if mode.is_negative else answered and 401 not in answered
