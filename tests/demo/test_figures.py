import pytest

from holdfast.demo import figures


@pytest.mark.parametrize(("ns", "text"), [
    (0, "0 µs"), (850_000, "850 µs"), (999_499, "999 µs"), (999_500, "1.00 ms"),
    (8_904_000, "8.90 ms"), (52_340_000, "52.3 ms"), (504_000_000, "504 ms"),
    (1_310_000_000, "1.31 s"), (72_140_000_000, "72.1 s"), (402_000_000_000, "402 s"),
    (5_000_000_000_000, "5,000 s"), (None, "–"),
])  # fmt: skip
def test_a_duration_has_three_figures_and_the_unit_that_suits_it(ns, text):
    assert figures.duration(ns) == text


@pytest.mark.parametrize(
    ("show", "figures_of", "text"),
    [
        *((figures.rate, one, text) for one, text in (
            ((0, 10**9), "0/s"), ((3, 2 * 10**9), "1.50/s"), ((612, 10**10), "61.2/s"),
            ((120, 10**9), "120/s"), ((5_000, 10**9), "5,000/s"), ((7, 0), "–"),
        )),
        *((figures.pace, one, text) for one, text in (
            ((119, 1_010_000_000), "118"), ((0, 10**9), "0"), ((1, 0), "–"),
        )),
        # What a budget holds is never told as more than it is.
        (figures.budget, (20.0, 20), "20.0 of 20"),
        (figures.budget, (0.999, 20), "0.9 of 20"),
        (figures.budget, (1_200.5, 4_000), "1,200.5 of 4,000"),
        (figures.number, (1_234_567,), "1,234,567"),
        (figures.seconds, (4_315_000_001,), "4.32 s"),
    ],
)  # fmt: skip
def test_a_figure_is_told_short_and_with_its_unit(show, figures_of, text):
    assert show(*figures_of) == text
