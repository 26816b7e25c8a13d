"""Each effect of a fault ends with its time, when it is stopped, at exit and in a forked child."""

import _thread
import os
import random
import threading
import time
from contextlib import nullcontext
from importlib.util import find_spec

import pytest

import holdfast
from holdfast.chaos.cpu import CpuEffect
from holdfast.chaos.effect import end_effects
from holdfast.chaos.partition import PartitionEffect
from holdfast.chaos.space import DiskEffect
from tests.apart import in_child, run_apart
from tests.chaos.subjects import HOUR, MIB, SECOND, effects, is_idle, soon
from tests.runtimes.greenlets import PATCH, run_scenes


@pytest.fixture(params=["cpu", "disk", "memory", "partition"])
def make(request, tmp_path):
    yield lambda clock: effects(tmp_path, clock)[request.param]
    end_effects()


def test_an_effect_ends_with_its_time_without_any_call(make):  # CH-06, CH-07, CH-08, D-CH-2
    effect = make(holdfast.SystemClock())
    assert effect.start(SECOND // 100)
    assert soon(lambda: is_idle(effect))


def test_on_a_manual_clock_an_effect_ends_as_the_clock_passes_its_end(make, clock):  # CH-14
    effect = make(clock)
    effect.start(60 * SECOND)
    clock.advance(59.9)
    assert effect.is_on
    clock.advance(0.1)
    assert is_idle(effect)
    assert effect.start(SECOND)  # and may be started again


def test_a_stopped_effect_has_given_all_back_and_leaves_no_thread(make):  # D-CH-2, D-CH-3
    before = _thread._count()
    effect = make(holdfast.SystemClock())
    effect.start(HOUR)
    if hasattr(effect, "held"):
        assert soon(lambda: effect.held == 3 * MIB)
    effect.stop()
    assert is_idle(effect)
    effect.stop()
    assert soon(lambda: _thread._count() <= before)


def test_starting_an_effect_that_is_on_changes_nothing(make, clock):  # CH-14
    effect = make(clock)
    assert effect.start(60 * SECOND)
    clock.advance(30)
    assert not effect.start(SECOND)
    clock.advance(30)
    assert is_idle(effect)


def test_ending_all_effects_ends_also_those_that_the_program_has_dropped(make, tmp_path):
    effect = make(holdfast.SystemClock())
    effect.start(HOUR)
    run = effect._run
    del effect
    end_effects()
    assert run.is_over


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_none_of_an_effect_and_the_parent_keeps_it(make):  # trap 58
    effect = make(holdfast.SystemClock())
    effect.start(HOUR)
    if hasattr(effect, "held"):
        assert soon(lambda: effect.held == 3 * MIB)

    def check():
        assert is_idle(effect)
        assert effect.start(SECOND)
        effect.stop()
        assert is_idle(effect)

    in_child(check)
    assert effect.is_on
    assert getattr(effect, "held", 3 * MIB) == 3 * MIB


def test_effects_neither_hold_up_the_exit_of_a_process_nor_outlast_it(tmp_path):  # CH-14
    at_the_end = run_apart(
        f"""
    import atexit
    atexit.register(lambda: print([is_idle(one) for one in made]))  # the last function registered
    from holdfast import SystemClock  # is the first to run
    from tests.chaos.subjects import HOUR, effects, is_idle
    made = effects({str(tmp_path)!r}, SystemClock()).values()
    for one in made:
        one.start(HOUR)
    """
    )
    assert at_the_end == "[True, True, True, True]\n"
    assert list(tmp_path.iterdir()) == []


def test_an_effect_that_cannot_begin_is_off_and_says_why(tmp_path, clock):
    effect = DiskEffect(str(tmp_path / "missing"), MIB, 0.5, clock)
    with pytest.raises(FileNotFoundError):
        effect.start(SECOND)
    assert is_idle(effect)


def test_an_effect_whose_work_fails_ends_and_tells_the_log(tmp_path, caplog, monkeypatch, clock):
    def fail(path):
        raise OSError("the disk is gone")

    monkeypatch.setattr("holdfast.chaos.space.free_disk", fail)
    effect = DiskEffect(str(tmp_path), MIB, 0.5, clock)
    effect.start(SECOND)
    assert soon(lambda: not effect.is_on)
    assert soon(lambda: "the disk is gone" in caplog.text)


# ---- processors ----


def test_a_cpu_effect_uses_its_share_of_a_processor_and_not_more():  # CH-08, D-CH-2
    effect = CpuEffect(1, 0.3, holdfast.SystemClock())
    before, start = time.process_time(), time.monotonic()
    effect.start(HOUR)
    mine = time.thread_time()
    assert soon(lambda: time.process_time() - before - (time.thread_time() - mine) > 0.1)
    effect.stop()
    used = time.process_time() - before - (time.thread_time() - mine)
    assert used <= 0.3 * (time.monotonic() - start) + 0.03


def test_a_cpu_effect_has_no_more_threads_than_there_are_processors(monkeypatch, clock):  # D-CH-2
    monkeypatch.setattr("holdfast.chaos.cpu.processors", lambda: 2)
    before = _thread._count()
    effect = CpuEffect(1000, 0.01, clock)
    effect.start(HOUR)
    assert _thread._count() <= before + 2
    effect.stop()


# ---- callbacks of a partition ----


def test_a_partition_calls_back_at_its_beginning_and_at_its_end(clock):  # CH-07
    told = []
    effect = PartitionEffect(lambda: told.append("cut"), lambda: told.append("back"), clock)
    effect.start(SECOND)
    assert told == ["cut"]
    clock.advance(1)
    assert told == ["cut", "back"]
    effect.stop()
    assert told == ["cut", "back"]


def test_a_partition_stopped_by_its_own_callback_recovers_after_that_callback(clock):  # CH-07
    told = []

    def cut():
        effect.stop()
        told.append("cut")

    effect = PartitionEffect(cut, lambda: told.append("back"), clock)
    assert effect.start(SECOND)
    assert told == ["cut", "back"]
    assert not effect.is_on


def test_a_callback_that_raises_is_logged_and_the_partition_goes_on(clock, caplog):  # CH-07
    effect = PartitionEffect(lambda: 1 / 0, lambda: 1 / 0, clock)
    effect.start(SECOND)
    assert effect.is_on
    clock.advance(1)
    assert not effect.is_on
    assert caplog.text.count("ZeroDivisionError") == 2


def test_without_a_thread_an_effect_is_off_and_has_given_all_back(make, monkeypatch):  # CH-14
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    effect = make(holdfast.SystemClock())
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        effect.start(HOUR)
    monkeypatch.undo()
    assert is_idle(effect)
    assert effect.start(SECOND)


SCENE = """
    import _thread, time
    from tests.chaos.subjects import HOUR, effects, is_idle
    made = effects({folder!r}, hf.SystemClock())
    made["cpu"]._load = 1.0
    gaps = []
    def look():
        last = time.perf_counter()
        while any(one.is_on for one in made.values()):
            sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
    def work():
        while made["memory"].held < 3 << 20 or made["disk"].held < 3 << 20 or len(gaps) < 20:
            sleep(0.001)
        for one in made.values():
            one.stop()
    for one in made.values():
        one.start(HOUR)
    together(look, work)
    print([is_idle(one) for one in made.values()])
    ended = effects({folder!r}, hf.SystemClock())["partition"]
    ended._on_recover = lambda: print("back", hub_here() is hub)
    hub = hub_here()
    ended.start(10**7)
    while ended._run is not None:
        sleep(0.001)
"""


@pytest.mark.parametrize("library", PATCH)
def test_effects_do_not_block_the_greenlets_of_a_thread(library, tmp_path, require_real):  # D-CH-2
    if find_spec(library) is None:
        require_real(f"{library} is not installed")
    lines = run_scenes(library, True, {"effects": SCENE.format(folder=str(tmp_path))})["effects"]
    assert lines == ["[True, True, True, True]", "back True"]


@pytest.mark.parametrize("fails", [False, True])
def test_an_effect_that_is_stopped_while_it_begins_gives_all_back(tmp_path, clock, fails):
    class Stopped(DiskEffect):
        def _begin(self):
            self.stop()
            super()._begin()
            if fails:
                raise OSError("no room for a file")

    effect = Stopped(str(tmp_path), MIB, 0.5, clock)
    for _ in range(2):
        with pytest.raises(OSError, match="no room") if fails else nullcontext():
            effect.start(SECOND)
        assert is_idle(effect)
        assert effect._file == -1


@pytest.mark.stress
def test_threads_that_start_and_stop_an_effect_by_turns_leave_nothing(make, stress_scale):  # CH-14
    effect = make(holdfast.SystemClock())
    threads_before = _thread._count()
    files_before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    started = []

    def turns(number):
        luck = random.Random(number)
        for _ in range(50 * stress_scale):
            if luck.random() < 0.6:
                started.append(effect.start(luck.choice([1, 10**5, HOUR])))
            else:
                effect.stop()

    workers = [threading.Thread(target=turns, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert any(started)
    effect.stop()
    assert soon(lambda: effect._run is None)
    assert is_idle(effect)
    assert soon(lambda: _thread._count() <= threads_before)
    if files_before:
        assert len(os.listdir("/proc/self/fd")) == files_before
    assert effect.start(HOUR)
