"""Tokens of an OAuth 2.0 server: JWTs (RFC 7519, RFC 9068), verified with its public keys."""

from __future__ import annotations

from dataclasses import dataclass

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from control_plane.auth.jwks import Jwks, UnknownKey
from control_plane.domain.principal import Principal, Scope

MAX_BYTES = 8192
MAX_SUBJECT = 255


class BadToken(Exception):
    """The message says why, in words that may be told; `expired`: it was good once."""

    def __init__(self, why: str, *, expired: bool = False) -> None:
        super().__init__(why)
        self.expired = expired


@dataclass(frozen=True)
class TokenRules:
    """What a token must say. `scope_claim`: where its scopes are, words with spaces between, or a list."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    scope_claim: str
    leeway_s: int


class Tokens:
    def __init__(self, rules: TokenRules, keys: Jwks) -> None:
        self._rules = rules
        self._keys = keys

    async def close(self) -> None:
        await self._keys.close()

    async def verify(self, token: str) -> Principal:
        """Whose token it is, and what for.

        Raises:
            BadToken
            DependencyUnavailable: its key is not known, and the issuer is away.
        """
        if len(token) > MAX_BYTES:
            raise BadToken(f"the token is longer than {MAX_BYTES} bytes")
        rules = self._rules
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise BadToken("the token is no JWT") from None
        if header.get("alg") not in rules.algorithms:
            raise BadToken("the token is signed with an algorithm that is not allowed")
        name = header.get("kid")
        if not isinstance(name, str) or not name:
            raise BadToken("the token does not name its key (kid)")
        try:
            key = await self._keys.key(name)
            claims = jwt.decode(
                token,
                key,
                algorithms=sorted(rules.algorithms),
                audience=rules.audience,
                issuer=rules.issuer,
                leeway=rules.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except UnknownKey:
            raise BadToken("the token is signed with a key that its issuer does not publish") from None
        except ExpiredSignatureError:
            raise BadToken("the token has expired", expired=True) from None
        except PyJWTError as error:
            # Its own words may quote the token's.
            raise BadToken(f"the token is not good: {type(error).__name__}") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
            raise BadToken("the token's subject (sub) is not one that we can note")
        return Principal(f"jwt:{subject}", subject, _scopes(claims.get(rules.scope_claim)))


def _scopes(claim: object) -> frozenset[Scope]:
    """Those we know of a claim's; an authorization server may have others for others."""
    words: list[object] = []
    if isinstance(claim, str):
        words = list(claim.split())
    elif isinstance(claim, list):
        words = claim
    known = {scope.value for scope in Scope}
    return frozenset(Scope(word) for word in words if isinstance(word, str) and word in known)
