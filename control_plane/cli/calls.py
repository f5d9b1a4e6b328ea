"""`voiceplane calls`: make calls, see them, follow them, speak into them, end them; over the gRPC API."""

from __future__ import annotations

import json as json_lib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from control_plane.cli.remote import Remote, pairs, plain, read_file, remote_command, usage

if TYPE_CHECKING:
    from control_plane.client import CallResult, Client

app = typer.Typer(no_args_is_help=True, help="Calls: make, see, follow, speak into and end them.")

CallId = Annotated[str, typer.Argument(metavar="CALL", help="The call's id, call-….")]
After = Annotated[int, typer.Option(min=0, help="Go on after the item with this sequence number.")]

PAGE = 200
_AGO = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command()
@remote_command
def create(
    remote: Remote,
    number: Annotated[str, typer.Argument(help="Whom to call: E.164, like +15551234567.")],
    prompt: Annotated[str, typer.Option(help="What the agent is and does.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="The same from a file; -: from stdin.")] = None,
    agent: Annotated[str, typer.Option(help="A stored agent instead: NAME, or NAME@VERSION.")] = "",
    variable: Annotated[
        list[str] | None, typer.Option(help="name=value, for the agent's texts; may come several times.")
    ] = None,
    greeting: Annotated[str, typer.Option(help="What the agent says first.")] = "",
    greeting_mode: Annotated[str, typer.Option(help="immediate, after_hello or none.")] = "",
    max_duration: Annotated[int, typer.Option(min=0, help="Seconds; 0: 1800, or the agent's.")] = 0,
    tools: Annotated[Path | None, typer.Option(help="JSON file: a list of tools (docs/tools.md).")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="JSON file: what the call asks of its model (docs/models.md).")
    ] = None,
    idempotency_key: Annotated[str, typer.Option(help="The same key makes one call.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Follow the call until it is over.")] = False,
) -> None:
    """Call somebody."""
    from google.protobuf.json_format import ParseError

    from control_plane.cli.call_output import jsonable
    from control_plane.client import NewCall

    if prompt and prompt_file is not None:
        usage("--prompt and --prompt-file are the same thing: give one")
    if not (prompt or prompt_file or agent):
        usage("one of --prompt, --prompt-file and --agent is needed")
    name, version = _agent(agent)
    call = NewCall(
        phone_number=number,
        system_prompt=prompt if prompt_file is None else read_file("--prompt-file", prompt_file),
        greeting=greeting,
        greeting_mode=greeting_mode,
        max_duration_seconds=max_duration,
        tools=_json_file("--tools", tools, list),
        agent=_json_file("--settings", settings, dict),
        agent_name=name,
        agent_version=version,
        variables=pairs("--variable", variable),
    )
    with remote.client() as client:
        try:
            made = client.create(call, idempotency_key=idempotency_key)
        except ParseError as error:
            usage(f"--settings: {plain(str(error).splitlines()[0])}")
        if remote.json:
            remote.print_json(jsonable(made))
        else:
            typer.echo(made.workflow_id)
        if watch:
            _watch(remote, client, made.workflow_id, 0)


@app.command(name="list")
@remote_command
def list_(
    remote: Remote,
    status: Annotated[
        list[str] | None, typer.Option(help="initiated, ringing, in_progress, …; may come several times.")
    ] = None,
    number: Annotated[str, typer.Option(help="Calls to it alone: E.164.")] = "",
    since: Annotated[
        str, typer.Option(help="Made since then: 30m, 12h, 7d, or 2027-01-31T12:00 (UTC).")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
) -> None:
    """Print calls, the newest first."""
    from control_plane.cli.call_output import jsonable, print_calls
    from control_plane.client import Call, CallStatus

    names = {each.value: each for each in CallStatus if each is not CallStatus.UNKNOWN}
    for each in status or []:
        if each not in names:
            usage(f"--status: {each!r} is not among {', '.join(names)}")
    wanted = [names[each] for each in status or []]
    created_after = _moment(since) if since else None
    found: list[Call] = []
    token = ""
    with remote.client() as client:
        while True:
            page = client.list(
                *wanted,
                phone_number=number,
                created_after=created_after,
                page_size=min(PAGE, limit - len(found)),
                page_token=token,
            )
            found += page.calls
            token = page.next_page_token
            if not token or len(found) >= limit:
                break
    if remote.json:
        remote.print_json({"calls": [jsonable(each) for each in found], "more": bool(token)})
        return
    print_calls(found)
    if token:
        typer.echo(f"there are more than {limit} (--limit)", err=True)


@app.command()
@remote_command
def get(remote: Remote, call: CallId) -> None:
    """Print one call; when it is over, what was said, too."""
    from control_plane.cli.call_output import jsonable, print_call

    with remote.client() as client:
        found = client.get(call)
        result = _result(client, call) if found.status.final else None
    if remote.json:
        told = jsonable(result) if result is not None else {}
        shown = {
            "workflow_id": found.workflow_id,
            "status": found.status,
            "phone_number": found.phone_number,
            "greeting": found.greeting,
            "transcript_count": found.transcript_count,
        }
        remote.print_json(told | shown)
        return
    print_call(found, result)


@app.command()
@remote_command
def watch(remote: Remote, call: CallId, after: After = 0) -> None:
    """Follow a call as it goes, until it is over; with --json, an item a line."""
    with remote.client() as client:
        _watch(remote, client, call, after)


@app.command()
@remote_command
def say(
    remote: Remote,
    call: CallId,
    text: Annotated[str, typer.Argument(help="What to say.")],
    instruct: Annotated[
        bool, typer.Option("--instruct", help="Tell the agent instead; it says nothing about it.")
    ] = False,
) -> None:
    """Have the agent say something now."""
    with remote.client() as client:
        if instruct:
            client.instruct(call, text)
        else:
            client.say(call, text)
    _done(remote, call, "instructed" if instruct else "said")


@app.command()
@remote_command
def hangup(
    remote: Remote, call: CallId, reason: Annotated[str, typer.Option(help="For the log.")] = ""
) -> None:
    """End a call."""
    with remote.client() as client:
        status = client.terminate(call, reason)
    if remote.json:
        remote.print_json({"workflow_id": call, "status": status})
    else:
        typer.echo(f"{call} is {status} already" if status.final else f"{call} is being ended")


@app.command()
@remote_command
def dtmf(
    remote: Remote,
    call: CallId,
    digits: Annotated[str, typer.Argument(help="0-9 * # A-D, and w for half a second of silence.")],
) -> None:
    """Press keys."""
    with remote.client() as client:
        client.send_dtmf(call, digits)
    _done(remote, call, "pressed")


@app.command()
@remote_command
def transfer(
    remote: Remote,
    call: CallId,
    to: Annotated[str, typer.Argument(help="To whom: E.164.")],
    warm: Annotated[
        bool, typer.Option("--warm", help="The person hears --summary before the caller.")
    ] = False,
    summary: Annotated[str, typer.Option(help="Of the conversation, spoken to the person.")] = "",
    ring: Annotated[int, typer.Option(min=0, help="Seconds the person's phone rings, 5-120; 0: 30.")] = 0,
) -> None:
    """Hand a call over to a person."""
    with remote.client() as client:
        client.transfer(call, to, warm=warm, summary=summary, timeout_seconds=ring)
    _done(remote, call, "transferring")


def _watch(remote: Remote, client: Client, call: str, after: int) -> None:
    from rich.console import Console

    from control_plane.cli.call_output import WatchPrinter, item_json

    printer = WatchPrinter(Console())
    for item in client.watch(call, after_sequence=after):
        if remote.json:
            remote.print_json(item_json(item))
        else:
            printer.show(item)


def _result(client: Client, call: str) -> CallResult | None:
    """None: it is over, but not written down yet."""
    from control_plane.client import ApiError

    try:
        return client.result(call)
    except ApiError as error:
        if error.code.name == "FAILED_PRECONDITION":
            return None
        raise


def _done(remote: Remote, call: str, what: str) -> None:
    if remote.json:
        remote.print_json({"workflow_id": call, "done": what})
    else:
        typer.echo(f"{plain(call)}: {what}")


def _agent(text: str) -> tuple[str, int]:
    name, at, version = text.partition("@")
    if not at:
        return name, 0
    if not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        usage(f"--agent: {version!r} is no version; NAME@3 is the third")
    return name, int(version)


def _json_file(option: str, path: Path | None, kind: type[Any]) -> Any:
    if path is None:
        return kind()
    try:
        value = json_lib.loads(read_file(option, path))
    except json_lib.JSONDecodeError as error:
        usage(f"{option}: {path} is not JSON: {error}")
    if not isinstance(value, kind):
        usage(f"{option}: {path} must hold a JSON {'list' if kind is list else 'object'}")
    return value


def _moment(text: str) -> datetime:
    span = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", text)
    try:
        if span:
            return datetime.now(UTC) - timedelta(**{_AGO[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        usage("--since: must be like 30m, 12h or 2027-01-31T12:00 (UTC)")
