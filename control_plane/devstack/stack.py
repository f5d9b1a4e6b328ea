"""The whole system as child processes of this one.

    async with Stack(StackOptions()) as stack:   # entered when everything is ready
        stack.endpoints["rest"]
        await stack.died()                       # raises ChildFailed: which child ended, and its last words

Leaving the block stops everything, users before what they use. If this process is killed instead, the reaper
does it (`control_plane.devstack.reaper`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from control_plane.devstack import postgres
from control_plane.devstack.child import Child, ReadyPipe, last_lines
from control_plane.devstack.component import Component, NotYet
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.errors import ChildFailed
from control_plane.devstack.launcher import GRACE_S, Launcher
from control_plane.devstack.options import StackOptions
from control_plane.devstack.plan import Plan, make_plan
from control_plane.devstack.ports import PortAllocator
from control_plane.devstack.state import Observer, Phase, State, Unobserved, write_state_file

PROBE_EVERY_S = 0.03
# A stack whose launcher was killed is still being ended by its reaper.
LOCK_WAIT_S = 2 * GRACE_S


class Stack:
    """See the module.

    failure: the child that ended though it should not have; None: none did.
    stopping: the end has begun.
    """

    def __init__(
        self,
        options: StackOptions,
        *,
        observer: Observer | None = None,
        planner: Callable[[StackOptions, DataDir, PortAllocator], Plan] = make_plan,
    ) -> None:
        """`planner` says what the stack consists of; tests bring their own."""
        self.options = options
        self.data_dir = DataDir(options.data_dir)
        self.states: dict[str, State] = {}
        self.env: Mapping[str, str] = {}
        self.endpoints: Mapping[str, str] = {}
        self.failure: ChildFailed | None = None
        self._planner = planner
        self._observer = observer or Unobserved()
        self._ports = PortAllocator()
        self._components: dict[str, Component] = {}
        self._children: dict[str, Child] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._launcher: Launcher | None = None
        self._failed = asyncio.Event()
        self._hurry = asyncio.Event()
        self.stopping = False

    async def __aenter__(self) -> Stack:
        await asyncio.to_thread(self.data_dir.open, wait_s=LOCK_WAIT_S)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def died(self) -> None:
        """Wait for a child to end that should not, and raise ChildFailed for it."""
        await self._failed.wait()
        assert self.failure is not None  # set before the event
        raise self.failure

    def hurry(self) -> None:
        """Stop waiting for processes to end by themselves: kill what is left."""
        self._hurry.set()

    # -- start -----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        if self.options.fresh:
            self.data_dir.wipe()
        if self.options.fresh or self.data_dir.is_new:
            postgres.wipe(self.data_dir.path)  # of a folder by this name that was deleted, too
        made = self._planner(self.options, self.data_dir, self._ports)
        self.env, self.endpoints = made.env, made.endpoints
        for component in made.components:
            self.data_dir.new_log(component.name)
            self._components[component.name] = component
            self._ready[component.name] = asyncio.Event()
            self._set(State(component.name, Phase.WAITING, component.address))
        for sentence in made.notices:
            self._observer.notice(sentence)
        started_at = datetime.now(UTC)
        self._launcher = Launcher(self.data_dir.new_log("reaper"), self.data_dir.lock_fd)
        await self._launcher.open()
        self._spawn(self._watch_reaper(self._launcher))
        await self._all_up({self._spawn(self._bring_up(one, self._launcher)) for one in made.components})
        self._ports.release()
        write_state_file(
            self.data_dir.state_file,
            data_dir=self.data_dir.path,
            started_at=started_at,
            env=made.settings,
            endpoints=self.endpoints,
            states=self.states.values(),
            notes={name: component.notes for name, component in self._components.items()},
        )

    async def _bring_up(self, component: Component, launcher: Launcher) -> None:
        for name in component.after & self._ready.keys():
            await self._ready[name].wait()
        started = time.monotonic()
        self._set(State(component.name, Phase.STARTING, component.address))
        try:
            async with asyncio.timeout(component.ready_timeout_s):
                for argv in component.prepare():
                    await self._run(component, argv, launcher)
                if component.one_shot:
                    await self._run(component, component.argv, launcher)
                else:
                    await self._serve(component, launcher)
        except TimeoutError:
            self._fail(_failed(component, f"was not ready within {component.ready_timeout_s:.0f} s"))
            return
        except ChildFailed as failure:
            self._fail(failure)
            return
        child = self._children.get(component.name)
        phase, pid = (Phase.READY, child.pid) if child else (Phase.DONE, 0)
        ready_s = time.monotonic() - started
        self._set(State(component.name, phase, component.address, pid, component.log, ready_s))
        self._ready[component.name].set()

    async def _all_up(self, starting: set[asyncio.Task[object]]) -> None:
        """Wait until everything is up, or one thing is not to be had."""
        failed = self._spawn(self._failed.wait())
        while starting and self.failure is None:
            done, _ = await asyncio.wait({*starting, failed}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {failed}:
                task.result()  # raises what a preparation raised
            starting -= done
        if self.failure is not None:
            raise self.failure

    async def _run(self, component: Component, argv: Sequence[str], launcher: Launcher) -> None:
        """Run a program to its end; raises ChildFailed unless that is a good one."""
        child = await launcher.start(component, argv, component.env)
        self._children[component.name] = child
        status = await child.wait()
        del self._children[component.name]
        launcher.gone(child)
        if status != 0:
            raise _failed(component, f"failed: {Path(argv[0]).name} {describe(status)}")

    async def _serve(self, component: Component, launcher: Launcher) -> None:
        """Start the component's process and wait until it serves."""
        ready = ReadyPipe() if component.probe is None else None
        try:
            child = await launcher.start(component, component.argv, component.env, ready)
            self._children[component.name] = child
            self._spawn(self._watch(component, child))
            if ready is None:
                await _probe(component)
            elif await ready.message() is None:
                # It may live on without a word; then the timeout ends the wait.
                raise _failed(component, describe(await child.wait()))
        finally:
            if ready is not None:
                ready.close()

    # -- watch -----------------------------------------------------------------------------------------------

    async def _watch(self, component: Component, child: Child) -> None:
        status = await child.wait()
        self._fail(_failed(component, describe(status)))

    async def _watch_reaper(self, launcher: Launcher) -> None:
        status = await launcher.died()
        log = self.data_dir.log("reaper")
        self._fail(ChildFailed("reaper", describe(status), log, last_lines(log)))

    def _fail(self, failure: ChildFailed) -> None:
        if self.failure is not None or self.stopping:
            return  # others follow the first one into the grave
        self.failure = failure
        if failure.name in self.states:
            self._set(dataclasses.replace(self.states[failure.name], phase=Phase.FAILED))
        self._failed.set()

    # -- stop ------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        self.stopping = True
        self.data_dir.state_file.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        gone = {name: asyncio.Event() for name in self._children}
        try:
            await asyncio.gather(*(self._stop_child(name, gone) for name in gone))
        finally:
            if self._launcher is not None:
                await self._launcher.close()
            self._ports.release()
            self.data_dir.close()

    async def _stop_child(self, name: str, gone: Mapping[str, asyncio.Event]) -> None:
        for user in self._components.values():
            if name in user.uses and user.name in gone:
                await gone[user.name].wait()
        child, state = self._children[name], self.states[name]
        if state.phase is not Phase.FAILED:
            self._set(dataclasses.replace(state, phase=Phase.STOPPING))
        orderly = await child.stop(self._components[name].stop_grace_s, self._hurry)
        assert self._launcher is not None  # it started the child
        self._launcher.gone(child)
        if state.phase is not Phase.FAILED:
            self._set(dataclasses.replace(state, phase=Phase.STOPPED if orderly else Phase.KILLED))
        gone[name].set()

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


def _failed(component: Component, what: str) -> ChildFailed:
    return ChildFailed(component.name, what, component.log, last_lines(component.log))


def describe(status: int) -> str:
    """An exit status in words."""
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
