"""Threads of timeouts end: with their policy, with the process; and there are never too many."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.pipeline.daemons import DaemonThreads
from tests.apart import run_apart
from tests.pipeline.left_behind import Held, begin, crew_threads, leave_behind
from tests.pipeline.parties import LIMIT, Party, until


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.go.set()


def threaded(clock: hf.Clock, duration: float = 1, **settings: Any) -> hf.Timeout:
    return hf.Timeout(duration, thread=True, clock=clock, **settings)


# ---- how many ----


def test_two_hundred_timeouts_leave_no_thread_behind(clock):
    # D-CB-4, D-C-5: there each left one for ever, and its work went on in the background.
    timeout = threaded(clock, workers=4, name="leaky")
    for _ in range(50):
        works = [Held() for _ in range(4)]
        for held in works:
            leave_behind(timeout, held, clock)
        for held in works:
            held.go.set()
        until(lambda: timeout.snapshot().running == 0)
    assert timeout.snapshot().abandoned == 200
    assert len(crew_threads("leaky")) <= 4


def test_two_hundred_timeouts_of_work_that_hangs_leave_no_more_than_there_are_workers(clock, held):
    # D-CB-4
    timeout = threaded(clock, workers=4, name="hung")
    for _ in range(4):
        leave_behind(timeout, held, clock)
    parties = [Party(timeout.call, held) for _ in range(196)]
    until(lambda: timeout._crew.queued == 196)
    clock.advance(1)
    for party in parties:
        with pytest.raises(hf.DeadlineExceededError):
            party.result()
    assert len(crew_threads("hung")) == 4
    assert timeout._crew.queued == 0
    shown = timeout.snapshot()
    assert (shown.expired, shown.abandoned, shown.running) == (200, 4, 4)
    assert not clock._callbacks  # D-CB-5: nor a timer


def test_no_thread_is_started_before_the_first_call(clock):
    timeout = threaded(clock, name="idle")
    assert timeout._crew is None
    assert not crew_threads("idle")


# ---- a policy that is dropped ----


def test_dropped_its_threads_end(clock, held):
    timeout = threaded(clock, name="dropped")
    parties = [begin(timeout, held) for _ in range(3)]
    held.go.set()
    for party in parties:
        party.result()
    threads = crew_threads("dropped")
    assert len(threads) == 3
    del timeout, parties, party
    gc.collect()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_dropped_while_work_goes_on_they_end_after_it(clock, held):
    timeout = threaded(clock, name="going")
    leave_behind(timeout, held, clock)
    (thread,) = crew_threads("going")
    gone = weakref.ref(timeout)
    del timeout
    gc.collect()
    assert thread.is_alive()
    held.go.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    gc.collect()
    assert gone() is None


def test_a_pipeline_that_is_dropped_while_work_goes_on_gives_its_place_back(clock, held):
    bulkhead = hf.Bulkhead("b")
    pipe = hf.Pipeline("p", bulkhead, threaded(clock))
    leave_behind(pipe, held, clock)
    del pipe
    gc.collect()
    held.go.set()
    until(lambda: bulkhead.in_flight == 0)


def test_daemons_start_a_thread_only_where_none_is_free():
    threads = DaemonThreads("daemons-few", 5)
    for _ in range(20):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(LIMIT)
        until(lambda: threads._jobs.unfinished == 0)
    assert len(threads._threads) == 1
    assert threads._threads[0].daemon


def test_daemons_end_when_they_are_told_to_and_have_done_what_they_had():
    threads = DaemonThreads("daemons-end", 2)
    done: list[int] = []
    for n in range(50):
        threads.submit(lambda n=n: done.append(n))
    threads.shutdown(wait=True)
    assert sorted(done) == list(range(50))
    assert not crew_threads("daemons-end")


# ---- the end of the process ----


def test_hanging_work_does_not_keep_the_process_from_ending():
    out = run_apart("""
        import threading, holdfast as hf
        clock = hf.ManualClock(auto=False)
        timeout = hf.Timeout(1, thread=True, clock=clock)
        begun = threading.Event()
        def hang():
            begun.set()
            threading.Event().wait()
        def move():
            begun.wait()
            clock.advance(1)
        mover = threading.Thread(target=move)
        mover.start()
        try:
            hf.Pipeline("p", hf.Bulkhead("b"), timeout).call(hang)
        except hf.DeadlineExceededError:
            print(timeout.snapshot().running)
        """)
    assert out == "1\n"


def test_a_call_of_another_thread_comes_to_its_end_though_the_main_thread_has_ended():
    out = run_apart("""
        import threading, holdfast as hf
        timeout = hf.Timeout(30, thread=True)
        begun, main = threading.Event(), threading.main_thread()
        def work():
            begun.set()
            main.join()
            return "to its end"
        threading.Thread(target=lambda: print(timeout.call(work), flush=True)).start()
        begun.wait()
        """)
    assert out == "to its end\n"


def test_idle_threads_do_not_keep_it_either():
    assert run_apart("""
        import holdfast as hf
        timeout = hf.Timeout(30, thread=True)
        print(timeout.call(len, "four"))
        """) == ("4\n")


# ---- interrupted ----

INTERRUPTED = """
    import sys, threading
    sys.path.insert(0, ".")
    import holdfast as hf
    from tests.ctrl_c import CtrlC
    from tests.pipeline.parties import until
    ctrl_c = CtrlC()
    clock = hf.ManualClock(auto=False)
    bulkhead = hf.Bulkhead("b")
    timeout = hf.Timeout(1, thread=True, clock=clock, workers=1)
    pipe = hf.Pipeline("p", bulkhead, timeout)
    begun, go = threading.Event(), threading.Event()
    def work():
        begun.set()
        go.wait()
    def call(fn):
        try:
            pipe.call(fn)
        except KeyboardInterrupt:
            return "interrupted"
    """


def test_an_interrupt_leaves_the_work_behind_and_its_place_taken():
    out = run_apart(
        INTERRUPTED
        + """
    party = ctrl_c.when(lambda: begun.is_set())
    print(call(work))
    party.result()
    shown = timeout.snapshot()
    print(shown.abandoned, shown.running, shown.expired, bulkhead.in_flight)
    go.set()
    until(lambda: bulkhead.in_flight == 0)
    print(timeout.snapshot().running, clock._callbacks)
    """
    )
    assert out == "interrupted\n1 1 0 1\n0 {}\n"


def test_an_interrupt_before_there_is_a_thread_takes_the_call_back():
    out = run_apart(
        INTERRUPTED
        + """
    from tests.pipeline.parties import Party
    first = Party(timeout.call, work)
    begun.wait()
    ran = []
    party = ctrl_c.when(lambda: timeout._crew.queued)
    print(call(lambda: ran.append(1)))
    party.result()
    print(timeout.snapshot().abandoned, timeout._crew.queued, bulkhead.in_flight)
    go.set()
    first.result()
    timeout.call(len, "ok")
    print(ran)
    """
    )
    assert out == "interrupted\n0 0 0\n[]\n"


def test_interrupts_at_any_moment_leave_nothing_that_is_not_counted():
    # Each comes wherever the main thread happens to be.
    out = run_apart(
        """
        import signal, sys, threading
        sys.path.insert(0, ".")
        import holdfast as hf
        from tests.pipeline.parties import until
        armed = False
        def interrupt(number, frame):
            global armed
            if armed:
                armed = False
                raise KeyboardInterrupt
        signal.signal(signal.SIGINT, interrupt)
        bulkhead = hf.Bulkhead("b")
        timeout = hf.Timeout(1000, thread=True, workers=4)
        pipe = hf.Pipeline("p", bulkhead, timeout)
        pipe.call(len, "")  # or an import would be interrupted, which complains
        ends, main = threading.Event(), threading.main_thread().ident
        def signals():
            while not ends.wait(0.0003):
                signal.pthread_kill(main, signal.SIGINT)
        sender = threading.Thread(target=signals)
        sender.start()
        interrupted = 0
        while interrupted < 300:
            try:
                armed = True
                while True:
                    pipe.call(sum, range(100))
            except KeyboardInterrupt:
                interrupted += 1
        ends.set()
        sender.join()
        until(lambda: timeout._crew.active == 0 and timeout._crew.queued == 0)
        until(lambda: timeout.snapshot().running == 0)
        print(bulkhead.in_flight, timeout.snapshot().running)
        """
    )
    assert out == "0 0\n"


# ---- forked ----


def test_a_forked_child_has_threads_of_its_own_and_no_works():
    out = run_apart("""
        import os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        sys.path.insert(0, ".")
        import holdfast as hf
        from tests.pipeline.left_behind import Held, leave_behind
        from tests.pipeline.parties import until
        clock = hf.ManualClock(auto=False)
        bulkhead = hf.Bulkhead("b", max_concurrent=1)
        timeout = hf.Timeout(1, thread=True, clock=clock, workers=1)
        pipe = hf.Pipeline("p", bulkhead, timeout)
        held = Held()
        leave_behind(pipe, held, clock)
        pid = os.fork()
        if pid == 0:
            assert bulkhead.in_flight == 0, bulkhead.in_flight
            assert pipe.call(len, "ok") == 2
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert bulkhead.in_flight == 1
        held.go.set()
        until(lambda: bulkhead.in_flight == 0)
        assert pipe.call(len, "ok") == 2
        print("fine")
        """)
    assert out == "fine\n"


def test_a_fork_while_another_thread_makes_a_crew_blocks_nobody():
    out = run_apart("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import holdfast as hf
        from holdfast.pipeline import threads
        threads._crews.acquire()  # as another thread may have
        pid = os.fork()
        if pid == 0:
            assert hf.Timeout(30, thread=True).call(len, "ok") == 2
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
    assert out == "0\n"


def test_a_function_that_forks_may_end_its_child():
    out = run_apart("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import holdfast as hf
        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(hf.Timeout(30, thread=True).call(fork))
        """)
    assert out == "7\n"


