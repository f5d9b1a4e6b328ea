"""Whether programs of the last release still understand ours: `python -m protos.compatibility`.

Compares the .proto files with `protos/released.binpb`, what they were at the last release, and names every
change that breaks someone: a field, value, method or message that is gone (unless its number and name are
reserved), or that has another type, number, name or way of streaming. `--release` writes the file anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from protos.descriptors import compiled

RELEASED = Path(__file__).resolve().parent / "released.binpb"


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """One sentence for each change that breaks a client or a server of `old`."""
    found: list[str] = []
    messages, enums, services = _messages(new), _enums(new), _services(new)
    for name, message in _messages(old).items():
        if name not in messages:
            found.append(f"message {name} is gone")
        else:
            found += _message_breaks(name, message, messages[name])
    for name, enum in _enums(old).items():
        if name not in enums:
            found.append(f"enum {name} is gone")
        else:
            found += _enum_breaks(name, enum, enums[name])
    for name, service in _services(old).items():
        if name not in services:
            found.append(f"service {name} is gone")
        else:
            found += _service_breaks(name, service, services[name])
    return found


def _message_breaks(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    fields = {field.number: field for field in new.field}
    for field in old.field:
        now = fields.get(field.number)
        where = f"{name}.{field.name}"
        if now is None:
            kept = any(span.start <= field.number < span.end for span in new.reserved_range)
            if not kept or field.name not in new.reserved_name:
                yield f"field {where} is gone, and its number or name is not reserved"
        elif now.name != field.name:
            yield f"field {where} is called {now.name} now, which JSON and text notice"
        elif _kind(now) != _kind(field):
            yield f"field {where} is {_kind(now)} now, not {_kind(field)}"


def _enum_breaks(name: str, old: EnumDescriptorProto, new: EnumDescriptorProto) -> Iterator[str]:
    values = {value.name: value.number for value in new.value}
    for value in old.value:
        if value.name not in values:
            if value.name not in new.reserved_name:
                yield f"value {name}.{value.name} is gone, and its name is not reserved"
        elif values[value.name] != value.number:
            yield f"value {name}.{value.name} is {values[value.name]} now, not {value.number}"


def _service_breaks(name: str, old: ServiceDescriptorProto, new: ServiceDescriptorProto) -> Iterator[str]:
    methods = {method.name: method for method in new.method}
    for method in old.method:
        now = methods.get(method.name)
        if now is None:
            yield f"method {name}.{method.name} is gone"
        elif (now.input_type, now.output_type) != (method.input_type, method.output_type):
            yield f"method {name}.{method.name} takes or gives another message"
        elif (now.client_streaming, now.server_streaming) != (
            method.client_streaming,
            method.server_streaming,
        ):
            yield f"method {name}.{method.name} streams otherwise"


def _kind(field: FieldDescriptorProto) -> str:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    repeated = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    return f"{repeated}{kind} {field.type_name}".strip()


def _messages(files: FileDescriptorSet) -> dict[str, DescriptorProto]:
    found: dict[str, DescriptorProto] = {}

    def walk(prefix: str, messages: list[DescriptorProto]) -> None:
        for message in messages:
            found[f"{prefix}.{message.name}"] = message
            walk(f"{prefix}.{message.name}", list(message.nested_type))

    for file in files.file:
        walk(file.package, list(file.message_type))
    return found


def _enums(files: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    found = {f"{file.package}.{enum.name}": enum for file in files.file for enum in file.enum_type}
    for name, message in _messages(files).items():
        found |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
    return found


def _services(files: FileDescriptorSet) -> dict[str, ServiceDescriptorProto]:
    return {f"{file.package}.{service.name}": service for file in files.file for service in file.service}


def main() -> None:
    new = compiled()
    if "--release" in sys.argv[1:]:
        for file in new.file:
            file.ClearField("source_code_info")
        RELEASED.write_bytes(new.SerializeToString(deterministic=True))
        return
    found = breaks(FileDescriptorSet.FromString(RELEASED.read_bytes()), new)
    if found:
        raise SystemExit("not compatible with the last release:\n  " + "\n  ".join(found))


if __name__ == "__main__":
    main()
