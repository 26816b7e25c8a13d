"""gevent and eventlet: who waits in a greenlet lets the others of the thread go on."""

import importlib.util
from functools import cache

import pytest

from tests.runtimes.greenlets import PATCH, run_scenes

HELD = """
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=None)
    free = Flag()
    def holds():
        with bulkhead:
            log.append("inside")
            free.wait()
            log.append("leaves")
    def waits():
        with bulkhead:
            log.append("next")
"""

# What is true, the program that shows it, and what it prints.
SCENES = {
    "a greenlet that waits for a place is let in by another": (
        HELD
        + """
    def others():
        log.append("others go on")
        free.set()
    together(holds, waits, others)
    print(*log, sep="\\n")
    """,
        ["inside", "others go on", "leaves", "next"],
    ),
    "greenlets get their places in the order they came": (
        HELD
        + """
    def waits(n):
        def wait():
            with bulkhead:
                log.append(n)
                sleep(0)
        return wait
    together(holds, *(waits(n) for n in range(5)), free.set)
    print(*log[2:])
    """,
        ["0 1 2 3 4"],
    ),
    "each greenlet keeps its own deadline": (
        """
    short, long = hf.Timeout(60, name="short"), hf.Timeout(3_600, name="long")
    def calls(timeout, first):
        def call():
            before = hf.deadline()
            for _ in range(first):
                sleep(0)
            return before > 61, hf.deadline() > 61
        return lambda: log.append(timeout.call(call))
    together(calls(long, 3), calls(short, 1), calls(long, 2))
    print(*log, hf.deadline())
    """,
        ["(False, False) (True, True) (True, True) None"],
    ),
    "others go on while a retry makes its pause": (
        """
    retry = hf.Retry("r", on=ConnectionError, backoff=hf.Constant(0.01), attempts=2)
    def fails_once():
        log.append("attempt")
        if len(log) == 1:
            raise ConnectionError
    together(lambda: retry.call(fails_once), lambda: log.append("others"))
    print(*log)
    """,
        ["attempt others attempt"],
    ),
    "others go on while a limiter has no token": (
        """
    limiter = hf.RateLimiter("l", rate=50, burst=1, max_wait=60)
    def takes():
        while "others" not in log:  # on a slow machine, the next token may be there already
            limiter.acquire()
        log.append("took")
    together(takes, lambda: log.append("others"))
    print(*log)
    """,
        ["others took"],
    ),
    "a wait that takes too long is told so to its greenlet alone": (
        """
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=0.01)
    timed_out = Flag()
    def holds():
        with bulkhead:
            timed_out.wait()
    def waits():
        try:
            bulkhead.call(int)
        except hf.BulkheadTimeoutError as error:
            log.append(error)
            timed_out.set()
    together(holds, waits)
    print(*log, bulkhead.snapshot().active, bulkhead.snapshot().queued)
    """,
        ["bulkhead 'b' had no free slot in 0.010 s: 1 of 1 inside, 0 of 9 waiting 0 0"],
    ),
    "a greenlet that is killed while it waits leaves the queue": (
        HELD
        + """
    one = spawn(holds)
    sleep(0)
    victim = spawn(waits)
    sleep(0)
    print(bulkhead.snapshot().queued)
    kill(victim)
    sleep(0)
    print(bulkhead.snapshot().queued)
    free.set()
    together(waits)
    print(*log)
    """,
        ["1", "0", "inside leaves next"],
    ),
    "a real thread can let a waiting greenlet in": (
        HELD
        + """
    place = bulkhead.__enter__()
    queued, left = real_lock(), real_lock()
    queued.acquire(), left.acquire()
    hubs = []
    def leave():
        queued.acquire()
        bulkhead.__exit__(None, None, None)
        hubs.append(hub_here())  # or it would wait as a greenlet from now on
        left.release()
    start_real_thread(leave, ())
    together(waits, queued.release)
    left.acquire()
    print(*log, bulkhead.snapshot().active, *hubs)
    """,
        ["next 0 None"],
    ),
    "their timeouts prove nothing about the dependency": (
        """
    breaker = hf.CircuitBreaker("api", failure_threshold=1)
    def calls():
        try:
            with TheirTimeout(0.01):
                breaker.call(sleep, 60)
        except TheirTimeout:
            log.append("timed out")
    together(calls)
    print(*log, breaker.state.value, breaker.snapshot().ignored)
    """,
        ["timed out closed 1"],
    ),
    "calls that are made together go on one by one after a failure": (  # DG-08
        """
    import logging
    from holdfast.degradation import gather_or_sequential
    logging.disable(logging.WARNING)
    def gathers():
        failed = []
        def fails_once():
            if not failed:
                failed.append(1)
                raise ConnectionError
            return 2
        calls = [lambda: sleep(0.01) or 1, fails_once]
        log.append(gather_or_sequential(calls).values)
    together(*[gathers] * 3)
    logging.disable(logging.NOTSET)
    print(*log)
    """,
        ["[1, 2] [1, 2] [1, 2]"],
    ),
    "a pool runs its tasks": (
        """
    pool = hf.PoolBulkhead("p", workers=2, max_waiting=1, max_wait=None)
    def submits():
        log.append(sum(pool.submit(lambda n=n: n).result() for n in range(4)))
    together(*[submits] * 3)
    print(*log, pool.stop())
    """,
        ["6 6 6 True"],
    ),
    "a wait that has no time left lets others go on": (  # or one that asks again starves them
        """
    from holdfast.waiting.parking import ThreadWaiter
    def asks():
        while not log:
            ThreadWaiter().park(hf.SystemClock(), 0)
    together(asks, lambda: log.append("others go on"))
    print(*log)
    """,
        ["others go on"],
    ),
    "asynchronous checks run at one time": (  # HC-11
        """
    import asyncio
    from holdfast.health import HealthMonitor, PingCheck
    inside = []
    async def answers():
        inside.append(1)
        while len(inside) < 3:
            await asyncio.sleep(0.001)
        return asyncio.current_task() is not None
    monitor = HealthMonitor("shop", timeout=60)
    for name in "abc":
        monitor.add(PingCheck(name, answers))
    with monitor:
        print(*(one.state.value for one in monitor.check_now().values()))
        print(PingCheck("d", answers).run().verdict)
    """,
        ["healthy healthy healthy", "passed"],
    ),
    "a check of a host that does not answer ends in time": (  # HC-06
        """
    import socket
    from holdfast.health import TcpCheck
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fills = [socket.socket() for _ in range(3)]
        for one in fills:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        print(TcpCheck("tcp", *full.getsockname(), timeout=0.1).run().message.split(": ")[1])
        for one in fills:
            one.close()
    """,
        ["took longer than 0.1 s"],
    ),
    "a greenlet that waits when its process forks asks again in the child": (
        HELD
        + """
    import os, sys
    spawn(holds); sleep(0); waiting = spawn(waits); sleep(0)
    child = os.fork()
    if child == 0:
        sleep(0.01)
        sys.stdout.write(f"{log}\\n"); sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    free.set(); sleep(0.01)
    print(log)
    """,
        ["['inside', 'next']", "['inside', 'leaves', 'next']"],
    ),
    "a call in a thread is left behind in time": (
        """
    cut = Flag()
    timeout = hf.Timeout(0.1, name="t", thread=True)
    long = __import__("threading").Event()
    def calls():
        while "others" not in log:  # on a slow machine, time may be up before the wait begins
            try:
                timeout.call(long.wait)
            except hf.DeadlineExceededError:
                pass
        log.append("left behind")
        cut.set()
    together(calls, lambda: (log.append("others"), cut.wait()))
    print(*log, hf.Timeout(60, thread=True).call(lambda: "in time"))
    long.set()
    """,
        ["others left behind in time"],
    ),
}


