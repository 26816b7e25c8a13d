"""One signal against its own history: the arithmetic of the control chart."""

from math import log, sqrt
from random import Random

import pytest

from holdfast.health.chart import CLIP, Chart, Weights

STEP = 10.0


def chart_of(values, *, floor=0.01, recent=60.0, half_life=3600.0, care=1.0):
    chart, weights = Chart(), Weights(recent, half_life)
    for value in values:
        weights.after(STEP)
        chart.add(value, floor, weights, care)
    return chart, weights


def noise(count, mean=0.0, deviation=1.0, seed=1):
    rng = Random(seed)
    return [rng.gauss(mean, deviation) for _ in range(count)]


def test_the_usual_and_its_deviation_are_those_of_the_samples():
    chart, _ = chart_of(noise(2000, mean=5.0, deviation=0.5))
    assert chart.usual == pytest.approx(5.0, abs=0.1)
    assert chart.deviation == pytest.approx(0.5, rel=0.15)


def test_the_first_samples_are_averaged_and_not_dominated_by_the_first():
    chart, _ = chart_of([1.0, 1.1, 0.9, 1.1, 0.9, 1.1, 0.9, 1.1, 0.9, 1.1], floor=1.0)
    assert chart.usual == pytest.approx(1.01)


def test_the_noise_of_the_present_is_the_textbooks_in_the_long_run():  # Lucas and Saccucci 1990
    chart, weights = chart_of([0.0] * 500)
    b = weights.present
    assert chart._noise == pytest.approx(b / (2 - b))


def test_samples_as_usual_exceed_three_standard_errors_as_rarely_as_the_textbook_says():
    chart, weights = chart_of(noise(500))
    above = 0
    for value in noise(5000, seed=2):
        chart.add(value, 0.01, weights, 1.0)
        above += chart.excess > 3
    assert above / 5000 < 0.005


def test_a_shift_of_one_deviation_is_seen_although_single_samples_hide_it():
    chart, weights = chart_of(noise(500))
    seen = 0
    for value in noise(400, mean=1.0, seed=3):
        chart.add(value, 0.01, weights, 0.0)
        seen += chart.excess > 3
    assert seen > 200


def test_a_single_sample_however_wild_moves_nothing_by_more_than_the_clip():
    chart, weights = chart_of(noise(500))
    usual, recent, excess = chart.usual, chart.recent, chart._excess
    chart.add(1e9, 0.01, weights, 1.0)
    s = chart.deviation
    learned = max(weights.history, 1 / 501)
    assert chart.usual - usual <= learned * CLIP * s * 1.001
    assert chart.recent - recent <= weights.present * CLIP * s * 1.001
    assert chart._excess - excess <= weights.present * CLIP * 1.001


def test_a_rise_that_lasts_is_followed_although_each_sample_is_drawn_in():
    chart, weights = chart_of(noise(500, deviation=0.1))
    for _ in range(300):
        chart.add(5.0, 0.01, weights, 0.0)
    assert chart.recent == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize("rise", [0.0003, 0.003])
def test_the_slope_of_a_steady_rise_is_that_rise(rise):
    chart, _ = chart_of([rise * STEP * n for n in range(400)], floor=0.1, care=0.0)
    slope, errors = chart.slope(60.0)
    assert slope == pytest.approx(rise, rel=0.05)
    assert errors == pytest.approx(rise * 180 / log(2) / 0.1 / sqrt(chart._noise), rel=0.05)


def test_nothing_is_learned_without_care():
    chart, weights = chart_of(noise(100))
    usual = chart.usual
    for _ in range(100):
        chart.add(9.0, 0.01, weights, 0.0)
    assert chart.usual == usual
    assert chart._spread == pytest.approx(1.0, rel=0.3)


def test_half_of_the_history_is_forgotten_after_its_half_life_whatever_the_interval():
    usual = []
    for step in (1.0, 10.0):
        chart, weights = Chart(), Weights(60.0, 3600.0)
        for value, seconds in ((0.0, 30_000), (1.0, 3600)):
            for _ in range(int(seconds / step)):
                weights.after(step)
                chart.add(value, 1.0, weights, 1.0)
        usual.append(chart.usual)
    assert usual == pytest.approx([0.5, 0.5], abs=0.03)


def test_a_gap_of_a_day_weighs_no_more_than_a_half_life_of_the_present():
    weights = Weights(60.0, 3600.0)
    weights.after(86_400.0)
    assert weights.present == 0.5
    assert weights.history == pytest.approx(1 - 0.5 ** (1 / 60))


def test_one_sample_says_nothing():
    chart, _ = chart_of([3.0])
    assert (chart.excess, chart.slope(60.0)) == (0.0, (0.0, 0.0))


def test_samples_of_one_moment_weigh_nothing_once_there_is_a_history():
    chart, weights = chart_of(noise(500))
    excess = chart._excess
    weights.after(0.0)
    chart.add(4.0, 0.01, weights, 1.0)
    assert chart._excess == excess


def test_the_formulas_are_those_of_the_documentation():
    chart, weights = chart_of([1.0, 2.0], floor=1.0)
    b = 1 - 0.5 ** (STEP / 60)
    c = 1 - 0.5 ** (STEP / 180)
    assert chart.usual == 1.5  # the second sample of an average
    assert chart._excess == pytest.approx(b)
    assert chart.excess == pytest.approx(b / sqrt(b * b))
    slope, errors = chart.slope(60.0)
    assert slope == pytest.approx((b - c * b) / (180 / log(2)))
    assert errors == pytest.approx((b - c * b) / b)
    assert weights.present == b
