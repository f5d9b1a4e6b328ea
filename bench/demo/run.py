"""Runs the demo from start to verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.demo.analysis import CallReport, analyse, log_of_call
from bench.demo.api import Client, DemoError
from bench.demo.conversation import ConversationPrinter
from bench.demo.persona import persona
from bench.demo.summary import Outcome, print_outcome
from control_plane.devstack.errors import ChildFailed, StackError
from control_plane.devstack.options import StackOptions
from control_plane.devstack.progress import print_endpoints, progress
from control_plane.devstack.signals import ended_by_signals
from control_plane.devstack.stack import Stack
from control_plane.devstack.up import print_failure

FIRST_NUMBER = 15_555_550_100  # +1 555 555 01xx: never assigned to anybody
GREETING = "Hello! How can I help you today?"
SYSTEM_PROMPT = "You are a helpful voice assistant. Be concise and natural."
CALL_TIMEOUT_S = 120.0
LEAST_CALLS, MOST_CALLS = 1, 100

Draw = Callable[[CallReport, bytes, Path], None]
Shortcomings = Callable[..., Awaitable[Sequence[str]]]


@dataclass(frozen=True)
class DemoOptions:
    """What `voiceplane demo` takes.

    audio: a recording for the callee to speak, in any format FFmpeg reads; None: the built-in persona.
    calls: how many calls to place at once.
    keep: leave the stack up afterwards, until Ctrl-C.
    as_json: print the report, and nothing else, to standard output.
    out: folder for demo-call.wav, .png and .json.
    data_dir: the stack's folder.
    """

    audio: Path | None = None
    calls: int = 1
    keep: bool = False
    as_json: bool = False
    out: Path = Path()
    data_dir: Path = StackOptions.data_dir


def run(options: DemoOptions) -> int:
    """The exit status: 0 when every conversation really happened, 1 when not, 2 for options that can't be."""
    console = Console(stderr=options.as_json)
    if not LEAST_CALLS <= options.calls <= MOST_CALLS:
        console.print(f"error: --calls must be {LEAST_CALLS} to {MOST_CALLS}, not {options.calls}")
        return 2
    try:
        return asyncio.run(_run(options, console))
    except ChildFailed as error:
        print_failure(console, error)
        return 1
    except (DemoError, StackError, ValueError) as error:
        console.print(f"[bold red]error:[/bold red] {error}", soft_wrap=True)
        return 2 if isinstance(error, ValueError) else 1


async def _run(options: DemoOptions, console: Console) -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="voiceplane-demo-") as scratch, progress(console) as display:
        callee = persona(options.audio, Path(scratch))  # no audio in the file? Said before anything starts.
        # Real credentials in .env must not make a demo ring somebody's telephone.
        stack = Stack(StackOptions(data_dir=options.data_dir, simulated=True), observer=display)
        running = asyncio.ensure_future(_on_stack(options, stack, callee, console, started))
        with ended_by_signals(running, stack):
            try:
                outcomes = await running
            except asyncio.CancelledError:
                console.print("interrupted")
                return 130  # as a shell says of SIGINT
    return 0 if all(not outcome.shortcomings for outcome in outcomes) else 1


async def _on_stack(
    options: DemoOptions, stack: Stack, callee: dict[str, object], console: Console, started: float
) -> list[Outcome]:
    """The demo while the stack is up; a child that dies ends it."""
    async with stack:
        console.print(f"stack ready in {time.monotonic() - started:.1f} s\n")
        died = asyncio.ensure_future(stack.died())
        calls = asyncio.ensure_future(_calls(options, stack, callee, console))
        try:
            await asyncio.wait((died, calls), return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                await died  # raises ChildFailed
            outcomes = await calls
            console.print(f"  done in {time.monotonic() - started:.1f} s")
            if options.keep:
                print_endpoints(console, stack.endpoints)
                console.print("the stack stays up; Ctrl-C stops everything")
                await _until_cancelled(died)
            return outcomes
        finally:
            for task in (died, calls):
                task.cancel()
            await asyncio.gather(died, calls, return_exceptions=True)


async def _until_cancelled(died: asyncio.Future[None]) -> None:
    """Keep the stack up; somebody's Ctrl-C is how that ends, and no failure of the demo."""
    with contextlib.suppress(asyncio.CancelledError):
        await died


async def _calls(
    options: DemoOptions, stack: Stack, callee: dict[str, object], console: Console
) -> list[Outcome]:
    """Place the calls, listen to them, and leave the recording, the picture and the report."""
    client = Client.connect(stack.endpoints)
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S + 2 * options.calls):
            outcomes = await asyncio.gather(
                *(_call(n, client, stack, callee, options, console) for n in range(options.calls))
            )
    except TimeoutError:
        raise DemoError(f"the calls were not over after {CALL_TIMEOUT_S + 2 * options.calls:.0f} s") from None
    finally:
        await client.close()
    for outcome in outcomes:
        print_outcome(console, outcome)
    report = {"calls": [outcome.as_json() for outcome in outcomes]}
    text = json.dumps(report, indent=2, ensure_ascii=False)
    (options.out / "demo-call.json").write_text(text + "\n", encoding="utf-8")
    names = "demo-call.wav, demo-call.png, demo-call.json"
    console.print(f"\n  left {names} in {options.out.resolve()}", soft_wrap=True)
    if options.as_json:
        print(text)
    return list(outcomes)


async def _call(
    number_index: int,
    client: Client,
    stack: Stack,
    callee: dict[str, object],
    options: DemoOptions,
    console: Console,
) -> Outcome:
    """One call, from POST /calls to the verdict; the first one is also printed, drawn and kept as WAV."""
    first = number_index == 0
    number = f"+{FIRST_NUMBER + number_index}"
    await client.put_persona(number, callee)
    workflow_id = await client.create_call(number, GREETING, SYSTEM_PROMPT)
    if first:
        console.print(f"  calling {number}: {workflow_id}", highlight=False)
    judging = asyncio.create_task(asyncio.to_thread(_import_judges))
    printer = ConversationPrinter(console if first else Console(quiet=True))
    await printer.follow(client.watch(workflow_id))
    result = await client.result(workflow_id)
    call_sid = printer.call_sid
    if not call_sid:
        reason = result["error"] or result["end_reason"]
        raise DemoError(f"call {workflow_id} never had audio: {result['status']}, {reason}")
    timeline, recording = await client.timeline(call_sid), await client.recording(call_sid)
    log = log_of_call(await client.model_logs(), timeline)
    report = analyse(workflow_id, call_sid, timeline, log, recording)
    draw, shortcomings = await judging
    wrong = await shortcomings(
        report, result, database_url=stack.env["DATABASE_URL"], temporal_host=stack.endpoints["temporal"]
    )
    if first:
        (options.out / "demo-call.wav").write_bytes(recording)
        await asyncio.to_thread(draw, report, recording, options.out / "demo-call.png")
    return Outcome(report, result, wrong)


def _import_judges() -> tuple[Draw, Shortcomings]:
    """matplotlib and the Temporal client take a second to import: while people talk, not before they do."""
    from bench.demo.picture import draw
    from bench.demo.verdict import shortcomings

    return draw, shortcomings
