"""How our .proto files are written: `python -m protos.lint`.

Names: messages, enums, services and methods in CamelCase, fields in snake_case, enum values in CAPITALS, the
zero value `…_UNSPECIFIED`. Packages end with their version. Every method of an API has a comment, and every
field of one that is more than an id: what it holds, its unit and its range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

from protos.descriptors import compiled

_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PACKAGE = re.compile(r"voiceplane\.[a-z]+\.v[1-9][0-9]*")
_APIS = frozenset({"voiceplane.calls.v1"})
# Said where they are first: ids and what their message is about.
_PLAIN = frozenset({"workflow_id", "status", "calls", "greeting", "mode"})

# Numbers of descriptor.proto, of which the paths of comments are made.
_MESSAGE, _SERVICE, _FIELD, _METHOD = 4, 6, 2, 2


def faults(file: FileDescriptorProto) -> Iterator[str]:
    """One sentence for each."""
    if not _PACKAGE.fullmatch(file.package):
        yield f"{file.name}: package {file.package} must be voiceplane.<name>.v<number>"
    for enum in file.enum_type:
        yield from _enum(file.package, enum)
    for message in file.message_type:
        yield from _message(file.package, message)
    for service in file.service:
        for each in (service, *service.method):
            if not _CAMEL.fullmatch(each.name):
                yield f"{file.package}.{each.name} must be in CamelCase"
    if file.package in _APIS:
        yield from _undocumented(file)


def _enum(prefix: str, enum: EnumDescriptorProto) -> Iterator[str]:
    name = f"{prefix}.{enum.name}"
    if not _CAMEL.fullmatch(enum.name):
        yield f"{name} must be in CamelCase"
    if not enum.value[0].name.endswith("_UNSPECIFIED"):
        yield f"{name}: the zero value must end with _UNSPECIFIED"
    for value in enum.value:
        if not _CAPITALS.fullmatch(value.name):
            yield f"{name}.{value.name} must be in CAPITALS"


def _message(prefix: str, message: DescriptorProto) -> Iterator[str]:
    name = f"{prefix}.{message.name}"
    if not _CAMEL.fullmatch(message.name):
        yield f"{name} must be in CamelCase"
    for field in message.field:
        if not _SNAKE.fullmatch(field.name):
            yield f"{name}.{field.name} must be in snake_case"
    for enum in message.enum_type:
        yield from _enum(name, enum)
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from _message(name, nested)


def _undocumented(file: FileDescriptorProto) -> Iterator[str]:
    said = {
        tuple(place.path)
        for place in file.source_code_info.location
        if place.leading_comments or place.trailing_comments
    }
    for number, service in enumerate(file.service):
        for index, method in enumerate(service.method):
            if (_SERVICE, number, _METHOD, index) not in said:
                yield f"{file.package}.{service.name}.{method.name} has no comment"
    for number, message in enumerate(file.message_type):
        for index, field in enumerate(message.field):
            if field.name not in _PLAIN and (_MESSAGE, number, _FIELD, index) not in said:
                yield f"{file.package}.{message.name}.{field.name} has no comment"


def main() -> None:
    found = [fault for file in compiled().file for fault in faults(file)]
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
