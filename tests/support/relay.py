"""A TCP relay in front of a server, which can be told to be an outage."""

from __future__ import annotations

import asyncio
from types import TracebackType
from urllib.parse import urlsplit


class Relay:
    """Passes bytes both ways until told otherwise; `port` is where it listens."""

    def __init__(self, target: str) -> None:
        """`target`: `host:port`, or a URL with both."""
        parts = urlsplit(target if "//" in target else f"//{target}")
        self._target = (parts.hostname, parts.port)
        self._accepting = True
        self._answering = True
        self._connections: set[asyncio.Task[None]] = set()
        self._refused = 0
        self._changed = asyncio.Condition()
        self.port = 0

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.refuse()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def refuse(self) -> None:
        """Cut every connection, and each new one as soon as it is made."""
        self._accepting = False
        for connection in self._connections:
            connection.cancel()

    def swallow_answers(self) -> None:
        """Let requests through to the server, and nothing back."""
        self._answering = False

    def accept(self) -> None:
        """Relay again."""
        self._accepting = self._answering = True

    async def refused(self, count: int) -> None:
        """Wait until so many connections have been turned away."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._refused >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if self._accepting:
                await self._relay(reader, writer)
            else:
                async with self._changed:
                    self._refused += 1
                    self._changed.notify_all()
        except (asyncio.CancelledError, ConnectionError):
            pass  # cut by `refuse`, or by either end
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, server_writer, answers=False))
                group.create_task(self._pass(server_reader, writer, answers=True))
        except* ConnectionError:
            pass
        finally:
            server_writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(65_536):
            if not (answers and not self._answering):
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError  # one direction's end is the connection's
