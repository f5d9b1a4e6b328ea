"""What a caller of this package must be ready for."""

from __future__ import annotations


class SpeechUnavailable(RuntimeError):
    """Speech can't be had: the `demo` extra is missing, or the speech process ended. The text says which."""
