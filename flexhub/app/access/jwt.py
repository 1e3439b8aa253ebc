"""JWT access tokens (RFC 9068): issued by the hub itself, or by an issuer whose keys it knows.

A token stands for a party (`sub`) in a role, for some scopes and minutes. The hub's own also name the key that they
were had for, so that taking the key away takes them away, too.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from flexhub.core.base import Id
from flexhub.core.errors import ConfigError, UnauthorizedError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

TYPE: Final = "at+jwt"
ALGORITHMS: Final = ("EdDSA", "ES256", "RS256", "PS256")
"""Signatures by keys of which one half is public; nothing that a public key could be mistaken for a secret in."""

LEEWAY_S: Final = 5
LONGEST: Final = 8192
"""Characters of a token; a longer one is not looked at."""

AGAIN_S: Final = 60.0
"""Keys of another issuer are asked for again at most so often, when a token names one that isn't known."""

FETCH_S: Final = 5.0
MOST_BYTES: Final = 1 << 20
CLAUSE: Final = "RFC 9068 section 4"


class Claims(NamedTuple):
    """What a token says: for whom, in which role and scopes, until when, and by which key of ours (its hash)."""

    party: str
    role: Role
    scopes: frozenset[str]
    expires: datetime
    key: str | None


def looks_like_one(token: str) -> bool:
    """Whether a bearer token is a JWT: three parts; ours of the other kind have no dots."""
    return token.count(".") == 2


