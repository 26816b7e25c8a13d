"""A signal handler that raises, at every point at which one may run: the next change heals all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

import holdfast as hf
from holdfast.degradation import DegradationManager, Level
from holdfast.events import Event

WHERE = ("holdfast.degradation.component", "holdfast.degradation.manager",
         "holdfast.degradation.features", "holdfast.policies.telling")  # fmt: skip


class Interrupt(BaseException):
    pass


def set_and_recover(manager: DegradationManager) -> None:
    manager.set("search", Level.EMERGENCY)
    manager.recover("search")


def force(manager: DegradationManager) -> None:
    manager.component("search").force(Level.EMERGENCY)
    manager.component("search").unforce()


def switch(manager: DegradationManager) -> None:
    manager.features.disable("base")
    manager.features.enable("base")


def is_interrupted(act: Callable[[], object], at: int) -> bool:
    """Act, interrupted at the n-th point; false where there are fewer."""
    points = 0

    def profiler(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal points
        if frame.f_globals["__name__"] in WHERE and event in ("call", "c_return"):
            points += 1
            if points == at:
                sys.setprofile(None)
                raise Interrupt

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        act()
    except Interrupt:
        pass
    finally:
        sys.setprofile(before)
    return points >= at


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("act", [set_and_recover, force, switch])
def test_the_next_change_makes_good_what_an_interrupt_has_left(act):
    at, goes_on = 1, True
    while goes_on:
        manager = DegradationManager("shop", stable_time=30, clock=hf.ManualClock())
        manager.feature("hints", "search", Level.NORMAL, needs=("base",))
        goes_on = is_interrupted(lambda manager=manager: act(manager), at)
        told: list[Event] = []
        manager.on_event(told.append)
        manager.features.enable("base")
        manager.component("search").unforce()
        for level in (Level.DEGRADED, Level.EMERGENCY):
            manager.set("search", level)
        assert (manager.level("search"), manager.overall) == (Level.EMERGENCY, Level.EMERGENCY), at
        assert (manager.features.all()["hints"], manager.is_enabled("hints")) == (False, False), at
        manager.recover("search")
        assert (manager.overall, manager.is_enabled("hints")) == (Level.NORMAL, True), at
        assert [one.new for one in told if one.kind == "degradation"][-1:] == [Level.NORMAL], at
        at += 1
    assert at > 40
