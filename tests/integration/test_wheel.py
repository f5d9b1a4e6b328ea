"""The wheel holds everything its users run: code, and the files that are not code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("media_plane", "control_plane", "workflows", "protos", "bench")
# What the programs read at run time, besides modules.
DATA = (".yaml", ".yml", ".wav", ".mako", ".proto", ".pyi", ".json")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in a wheel built from this tree, with the backend the installation left in uv's cache."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("built by uv, which is not beside this Python")
    built = subprocess.run(
        [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    if "hatchling" in built.stderr:
        pytest.skip(f"the build backend is not in uv's cache, and tests do not download: {built.stderr}")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def committed(suffixes: tuple[str, ...]) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return {name for name in listed.stdout.splitlines() if name.endswith(suffixes)}


def test_every_module_is_in_it(names: set[str]) -> None:
    assert committed((".py",)) - names == set()


def test_every_data_file_is_in_it(names: set[str]) -> None:
    assert committed(DATA) - names == set()


def test_nothing_else_is_in_it(names: set[str]) -> None:
    tops = {name.split("/", 1)[0] for name in names}
    assert {top for top in tops if not top.startswith("voiceplane-")} == set(PACKAGES)


def test_it_installs_the_command(names: set[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
