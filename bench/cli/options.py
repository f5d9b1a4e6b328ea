"""Options that several of the bench's commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")]
Out = Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write the result to this file.")]
Into = Annotated[
    Path | None,
    typer.Option("--into", dir_okay=False, help="Add to this result file, in place of the same part's."),
]
Short = Annotated[bool, typer.Option("--short", help="Less of everything: for a look, not for the record.")]
Seconds = Annotated[float | None, typer.Option(min=0.5, help="Counted time of each run.")]
Systems = Annotated[
    str, typer.Option(metavar="NAME[,NAME]", help="voiceplane, sdk_bridge, relay: which to load.")
]
Levels = Annotated[
    str | None, typer.Option(metavar="N[,N]", help="Calls at once, e.g. 1,10,50,200,400.", show_default=False)
]
ALL_SYSTEMS = "voiceplane,sdk_bridge,relay"


def numbers(text: str) -> tuple[int, ...]:
    """`50,1,400` → (1, 50, 400). Raises BadParameter."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers like 1,50,400") from None
    if found[0] < 1:
        raise typer.BadParameter(f"{text!r}: a level is at least 1 call")
    return tuple(found)


def names(text: str) -> tuple[str, ...]:
    """`voiceplane,relay` → the names of systems. Raises BadParameter."""
    found = tuple(part.strip() for part in text.split(","))
    known = ALL_SYSTEMS.split(",")
    if unknown := [name for name in found if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: the systems are {', '.join(known)}")
    return found