def refused(message: str) -> UnauthorizedError:
    """Why a token is not taken."""
    return UnauthorizedError(message, path="header/Authorization", clause=CLAUSE)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Keys come from where the configuration says, and from nowhere else."""

    def redirect_request(self, *_arguments: object) -> None:
        """Not followed."""
        return


_ASKING: Final = urllib.request.build_opener(_Stay)


class Keys:
    """Public keys by `kid`: from a set in a file or at an address, looked up again when a token names another one."""

    def __init__(self, source: str, clock: Callable[[], float] = monotonic) -> None:
        self._source = source
        self._clock = clock
        self._known: dict[str, jwt.PyJWK] = {}
        self._asked = -AGAIN_S
        self._turn = threading.Lock()

    def get(self, kid: str) -> jwt.PyJWK | None:
        """The key of this name, or None."""
        if kid not in self._known:
            with self._turn:
                if kid not in self._known and self._clock() - self._asked >= AGAIN_S:
                    self._asked = self._clock()
                    try:
                        self._known = self.read()
                    except ConfigError:
                        log.exception("keys of another issuer could not be read; those known go on")
        return self._known.get(kid)

    def read(self) -> dict[str, jwt.PyJWK]:
        """The keys, as they are now.

        Raises:
            ConfigError: there is no such set.
        """
        try:
            if self._source.startswith("https://"):
                with _ASKING.open(self._source, timeout=FETCH_S) as answer:
                    told = json.loads(answer.read(MOST_BYTES))
            else:
                told = json.loads(Path(self._source).read_bytes())
            if not isinstance(told, dict) or not isinstance(told.get("keys"), list):
                raise ValueError('not {"keys": [...]}')  # noqa: TRY004, TRY301 - one of the ways to be no set
            found = jwt.PyJWKSet.from_dict(told).keys
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise ConfigError(f"no set of keys: {error}", path="oauth/jwks", value=self._source) from error
        return {key.key_id: key for key in found if key.key_id}


class Verifier:
    """Takes tokens of one issuer for one audience.

    Args:
        issuer: as in `iss`.
        audience: must be in `aud`.
        key: `kid` -> public key, or None.
        clock: what time it is.
    """

    def __init__(
        self, issuer: str, audience: str, key: Callable[[str], jwt.PyJWK | None], clock: Callable[[], datetime]
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._key = key
        self._clock = clock

    def verify(self, token: str) -> Claims:
        """What the token says.

        Raises:
            UnauthorizedError: it is no token of this issuer for this audience and time.
        """
        if len(token) > LONGEST:
            raise refused("the token is too long")
        try:
            claims = self._decode(token)
        except jwt.PyJWTError as error:
            raise refused(f"not a valid token: {error}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise refused("not a valid token") from error
        return self._claims(claims)

    def _decode(self, token: str) -> Mapping[str, Any]:
        header = jwt.get_unverified_header(token)
        if str(header.get("typ", "")).lower().removeprefix("application/") != TYPE:
            raise refused(f"the token's typ is not {TYPE}")
        if "crit" in header:
            raise refused("the token needs extensions that are not known")
        kid = header.get("kid")
        key = self._key(kid) if isinstance(kid, str) else None
        if key is None:
            raise refused("no such signing key")
        if header.get("alg") != key.algorithm_name or key.algorithm_name not in ALGORITHMS:
            raise refused("the token is signed by another algorithm than its key's")
        options: Any = {
            "require": ["iss", "aud", "exp", "sub", "iat", "jti", "client_id"],
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        }
        return jwt.decode(
            token, key, algorithms=[key.algorithm_name], audience=self._audience, issuer=self._issuer, options=options
        )

    def _claims(self, claims: Mapping[str, Any]) -> Claims:
        now = self._clock().timestamp()
        times = {name: claims.get(name, now) for name in ("exp", "iat", "nbf")}
        if any(isinstance(at, bool) or not isinstance(at, (int, float)) for at in times.values()):
            raise refused("the token's times are no numbers")
        if now >= times["exp"] + LEEWAY_S:
            raise refused("the token has expired")
        if now < max(times["nbf"], times["iat"]) - LEEWAY_S:
            raise refused("the token is not valid yet")
        subject, scope, key = claims["sub"], claims.get("scope", ""), claims.get("key")
        try:
            role = Role(str(claims.get("role")))
            expires = datetime.fromtimestamp(times["exp"], tz=self._clock().tzinfo)
        except (ValueError, OverflowError, OSError) as error:
            raise refused("the token names no role of ours") from error
        try:
            msgspec.convert(subject, Id).encode()
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise refused("the token's sub is no identifier") from error
        if not isinstance(scope, str) or not isinstance(key, (str, type(None))):
            raise refused("the token's claims are of other types")
        return Claims(subject, role, frozenset(scope.split()), expires, key)


class Issuer:
    """Signs tokens with a private key: Ed25519, or ECDSA on P-256.

    Args:
        name: `iss`.
        audience: `aud`.
        key: the private key, PEM.
        lifetime: how long a token is valid.

    Raises:
        ConfigError: it is no such key.
    """

    def __init__(self, name: str, audience: str, key: bytes, lifetime: timedelta) -> None:
        self.name = name
        self.audience = audience
        self.lifetime = lifetime
        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"no private key: {error}", path="oauth/key") from error
        if isinstance(private, ed25519.Ed25519PrivateKey):
            self._algorithm, public = "EdDSA", OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        elif isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
            self._algorithm, public = "ES256", ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        else:
            raise ConfigError("a key for Ed25519 or ECDSA on P-256 is needed", path="oauth/key")
        self._private = private
        told = dict(public) | {"use": "sig", "alg": self._algorithm}
        self._kid = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(told, sort_keys=True)).hex
        self.jwk: dict[str, Any] = told | {"kid": self._kid}
        self._public = jwt.PyJWK.from_dict(self.jwk)

    def get(self, kid: str) -> jwt.PyJWK | None:
        """The public key, by its name."""
        return self._public if kid == self._kid else None

    def issue(self, party: str, role: Role, scopes: Iterable[str], key: str, now: datetime) -> str:
        """A token for this party, had for the key with this hash."""
        claims = {
            "iss": self.name,
            "aud": self.audience,
            "sub": party,
            "client_id": party,
            "role": str(role),
            "scope": " ".join(sorted(scopes)),
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
            "jti": uuid.uuid4().hex,
            "key": key,
        }
        return jwt.encode(claims, self._private, self._algorithm, headers={"kid": self._kid, "typ": TYPE})
