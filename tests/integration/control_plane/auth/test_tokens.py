"""Tokens of a real issuer: keys fetched over HTTP, rotated, away; on both APIs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import jwt
import pytest

from control_plane.auth.jwks import COOLDOWN_S, FRESH_S, RETRY_S, STALE_S, Jwks, UnknownKey
from control_plane.auth.tokens import BadToken, TokenRules, Tokens
from control_plane.domain.principal import Scope
from control_plane.errors import DependencyUnavailable
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import control_settings, running_control
from tests.support.stack import Servers
from tests.support.token_issuer import AUDIENCE, ISSUER, TokenIssuer, running_issuer

RULES = TokenRules(ISSUER, AUDIENCE, frozenset({"RS256", "ES256"}), "scope", 30)


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def issuer() -> AsyncIterator[TokenIssuer]:
    async with running_issuer() as issuer:
        issuer.add_key("first")
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def jwks(issuer: TokenIssuer, clock: Clock) -> AsyncIterator[Jwks]:
    jwks = Jwks(issuer.url, now_s=clock)
    yield jwks
    await jwks.close()


@pytest.fixture
def tokens(jwks: Jwks) -> Tokens:
    return Tokens(RULES, jwks)


async def test_a_good_token_says_whose_it_is_and_what_for(issuer: TokenIssuer, tokens: Tokens) -> None:
    principal = await tokens.verify(issuer.token("first", scope="openid read call"))
    assert (principal.id, principal.scopes) == ("jwt:ada", {Scope.READ, Scope.CALL})

    several = issuer.token("first", aud=["other", AUDIENCE], scope=["admin", 7, {}])
    assert (await tokens.verify(several)).scopes == {Scope.ADMIN}
    assert (await tokens.verify(issuer.token("first"))).scopes == frozenset()
    assert issuer.fetches == 1


async def test_other_asymmetric_algorithms_are_taken_when_they_are_allowed(
    issuer: TokenIssuer, tokens: Tokens, jwks: Jwks
) -> None:
    issuer.add_key("curve", "ES256")
    token = issuer.token("curve")

    assert (await tokens.verify(token)).id == "jwt:ada"
    only_rsa = Tokens(TokenRules(ISSUER, AUDIENCE, frozenset({"RS256"}), "scope", 30), jwks)
    with pytest.raises(BadToken, match="algorithm"):
        await only_rsa.verify(token)


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"nbf": NOW + 3600}, "not good"),
        ({"iss": "https://evil.example.com/"}, "not good"),
        ({"aud": "other"}, "not good"),
        ({"exp": None}, "not good"),
        ({"aud": None}, "not good"),
        ({"sub": None}, "not good"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "a\nb"}, "subject"),
    ],
)
async def test_a_token_that_says_the_wrong_thing_is_refused(
    issuer: TokenIssuer, tokens: Tokens, claims: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadToken, match=why):
        await tokens.verify(issuer.token("first", **claims))


async def test_clocks_may_differ_by_the_leeway(issuer: TokenIssuer, tokens: Tokens) -> None:
    assert await tokens.verify(issuer.token("first", exp=int(time.time()) - 20))


async def test_what_is_signed_by_anybody_else_is_refused(issuer: TokenIssuer, tokens: Tokens) -> None:
    issuer.add_key("stolen", published=False)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": int(time.time()) + 60, "scope": "admin"}
    forged = {
        "with the name of a good key": issuer.token("stolen", named="first"),
        "with its own name": issuer.token("stolen"),
        "with no name": issuer.token("first", named=""),
        "with a secret of its own": jwt.encode(claims, "x" * 64, "HS256", {"kid": "first"}),
        "not at all": jwt.encode(claims, None, "none", {"kid": "first"}),
        "by a key that the token brings": issuer.token("stolen", named="https://evil.example.com/key"),
    }
    for how, token in forged.items():
        with pytest.raises(BadToken):
            await tokens.verify(token)
            pytest.fail(how)
    for text in ("", "x", "a.b.c", "e30.e30.", "x" * 9000):
        with pytest.raises(BadToken):
            await tokens.verify(text)


async def test_a_new_key_is_found_when_a_token_names_it_and_an_old_one_is_gone_with_the_set(
    issuer: TokenIssuer, tokens: Tokens, clock: Clock
) -> None:
    old = issuer.token("first")
    await tokens.verify(old)
    issuer.add_key("second")
    issuer.withdraw("first")
    clock.now_s += COOLDOWN_S

    assert await tokens.verify(issuer.token("second"))
    assert issuer.fetches == 2
    with pytest.raises(BadToken, match="does not publish"):
        await tokens.verify(old)


async def test_unknown_names_make_no_more_than_one_fetch_in_a_while(
    issuer: TokenIssuer, jwks: Jwks, clock: Clock
) -> None:
    async def unknown(name: str) -> None:
        with pytest.raises(UnknownKey):
            await jwks.key(name)

    await asyncio.gather(*(unknown(f"name-{i}") for i in range(50)))
    assert issuer.fetches == 1
    clock.now_s += COOLDOWN_S
    await asyncio.gather(*(unknown(f"name-{i}") for i in range(50)))
    assert issuer.fetches == 2


async def test_while_the_issuer_is_away_its_keys_hold_for_an_hour(
    issuer: TokenIssuer, jwks: Jwks, clock: Clock
) -> None:
    await jwks.key("first")
    issuer.status = 500
    clock.now_s += FRESH_S
    assert await jwks.key("first")
    with pytest.raises(DependencyUnavailable):
        await jwks.key("second")
    fetches = issuer.fetches
    assert await jwks.key("first")
    assert issuer.fetches == fetches  # not so soon again

    clock.now_s += STALE_S
    with pytest.raises(DependencyUnavailable):
        await jwks.key("first")
    issuer.status = 200
    clock.now_s += RETRY_S
    assert await jwks.key("first")


async def test_both_apis_take_tokens_beside_keys(servers: Servers, issuer: TokenIssuer) -> None:
    settings = control_settings(
        servers,
        api_auth="required",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_jwks_url=issuer.url,
        jwt_scope_claim="permissions",
    )
    async with running_control(settings) as control:

        async def status(token: str, path: str = "/calls", method: str = "GET") -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await control.http.request(method, path, headers=headers)).status_code

        reader = issuer.token("first", permissions=["read"])
        assert await status(reader) == 200
        assert await status(reader, method="POST") == 403
        assert await status(issuer.token("first")) == 403
        assert await status(issuer.token("first", exp=1)) == 401
        async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
            stub = CallServiceStub(channel)
            await stub.ListCalls(pb.ListCallsRequest(), metadata=(("authorization", f"Bearer {reader}"),))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListCalls(pb.ListCallsRequest(), metadata=(("authorization", "Bearer a.b.c"),))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_without_the_issuer_a_token_can_not_be_told(servers: Servers, issuer: TokenIssuer) -> None:
    issuer.status = 503
    settings = control_settings(
        servers, api_auth="required", jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=issuer.url
    )
    async with running_control(settings) as control:
        headers = {"Authorization": f"Bearer {issuer.token('first')}"}
        response = await control.http.get("/calls", headers=headers)
        assert response.status_code == 503
        assert "retry-after" in response.headers
        assert issuer.url not in response.text
