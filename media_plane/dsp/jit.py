"""How kernels are compiled: ahead, for one explicit signature, without the GIL, cached on disk where
possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile for `signature` when decorated: the first call is as fast as the thousandth.

    numba refuses to cache when neither the package's folder nor the user's cache folder can be written (a
    read-only image, another user's installation); the kernel is then compiled at each start.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
        try:
            return njit(signature, cache=True, **options)(function)  # type: ignore[no-any-return]
        except (RuntimeError, OSError):
            return njit(signature, **options)(function)  # type: ignore[no-any-return]

    return decorate
