"""Threads of timeouts when their process ends, is interrupted or forks."""

from __future__ import annotations

from tests.apart import run_apart
from tests.interpreters import collects_at_any_time


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


INTERRUPTED = """
    import sys, threading
    sys.path.insert(0, ".")
    import holdfast as hf
    from tests.ctrl_c import CtrlC
    from tests.waiting.parties import until
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
    from tests.waiting.parties import Party
    first = Party(timeout.call, work)
    begun.wait()
    ran = []
    party = ctrl_c.when(lambda: timeout._worker_threads.queued)
    print(call(lambda: ran.append(1)))
    party.result()
    print(timeout.snapshot().abandoned, timeout._worker_threads.queued, bulkhead.in_flight)
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
        from tests.waiting.parties import until
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
        while interrupted < 60:
            try:
                armed = True
                while True:
                    pipe.call(sum, range(100))
            except KeyboardInterrupt:
                interrupted += 1
        ends.set()
        sender.join()
        until(lambda: timeout._worker_threads.active == 0 and timeout._worker_threads.queued == 0)
        until(lambda: timeout.snapshot().running == 0)
        print(bulkhead.in_flight, timeout.snapshot().running)
        """
    )
    assert out == "0 0\n"


def test_a_forked_child_has_threads_of_its_own_and_no_works():
    out = run_apart("""
        import os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        sys.path.insert(0, ".")
        import holdfast as hf
        from tests.waiting.left_behind import Held, leave_behind
        from tests.waiting.parties import until
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


def test_a_fork_while_another_thread_makes_worker_threads_blocks_nobody():
    out = run_apart("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import holdfast as hf
        from holdfast.waiting import left_behind as threads
        threads._making.__enter__()  # as another thread may have
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


@collects_at_any_time
def test_a_finaliser_may_need_threads_while_another_timeout_gets_its_own():
    # D-CB-4; a collection begins wherever something is made, and finalisers call what they like.
    assert run_apart("""
        import gc, holdfast as hf
        def finalise(phase, _):
            if phase == "start":
                made.append(hf.Timeout(30, thread=True))
                made[-1].call(len, "four")
        made = []
        timeout = hf.Timeout(30, thread=True)
        timeout.call(len, "four")  # what is imported at the first call is
        timeouts = [hf.Timeout(30, thread=True) for _ in range(5)]
        gc.callbacks.append(finalise)
        gc.set_threshold(1)
        for timeout in timeouts:
            print(timeout.call(len, "four"))
        gc.callbacks.clear()
        assert made
        """) == ("4\n" * 5)
