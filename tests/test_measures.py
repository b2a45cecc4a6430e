"""Histograms count as Prometheus' do: a bound is an upper bound, and is part of its bucket."""

from peatd.measures import Histogram


def test_a_duration_falls_into_the_first_bucket_that_holds_it():
    histogram = Histogram((0.1, 1.0))
    for duration in (0.0, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(duration)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 8.6
