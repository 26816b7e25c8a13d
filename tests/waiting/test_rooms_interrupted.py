"""Whatever cuts a step of the waiting room short, at whatever point, the room comes right.

Two things can come between any two lines of Python: a signal handler that raises, and the
collector with finalisers that use the same room. Both are tried here at every point there is.
"""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast import ManualClock
from holdfast._native.bulkhead import Bulkhead
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.rooms import ENTERED, FULL, QUEUED, TIMED_OUT, WaitingRoom, _Place
from tests.apart import run_apart
from tests.waiting.houses import Meddled, interrupt


def queued(room: WaitingRoom) -> _Place:
    place = _Place(ThreadWaiter())
    assert room._join(place) == QUEUED
    return place


def scene(finaliser: str, at: int) -> Meddled:
    """Two wait; a third comes, gives up, one leaves; a finaliser comes in between somewhere."""
    kernel = Bulkhead(2, 10)
    meddled = Meddled(kernel)
    room = WaitingRoom(meddled)  # type: ignore[arg-type]
    clock = ManualClock()
    assert [room.enter(clock, None) for _ in range(2)] == [ENTERED] * 2
    first, second = queued(room), queued(room)
    answers: list[int] = []
    meddled.at, meddled.uses = at, 0
    meddled.meddle = {
        "a permit is collected": room.leave,
        "a waiting task is collected": lambda: room._abandon(first),
        "somebody tries to enter": lambda: answers.append(room.enter(clock, 1)),
    }[finaliser]

    mine = room.enter(clock, 1)  # on a clock that moves by itself: gives up unless it enters
    room.leave()
    meddled.at = -1

    # Whoever is inside has been told, and the two are never apart for long.
    told = [place for place in (first, second) if place.is_inside()]
    assert all(place.waiter.woken for place in told)
    assert kernel.waiting() == len(room._queue)
    assert kernel.in_flight() == 2 or not room._queue
    assert all(answer in (ENTERED, FULL, TIMED_OUT) for answer in answers)
    holders = kernel.in_flight()
    expected = 1 + len(told) + (mine == ENTERED) + answers.count(ENTERED)
    if finaliser == "a permit is collected" and meddled.uses >= at:
        expected -= 1
    assert holders == expected
    return meddled


@pytest.mark.parametrize(
    "finaliser", ["a permit is collected", "a waiting task is collected", "somebody tries to enter"]
)
def test_a_finaliser_in_the_middle_of_a_step_strands_nobody_and_loses_nothing(finaliser):
    # trap 33, trap 35
    at, uses = 1, 1
    while at <= uses:
        uses = scene(finaliser, at).uses
        at += 1
    assert at > 10  # there were points to try


@pytest.mark.parametrize("act", ["leave", "undo", "resize", "admit"])
def test_what_is_interrupted_lets_in_who_is_first_all_the_same(act):  # trap 33
    meddled = Meddled(Bulkhead(1, 10))
    room = WaitingRoom(meddled)  # type: ignore[arg-type]
    assert room.enter(ManualClock(), None) == ENTERED
    first = queued(room)
    if act == "admit":
        meddled.kernel.leave()
    meddled.meddle, meddled.at = interrupt, meddled.uses + 1
    with pytest.raises(KeyboardInterrupt):
        getattr(room, act)(*((2,) if act == "resize" else ()))
    assert first.is_inside()
    assert first.waiter.woken
    assert meddled.kernel.waiting() == 0


def test_a_wait_that_cannot_begin_leaves_the_queue():
    class Broken(ManualClock):
        def call_at_ns(self, deadline_ns: int, callback: Callable[[], object]) -> Any:
            raise KeyboardInterrupt

    kernel = Bulkhead(1, 10)
    room = WaitingRoom(kernel)
    clock = Broken(auto=False)
    assert room.enter(clock, 5) == ENTERED
    with pytest.raises(KeyboardInterrupt):
        room.enter(clock, 5)
    assert (kernel.in_flight(), kernel.waiting()) == (1, 0)


def test_ctrl_c_in_a_parked_thread_leaves_the_queue_and_frees_the_turn():  # trap 33
    printed = run_apart("""
        from holdfast import Bulkhead
        from tests.ctrl_c import CtrlC
        from tests.waiting.parties import Party

        bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=2, max_wait=None)
        bulkhead.enter()
        others = []

        def queued():
            if bulkhead.waiting == 1 and not others:
                others.append(Party(bulkhead.enter))
            return bulkhead.waiting == 2

        sender = CtrlC().when(queued)
        try:
            bulkhead.enter()
        except KeyboardInterrupt:
            print("interrupted", bulkhead.waiting, bulkhead.in_flight)
        bulkhead.leave()
        sender.result()
        others[0].result()
        print(bulkhead.waiting, bulkhead.in_flight)
        """)
    assert printed.splitlines() == ["interrupted 1 1", "0 1"]


