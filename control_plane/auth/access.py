"""The one table of what asks for which scope. Pure.

What is not in it asks for `admin`, so that a route somebody forgets here is closed, not open.
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.principal import Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What reading and what anything else asks for; None: nothing."""

    read: Scope | None
    change: Scope | None


OPEN = Rule(None, None)
_UNKNOWN = Rule(Scope.ADMIN, Scope.ADMIN)

# By the path's first segment. Twilio's webhooks carry signatures instead; who asks for a process's health has
# no credential to give; the documentation says what the source says.
REST: dict[str, Rule] = {
    "health": OPEN,
    "twilio": OPEN,
    "docs": OPEN,
    "redoc": OPEN,
    "openapi.json": OPEN,
    "metrics": Rule(Scope.READ, Scope.ADMIN),  # open with API_METRICS=open
    "calls": Rule(Scope.READ, Scope.CALL),
    "agents": Rule(Scope.READ, Scope.ADMIN),
    "campaigns": Rule(Scope.READ, Scope.CALL),
    "dialing": Rule(Scope.READ, Scope.ADMIN),
    "numbers": Rule(Scope.READ, Scope.ADMIN),
    "webhooks": Rule(Scope.READ, Scope.ADMIN),
}

# By service. Methods that read are named so: Get…, List…, Watch….
GRPC: dict[str, Rule] = {
    "grpc.health.v1.Health": OPEN,
    "grpc.reflection.v1.ServerReflection": OPEN,
    "grpc.reflection.v1alpha.ServerReflection": OPEN,
    "voiceplane.calls.v1.CallService": Rule(Scope.READ, Scope.CALL),
    "voiceplane.agents.v1.AgentService": Rule(Scope.READ, Scope.ADMIN),
    "voiceplane.campaigns.v1.CampaignService": Rule(Scope.READ, Scope.CALL),
}


def of_request(method: str, path: str) -> Scope | None:
    """The scope an HTTP request asks for; None: no credential is needed. `path`: as the router sees it."""
    rule = REST.get(path.removeprefix("/").partition("/")[0], _UNKNOWN)
    return rule.read if method in ("GET", "HEAD", "OPTIONS") else rule.change


def of_rpc(method: str) -> Scope | None:
    """The same of a gRPC method, `/package.Service/Method`."""
    service, _, name = method.removeprefix("/").partition("/")
    rule = GRPC.get(service, _UNKNOWN)
    return rule.read if name.startswith(("Get", "List", "Watch")) else rule.change
