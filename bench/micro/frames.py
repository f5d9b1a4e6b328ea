"""What one frame costs each way: the product's fused kernels beside a bare table look-up and plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Effort:
    rounds: int
    calls: int


FULL: Final = Effort(rounds=60, calls=2000)
SHORT: Final = Effort(rounds=20, calls=1000)
