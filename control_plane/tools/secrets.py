"""Secrets in tools' headers, which are written and never read back.

Whoever reads a stored tool sees `REDACTED` in place of every header's value. Written back, it stands for the
value that is stored, as long as the tool still goes to the same origin: otherwise, to read a secret one would
have to do no more than to send it home.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from control_plane.tools.definitions import BuiltIn, Definition

REDACTED = "[redacted]"

Secrets = dict[str, dict[str, str]]  # by tool, by header


def taken_out(definitions: Sequence[Definition]) -> tuple[list[Definition], Secrets]:
    """The tools as anybody may see them, and what was taken out."""
    shown: list[Definition] = []
    secrets: Secrets = {}
    for tool in definitions:
        if isinstance(tool, BuiltIn) or not tool.headers:
            shown.append(tool)
            continue
        secrets[tool.name] = dict(tool.headers)
        shown.append(tool.model_copy(update={"headers": dict.fromkeys(tool.headers, REDACTED)}))
    return shown, secrets


def put_back(definitions: Sequence[Definition], secrets: Mapping[str, Mapping[str, str]]) -> list[Definition]:
    """The reverse of `taken_out`."""
    return [
        tool
        if isinstance(tool, BuiltIn) or tool.name not in secrets
        else tool.model_copy(update={"headers": dict(secrets[tool.name])})
        for tool in definitions
    ]


def kept(
    written: Sequence[Definition], stored: Sequence[Definition]
) -> tuple[list[Definition], dict[str, str]]:
    """The tools with the stored values where REDACTED was written, and what is wrong, by field.

    Args:
        written: as somebody wrote them.
        stored: of the version before, with their secrets.
    """
    before = {tool.name: tool for tool in stored if not isinstance(tool, BuiltIn)}
    found: list[Definition] = []
    violations: dict[str, str] = {}
    for index, tool in enumerate(written):
        if isinstance(tool, BuiltIn) or REDACTED not in tool.headers.values():
            found.append(tool)
            continue
        old = before.get(tool.name)
        headers, where = dict(tool.headers), f"tools.{index}.headers"
        for header, value in tool.headers.items():
            if value != REDACTED:
                continue
            if old is None or header not in old.headers:
                violations[where] = f"the value of {header} is redacted, and none is stored"
            elif _origin(old.url) != _origin(tool.url):
                violations[where] = f"the value of {header} is kept for its own origin alone"
            else:
                headers[header] = old.headers[header]
        found.append(tool.model_copy(update={"headers": headers}))
    return found, violations


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
