"""What a call asks of turn-taking, for those who do it here: the caller's turns found by the node (mode
MANUAL), and the agent held before the model says that it is interrupted. docs/turns.md."""

from __future__ import annotations

from media_plane.call.activity import Detection
from media_plane.call.hold import HoldKnobs
from protos.voiceplane.agents.v1.agents_pb2 import TurnSettings

_MS = 1_000_000
_DEFAULT = Detection()
_UNSURE_START = 0.7  # with START_SENSITIVITY_LOW
# How far below the threshold speech goes on: the farther, the later a turn ends.
_RELEASE = {
    TurnSettings.END_SENSITIVITY_UNSPECIFIED: 0.15,  # Silero's own
    TurnSettings.END_SENSITIVITY_HIGH: 0.1,
    TurnSettings.END_SENSITIVITY_LOW: 0.3,
}
_LEAST = 0.01  # below which Silero says of silence, too, that it may be speech


def detection(turns: TurnSettings) -> Detection | None:
    """None: the service finds the caller's turns."""
    if turns.mode != TurnSettings.MANUAL:
        return None
    if turns.HasField("speech_threshold"):
        threshold = turns.speech_threshold
    elif turns.start_sensitivity == TurnSettings.START_SENSITIVITY_LOW:
        threshold = _UNSURE_START
    else:
        threshold = _DEFAULT.threshold
    return Detection(
        threshold=threshold,
        release=max(threshold - _RELEASE[turns.end_sensitivity], min(threshold, _LEAST)),
        prefix_padding_ms=turns.prefix_padding_ms
        if turns.HasField("prefix_padding_ms")
        else _DEFAULT.prefix_padding_ms,
        silence_duration_ms=turns.silence_duration_ms
        if turns.HasField("silence_duration_ms")
        else _DEFAULT.silence_duration_ms,
        speech_pad_ms=turns.speech_pad_ms if turns.HasField("speech_pad_ms") else _DEFAULT.speech_pad_ms,
    )


def includes_all_input(turns: TurnSettings) -> bool:
    """The caller's turns hold what came between them, too."""
    return turns.turn_coverage == TurnSettings.TURN_INCLUDES_ALL_INPUT


def hold_knobs(turns: TurnSettings) -> HoldKnobs | None:
    """None: the agent speaks until the model says that it is interrupted."""
    if not turns.HasField("hold_after_ms"):
        return None
    after_ns = turns.hold_after_ms * _MS
    if turns.HasField("hold_timeout_ms"):
        return HoldKnobs(after_ns, turns.hold_timeout_ms * _MS)
    return HoldKnobs(after_ns)
