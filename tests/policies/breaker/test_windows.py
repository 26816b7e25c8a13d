"""Windows of a rate: values that are checked, compared and never changed."""

import copy
import pickle
from datetime import timedelta

import pytest

from holdfast import ConfigError, CountWindow, TimeWindow


def test_a_count_window_holds_so_many_calls():
    assert CountWindow(100).size == 100
    assert [CountWindow(n).size for n in (1, 100_000)] == [1, 100_000]


def test_a_time_window_is_cut_into_slices_that_cover_it():
    window = TimeWindow(10)
    assert (window.seconds, window.slices, window.slice_ns) == (10.0, 10, 10**9)
    odd = TimeWindow(0.010000003)
    assert odd.slice_ns * odd.slices >= 10_000_003
    assert TimeWindow(timedelta(minutes=1)) == TimeWindow(60.0)


@pytest.mark.parametrize("n", [0, -1, 100_001, 10.0, True, None, "10", 10**400])
def test_a_count_window_of_a_wrong_size_is_refused(n):
    with pytest.raises(ConfigError, match=r"n: got .* allowed an integer from 1 to 100000"):
        CountWindow(n)


@pytest.mark.parametrize(
    "seconds",
    [0, -1, 0.0099, float("nan"), float("inf"), True, None, "10", timedelta(days=31), 10**400],
)
def test_a_time_window_of_a_wrong_length_is_refused(seconds):
    with pytest.raises(ConfigError, match=r"seconds: got .* timedelta from 0.01 to 2592000"):
        TimeWindow(seconds)


@pytest.mark.parametrize("window", [CountWindow(7), TimeWindow(1.5)])
def test_a_window_is_a_frozen_value(window):
    like = pickle.loads(pickle.dumps(window))
    assert like == window == copy.deepcopy(window)
    assert hash(like) == hash(window)
    assert eval(repr(window)) == window
    for attribute in ("size", "seconds", "slices", "slice_ns", "_setting", "other"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(window, attribute, 1)
        with pytest.raises(AttributeError, match="frozen"):
            delattr(window, attribute)


def test_windows_of_another_kind_or_setting_differ():
    assert CountWindow(1) != TimeWindow(1)
    assert CountWindow(1) != CountWindow(2)
    assert TimeWindow(1) != TimeWindow(2)
    assert CountWindow(1) != 1
    assert len({CountWindow(1), CountWindow(1), TimeWindow(1), TimeWindow(1.0)}) == 2
