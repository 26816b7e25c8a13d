"""What a hedge takes, refuses and shows."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import pytest

import holdfast as hf


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delay": -1}, "delay: got -1, allowed seconds or a timedelta from 0"),
        ({"delay": float("nan")}, "delay: got nan"),
        ({"delay": "5"}, "delay: got '5'"),
        ({"max": 0}, "max: got 0, allowed an integer from 1 to 10"),
        ({"max": 11}, "max: got 11, allowed an integer from 1 to 10"),
        ({"on": ()}, r"on: got \(\), allowed at least one"),
        ({"budget": 7}, "budget: got 7, allowed a RetryBudget"),
        ({"close": 3}, "close: got 3, allowed a callable that takes one argument"),
        ({"workers": 0}, "workers: got 0, allowed an integer from 1 to 10000"),
    ],
)
def test_a_wrong_setting_is_refused_with_field_value_and_range(settings, message):
    with pytest.raises(hf.ConfigError, match=f"Hedge 'h': {message}"):
        hf.Hedge("h", **settings)


@pytest.mark.parametrize(
    ("args", "settings", "message"),
    [
        ((95,), {}, "quantile: got 95, allowed a number from 0.5 to 0.999"),
        ((0.2,), {}, "quantile: got 0.2, allowed a number from 0.5 to 0.999"),
        ((), {"warmup": 0}, "warmup: got 0, allowed an integer from 1 to 255"),
        ((), {"warmup": 256}, "warmup: got 256, allowed an integer from 1 to 255"),
        ((), {"initial": -1}, "initial: got -1"),
        ((), {"floor": None}, "floor: got None"),
    ],
)
def test_a_wrong_setting_of_a_quantile_is_refused(args, settings, message):
    with pytest.raises(hf.ConfigError, match=message):
        hf.Quantile(*args, **settings)


def test_quantiles_with_equal_settings_are_equal_and_show_them():
    assert hf.Quantile(0.9) == hf.Quantile(0.9) != hf.Quantile(0.95)
    assert len({hf.Quantile(0.9), hf.Quantile(0.9)}) == 1
    given = hf.Quantile(0.9, warmup=5, initial=timedelta(seconds=1), floor=0)
    text = "Quantile(0.9, warmup=5, initial=datetime.timedelta(seconds=1), floor=0)"
    assert repr(given) == text


def test_a_shared_hedge_is_the_living_one_if_its_settings_are_equal():
    made = hf.Hedge("h", delay=hf.Quantile(0.9), shared=True)
    assert hf.Hedge("h", delay=hf.Quantile(0.9), shared=True) is made
    with pytest.raises(hf.ConfigError, match="delay"):
        hf.Hedge("h", delay=1, shared=True)
    assert hf.registry.get("hedge", "h") is made


def test_generators_blocks_and_permits_are_refused():
    hedge = hf.Hedge("h")

    def items():
        yield 1

    async def later():
        yield 1

    for guard in (hedge, hf.Pipeline("p", hedge), hf.Pipeline("q", hf.Hedge("o", mode="observe"))):
        for fn in (items, later):
            with pytest.raises(TypeError, match="cannot run a generator twice at once"):
                guard(fn)
            with pytest.raises(TypeError, match="cannot run a generator twice at once"):
                guard.call(fn)
        with pytest.raises(TypeError, match="cannot run a block again"), guard:
            pass
    with pytest.raises(TypeError, match="cannot run a block again"):
        hf.Pipeline("p", hedge).acquire()


async def test_generators_that_come_late_are_refused_before_anything_of_them_runs():
    hedge, ran = hf.Hedge("h"), []

    def items():
        ran.append(1)
        yield 1

    async def later():
        ran.append(1)
        yield 1

    with pytest.raises(TypeError, match="cannot run a generator twice at once"):
        next(hedge(lambda: items())())
    with pytest.raises(TypeError, match="cannot run a generator twice at once"):
        await anext(hedge(lambda: later())())
    with (
        pytest.raises(TypeError, match="cannot run a generator twice at once"),
        hedge(lambda: contextmanager(items)())(),
    ):
        pass
    with pytest.raises(TypeError, match="cannot run a generator twice at once"):
        async with hedge(lambda: asynccontextmanager(later)())():
            pass
    assert ran == []


def test_a_snapshot_is_plain_data_and_the_delay_of_a_quantile_shows_after_its_warm_up(clock):
    hedge = hf.Hedge("h", delay=hf.Quantile(0.9, warmup=2), clock=clock)
    assert (hedge.delay, hedge.snapshot().delay) == (None, None)
    assert repr(hedge) == "<Hedge 'h' warming up>"
    hedge._kernel.record(10**8)
    hedge._kernel.record(10**8)
    assert (hedge.delay, repr(hedge)) == (0.1, "<Hedge 'h' after 0.1 s>")
    shown = json.loads(json.dumps(dataclasses.asdict(hedge.snapshot())))
    assert (shown["kind"], shown["samples"], shown["delay"]) == ("hedge", 2, 0.1)


def test_with_options_shares_the_budget():
    hedge = hf.Hedge("h", budget="own")
    other = hedge.with_options(delay=1)
    assert (other.budget, other.delay, hedge.delay) == (hedge.budget, 1, 0.05)
    assert other.with_options(budget=None).budget is None


def test_retries_off_switches_further_attempts_off():
    from holdfast.testing import retries_off

    calls = []

    def fail():
        calls.append(1)
        raise ConnectionError

    with retries_off():
        assert not hf.Hedge("h", delay=0).try_call(fail)
    assert len(calls) == 1


def test_importing_holdfast_does_not_import_the_hedge():
    program = """if True:
        import sys, holdfast as hf
        hf.Pipeline.standard("p").call(len, "")
        assert not [name for name in sys.modules if "hedge" in name and "_native" not in name]
        assert hf.registry.get("hedge", "none") is None
        assert "Hedge" in dir(hf) and "Quantile" in dir(hf)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
