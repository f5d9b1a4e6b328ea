from __future__ import annotations

import pytest

from control_plane.auth import attempts
from control_plane.auth.attempts import BURST, EVERY_S, FailedAttempts


def exhausted(failed: FailedAttempts, address: str, now_s: float) -> None:
    for _ in range(BURST):
        assert failed.wait_s(address, now_s) == 0
        failed.failed(address, now_s)


def test_an_address_has_so_many_failures_at_once_and_then_one_after_a_while() -> None:
    failed = FailedAttempts()
    exhausted(failed, "192.0.2.1", 100.0)

    assert failed.wait_s("192.0.2.1", 100.0) == pytest.approx(EVERY_S)
    assert failed.wait_s("192.0.2.2", 100.0) == 0
    assert failed.wait_s("192.0.2.1", 100.0 + EVERY_S) == pytest.approx(0)
    failed.failed("192.0.2.1", 100.0 + EVERY_S)
    assert failed.wait_s("192.0.2.1", 100.0 + EVERY_S) == pytest.approx(EVERY_S)


def test_failures_beyond_the_allowance_make_the_wait_no_longer() -> None:
    failed = FailedAttempts()
    for _ in range(10 * BURST):
        failed.failed("192.0.2.1", 100.0)

    assert failed.wait_s("192.0.2.1", 100.0) == pytest.approx(EVERY_S)


def test_addresses_of_one_ipv6_network_share_an_allowance() -> None:
    failed = FailedAttempts()
    exhausted(failed, "2001:db8:1:2::1", 0.0)

    assert failed.wait_s("2001:db8:1:2:ffff::9", 0.0) > 0
    assert failed.wait_s("2001:db8:1:3::1", 0.0) == 0


def test_an_ipv4_address_written_as_ipv6_is_the_same() -> None:
    failed = FailedAttempts()
    exhausted(failed, "::ffff:192.0.2.1", 0.0)

    assert failed.wait_s("192.0.2.1", 0.0) > 0


def test_so_many_addresses_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_ADDRESSES", 2)
    failed = FailedAttempts()
    exhausted(failed, "192.0.2.1", 0.0)
    failed.failed("192.0.2.2", 0.0)
    failed.failed("192.0.2.3", 0.0)

    assert failed.wait_s("192.0.2.1", 0.0) == 0
