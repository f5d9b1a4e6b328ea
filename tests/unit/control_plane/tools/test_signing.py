"""Signatures of requests to tools."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from control_plane.tools.signing import sign, verify

NOW = 1_800_000_000
BODY = b'{"day":"friday"}'
GOOD = {
    "secret": "s3cret",
    "timestamp": str(NOW),
    "signature": sign("s3cret", NOW, "POST", "/book?x=1", BODY),
    "method": "POST",
    "target": "/book?x=1",
    "body": BODY,
    "now": NOW + 20.0,
}


def from_the_documentation() -> Any:
    """The function that docs/tools.md offers to copy."""
    text = (Path(__file__).parents[4] / "docs/tools.md").read_text()
    source = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "def verify" in block)
    names: dict[str, Any] = {}
    exec(source, names)
    return names["verify"]


@pytest.mark.parametrize("check", [verify, from_the_documentation()], ids=["ours", "documented"])
@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"now": NOW + 299.0}, True),
        ({"now": NOW + 301.0}, False),
        ({"now": NOW - 301.0}, False),
        ({"secret": "other"}, False),
        ({"body": b'{"day":"monday"}'}, False),
        ({"target": "/cancel"}, False),
        ({"method": "PUT"}, False),
        ({"timestamp": str(NOW + 1)}, False),
        ({"timestamp": "soon"}, False),
        ({"timestamp": ""}, False),
        ({"signature": ""}, False),
        ({"signature": "v1=é"}, False),
    ],
)
def test_only_a_fresh_request_of_ours_is_believed(check: Any, changes: dict[str, Any], holds: bool) -> None:
    assert check(**{**GOOD, **changes}) is holds
