"""The command line names what the bench can do."""

from typer.testing import CliRunner

from bench.cli.app import app

COMMANDS = ("micro", "load", "compare", "ceiling", "steady", "hygiene", "tls", "scaling", "all", "gate")


def test_help_names_every_command() -> None:
    told = CliRunner().invoke(app, ["--help"], prog_name="voiceplane bench")
    assert told.exit_code == 0
    assert all(f" {name} " in told.output for name in (*COMMANDS, "table", "report"))


def test_an_unknown_part_of_the_gate_is_refused_before_anything_is_measured() -> None:
    told = CliRunner().invoke(app, ["gate", "--only", "weather"])
    assert told.exit_code == 2
    assert "weather" in told.output
