"""One direction of one call, told of sends and arrivals with made-up times."""

import base64

import numpy as np

from bench.load import probe, signal
from bench.load.leg import Leg

MS = 1_000_000
QUIET = signal.ulaw_frame(1)
BURST = signal.ulaw_frame(1, burst=True)


def phone_leg() -> Leg:
    leg = Leg(8, probe.onset_in_ulaw, 8)
    leg.counting = True
    return leg


def message(payload: bytes) -> tuple[bytes, int, int]:
    head = b'{"event":"media","streamSid":"MZ00112233445566778899aabbccddeeff","media":{"payload":"'
    return head + payload + b'"}}', len(head), len(head) + len(payload)


def relay(leg: Leg, sent: dict[int, bytes], delay_ms: int) -> None:
    """Frames sent at these ms arrive whole, `delay_ms` later."""
    for at, payload in sent.items():
        leg.sent(at * MS, 20, payload is BURST)
        leg.received((at + delay_ms) * MS, *message(payload))


def test_delay_is_from_the_bursts_frame_sent_to_the_message_with_its_onset() -> None:
    leg = phone_leg()
    relay(leg, {20 * n: BURST if n % 10 == 0 else QUIET for n in range(40)}, delay_ms=3)
    assert list(leg.delays_ns) == [3 * MS] * 4
    assert max(leg.filter_ms) < 0.2
    assert leg.lost_ms == 0
    assert leg.messages == 40


def test_audio_held_back_counts_as_delay_and_not_as_the_filters() -> None:
    leg = phone_leg()
    for frame in range(12):
        leg.sent(20 * frame * MS, 20, burst=frame == 5)
    whole = b"".join(base64.b64decode(BURST if frame == 5 else QUIET) for frame in range(12))
    leg.received(300 * MS, *message(base64.b64encode(whole)))
    assert list(leg.delays_ns) == [200 * MS]
    assert abs(leg.filter_ms[0]) < 0.2


def test_a_filters_delay_shows_as_a_later_place_in_the_stream() -> None:
    leg = phone_leg()
    shifted = base64.b64encode(b"\xff" * 16 + base64.b64decode(BURST)[:-16])
    leg.sent(0, 20, burst=True)
    leg.received(1 * MS, *message(shifted))
    assert list(leg.delays_ns) == [1 * MS]
    assert 2.0 <= leg.filter_ms[0] < 2.2


def test_a_burst_that_never_comes_is_lost_and_the_next_is_not_taken_for_it() -> None:
    leg = phone_leg()
    for frame in range(30):
        leg.sent(20 * frame * MS, 20, burst=frame in (0, 10, 20))
        leg.received((20 * frame + 1) * MS, *message(BURST if frame in (0, 20) else QUIET))
    leg.close()
    assert list(leg.delays_ns) == [1 * MS, 1 * MS]
    assert leg.bursts_lost == 1


def test_frames_dropped_on_the_way_show_as_lost_audio() -> None:
    leg = phone_leg()
    for frame in range(30):
        leg.sent(20 * frame * MS, 20, burst=frame in (0, 20))
        if frame not in (4, 5, 6):
            leg.received((20 * frame + 1) * MS, *message(BURST if frame in (0, 20) else QUIET))
    assert round(leg.lost_ms) == 60
    assert list(leg.delays_ns) == [1 * MS, 1 * MS]


def test_frames_dropped_before_counting_do_not_count() -> None:
    leg = phone_leg()
    leg.sent(0, 20, burst=False)  # and never received
    relay(leg, {20 * n: BURST if n in (5, 15) else QUIET for n in range(1, 20)}, delay_ms=1)
    assert leg.lost_ms == 0
    assert all(abs(delay) < 0.2 for delay in leg.filter_ms)


def test_only_bursts_sent_while_counting_are_counted() -> None:
    leg = phone_leg()
    leg.counting = False
    relay(leg, {0: BURST}, delay_ms=1)
    leg.sent(200 * MS, 20, burst=True)
    leg.close()
    assert not leg.delays_ns
    assert leg.bursts_lost == 0


def test_a_gap_is_audio_that_arrives_after_what_came_before_it_was_played() -> None:
    leg = phone_leg()
    for at_ms in (0, 20, 59, 79, 160, 180):  # 19 ms late is jitter, 61 ms late is a gap
        leg.received(at_ms * MS, *message(QUIET))
    assert leg.gaps == 1


def test_unpadded_url_safe_base64_is_heard_as_well() -> None:
    leg = Leg(32, probe.onset_in_pcm, 16)
    leg.counting = True
    pcm = signal.with_burst(np.zeros(320, np.int16), 16000)
    leg.sent(0, 20, burst=True)
    leg.received(2 * MS, *message(base64.urlsafe_b64encode(pcm.tobytes()).rstrip(b"=")))
    assert leg.received_ms == 20
    assert list(leg.delays_ns) == [2 * MS]


def test_messages_of_the_usual_size_are_counted_unread_and_change_nothing() -> None:
    read, unread = phone_leg(), phone_leg()
    for at_ms in (0, 20, 40, 110, 130):
        read.received(at_ms * MS, *message(QUIET))
    unread.received(0, *message(QUIET))
    assert unread.usual_size == len(message(QUIET)[0])
    for at_ms in (20, 40, 110, 130):
        unread.passed(at_ms * MS)
    assert (unread.messages, unread.gaps, unread.received_ms) == (read.messages, read.gaps, read.received_ms)
