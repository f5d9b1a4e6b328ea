"""The product's Prometheus metrics, read as an operator's Prometheus would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S: Final = 10
_PREFIX: Final = "voiceplane_media_"
_LABEL: Final = ("generation", "direction")  # at most one of them tells a family's samples apart


@dataclass(frozen=True)
class Metrics:
    """`values`: name without its prefix, `name{label}` where there is one → value; histograms' buckets apart
    in `buckets`: name → (upper bound in seconds, how many up to it), ascending."""

    values: dict[str, float]
    buckets: dict[str, list[tuple[float, float]]]

    def value(self, name: str) -> float:
        """NaN when this product does not tell."""
        return self.values.get(name, float("nan"))

    def most_s(self, name: str, before: Metrics | None = None) -> float:
        """Upper bound of the longest observation since `before`; 0: there was none."""
        earlier = dict(before.buckets.get(name, [])) if before is not None else {}
        counts = [(bound, count - earlier.get(bound, 0.0)) for bound, count in self.buckets.get(name, [])]
        total = counts[-1][1] if counts else 0.0
        if not total:
            return 0.0
        return next(bound for bound, count in counts if count >= total)


def parse(text: str) -> Metrics:
    values: dict[str, float] = {}
    buckets: dict[str, list[tuple[float, float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next((sample.labels[key] for key in _LABEL if key in sample.labels), "")
            name = sample.name.removeprefix(_PREFIX) + (f"{{{label}}}" if label else "")
            if sample.name.endswith("_bucket"):
                name = name.replace("_bucket", "", 1)
                buckets.setdefault(name, []).append((float(sample.labels["le"]), sample.value))
            else:
                values[name] = sample.value
    return Metrics(values, buckets)


async def scrape(url: str) -> Metrics:
    """Raises OSError."""

    def fetch() -> str:
        with urlopen(url, timeout=_TIMEOUT_S) as response:
            return str(response.read().decode())

    return parse(await asyncio.to_thread(fetch))