INTERRUPTIONS = """
    import dis, sys
    from itertools import starmap
    from holdfast import ManualClock
    from holdfast._native.bulkhead import Bulkhead
    from holdfast.waiting import parking, rooms as waiting
    from holdfast.waiting.rooms import ENTERED, QUEUED, TIMED_OUT, WaitingRoom, _Place
    from tests.bytecodes import trace_bytecodes

    # Where the interpreter looks for signals: as a Python function begins, after a call, and on
    # the way back in a loop. An interruption comes before the instruction after that.
    FILES = {parking.__file__, waiting.__file__}
    CALLS = {op for op, name in enumerate(dis.opname) if name.startswith("CALL")}
    LOOPS = {op for op, name in enumerate(dis.opname) if "JUMP_BACKWARD" in name}

    class Interrupter:
        def __init__(self, at):
            self.at, self.points, self.armed = at, 0, False
        def __enter__(self):
            trace_bytecodes(self.trace)
        def __exit__(self, *_):
            sys.settrace(None)
        def trace(self, frame, event, arg):
            if frame.f_code.co_filename not in FILES:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            before = None                         # the function begins
            code = frame.f_code.co_code
            def at_opcode(frame, event, arg):
                nonlocal before
                if event == "opcode":
                    looked = (
                        before is None
                        or code[before] in CALLS
                        or (code[before] in LOOPS and frame.f_lasti < before)
                    )
                    if looked and self.armed:
                        self.points += 1
                        if self.points == self.at:
                            sys.settrace(None)
                            raise KeyboardInterrupt
                    before = frame.f_lasti
                return at_opcode
            return at_opcode

    def quietly(act, *args):
        '''Do something in the middle of a scene that is not itself interrupted.'''
        trace = sys.gettrace()
        sys.settrace(None)
        act(*args)
        sys.settrace(trace)

    class Loop:
        closed = False
        def is_closed(self):
            return self.closed

    class Task(parking.ThreadWaiter):
        def __init__(self):
            super().__init__()
            self.loop = Loop()

    def stage():
        room = WaitingRoom(Bulkhead(1, 10))
        clock = ManualClock()                     # moves by itself: nothing really waits
        room.enter(clock, None)                   # somebody is inside ...
        first = _Place(Task())                    # ... and a task waits
        room._join(first)
        return room, clock, first

    def scene(act, at):
        room, clock, first = stage()
        kernel = room._kernel
        rehearsal = stage()
        interrupter, answers, interrupted = Interrupter(at), [], False
        try:
            with interrupter:
                # Once before, or later Pythons have not prepared the code to be traced.
                act(rehearsal[0], rehearsal[1], [])
                interrupter.armed = True
                act(room, clock, answers)
        except KeyboardInterrupt:
            interrupted = True
        context = act.__name__, at, answers, kernel.in_flight(), kernel.waiting()
        # What the queue and the kernel say agrees, and who was let in was told.
        assert kernel.waiting() == len(room._queue), context
        if act is evict:
            assert first in room._queue or len(room._queue) < 10, context
            while kernel.waiting() < 10:
                room._join(_Place(parking.ThreadWaiter()))
            room.enter(clock, 5)                  # a full queue looks again
            assert not room._loops, context
            assert first not in room._queue, context
            return interrupter.points, interrupted
        of_loops = {loop: [*places] for loop, places in room._loops.items()}
        assert of_loops == {
            place.waiter.loop: [place] for place in room._queue if place.waiter.loop
        }, context
        assert (first in room._queue) != first.waiter.woken, context
        assert first.is_inside() == (first.waiter.woken and not first.abandoned), context
        # As many are inside as know that they are; room and a waiter are never left together.
        assert kernel.in_flight() == HOLDERS[act](first, answers), context
        assert kernel.in_flight() >= kernel.limit() or not room._queue, context
        assert kernel.counters()[6] == 0, context # nobody left twice
        return interrupter.points, interrupted

    def come_in(room, clock, answers):
        quietly(room.resize, 3)                   # lets the first in, and there is room for more
        answers.extend(starmap(room.enter, [(clock, 5)]))

    def look_in(room, clock, answers):
        quietly(room.resize, 3)
        answers.extend(starmap(room.enter, [(clock, 0)]))

    def pass_over(room, clock, answers):
        first = next(iter(room._queue))
        wake = first.waiter.wake
        first.waiter.wake = lambda: wake() and False  # as one whose loop is closed
        room.leave()

    def evict(room, clock, answers):
        def fill():
            first = next(iter(room._queue))
            while room._kernel.waiting() < 10:
                room._join(_Place(parking.ThreadWaiter()))
            room._queue.move_to_end(first)        # or it is passed over before
            first.waiter.loop.closed = True
        quietly(fill)
        answers.extend(starmap(room.enter, [(clock, 5)]))

    def time_out(room, clock, answers):
        answers.extend(starmap(room.enter, [(clock, 5)]))

    def be_let_in(room, clock, answers):
        clock.call_at_ns(1, lambda: quietly(room.leave))  # lets the first in
        clock.call_at_ns(2, lambda: quietly(room.leave))  # who leaves
        answers.extend(starmap(room.enter, [(clock, 5)]))

    def leave(room, clock, answers):
        room.leave()

    def shrink(room, clock, answers):
        room.resize(1)

    def grow(room, clock, answers):
        room.resize(2)

    HOLDERS = {
        come_in: lambda first, answers: 2 + answers.count(ENTERED),
        look_in: lambda first, answers: 2 + answers.count(ENTERED),
        pass_over: lambda first, answers: 0 if first.abandoned else 1,
        time_out: lambda first, answers: 1,
        # An interruption before the clock was moved leaves everybody where he was.
        be_let_in: lambda first, answers: answers.count(ENTERED) + (not first.is_inside()),
        leave: lambda first, answers: 1,
        shrink: lambda first, answers: 1,
        grow: lambda first, answers: 1 + first.is_inside(),
    }
    for act in [*HOLDERS, evict]:
        at, interrupted = 1, True
        while interrupted:
            points, interrupted = scene(act, at)
            at += 1
        print(act.__name__, at - 2)
"""


def test_an_interruption_at_any_point_of_entering_leaving_and_resizing_is_mended():
    # trap 33, trap 35
    points = dict(line.split() for line in run_apart(INTERRUPTIONS).splitlines())
    assert points.keys() == {
        "come_in", "look_in", "pass_over", "time_out", "be_let_in", "leave", "shrink", "grow",
        "evict",
    }  # fmt: skip
    assert int(points["time_out"]) > 50
    assert int(points["leave"]) > 20
