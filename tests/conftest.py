"""Fixtures for every test: real servers, started once a session and only when a test asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from control_plane.devstack.stack import Stack
from tests.support.stack import Servers, running_servers, running_stack


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """PostgreSQL, Valkey and Temporal."""
    async with running_servers() as servers:
        yield servers


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """The complete stack, the Gemini simulator in scripted mode: `.endpoints`, `.env`."""
    async with running_stack() as stack:
        yield stack
