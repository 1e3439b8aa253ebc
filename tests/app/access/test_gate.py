"""Ways in over HTTP: keys, tokens of minutes, certificates; and what happens to those who call too often."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from flexhub.adapters.store import open_store
from flexhub.app.access.audit import blocks
from flexhub.app.access.certificates import authority, issue
from flexhub.app.api import oauth
from flexhub.app.api.routes import ROUTES
from flexhub.app.config import ClientAuth, Config, Duration, LimitsSection, OauthSection, TlsSection
from flexhub.core.registry import Role
from tests.app.access.test_jwt import pem
from tests.app.api.live import TOKENS, Live, Response, config, live
from tests.app.market import make_offer

NAME = "https://flexhub.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def with_oauth(folder: Path) -> Config:
    key = folder / "oauth.key"
    key.write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    section = OauthSection(issuer=NAME, key=key, lifetime=Duration(minutes=15))
    return msgspec.structs.replace(config(folder), oauth=section)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(with_oauth(tmp_path_factory.mktemp("oauth"))) as running:
        yield running


def ask(hub: Live, fields: dict[str, str] | bytes, headers: dict[str, str] | None = None) -> Response:
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return hub.request("POST", "/oauth/token", None, body, FORM | (headers or {}))


def credentials(hub: Live, who: str = "ann") -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": who, "client_secret": hub.tokens[who]}


def token(hub: Live, who: str = "ann", scope: str = "") -> str:
    answer = ask(hub, credentials(hub, who) | ({"scope": scope} if scope else {}))
    assert answer.status == 200, answer
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json["access_token"])


def test_a_key_is_exchanged_for_a_token_that_opens_the_same_doors(hub: Live) -> None:
    short = token(hub)
    assert hub.request("GET", "/flexoffer", short).status == 200
    assert hub.request("POST", "/flexoffer", short, make_offer("jwt", "ann")).status == 201
    assert hub.request("GET", "/flexoffer/jwt", token(hub, "bob")).status == 404
    assert hub.request("POST", "/plan", short).status == 403


def test_its_signature_can_be_checked_by_anyone(hub: Live) -> None:
    told = hub.request("GET", "/.well-known/oauth-authorization-server", None).json
    assert (told["issuer"], told["token_endpoint"]) == (NAME, f"{NAME}/oauth/token")
    (key,) = hub.request("GET", "/.well-known/jwks.json", None).json["keys"]
    assert "d" not in key, "the private half"
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token(hub), jwt.PyJWK(key), ["EdDSA"], audience="flexhub", issuer=NAME, options=options)
    assert (claims["sub"], claims["role"]) == ("ann", "prosumer")


def test_basic_authentication_serves_as_well(hub: Live) -> None:
    basic = base64.b64encode(f"ann:{hub.tokens['ann']}".encode()).decode()
    answer = ask(hub, {"grant_type": "client_credentials"}, {"Authorization": f"Basic {basic}"})
    assert (answer.status, answer.json["token_type"], answer.json["expires_in"]) == (200, "Bearer", 900)


@pytest.mark.parametrize("who", [who for who in TOKENS if who != "eve"])
def test_a_token_does_what_its_scope_says_and_nothing_else(hub: Live, who: str) -> None:
    role = TOKENS[who]
    for scope in sorted(oauth.scopes_of(role, ROUTES)):
        narrow = token(hub, who, scope)
        for route in ROUTES:
            if role not in route.roles or route.scope == "stream":
                continue
            path = route.path.replace("{kind}", "baseline").replace("{from}", "2026-03-02T00:00:00Z")
            path = re.sub(r"\{\w+\}", "none", path.replace("{to}", "2026-03-03T00:00:00Z"))
            answer = hub.request(route.method, path, narrow)
            insufficient = answer.status == 403 and "insufficient_scope" in answer.headers.get("www-authenticate", "")
            assert insufficient is (route.scope != scope), (route.name, scope, answer)


@pytest.mark.parametrize(
    ("name", "change", "status", "error"),
    [
        ("no grant", {"grant_type": ""}, 400, "unsupported_grant_type"),
        ("another grant", {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ("another's key", {"client_id": "bob"}, 401, "invalid_client"),
        ("a wrong key", {"client_secret": "x"}, 401, "invalid_client"),
        ("no key", {"client_secret": ""}, 401, "invalid_client"),
        ("a scope beyond the role", {"scope": "plan"}, 400, "invalid_scope"),
        ("one of two scopes beyond", {"scope": "stream plan"}, 400, "invalid_scope"),
        ("a scope that isn't one", {"scope": "everything"}, 400, "invalid_scope"),
    ],
)
def test_what_is_wrong_with_a_request_for_a_token(
    hub: Live, name: str, change: dict[str, str], status: int, error: str
) -> None:
    assert ask(hub, credentials(hub)).status == 200
    answer = ask(hub, credentials(hub) | change)
    assert (answer.status, answer.json["error"]) == (status, error), name
    assert ("www-authenticate" in answer.headers) is (status == 401)


@pytest.mark.parametrize(
    "body",
    [b"", b"grant_type", b"a=1&a=2", b"%ff=\xff", b"&".join(b"f%d=1" % n for n in range(99)), b"x" * 20_000],
)
def test_a_body_that_is_no_form_is_refused(hub: Live, body: bytes) -> None:
    answer = ask(hub, body)
    assert (answer.status in (400, 401), "error" in answer.json) == (True, True)


@pytest.mark.parametrize("header", ["Basic", "Basic x", "Basic !!!", "Basic /w==", "Bearer x", "Basic YW5u"])
def test_a_header_that_authenticates_nobody_is_refused(hub: Live, header: str) -> None:
    assert ask(hub, {"grant_type": "client_credentials"}, {"Authorization": header}).json["error"] == "invalid_client"


def test_a_token_ends_with_its_time_and_with_its_key(tmp_path: Path) -> None:
    with live(with_oauth(tmp_path)) as hub:
        ann, bob = token(hub), token(hub, "bob")
        with hub.running.hub.store.begin() as transaction:
            transaction.remove_tokens("bob")
        hub.running.hub._tokens.clear()  # noqa: SLF001 - as if the seconds for which it is remembered were over
        assert hub.request("GET", "/flexoffer", ann).status == 200
        assert hub.request("GET", "/flexoffer", bob).status == 401
        hub.clock.now += timedelta(minutes=16)
        answer = hub.request("GET", "/flexoffer", ann)
        assert (answer.status, "expired" in answer.json["detail"]) == (401, True)


def test_who_asks_for_a_token_is_in_the_audit_log(tmp_path: Path) -> None:
    configured = with_oauth(tmp_path)
    with live(configured) as hub:
        token(hub)
        assert ask(hub, credentials(hub) | {"client_secret": "x"}).status == 401
        assert ask(hub, credentials(hub) | {"scope": "plan"}).status == 400
    store = open_store(configured.store.url)
    noted = [(a.party, a.method, a.path, a.status) for _, block in blocks(store) if block for a in block.accesses]
    store.close()
    where = ("POST", "/oauth/token")
    assert noted == [("ann", *where, 200), ("", *where, 401), ("ann", *where, 400)]


def test_without_an_issuer_nothing_that_looks_like_a_token_is_taken(tmp_path: Path) -> None:
    with live(config(tmp_path)) as hub:
        assert hub.request("GET", "/flexoffer", "a.b.c").status == 401
        assert hub.request("POST", "/oauth/token", None, b"x", FORM).status == 404


# -- certificates -----------------------------------------------------------------------------------------------------


class Shop:
    """A hub behind TLS, and a client that shows what it has."""

    def __init__(self, folder: Path, auth: ClientAuth) -> None:
        now = datetime.now(UTC)
        self.ca = authority(folder / "ca", now)
        server = issue(folder / "ca", "hub", ["127.0.0.1"], now, client=False)
        self.ann, self.nobody = (issue(folder / "ca", name, (), now, client=True) for name in ("ann", "nobody"))
        authority(folder / "other", now)
        self.stranger = issue(folder / "other", "ann", (), now, client=True)
        plain = config(folder)
        parties = tuple(
            msgspec.structs.replace(p, certificate=self.ann.fingerprint) if p.id == "ann" else p for p in plain.party
        )
        tls = TlsSection(cert=server.cert, key=server.key, client_ca=self.ca.cert, client_auth=auth)
        self.config = msgspec.structs.replace(plain, tls=tls, party=parties)

    def get(self, hub: Live, shown: Any = None, token: str | None = None, origin: str | None = None) -> int:
        context = ssl.create_default_context(cafile=str(self.ca.cert))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        connection = http.client.HTTPSConnection("127.0.0.1", hub.running.port, timeout=30, context=context)
        try:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            headers |= {} if origin is None else {"Origin": origin}
            connection.request("GET", "/flexoffer", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()


def test_a_clients_certificate_stands_for_its_party(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ClientAuth.OPTIONAL)
    with live(shop.config) as hub:
        assert shop.get(hub, shop.ann) == 200
        assert shop.get(hub) == 401
        assert shop.get(hub, None, hub.tokens["bob"]) == 200
        assert shop.get(hub, shop.nobody) == 401
        assert shop.get(hub, shop.nobody, hub.tokens["bob"]) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shop.get(hub, shop.stranger)


def test_a_page_of_another_site_has_no_certificate_shown_for_it(tmp_path: Path) -> None:
    """A browser would: what the page may not read it could still have done, as there is nothing that it has to know."""
    shop = Shop(tmp_path, ClientAuth.OPTIONAL)
    with live(shop.config) as hub:
        own, other = f"https://127.0.0.1:{hub.running.port}", "https://evil.example"
        assert shop.get(hub, shop.ann, origin=own) == 200
        for origin in (other, "null", own.replace("https", "http"), f"{own}.evil.example"):
            assert shop.get(hub, shop.ann, origin=origin) == 403, origin
        assert shop.get(hub, None, hub.tokens["bob"], origin=other) == 200, "a key is shown by who knows it"


def test_where_certificates_are_required_nothing_goes_without(tmp_path: Path) -> None:
    shop = Shop(tmp_path, ClientAuth.REQUIRED)
    with live(shop.config) as hub:
        assert shop.get(hub, shop.ann) == 200
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            shop.get(hub, None, hub.tokens["bob"])


# -- limits -----------------------------------------------------------------------------------------------------------


def test_who_calls_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = LimitsSection(requests=0.01, requests_at_once=5)
    with live(msgspec.structs.replace(config(tmp_path), limits=limits)) as hub:
        assert [hub.request("GET", "/flexoffer").status for _ in range(6)] == [200] * 5 + [429]
        refused = hub.request("GET", "/flexoffer")
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        assert refused.json["code"] == "too-many-requests"
        assert hub.request("GET", "/flexoffer", "bob").status == 200
        journal = hub.journal()
        assert hub.request("POST", "/flexoffer", "ann", make_offer("o", "ann")).status == 429
        assert hub.journal() == journal


def test_who_guesses_tokens_is_slowed_down_and_others_are_not(tmp_path: Path) -> None:
    limits = LimitsSection(failures=0.01, failures_at_once=5)
    with live(msgspec.structs.replace(config(tmp_path), limits=limits)) as hub:
        assert hub.request("GET", "/flexoffer").status == 200
        assert [hub.request("GET", "/flexoffer", f"guess-{n}").status for n in range(7)] == [401] * 5 + [429] * 2
        assert hub.request("GET", "/flexoffer").status == 200, "a key that is known by heart"


def test_the_openapi_document_tells_of_scopes_and_limits(hub: Live) -> None:
    told = json.loads(hub.request("GET", "/openapi.json", None).body)
    post = told["paths"]["/flexoffer"]["post"]
    assert post["security"] == [{"bearer": []}, {"oauth2": ["flexoffer:write"]}]
    assert "429" in post["responses"]
    flow = told["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == {route.scope for route in ROUTES if route.scope}
    assert {role for route in ROUTES for role in route.roles} <= set(Role)


def test_every_route_that_asks_who_calls_has_a_scope() -> None:
    assert [route.name for route in ROUTES if bool(route.roles) is not bool(route.scope)] == []
