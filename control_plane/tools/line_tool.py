"""The functions that use the call's own telephone line: keys, handing over, a message left on a machine.

Executed here and not on the media node, because Twilio does them, and the call's workflow says when.
"""

from __future__ import annotations

from typing import Protocol

from control_plane.domain import calls, requests
from control_plane.errors import CallNotFound, ControlPlaneError, DependencyUnavailable
from control_plane.tools.definitions import LeaveVoicemail, OnLine, SendDtmf, TransferCall
from control_plane.tools.http_tool import ToolFailed, ToolRequest
from workflows.contracts import TransferRequest


class LineUse(Protocol):
    """`service.line.Line`; each raises ControlPlaneErrors."""

    async def send_dtmf(self, workflow_id: str, digits: str) -> object: ...
    async def transfer(self, workflow_id: str, request: TransferRequest) -> object: ...
    async def leave_voicemail(self, workflow_id: str, message: str) -> object: ...


class LineTools:
    def __init__(self, line: LineUse) -> None:
        self._line = line

    async def ask(self, tool: OnLine, request: ToolRequest) -> dict[str, object]:
        """What the model is answered. Raises ToolFailed."""
        try:
            match tool:
                case SendDtmf():
                    digits = requests.digits(_text(request, "digits"))
                    await self._line.send_dtmf(request.workflow_id, digits)
                    return {"output": f"The keys {digits} are being pressed."}
                case TransferCall():
                    name = _text(request, "to")
                    if name not in tool.to:
                        raise ToolFailed(f"to: must be one of {', '.join(tool.to)}")
                    await self._line.transfer(request.workflow_id, self._asked(tool, name, request))
                    return {"output": f"The telephone of {name} rings."}
                case LeaveVoicemail():
                    message = calls.voicemail_message(_text(request, "message"))
                    await self._line.leave_voicemail(request.workflow_id, message)
                    return {"output": "The message is being left, and the call ends after it."}
        except ValueError as error:
            raise ToolFailed(str(error)) from error
        except CallNotFound as error:
            raise ToolFailed("the call is over") from error
        except DependencyUnavailable as error:
            raise ToolFailed("this can't be done now") from error
        except ControlPlaneError as error:
            raise ToolFailed(str(error)) from error

    def _asked(self, tool: TransferCall, name: str, request: ToolRequest) -> TransferRequest:
        summary = str(request.arguments.get("summary", "")) if tool.mode == "warm" else ""
        requests.summary_for(warm=tool.mode == "warm")(summary)
        return TransferRequest(tool.to[name], tool.mode, summary, tool.timeout_seconds)


def _text(request: ToolRequest, name: str) -> str:
    value = request.arguments.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ToolFailed(f"{name}: must be a text")
    return value
