"""What can go wrong in the control plane, by what the caller can do about it."""

from __future__ import annotations


class ControlPlaneError(Exception):
    """Base of every error the control plane raises on purpose."""


class DependencyUnavailable(ControlPlaneError):
    """A server we need can't be reached in time. Nothing was started; try again after `retry_after_s`."""

    def __init__(self, dependency: str, detail: str = "", *, retry_after_s: int = 2) -> None:
        super().__init__(f"{dependency} is unavailable" + (f": {detail}" if detail else ""))
        self.dependency = dependency
        self.retry_after_s = retry_after_s


class CallNotFound(ControlPlaneError):
    """No call has this workflow id."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"no call {workflow_id}")
        self.workflow_id = workflow_id


class CallNotOver(ControlPlaneError):
    """The call has no result yet."""

    def __init__(self, workflow_id: str, status: str) -> None:
        super().__init__(f"call {workflow_id} is {status}; its result is not written yet")
        self.workflow_id = workflow_id
        self.status = status


class DialRefused(ControlPlaneError):
    """Twilio will not place this call, however often we ask."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code  # Twilio's error code, e.g. 21211


class DialAmbiguous(ControlPlaneError):
    """The request may or may not have reached Twilio; asking again could ring a person twice."""


class ModelRefused(ControlPlaneError):
    """The model will not accept this session's setup, however often we ask."""


class NodeFull(ControlPlaneError):
    """This media node takes no further call now; another one may."""


class ToolsUnusable(ControlPlaneError):
    """A call's tools can't be offered to its model; the message says which one, and why."""


class InvalidCall(ControlPlaneError):
    """A call that is well formed, but not one we make. `violations`: the reason by field, `tools.0.url`."""

    def __init__(self, violations: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in violations.items()))
        self.violations = violations


class InvalidField(ControlPlaneError):
    """Fields of a request that are not as they must be. `violations`: the reason by field; `where` HTTP
    requests have them: body, query or header."""

    def __init__(self, violations: dict[str, str], where: str = "body") -> None:
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in violations.items()))
        self.violations = violations
        self.where = where


class IdempotencyConflict(ControlPlaneError):
    """This idempotency key was used for another request."""

    def __init__(self) -> None:
        super().__init__("this idempotency key was used for another request")


class CallNotLive(ControlPlaneError):
    """The call has no conversation, not yet or not any more, that this could be done to."""


class CallBusy(ControlPlaneError):
    """Another action on the call's telephone line is under way."""


class EventsExpired(ControlPlaneError):
    """What happened after the sequence number given is no longer kept."""


class TooManyRequests(ControlPlaneError):
    """The rate limit, or a limit of this server, is reached; try again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PolicyRefused(ControlPlaneError):
    """The dialing policy does not allow this call (docs/dialing.md).

    Attributes:
        rule: which of its rules; a fixed word, for programs.
        field: of the request, that would have to be another; empty: none would help.
        retry_after_s: when asking again may help; None: it will not.
    """

    def __init__(
        self, rule: str, sentence: str, *, field: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.rule = rule
        self.field = field
        self.retry_after_s = retry_after_s


class SettingRefused(ControlPlaneError):
    """A setting that can't be used, found out at start; the message names the variable."""

    def __init__(self, variable: str, why: str) -> None:
        super().__init__(f"{variable}: {why}")


class Unauthenticated(ControlPlaneError):
    """A request without a credential, or with one that is not (any more) good.

    `challenge`: the parameters of WWW-Authenticate: Bearer (RFC 6750).
    """

    def __init__(self, message: str, *, presented: bool) -> None:
        super().__init__(message)
        self.challenge = 'realm="voiceplane"'
        if presented:
            self.challenge += f', error="invalid_token", error_description="{message}"'


class PermissionDenied(ControlPlaneError):
    """A good credential that is not good for this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this asks for the scope {scope}, which the credential does not have")
        self.challenge = f'realm="voiceplane", error="insufficient_scope", scope="{scope}"'


class AgentNotFound(ControlPlaneError):
    """No agent has this name, or it has no such version."""

    def __init__(self, name: str, version: int = 0) -> None:
        super().__init__(f"no agent {name}" + (f" in version {version}" if version else ""))


class AgentExists(ControlPlaneError):
    """Another agent has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is an agent {name} already")


class AgentArchived(ControlPlaneError):
    """The agent was archived: it takes no calls and no changes."""

    def __init__(self, name: str) -> None:
        super().__init__(f"agent {name} is archived; creating it again brings it back")


class AgentChanged(ControlPlaneError):
    """The agent is not in the version that the request is about."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"agent {name} is in version {version} by now")
        self.version = version


class DialLater(DependencyUnavailable):
    """Twilio takes no more requests now, and has not placed this call; try again after `retry_after_s`."""
