"""`voiceplane agents`: stored agents, over the gRPC API; `apply` writes what a file says."""

from __future__ import annotations

import json as json_lib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from control_plane.cli.remote import Remote, plain, read_file, remote_command, usage

if TYPE_CHECKING:
    from protos.voiceplane.agents.v1.agent_service_pb2 import Agent, AgentProfile

app = typer.Typer(no_args_is_help=True, help="Stored agents (docs/agents.md).")

Name = Annotated[str, typer.Argument(help="The agent's name.")]

PAGE = 200
# What `get --json` says beside name and profile: a file may hold it, and it is not written.
_READ_ONLY = frozenset({"version", "variables", "created_at", "created_by", "latest_version", "archived_at"})


@app.command(name="list")
@remote_command
def list_(
    remote: Remote,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones, too.")] = False,
) -> None:
    """Print the agents' latest versions, by name."""
    from protos.voiceplane.agents.v1 import agent_service_pb2 as pb

    found: list[Agent] = []
    token = ""
    with remote.agents() as agents:
        while True:
            request = pb.ListAgentsRequest(page_size=PAGE, page_token=token, show_archived=archived)
            page = agents("ListAgents", request)
            found += page.agents
            token = page.next_page_token
            if not token:
                break
    if remote.json:
        remote.print_json({"agents": [_jsonable(each) for each in found]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "version", "variables", "written", "by", "", box=None, pad_edge=False)
    for each in found:
        written = each.created_at.ToDatetime().strftime("%Y-%m-%d %H:%M")
        state = "archived" if each.HasField("archived_at") else ""
        names = ", ".join(each.variables)
        table.add_row(each.name, str(each.version), names, written, plain(each.created_by), state)
    Console(soft_wrap=True, markup=False).print(table)


@app.command()
@remote_command
def get(
    remote: Remote,
    name: Name,
    version: Annotated[int, typer.Option(min=0, help="0: the latest.")] = 0,
) -> None:
    """Print an agent; with --json, as `apply` takes it."""
    from protos.voiceplane.agents.v1 import agent_service_pb2 as pb

    with remote.agents() as agents:
        found = agents("GetAgent", pb.GetAgentRequest(name=name, version=version))
    shown = _jsonable(found)
    if remote.json:
        remote.print_json(shown)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for field, value in (shown | shown["profile"]).items():
        if field != "profile" and value not in ("", [], {}):
            text = value if isinstance(value, str) else json_lib.dumps(value, ensure_ascii=False)
            table.add_row(field, "\n".join(plain(line) for line in text.splitlines()))
    Console(soft_wrap=True, markup=False, highlight=False).print(table)


@app.command()
@remote_command
def apply(
    remote: Remote,
    path: Annotated[
        Path, typer.Argument(help="JSON or TOML with name and profile; - reads JSON from stdin.")
    ],
) -> None:
    """Make an agent what a file says: a new one, its next version, or nothing when it is so already."""
    from control_plane.client import ApiError
    from protos.voiceplane.agents.v1 import agent_service_pb2 as pb

    name, profile = _file(path)
    with remote.agents() as agents:
        try:
            before = agents("GetAgent", pb.GetAgentRequest(name=name)) if name else None
        except ApiError as error:
            if error.code.name != "NOT_FOUND":
                raise
            before = None
        if before is None or before.HasField("archived_at"):
            after = agents("CreateAgent", pb.CreateAgentRequest(name=name, profile=profile))
            what = "created" if before is None else "brought back"
        else:
            after = agents("UpdateAgent", pb.UpdateAgentRequest(name=name, profile=profile))
            what = "unchanged" if after.version == before.version else "updated"
    if remote.json:
        remote.print_json({"name": after.name, "version": after.version, "done": what})
    else:
        typer.echo(f"{after.name} is {what}: version {after.version}")


@app.command()
@remote_command
def delete(remote: Remote, name: Name) -> None:
    """Archive an agent: it takes no more calls, and `apply` brings it back."""
    from protos.voiceplane.agents.v1 import agent_service_pb2 as pb

    with remote.agents() as agents:
        found = agents("DeleteAgent", pb.DeleteAgentRequest(name=name))
    if remote.json:
        remote.print_json(_jsonable(found))
    else:
        typer.echo(f"{found.name} is archived")


def _jsonable(agent: Agent) -> dict[str, Any]:
    """As the REST API has it: `tools` a list, every field of the profile there."""
    from google.protobuf.json_format import MessageToDict

    shown: dict[str, Any] = MessageToDict(
        agent, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    profile = shown["profile"]
    profile["tools"] = json_lib.loads(profile.pop("tools_json") or "[]")
    settings = MessageToDict(agent.profile.settings, preserving_proto_field_name=True)
    return shown | {"profile": profile | {"settings": settings}}


def _file(path: Path) -> tuple[str, AgentProfile]:
    from google.protobuf.json_format import ParseDict, ParseError

    from protos.voiceplane.agents.v1.agent_service_pb2 import AgentProfile

    text = read_file("the file", path)
    try:
        written = tomllib.loads(text) if path.suffix == ".toml" else json_lib.loads(text)
    except ValueError as error:
        usage(f"{path}: {error}")
    if not isinstance(written, dict) or not isinstance(written.get("profile"), dict):
        usage(f"{path}: profile: must be an object with the agent's fields")
    unknown = sorted(written.keys() - _READ_ONLY - {"name", "profile"})
    if unknown:
        usage(f"{path}: {unknown[0]}: there is no such field")
    if not isinstance(written.get("name"), str):
        usage(f"{path}: name: must be a text")
    profile = dict(written["profile"])
    tools = profile.pop("tools", [])
    if not isinstance(tools, list):
        usage(f"{path}: profile.tools: must be a list")
    try:
        parsed = ParseDict(profile, AgentProfile())
    except ParseError as error:
        usage(f"{path}: profile: {plain(str(error).splitlines()[0])}")
    if tools:
        parsed.tools_json = json_lib.dumps(tools)
    return written["name"], parsed
