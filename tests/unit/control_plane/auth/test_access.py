from __future__ import annotations

import pytest

from control_plane.auth import access
from control_plane.domain.principal import LOCAL, NOBODY, Principal, Scope, acting, current


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/health", None),
        ("GET", "/health/live", None),
        ("POST", "/twilio/status/call-1", None),
        ("GET", "/openapi.json", None),
        ("GET", "/metrics", Scope.READ),
        ("GET", "/calls", Scope.READ),
        ("HEAD", "/calls/call-1", Scope.READ),
        ("POST", "/calls", Scope.CALL),
        ("POST", "/calls/call-1/terminate", Scope.CALL),
        ("GET", "/agents/receptionist", Scope.READ),
        ("PUT", "/agents/receptionist", Scope.ADMIN),
        ("DELETE", "/dialing/stop", Scope.ADMIN),
        # What nobody has put into the table is for administrators, also when it looks like something else.
        ("GET", "/", Scope.ADMIN),
        ("GET", "/healthy", Scope.ADMIN),
        ("GET", "//health", Scope.ADMIN),
        ("POST", "/Calls", Scope.ADMIN),
    ],
)
def test_what_a_request_asks_for(method: str, path: str, scope: Scope | None) -> None:
    assert access.of_request(method, path) == scope


@pytest.mark.parametrize(
    ("method", "scope"),
    [
        ("/grpc.health.v1.Health/Check", None),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", None),
        ("/voiceplane.calls.v1.CallService/GetCallResult", Scope.READ),
        ("/voiceplane.calls.v1.CallService/WatchCall", Scope.READ),
        ("/voiceplane.calls.v1.CallService/CreateCall", Scope.CALL),
        ("/voiceplane.agents.v1.AgentService/ListAgents", Scope.READ),
        ("/voiceplane.agents.v1.AgentService/DeleteAgent", Scope.ADMIN),
        ("/voiceplane.other.v1.Service/GetSomething", Scope.ADMIN),
        ("", Scope.ADMIN),
    ],
)
def test_what_a_method_asks_for(method: str, scope: Scope | None) -> None:
    assert access.of_rpc(method) == scope


def test_admin_is_good_for_everything_and_any_other_scope_for_itself() -> None:
    assert all(Principal("a", "", frozenset({Scope.ADMIN})).may(scope) for scope in Scope)
    caller = Principal("c", "", frozenset({Scope.CALL}))
    assert [scope for scope in Scope if caller.may(scope)] == [Scope.CALL]


def test_nobody_asks_outside_of_requests() -> None:
    assert current() is NOBODY
    with acting(LOCAL):
        assert current() is LOCAL
    assert current() is NOBODY
