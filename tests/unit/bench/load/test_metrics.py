"""The product's metrics as the bench reads them."""

import math

from bench.load.metrics import parse

PAGE = """\
# TYPE voiceplane_media_calls_live gauge
voiceplane_media_calls_live 3.0
# TYPE voiceplane_media_deadline_misses_total counter
voiceplane_media_deadline_misses_total 2.0
# TYPE voiceplane_media_gc_pause_seconds histogram
voiceplane_media_gc_pause_seconds_bucket{generation="0",le="0.001"} 4.0
voiceplane_media_gc_pause_seconds_bucket{generation="0",le="0.002"} %d
voiceplane_media_gc_pause_seconds_bucket{generation="0",le="+Inf"} %d
voiceplane_media_gc_pause_seconds_count{generation="0"} %d
voiceplane_media_gc_pause_seconds_sum{generation="0"} 0.01
"""


def test_values_are_found_by_name_and_label() -> None:
    metrics = parse(PAGE % (5, 5, 5))
    assert metrics.value("calls_live") == 3
    assert metrics.value("deadline_misses_total") == 2
    assert metrics.value("gc_pause_seconds_count{0}") == 5
    assert math.isnan(metrics.value("something_else"))


def test_the_longest_observation_since_is_known_to_its_bucket() -> None:
    before, after = parse(PAGE % (4, 4, 4)), parse(PAGE % (5, 5, 5))
    assert after.most_s("gc_pause_seconds{0}") == 0.002
    assert after.most_s("gc_pause_seconds{0}", before) == 0.002
    assert after.most_s("gc_pause_seconds{0}", after) == 0
    assert before.most_s("gc_pause_seconds{0}") == 0.001
    assert after.most_s("gc_pause_seconds{2}") == 0
