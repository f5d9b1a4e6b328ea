"""The whole system as child processes of this one.

    async with Stack(StackOptions()) as stack:   # returns when everything is ready
        stack.endpoints["rest"]
        await stack.died()                       # returns only by raising: which child died

Leaving the block stops everything, users before what they use. If this process is killed instead, the reaper
does it (`control_plane.devstack.reaper`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from control_plane.devstack import environment, postgres, processes, reaper, temporal, valkey
from control_plane.devstack.child import Child, ReadyPipe, last_lines
from control_plane.devstack.component import Account, Component, NotYet
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.errors import ChildFailed
from control_plane.devstack.options import StackOptions
from control_plane.devstack.ports import PortAllocator
from control_plane.devstack.state import Observer, Phase, State, Unobserved, write_state_file

PROBE_EVERY_S = 0.03
REAPER_GRACE_S = 5.0


class Stack:
    """See the module."""

    def __init__(self, options: StackOptions, *, observer: Observer | None = None) -> None:
        self.options = options
        self.data_dir = DataDir(options.data_dir)
        self.states: dict[str, State] = {}
        self.env: dict[str, str] = {}
        self.endpoints: dict[str, str] = {}
        self.failure: ChildFailed | None = None
        self._observer = observer or Unobserved()
        self._ports = PortAllocator()
        self._components: dict[str, Component] = {}
        self._children: dict[str, Child] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._reaper_fd = -1
        self._reaper: asyncio.subprocess.Process | None = None
        self._hurry = asyncio.Event()
        self._stopping = False
        self._failed = asyncio.Event()

    async def __aenter__(self) -> Stack:
        # A stack whose launcher was killed is still being ended by its reaper.
        await asyncio.to_thread(self.data_dir.open, wait_s=2 * REAPER_GRACE_S)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def died(self) -> None:
        """Wait for a child to end that should not; raises ChildFailed for it."""
        await self._failed.wait()
        assert self.failure is not None
        raise self.failure

    def hurry(self) -> None:
        """Stop waiting for processes to end by themselves: kill what is left."""
        self._hurry.set()

    # -- start -----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self.options.fresh:
            self.data_dir.wipe()
            postgres.wipe(self.data_dir.path)
        self._plan()
        await self._start_reaper()
        started_at = datetime.now(UTC)
        for component in self._components.values():
            self._spawn(self._bring_up(component))
        ready, failed = self._spawn(self._all_ready()), self._spawn(self._failed.wait())
        await asyncio.wait((ready, failed), return_when=asyncio.FIRST_COMPLETED)
        if self.failure is not None:
            raise self.failure
        self._ports.release()
        write_state_file(
            self.data_dir.state_file,
            data_dir=self.data_dir.path,
            started_at=started_at,
            env={name: self.env.get(name, "") for name in sorted(environment.SETTINGS)},
            endpoints=self.endpoints,
            states=self.states.values(),
            notes={name: component.notes for name, component in self._components.items()},
        )

    def _plan(self) -> None:
        user = environment.given(self.options)
        ports = self._ports.allocate(environment.wanted_ports(self.options, user.values))
        for name, (usual, given) in self._ports.moved.items():
            self._observer.notice(f"port {usual} is taken: {name} is on {given}")
        self.env = environment.child_environment(user, ports)
        self.endpoints = environment.endpoints(self.env, ports)
        ui_port = ports["temporal_ui"] if self.options.ui else None
        if ui_port is None:
            del self.endpoints["temporal_ui"]
        log = self.data_dir.log_file
        for component in (
            postgres.component(self.data_dir, ports["postgres"], self.env, log("postgres")),
            valkey.component(self.data_dir, ports["valkey"], self.env, log("valkey")),
            temporal.component(self.data_dir, ports["temporal"], ui_port, self.env, log("temporal")),
            *processes.components(
                self.options,
                ports,
                self.env,
                log,
                gemini=not user.real_gemini,
                twilio=not user.real_twilio,
            ),
        ):
            if not self.options.only or component.name in self.options.only:
                self._components[component.name] = component
                self._ready[component.name] = asyncio.Event()
                self._set(State(component.name, Phase.WAITING, address=component.address))

    async def _start_reaper(self) -> None:
        read_fd, self._reaper_fd = os.pipe()
        try:
            self._reaper = await asyncio.create_subprocess_exec(
                # Isolated and without site-packages: it needs nothing of them, and starts in a few milliseconds.
                *(sys.executable, "-I", "-S", reaper.__file__, str(REAPER_GRACE_S)),
                stdin=read_fd,
                start_new_session=True,
                pass_fds=(self.data_dir.lock_fd,),
                cwd="/",
            )
        finally:
            os.close(read_fd)
        self._spawn(self._watch_reaper(self._reaper))

    async def _bring_up(self, component: Component) -> None:
        for name in component.after & self._ready.keys():
            await self._ready[name].wait()
        started = time.monotonic()
        self._set(State(component.name, Phase.STARTING, address=component.address))
        try:
            async with asyncio.timeout(component.ready_timeout_s):
                if component.prepare is not None:
                    await component.prepare(component, self)
                child = await self._launch(component)
        except TimeoutError:
            what = f"was not ready within {component.ready_timeout_s:.0f} s"
            self._fail(ChildFailed(component.name, what, component.log, last_lines(component.log)))
            return
        except ChildFailed as failure:
            self._fail(failure)
            return
        ready_s = time.monotonic() - started
        phase = Phase.DONE if component.one_shot else Phase.READY
        self._set(State(component.name, phase, component.address, child.pid, component.log, ready_s))
        self._ready[component.name].set()

    async def _launch(self, component: Component) -> Child:
        """Start the component's process and wait until it serves; or, of a one-shot, until it has ended well."""
        if component.one_shot:
            return await self._run(component, component.argv, component.account)
        pipe = ReadyPipe() if component.probe is None else None
        try:
            env = component.env
            if pipe is not None:
                env = {**env, "VOICEPLANE_READY_FD": str(pipe.write_fd)}
            child = await self._child(component, component.argv, env, pipe)
            self._children[component.name] = child
            self._spawn(self._watch(component, child))
            if pipe is None:
                await _probe(component)
            elif await pipe.message() is None:
                # It may live on without a word; then the timeout ends the wait.
                raise _ended(component, await child.wait())
        finally:
            if pipe is not None:
                pipe.close()
        return child

    async def run(self, component: Component, argv: Sequence[str], *, account: Account | None = None) -> None:
        """Run a program for a component, to its end (component.Runner)."""
        await self._run(component, argv, account)

    async def _run(self, component: Component, argv: Sequence[str], account: Account | None) -> Child:
        component = dataclasses.replace(component, account=account)
        child = await self._child(component, argv, component.env, None)
        self._children[component.name] = child
        status = await child.wait()
        del self._children[component.name]
        self._tell_reaper_gone(child.pid)
        if status != 0 and not self._stopping:
            program = Path(argv[0]).name if not component.one_shot else "it"
            raise ChildFailed(
                component.name,
                f"failed: {program} {describe(status)}",
                component.log,
                last_lines(component.log),
            )
        return child

    async def _child(
        self, component: Component, argv: Sequence[str], env: Mapping[str, str], pipe: ReadyPipe | None
    ) -> Child:
        child = await Child.start(
            argv,
            env=env,
            log=component.log,
            announce_fd=self._reaper_fd,
            cwd=component.cwd,
            account=component.account,
            pass_fds=() if pipe is None else (pipe.write_fd,),
            stop_signal=component.stop_signal,
        )
        if pipe is not None:
            pipe.child_has_it()
        return child

    async def _all_ready(self) -> None:
        for ready in self._ready.values():
            await ready.wait()

    # -- watch -----------------------------------------------------------------------------------------------

    async def _watch(self, component: Component, child: Child) -> None:
        self._fail(_ended(component, await child.wait()))

    async def _watch_reaper(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        self._fail(ChildFailed("reaper", describe(status), self.data_dir.path, []))

    def _fail(self, failure: ChildFailed) -> None:
        if self.failure is not None or self._stopping:
            return
        self.failure = failure
        if failure.name in self.states:
            self._set(dataclasses.replace(self.states[failure.name], phase=Phase.FAILED))
        self._failed.set()

    # -- stop ------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        self._stopping = True
        self.data_dir.state_file.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        gone = {name: asyncio.Event() for name in self._children}
        try:
            await asyncio.gather(*(self._stop_child(name, gone) for name in gone))
        finally:
            await self._stop_reaper()
            self._ports.release()
            self.data_dir.close()

    async def _stop_child(self, name: str, gone: Mapping[str, asyncio.Event]) -> None:
        component = self._components[name]
        for user in self._components.values():
            if name in user.uses and user.name in gone:
                await gone[user.name].wait()
        child = self._children[name]
        state = self.states[name]
        self._set(dataclasses.replace(state, phase=Phase.STOPPING))
        orderly = await child.stop(component.stop_grace_s, self._hurry)
        self._tell_reaper_gone(child.pid)
        phase = state.phase if state.phase is Phase.FAILED else Phase.STOPPED if orderly else Phase.KILLED
        self._set(dataclasses.replace(state, phase=phase))
        gone[name].set()

    async def _stop_reaper(self) -> None:
        """The end of its pipe ends it, and whatever it still knows of."""
        if self._reaper_fd >= 0:
            os.close(self._reaper_fd)
            self._reaper_fd = -1
        if self._reaper is not None:
            await self._reaper.wait()

    def _tell_reaper_gone(self, pid: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._reaper_fd, f"- {pid}\n".encode())

    def _spawn(self, coroutine: Coroutine[None, None, object]) -> asyncio.Task[object]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        return task

    def _set(self, state: State) -> None:
        self.states[state.name] = state
        self._observer.state(state)


async def _probe(component: Component) -> None:
    assert component.probe is not None
    while True:
        try:
            return await component.probe()
        except NotYet:
            await asyncio.sleep(PROBE_EVERY_S)


def _ended(component: Component, status: int) -> ChildFailed:
    return ChildFailed(component.name, describe(status), component.log, last_lines(component.log))


def describe(status: int) -> str:
    """An exit status in words."""
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
