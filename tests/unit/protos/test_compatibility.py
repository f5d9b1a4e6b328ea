from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.compatibility import RELEASED, breaks
from protos.descriptors import OURS, compiled
from protos.lint import faults

BEFORE = """
syntax = "proto3";
package voiceplane.x.v1;
service S { rpc Get(Request) returns (Answer); }
enum E { E_UNSPECIFIED = 0; E_ONE = 1; }
message Request { string id = 1; uint32 count = 2; repeated string names = 3; E kind = 4; }
message Answer {}
"""


def described(root: Path, text: str) -> FileDescriptorSet:
    file = root / OURS / "x" / "v1" / "x.proto"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return compiled(root)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("uint32 count = 2;", "uint64 count = 2;", "count is uint64 now, not uint32"),
        ("repeated string names", "string names", "names is string now, not repeated string"),
        ("uint32 count = 2;", "", "count is gone, and its number or name is not reserved"),
        ("uint32 count = 2;", "reserved 2;", "count is gone"),
        ("uint32 count = 2;", "uint32 total = 2;", "count is called total now"),
        ("uint32 count = 2;", "uint32 count = 9;", "count is gone"),
        ("E_ONE = 1;", "E_ONE = 2;", "E_ONE is 2 now, not 1"),
        ("E_ONE = 1;", "", "E_ONE is gone"),
        ("(Request) returns (Answer)", "(Request) returns (stream Answer)", "Get streams otherwise"),
        ("(Request) returns (Answer)", "(Answer) returns (Answer)", "takes or gives another message"),
        ("rpc Get(Request) returns (Answer);", "", "method voiceplane.x.v1.S.Get is gone"),
        ("message Answer {}", "message Reply {}", "message voiceplane.x.v1.Answer is gone"),
    ],
)
def test_a_change_that_breaks_somebody_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    before = described(tmp_path, BEFORE)
    text = BEFORE.replace(old, new)
    if old == "message Answer {}":
        text = text.replace("(Answer)", "(Reply)")

    found = breaks(before, described(tmp_path, text))

    assert any(told in each for each in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("message Answer {}", "message Answer { string more = 1; }"),
        ("uint32 count = 2;", 'reserved 2; reserved "count";'),
        ("E_ONE = 1;", "E_ONE = 1; E_TWO = 2;"),
        ("rpc Get", "rpc Other(Request) returns (Answer); rpc Get"),
        ("E kind = 4;", "oneof one { E kind = 4; }"),
    ],
)
def test_what_only_adds_breaks_nobody(tmp_path: Path, old: str, new: str) -> None:
    assert breaks(described(tmp_path, BEFORE), described(tmp_path, BEFORE.replace(old, new))) == []


def test_programs_of_the_last_release_understand_ours() -> None:
    assert breaks(FileDescriptorSet.FromString(RELEASED.read_bytes()), compiled()) == []


def test_our_files_are_written_as_they_should_be() -> None:
    assert [fault for file in compiled().file for fault in faults(file)] == []


def test_bad_names_and_missing_words_are_faults(tmp_path: Path) -> None:
    text = """
syntax = "proto3";
package voiceplane.calls.v1;
service S { rpc Get(request) returns (request); }
enum E { ONE = 0; }
message request { string Id = 1; }
"""
    [file] = described(tmp_path, text).file

    assert sorted(faults(file)) == [
        "voiceplane.calls.v1.E: the zero value must end with _UNSPECIFIED",
        "voiceplane.calls.v1.S.Get has no comment",
        "voiceplane.calls.v1.request must be in CamelCase",
        "voiceplane.calls.v1.request.Id has no comment",
        "voiceplane.calls.v1.request.Id must be in snake_case",
    ]