@cache
def found(library: str, patched: bool) -> dict[str, list[str]]:
    return run_scenes(library, patched, {name: source for name, (source, _) in SCENES.items()})


@pytest.mark.parametrize("patched", [True, False], ids=["patched", "bare"])
@pytest.mark.parametrize("library", PATCH)
@pytest.mark.parametrize("sentence", SCENES)
def test_in_greenlets(sentence, library, patched, require_real):
    if importlib.util.find_spec(library) is None:
        require_real(f"{library} is not installed")
    assert found(library, patched)[sentence] == SCENES[sentence][1]


def test_a_hub_that_is_a_loop_of_asyncio_does_not_stand_still_either(monkeypatch, require_real):
    if importlib.util.find_spec("eventlet") is None:
        require_real("eventlet is not installed")
    monkeypatch.setenv("EVENTLET_HUB", "asyncio")
    names = list(SCENES)[:2]
    seen = run_scenes("eventlet", True, {name: SCENES[name][0] for name in names})
    assert seen == {name: SCENES[name][1] for name in names}


@pytest.mark.parametrize("library", PATCH)
def test_a_library_that_is_patched_late_finds_policies_that_wait_rightly(library, require_real):
    if importlib.util.find_spec(library) is None:
        require_real(f"{library} is not installed")
    scenes = {name: scene for name, scene in SCENES.items() if "pool" not in name}
    seen = run_scenes(
        library, True, {name: source for name, (source, _) in scenes.items()}, late=True
    )
    assert seen == {name: lines for name, (_, lines) in scenes.items()}
