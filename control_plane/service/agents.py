"""What may be done to stored agents: write them, read them, call with them. Entry points translate."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from control_plane.domain import agents as rules
from control_plane.domain import calls, principal
from control_plane.domain.agents import AgentVersion, Profile
from control_plane.domain.calls import AgentCall, NewCall
from control_plane.domain.listing import page_size
from control_plane.errors import (
    AgentArchived,
    AgentChanged,
    AgentExists,
    AgentNotFound,
    InvalidCall,
    InvalidField,
)
from control_plane.tools.definitions import BuiltIn
from control_plane.tools.secrets import kept
from control_plane.tools.urls import ToolRefused, UrlPolicy, check
from protos.gemini.check import Service, is_unknown, violations

log = structlog.get_logger(__name__)

WRITES = 5  # attempts at a change that asks for no version, while others change the same agent
MAX_TOKEN = 200  # characters
_BAD_TOKEN = "must be the next_page_token of an earlier page of the same list"


class AgentRepository(Protocol):
    """Postgres. Every method raises DependencyUnavailable."""

    async def create(self, name: str, profile: Profile, at: datetime, by: str) -> int: ...
    async def advance(self, name: str, profile: Profile, expected: int, at: datetime, by: str) -> int: ...
    async def archive(self, name: str, expected: int, at: datetime) -> bool: ...
    async def get(self, name: str, version: int = 0) -> AgentVersion | None: ...
    async def page(self, after: str, limit: int, *, archived: bool) -> Sequence[AgentVersion]: ...
    async def versions(self, name: str, before: int, limit: int) -> Sequence[AgentVersion]: ...


@dataclass(frozen=True)
class AgentPage:
    """`next_token` empty: there are no more."""

    agents: Sequence[AgentVersion]
    next_token: str


class Agents:
    """The use cases. Every method raises DependencyUnavailable while Postgres is away."""

    def __init__(self, repository: AgentRepository, policy: UrlPolicy, service: Service) -> None:
        self._repository = repository
        self._policy = policy
        self._service = service

    async def create(self, name: str, profile: Profile) -> AgentVersion:
        """Raises: InvalidField, AgentExists."""
        found = self._violations(profile)
        tools, missing = kept(profile.tools, ())
        _raise(_checked("name", rules.name, name) | _in_profile(found | missing))
        profile = replace(profile, tools=tools)
        at, by = _now(), principal.current().id
        version = await self._repository.create(name, profile, at, by)
        if not version:
            raise AgentExists(name)
        log.info("agent created", agent=name, version=version, by=by)
        return AgentVersion(name, version, profile, at, by, latest=version)

    async def get(self, name: str, version: int = 0) -> AgentVersion:
        """Raises: AgentNotFound."""
        found = await self._repository.get(name, version) if _is_name(name) else None
        if found is None:
            raise AgentNotFound(name, version)
        return found

    async def page(self, *, size: int = 0, token: str = "", archived: bool = False) -> AgentPage:
        """Latest versions, by name. Raises: InvalidField."""
        size, after = _page(size, token, f"agents:{archived:d}:", rules.name)
        found = await self._repository.page(after, size + 1, archived=archived)
        return _cut(found, size, lambda last: f"agents:{archived:d}:{last.name}")

    async def versions(self, name: str, *, size: int = 0, token: str = "") -> AgentPage:
        """The newest first. Raises: InvalidField, AgentNotFound."""
        size, before = _page(size, token, f"versions:{name}:", _number)
        found = await self._repository.versions(name, int(before or 0), size + 1) if _is_name(name) else []
        if not found and not before:
            raise AgentNotFound(name)
        return _cut(found, size, lambda last: f"versions:{name}:{last.version}")

    async def update(self, name: str, profile: Profile, expected: int = 0) -> AgentVersion:
        """Write the next version; the latest, when it is the same.

        Args:
            expected: the latest version as the client knows it; 0: whichever it is.

        Raises: InvalidField, AgentNotFound, AgentArchived, AgentChanged.
        """
        _raise(_in_profile(self._violations(profile)))
        at, by = _now(), principal.current().id
        for _ in range(WRITES):
            before = await self.get(name)
            if before.archived_at is not None:
                raise AgentArchived(name)
            if expected and before.version != expected:
                raise AgentChanged(name, before.version)
            tools, missing = kept(profile.tools, before.profile.tools)
            _raise(_in_profile(missing))
            written = replace(profile, tools=tools)
            if written == replace(before.profile, tools=list(before.profile.tools)):
                return before
            version = await self._repository.advance(name, written, before.version, at, by)
            if version:
                log.info("agent updated", agent=name, version=version, by=by)
                return AgentVersion(name, version, written, at, by, latest=version)
        raise AgentChanged(name, before.version)

    async def archive(self, name: str, expected: int = 0) -> AgentVersion:
        """Raises: AgentNotFound, AgentChanged."""
        if not _is_name(name):
            raise AgentNotFound(name)
        if not await self._repository.archive(name, expected, _now()):
            raise AgentChanged(name, (await self.get(name)).version)
        log.info("agent archived", agent=name, by=principal.current().id)
        return await self.get(name)

    async def new_call(self, asked: AgentCall) -> NewCall:
        """The call that a request for an agent's call means.

        Raises:
            InvalidCall: of the fields `agent`, `agent.version`, `variables` and `variables.…`.
        """
        try:
            found = await self.get(asked.name, asked.version)
        except AgentNotFound as error:
            raise InvalidCall({"agent": str(error)}) from error
        if found.archived_at is not None:
            raise InvalidCall({"agent": str(AgentArchived(asked.name))})
        return rules.new_call(asked, found)

    def _violations(self, profile: Profile) -> dict[str, str]:
        """What is wrong, by field."""
        found = _checked("system_prompt", calls.system_prompt, profile.system_prompt)
        found |= _checked("system_prompt", rules.template, profile.system_prompt)
        found |= _checked("greeting", calls.greeting, profile.greeting)
        found |= _checked("greeting", rules.template, profile.greeting)
        found |= _checked("greeting_mode", calls.greeting_mode, profile.greeting_mode)
        found |= _checked("max_duration_seconds", calls.max_duration_seconds, profile.max_duration_seconds)
        for index, tool in enumerate(profile.tools):
            if not isinstance(tool, BuiltIn):
                found |= _checked(f"tools.{index}.url", self._reachable, tool.url)
        if profile.webhook_url:
            found |= _checked("webhook_url", self._reachable, profile.webhook_url)
        functions = {f"tools.{i}": t for i, t in enumerate(profile.tools) if not isinstance(t, BuiltIn)}
        for field, why in violations(profile.settings, self._service, functions).items():
            found[field if field.startswith("tools.") else f"settings.{field}"] = why
        if is_unknown(profile.settings, self._service):
            model = self._service.model(profile.settings)
            log.warning("nothing is known of this model, so the setup is not checked", model=model)
        return found

    def _reachable(self, url: str) -> None:
        try:
            check(url, self._policy)
        except ToolRefused as refused:
            raise ValueError(str(refused)) from refused


def _checked(field: str, rule: Callable[[Any], object], value: object) -> dict[str, str]:
    try:
        rule(value)
    except ValueError as error:
        return {field: str(error)}
    return {}


def _in_profile(found: dict[str, str]) -> dict[str, str]:
    return {f"profile.{field}": why for field, why in found.items()}


def _raise(found: dict[str, str]) -> None:
    if found:
        raise InvalidField(found)


def _is_name(text: str) -> bool:
    return not _checked("name", rules.name, text)


def _number(text: str) -> None:
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ValueError("must be a version")


def _page(size: int, token: str, prefix: str, rule: Callable[[str], object]) -> tuple[int, str]:
    """The page's size, and what it comes after; empty: it is the first.

    A token is what it says in base64: it gives nobody more than the list does.
    """
    try:
        size = page_size(size)
    except ValueError as error:
        raise InvalidField({"page_size": str(error)}, where="query") from error
    if not token:
        return size, ""
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError(_BAD_TOKEN)
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
        if not text.startswith(prefix):
            raise ValueError(_BAD_TOKEN)
        after = text.removeprefix(prefix)
        rule(after)
    except ValueError as error:
        raise InvalidField({"page_token": _BAD_TOKEN}, where="query") from error
    return size, after


def _cut(found: Sequence[AgentVersion], size: int, place: Callable[[AgentVersion], str]) -> AgentPage:
    if len(found) <= size:
        return AgentPage(found, "")
    last = found[size - 1]
    return AgentPage(found[:size], base64.urlsafe_b64encode(place(last).encode()).decode())


def _now() -> datetime:
    return datetime.now(UTC)
