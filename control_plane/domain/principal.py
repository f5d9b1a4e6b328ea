"""Who asks: the one place where an authenticated request says whose it is.

Entry points put the principal in place before any handler runs (`entrypoints.rest_auth`,
`entrypoints.grpc_auth`); whatever depends on the asker, such as caps per key, reads `current()`. Work that no
request started (workflows' activities, commands) has no principal: NOBODY.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a credential is good for. Each stands for itself, but `admin` for all."""

    READ = "read"  # see calls, results, agents
    CALL = "call"  # make calls, steer and end them
    ADMIN = "admin"  # change what calls are made with: agents, policy, webhooks


@dataclass(frozen=True, slots=True)
class Principal:
    """`id` is stable and unique, made for limits and audit: `key:2f7k9qm4wx3c`, `jwt:` and the subject,
    `local`. `name` is for people."""

    id: str
    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


# A request of this very machine in development (docs/auth.md): all that a developer does.
LOCAL = Principal("local", "this machine", frozenset(Scope))
NOBODY = Principal("nobody", "", frozenset())

_current: ContextVar[Principal] = ContextVar("principal", default=NOBODY)


def current() -> Principal:
    """The principal of the request that is being answered; NOBODY outside of requests."""
    return _current.get()


def act_as(principal: Principal) -> None:
    """From here on, in this task and those it begins, `current()` is `principal`."""
    _current.set(principal)


@contextmanager
def acting(principal: Principal) -> Iterator[None]:
    """Within this block, and in tasks begun there, `current()` is `principal`."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)
