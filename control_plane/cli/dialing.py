"""`voiceplane dialing`: stop all dialing and allow it again, see what is used and what was refused."""

from __future__ import annotations

import json as json_lib
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from control_plane.cli.policy_session import asker, run

if TYPE_CHECKING:
    from control_plane.service.dialing_rules import DialingRules, DialingStatus

app = typer.Typer(no_args_is_help=True, help="Who may be called: the kill switch, use, refusals.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def stop(reason: Annotated[str, typer.Argument(help="Shown to whoever is refused.")] = "") -> None:
    """Stop all dialing, at once: nothing rings that does not ring yet. Calls under way go on."""

    async def work(rules: DialingRules) -> None:
        await rules.stop(asker(), reason)

    run(work)
    typer.echo("dialing is stopped; `voiceplane dialing resume` allows it again")


@app.command()
def resume() -> None:
    """Allow dialing again."""

    async def work(rules: DialingRules) -> bool:
        return await rules.resume(asker())

    typer.echo("dialing is allowed" if run(work) else "dialing was not stopped")


@app.command()
def status(json: Json = False) -> None:
    """The kill switch, the account's use of its caps, and the line of calls that wait for their turn."""

    async def work(rules: DialingRules) -> DialingStatus:
        return await rules.status()

    found = run(work)
    if json:
        typer.echo(json_lib.dumps(asdict(found)))
        return
    stop, usage, caps = found.stop, found.usage, found.caps
    typer.echo(
        f"dialing  {'allowed' if stop is None else f'stopped at {stop.at} by {stop.by}: {stop.reason}'}"
    )
    typer.echo(
        f"calls    {usage.concurrent} now{_of(caps.concurrent)}, {usage.today} today{_of(caps.per_day)}"
    )
    typer.echo(f"minutes  {usage.seconds_today / 60:.0f} today{_of(caps.minutes_per_day)}")
    typer.echo(f"waiting  {found.waiting_s:.1f} s")


def _of(limit: int | None) -> str:
    return "" if limit is None else f" of {limit}"


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    json: Json = False,
) -> None:
    """What was refused, by which rule, and who changed the rules."""

    async def work(rules: DialingRules) -> list[dict[str, str]]:
        return [
            {**asdict(each), "at": each.at.isoformat(timespec="seconds")} for each in await rules.audit(limit)
        ]

    entries = run(work)
    if json:
        typer.echo(json_lib.dumps(entries))
        return
    for each in entries:
        parts = (each["at"], each["action"], each["rule"], each["number"], each["by"], each["detail"])
        typer.echo("  ".join(filter(None, parts)))
