"""`voiceplane`: each command in a file of its own, imported when it is called, so that `--help` is quick."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from control_plane.cli import agents, calls, db, dialing, dnc, keys, numbers
from control_plane.devstack.options import GeminiMode, StackOptions

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Phone calls joined to the Gemini Live API.",
)
app.add_typer(agents.app, name="agents")
app.add_typer(calls.app, name="calls")
app.add_typer(db.app, name="db")
app.add_typer(dialing.app, name="dialing")
app.add_typer(dnc.app, name="dnc")
app.add_typer(numbers.app, name="numbers")
app.add_typer(keys.app, name="keys")

DataDir = Annotated[Path, typer.Option(help="Where the stack keeps its data and logs.")]


@app.command()
def up(
    data_dir: DataDir = StackOptions.data_dir,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the stack's data first.")] = False,
    gemini_mode: Annotated[
        GeminiMode, typer.Option(help="How the Gemini simulator replies: by ear, or from a script.")
    ] = GeminiMode.SPEECH,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Leave out Temporal's web interface.")] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Use the simulators even with credentials in the settings.")
    ] = False,
    media_workers: Annotated[
        int | None,
        typer.Option(min=1, max=128, help="Worker processes of the media plane; unset: MEDIA_WORKERS, or 1."),
    ] = None,
    any_ports: Annotated[
        bool, typer.Option("--any-ports/--usual-ports", help="Any free ports, or the usual ones where free.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Start this component and others so named, not everything.")
    ] = None,
) -> None:
    """Run everything in the foreground: servers, simulators, media plane, control plane, worker."""
    from rich.console import Console

    from control_plane.devstack.up import up as run

    options = StackOptions(
        data_dir=data_dir,
        fresh=fresh,
        gemini_mode=gemini_mode,
        ui=not no_ui,
        simulated=simulated,
        media_workers=media_workers,
        usual_ports=not any_ports,
        only=frozenset(only or ()),
    )
    raise typer.Exit(asyncio.run(run(options, Console())))


@app.command()
def down(data_dir: DataDir = StackOptions.data_dir) -> None:
    """Stop the stack that runs in a data folder, and wait until it has."""
    from control_plane.cli.running import stop

    raise typer.Exit(stop(data_dir))


@app.command()
def status(
    data_dir: DataDir = StackOptions.data_dir,
    json: Annotated[bool, typer.Option("--json", help="Print stack.json and what each process is.")] = False,
) -> None:
    """Show the processes and addresses of the stack that runs in a data folder."""
    from control_plane.cli.running import show

    raise typer.Exit(show(data_dir, as_json=json))


@app.command()
def doctor(
    data_dir: DataDir = StackOptions.data_dir,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check credentials, account, webhooks, clock, servers and ports; say what to do. 1: one failed."""
    from control_plane.cli.doctor import run

    raise typer.Exit(run(data_dir, as_json=json))


@app.command()
def demo(
    audio: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A recording for the callee to speak.")
    ] = None,
    calls: Annotated[int, typer.Option(help="How many calls to place at once.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report alone.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for demo-call.wav, .png and .json.")] = Path(),
    data_dir: DataDir = StackOptions.data_dir,
) -> None:
    """Run one simulated phone call through everything, and say how it went."""
    try:
        from bench.demo import DemoOptions, run
    except ModuleNotFoundError as error:
        typer.echo(f"error: {error.name} is missing: `pip install 'voiceplane[demo]'` brings it", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(
        run(DemoOptions(audio=audio, calls=calls, keep=keep, as_json=json, out=out, data_dir=data_dir))
    )


@app.command(
    "bench",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure the media plane, hold it to a baseline, report: `voiceplane bench --help`."""
    _become("bench", *context.args)


@app.command()
def media(
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Worker processes, each a node pinned to a core (MEDIA_WORKERS); auto: one per usable core.",
        ),
    ] = None,
) -> None:
    """Run a media node, or several as worker processes: `python -m media_plane`."""
    _become("media_plane", *([] if workers is None else ["--workers", workers]))


@app.command()
def control() -> None:
    """Run the control plane: `python -m control_plane`."""
    _become("control_plane")


@app.command()
def worker() -> None:
    """Run a Temporal worker: `python -m workflows`."""
    _become("workflows")


def _become(module: str, *arguments: str) -> None:
    """Replace this process: signals and exit status are the module's own."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def main() -> None:
    app()