# ---- all at once ----


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_threads_do_every_work_ends_and_every_place_comes_home(seed, stress_scale):

    clock = hf.ManualClock(auto=False)
    outside, inside = (hf.Bulkhead(name, max_concurrent=10_000) for name in ("outside", "inside"))
    small = hf.Bulkhead("small", max_concurrent=3, max_waiting=2, max_wait=2, clock=clock)
    breaker = hf.CircuitBreaker("c", failure_threshold=10**6, clock=clock)
    retry = hf.Retry(
        "r", attempts=3, on=TimeoutError, backoff=hf.Constant(0), budget=None, clock=clock
    )
    first, second = threaded(clock, 3, workers=6), threaded(clock, 2, workers=5)
    pipe = hf.Pipeline("p", outside, breaker, first, retry, inside, second, small)
    outcomes: list[str] = []
    go = threading.Event()

    def work(rng: random.Random) -> None:
        if rng.random() < 0.3:
            until(lambda: go.is_set() or rng.random() < 0.01)
        if rng.random() < 0.2:
            raise ValueError

    def caller(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(30 * stress_scale):
            try:
                pipe.call(work, rng)
                outcomes.append("done")
            except Exception as error:
                outcomes.append(type(error).__name__)

    parties = [Party(caller, seed * 100 + n) for n in range(8)]
    while any(party.is_alive() for party in parties):
        clock.advance(0.01)
    go.set()
    for party in parties:
        party.result()
    until(lambda: first.snapshot().running == second.snapshot().running == 0)
    until(lambda: (outside.in_flight, inside.in_flight, small.in_flight) == (0, 0, 0))
    assert len(outcomes) == 8 * 30 * stress_scale
    assert set(outcomes) <= {
        "done",
        "ValueError",
        "DeadlineExceededError",
        "BulkheadFullError",
        "BulkheadTimeoutError",
    }
    for bulkhead in (outside, inside, small):
        shown = bulkhead.snapshot()
        assert shown.over_released == 0
        assert shown.admitted == shown.completed + shown.undone
    assert small.waiting == 0
    shown = breaker.snapshot()
    assert shown.in_flight == 0
    assert shown.admitted == shown.succeeded + shown.failed + shown.ignored + shown.abandoned
    for timeout in (first, second):
        assert timeout._crew.queued == timeout._crew.active == 0
    until(lambda: not clock._callbacks)
