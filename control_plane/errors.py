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
