"""Which stored agent answers which of our telephone numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from control_plane.domain import principal, templates
from control_plane.errors import AgentArchived, AgentNotFound, InvalidField
from control_plane.service.agents import Agents

MAX_PAGE = 500
# What an inbound call knows by itself, for agents that ask for it: `{{caller}}`, `{{called}}`.
OF_THE_CALL = ("caller", "called")


@dataclass(frozen=True)
class Number:
    """`number`: E.164; `variables`: of its agent's texts; `at`: ISO 8601 UTC, since; `by`: whose word."""

    number: str
    agent: str
    variables: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    by: str = ""


class NumberTable(Protocol):
    async def put(self, number: Number) -> None: ...
    async def get(self, number: str) -> Number | None: ...
    async def page(self, after: str, limit: int) -> Sequence[Number]: ...
    async def remove(self, number: str) -> bool: ...


class Numbers:
    """The use cases. Each raises DependencyUnavailable."""

    def __init__(self, table: NumberTable, agents: Agents) -> None:
        self._table = table
        self._agents = agents

    async def put(self, number: str, agent: str, variables: Mapping[str, str]) -> Number:
        """Let an agent answer a number, in whichever version is its latest when somebody calls.

        Raises:
            InvalidField: there is no such agent, or it asks for other variables.
        """
        try:
            found = await self._agents.get(agent)
        except AgentNotFound as error:
            raise InvalidField({"agent": str(error)}) from error
        if found.archived_at is not None:
            raise InvalidField({"agent": str(AgentArchived(agent))})
        asked = set(found.profile.variables) - set(OF_THE_CALL)
        wrong = templates.violations(asked, variables)
        if wrong:
            raise InvalidField(wrong)
        stored = Number(number, agent, dict(variables), by=principal.current().id)
        await self._table.put(stored)
        return await self._table.get(number) or stored

    async def get(self, number: str) -> Number | None:
        return await self._table.get(number)

    async def page(self, after: str, limit: int) -> Sequence[Number]:
        """In the order of numbers, those after `after`."""
        return await self._table.page(after, limit)

    async def remove(self, number: str) -> bool:
        """Let nobody answer it; False: nobody did."""
        return await self._table.remove(number)
