"""Every method of every service is sent random messages, and bytes that are none; a seed makes it the same.

Nothing may be answered with INTERNAL or UNKNOWN, hang, or tell how it looks inside.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from protos.voiceplane.agents.v1 import agent_service_pb2
from protos.voiceplane.calls.v1 import calls_pb2
from tests.support.control import Control, new_workflow_id

SEED = 20261123
ROUNDS = 60  # of each kind, of each method
LIMIT_S = 5.0  # an answer within it, or the method hangs; a stream may go on

SERVICES = [
    service
    for module in (calls_pb2, agent_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
METHODS = [method for service in SERVICES for method in service.methods]
BUGS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_TEXTS: list[Callable[[random.Random], str]] = [
    lambda _: "",
    lambda _: " ",
    lambda _: "+15551234567",
    lambda _: new_workflow_id(),
    lambda _: "call-",
    lambda chance: "x" * chance.choice((1, 255, 256, 5000, 40_000)),
    lambda chance: "".join(chr(chance.randrange(1, 0xD800)) for _ in range(chance.randrange(1, 40))),
    lambda _: "\0",
    lambda _: "'; DROP TABLE calls; --",
    lambda _: '[{"type": "end_call"}]',
    lambda _: '[{"type": "http"}]',
    lambda _: "[" * 5000,
    lambda _: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    lambda _: "1700000000000-0",
    lambda _: "front-desk",
    lambda _: "12#",
    lambda _: "https://127.0.0.1/x",
]


def _scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_BYTES:
                return chance.randbytes(chance.randrange(50))
            return chance.choice(_TEXTS)(chance)
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return chance.choice([0, 1, 2, 3, 99, -1, 2**31 - 1])
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return chance.choice([0.0, -1.0, 0.5, 2.0, 1e38, float("inf"), float("nan")])
        case FieldDescriptor.CPPTYPE_UINT32:
            return chance.choice([0, 1, 30, 200, 14_400, 2**31, 2**32 - 1])
        case FieldDescriptor.CPPTYPE_INT32:
            return chance.choice([0, 1, -1, 30, -(2**31), 2**31 - 1])
        case FieldDescriptor.CPPTYPE_UINT64:
            return chance.choice([0, 1, 2, 2**53 - 1, 2**53, 2**64 - 1, 1_795_000_000_000 * 4096])
        case _:
            return chance.choice([0, 1, -1, 2**53, -(2**63), 2**63 - 1])


def filled(kind: Descriptor, chance: random.Random, depth: int = 0) -> Message:
    """A message of that kind with random fields."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if chance.random() < 0.35:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            entries = getattr(message, field.name)
            if value.message_type is None:
                for _ in range(chance.randrange(3)):
                    entries[_scalar(key, chance)] = _scalar(value, chance)
        elif field.message_type is not None:
            if depth < 4:
                if field.is_repeated:
                    for _ in range(chance.randrange(3)):
                        getattr(message, field.name).append(filled(field.message_type, chance, depth + 1))
                else:
                    getattr(message, field.name).CopyFrom(filled(field.message_type, chance, depth + 1))
        elif field.is_repeated:
            getattr(message, field.name).extend(_scalar(field, chance) for _ in range(chance.randrange(12)))
        else:
            setattr(message, field.name, _scalar(field, chance))
    return message


def requests(method: MethodDescriptor, chance: random.Random) -> list[bytes]:
    """Messages of the method's, some of them damaged, and noise."""
    found = []
    for _ in range(ROUNDS):
        whole = filled(method.input_type, chance).SerializeToString()
        found.append(whole)
        if whole:
            damaged = bytearray(whole)
            for _ in range(chance.randrange(1, 6)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            found.append(bytes(damaged[: chance.randrange(1, len(damaged) + 1)]))
        found.append(chance.randbytes(chance.randrange(1, 300)))
    return [data for data in found if len(data) < 250_000]


@pytest.fixture
async def channel(control: Control) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        yield channel


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_whatever_a_method_is_sent_it_answers_with_sense(
    channel: grpc.aio.Channel, method: MethodDescriptor
) -> None:
    chance = random.Random(f"{SEED} {method.full_name}")
    path = f"/{method.containing_service.full_name}/{method.name}"
    for data in requests(method, chance):
        code, details = await _answer(channel, path, data, stream=method.server_streaming)
        assert code not in BUGS, (data, details)
        assert "Traceback" not in details, (data, details)
        assert "File " not in details, (data, details)
        assert code is not grpc.StatusCode.DEADLINE_EXCEEDED, data


async def _answer(
    channel: grpc.aio.Channel, path: str, data: bytes, *, stream: bool
) -> tuple[grpc.StatusCode, str]:
    """How the method answers these bytes; a stream that answers anything at all is left."""
    try:
        if stream:
            call = channel.unary_stream(path)(data, timeout=LIMIT_S)
            await call.read()
            call.cancel()
        else:
            await channel.unary_unary(path)(data, timeout=LIMIT_S)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def test_methods_and_services_that_are_not_there_are_unimplemented(channel: grpc.aio.Channel) -> None:
    for path in (
        "/voiceplane.calls.v1.CallService/Destroy",
        "/x.Y/Z",
        "/voiceplane.calls.v1.Nothing/GetCall",
    ):
        code, _ = await _answer(channel, path, b"\x0a\x00", stream=False)
        assert code is grpc.StatusCode.UNIMPLEMENTED
