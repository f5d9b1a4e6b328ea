"""Ports: the wanted ones where free, others where not, never the same twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from control_plane.devstack.ports import STEP, PortAllocator


@pytest.fixture
def allocator() -> Iterator[PortAllocator]:
    allocator = PortAllocator()
    yield allocator
    allocator.release()


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_free_port_is_given_as_wanted(allocator: PortAllocator) -> None:
    wanted = free_port()
    assert allocator.allocate({"rest": wanted}) == {"rest": wanted}
    assert allocator.moved == {}


def test_a_taken_port_moves_and_says_so(allocator: PortAllocator, taken: int) -> None:
    ports = allocator.allocate({"rest": taken})
    assert ports["rest"] != taken
    assert allocator.moved == {"rest": (taken, ports["rest"])}


def test_a_port_taken_on_every_address_moves_too(allocator: PortAllocator) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert allocator.allocate({"rest": port})["rest"] != port


def test_copies_are_a_step_apart_and_all_of_them_are_held(allocator: PortAllocator) -> None:
    first = allocator.allocate({"media": 0}, copies={"media": 3})["media"]
    for port in (first, first + STEP, first + 2 * STEP):
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_copies_move_together_when_one_s_port_is_taken(allocator: PortAllocator, taken: int) -> None:
    wanted = taken - STEP
    ports = allocator.allocate({"media": wanted}, copies={"media": 2})
    assert ports["media"] != wanted
    assert allocator.moved == {"media": (wanted, ports["media"])}


def test_more_copies_than_there_are_ports_are_refused(allocator: PortAllocator) -> None:
    with pytest.raises(OSError, match="free ports"):
        allocator.allocate({"media": 0}, copies={"media": 700})


def test_two_that_want_the_same_port_get_two(allocator: PortAllocator) -> None:
    wanted = free_port()
    ports = allocator.allocate({"rest": wanted, "grpc": wanted})
    assert ports["rest"] == wanted
    assert allocator.moved == {"grpc": (wanted, ports["grpc"])}


def test_a_moved_port_takes_no_port_that_another_wants(allocator: PortAllocator, taken: int) -> None:
    wanted = {"moves": taken, **{str(n): free_port() for n in range(20)}}
    ports = allocator.allocate(wanted)
    assert len(set(ports.values())) == len(wanted)


def test_any_ports_are_all_different(allocator: PortAllocator) -> None:
    ports = allocator.allocate(dict.fromkeys(map(str, range(200)), 0))
    assert len(set(ports.values())) == 200
    assert allocator.moved == {}


def test_a_server_can_listen_on_a_port_that_is_still_held(allocator: PortAllocator) -> None:
    port = allocator.allocate({"rest": 0})["rest"]
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        accepted, _ = server.accept()
        accepted.sendall(b"x")
        assert client.recv(1) == b"x"
        accepted.close()
