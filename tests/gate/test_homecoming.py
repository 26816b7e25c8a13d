"""Permits come home from forks, dead threads and loops, and the interpreter ends in peace."""

import os

import pytest

from tests.apart import run_apart

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

# What each of the following begins with: a pipeline of all policies and ways to look at it.
POLICIES = """
    import asyncio, contextlib, gc, os, sys, threading, types, warnings
    import holdfast as hf
    from tests.apart import in_child

    breaker = hf.CircuitBreaker("b", half_open_max_calls=1, success_threshold=1)
    bulkhead = hf.Bulkhead("places", max_concurrent=2, max_waiting=2, max_wait=None)
    limiter = hf.RateLimiter("tokens", rate=2 * 10**8)  # more than can be used up
    pipeline = hf.Pipeline("p", breaker, limiter, bulkhead)

    def held():
        return breaker.in_flight, bulkhead.in_flight, bulkhead.waiting

    @types.coroutine
    def suspend():
        yield
"""

WAYS = {
    "permit": "permit = pipeline.acquire(); end = permit.success",
    "collected permit": "kept = [pipeline.acquire()]; end = kept.clear",
    "generator": """
    @pipeline
    def stream():
        yield 1
    items = stream(); next(items); end = items.close""",
    "dropped generator": """
    @pipeline
    def stream():
        yield 1
    kept = [stream()]; next(kept[0]); end = kept.clear""",
    "coroutine": """
    async def work():
        await suspend()
    it = pipeline.acall(work); it.send(None); end = it.close""",
    "finished coroutine": """
    @pipeline
    async def work():
        await suspend()
    it = work(); it.send(None)
    def end():
        try:
            it.send(None)
        except StopIteration:
            pass""",
    "block": """
    def stream():
        with pipeline:
            yield 1
    items = stream(); next(items); end = lambda: list(items)""",
    "entry made by hand": """
    pipeline.__enter__()
    def end():
        with contextlib.suppress(RuntimeError):  # in the child there is no entry to leave
            pipeline.__exit__(None, None, None)""",
}


@forks
@pytest.mark.parametrize("way", WAYS)
def test_what_the_parent_holds_is_not_the_childs_to_give_back(way: str) -> None:  # trap 58
    run_apart(
        POLICIES
        + "    "
        + WAYS[way].strip()
        + """

    def check():
        assert held() == (0, 0, 0), held()
        before = breaker.snapshot(), bulkhead.snapshot()
        end()
        gc.collect()
        assert held() == (0, 0, 0), held()
        assert (breaker.snapshot(), bulkhead.snapshot()) == before
        with pipeline:
            assert held() == (1, 1, 0), held()
        assert pipeline.call(held) == (1, 1, 0)
        assert held() == (0, 0, 0), held()

    assert held() == (1, 1, 0)
    in_child(check)
    assert held() == (1, 1, 0)
    end()
    gc.collect()
    assert held() == (0, 0, 0), held()
    """
    )


@forks
def test_a_probe_of_the_parent_does_not_keep_the_child_from_probing() -> None:  # trap 58, trap 4
    run_apart(
        POLICIES
        + """
    breaker.half_open()
    probe = pipeline.acquire()

    def check():
        assert breaker.snapshot().probes == 0
        assert pipeline.call(int) == 0
        assert breaker.state is hf.State.CLOSED
        probe.failure(OSError())
        assert breaker.state is hf.State.CLOSED

    in_child(check)
    assert breaker.state is hf.State.HALF_OPEN
    probe.success()
    assert breaker.state is hf.State.CLOSED
    """
    )


@forks
def test_a_child_forked_inside_a_guarded_call_returns_from_it() -> None:  # trap 58
    run_apart(
        POLICIES
        + """
    @types.coroutine
    def fork():
        yield
        return os.fork()

    @pipeline
    async def awaited():
        return await fork()

    @pipeline
    def plain():
        return os.fork()

    def drive(coroutine):
        try:
            coroutine.send(None)
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    def by_block():
        with pipeline:
            return os.fork()

    for way in (plain, lambda: pipeline.call(os.fork), by_block, lambda: drive(awaited()),
                lambda: pipeline.try_call(os.fork).unwrap()):
        pid = way()
        assert held() == (0, 0, 0), held()
        assert bulkhead.snapshot().over_released == 0
        if pid == 0:
            assert pipeline.call(held) == (1, 1, 0)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    )


def test_a_closed_loop_leaves_its_calls_to_the_collector() -> None:  # trap 33
    run_apart(
        POLICIES
        + """
    @pipeline
    async def work():
        await asyncio.Event().wait()

    async def main():
        tasks = [asyncio.create_task(work()) for _ in range(4)]
        while held() != (4, 2, 2):
            await asyncio.sleep(0)
        return tasks

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    tasks = loop.run_until_complete(main())
    for task in tasks:
        task._log_destroy_pending = False
    loop.close()
    del loop, task
    tasks.clear()
    warnings.simplefilter("ignore", RuntimeWarning)  # of what waited, and was never begun
    gc.collect()  # those inside, whose places are offered to those that wait
    gc.collect()  # those that waited
    assert held() == (0, 0, 0), held()
    """
    )


def test_a_dead_threads_block_comes_home_when_its_frames_do() -> None:
    run_apart(
        POLICIES
        + """
    def hold():
        items = stream()
        next(items)
        assert held() == (1, 1, 0)

    def stream():
        with pipeline:
            yield 1

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert held() == (0, 0, 0), held()
    """
    )


ENDS = {
    "permits": "permits = [pipeline.acquire(), pipeline.acquire()]",
    "entries": "pipeline.__enter__(); bulkhead.__enter__()",
    "looked up": "enter, leave = pipeline.__enter__, breaker.__exit__",
    "guards": "guard = pipeline(print); guard.itself = guard",
    "outcomes": "breaker.force_open(); outcomes = [breaker.try_call(int) for _ in range(50)]",
    "rejections": """breaker.force_open()
    try:
        breaker.call(int)
    except hf.Rejected as error:
        kept = error""",
    "generator": """
    @pipeline
    def stream():
        try:
            yield 1
        finally:
            pipeline.policies
    items = stream(); next(items)""",
    "coroutine": """
    @pipeline
    async def work():
        await suspend()
    coroutine = work(); coroutine.send(None)""",
    "cycle": "cycle = [pipeline.acquire()]; cycle.append(cycle); breaker_of = {breaker: cycle}",
    "daemon threads inside": """
    inside = threading.Barrier(3)
    def hold():
        inside.wait()
        threading.Event().wait()
    for _ in range(2):
        threading.Thread(target=pipeline(hold), daemon=True).start()
    inside.wait()""",
    "daemon threads that wait": """
    bulkhead.enter(); bulkhead.enter()
    for _ in range(2):
        threading.Thread(target=pipeline.call, args=(int,), daemon=True).start()
    while held()[2] < 2:
        pass""",
    "daemon threads at work": """
    @pipeline
    def work(): ...
    def hammer():
        while True:
            work()
            with bulkhead:
                pass
            bulkhead.try_call(int)
    for _ in range(2):
        threading.Thread(target=hammer, daemon=True).start()
    while breaker.snapshot().succeeded < 1000:
        pass""",
    "a loop that is closed by exit": """
    @pipeline
    async def work():
        await asyncio.Event().wait()
    async def main():
        tasks = [asyncio.create_task(work()) for _ in range(4)]
        while held() != (4, 2, 2):
            await asyncio.sleep(0)
        sys.exit(0)
    asyncio.run(main())""",
    "a loop in a daemon thread": """
    @pipeline
    async def work():
        await asyncio.Event().wait()
    async def main():
        await asyncio.gather(*(work() for _ in range(4)))
    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
    while held() != (4, 2, 2):
        pass""",
    "finalisers that call": """
    class Late:
        def __init__(self):
            self.call, self.breaker, self.bulkhead = pipeline.call, breaker, bulkhead
        def __del__(self):
            assert self.call(int) == 0
            with self.bulkhead:
                pass
            self.breaker.try_call(int)
    late = Late()
    sys.late = Late()
    breaker_of = late""",
    "finalisers that fail": """
    class OwnError(Exception):
        response = {}
    class Late:
        def __init__(self):
            self.policies = [
                hf.Retry("r", attempts=2, backoff=0.0), hf.Retry("r2", on=OwnError, backoff=0.0),
                hf.CircuitBreaker("c", on="transient"), hf.Fallback(1, on="transient"),
                hf.CircuitBreaker("d", failure_threshold=1), hf.Pipeline.standard("standard"),
            ]
        def __del__(self, error=OwnError()):
            def fail():
                raise error
            assert [one.try_call(fail).error for one in self.policies] == [error] * 6
    sys.late = Late()
    import builtins
    builtins.late = Late()""",
    "exit handlers that call": """
    import atexit
    atexit.register(lambda: pipeline.call(print, end=""))
    atexit.register(pipeline(int))""",
    "an exit inside": """
    with pipeline:
        pipeline.call(sys.exit, 0)""",
    "listeners": """
    breaker.on_event(lambda event: event.policy.state)
    permit = breaker.acquire()
    breaker.trip()""",
    "predicates in a cycle": """
    class Judge:
        def __call__(self, result):
            return self.breaker is None
    judge = Judge()
    judge.breaker = hf.CircuitBreaker("judged", is_failure=judge)
    judge.permit = judge.breaker.acquire()""",
}


@pytest.mark.parametrize("what", ENDS)
def test_the_interpreter_ends_in_peace_with(what: str) -> None:  # trap 5
    """No crash, no hang, no complaint, whatever is held at the end (run_apart checks)."""
    run_apart(POLICIES + "    " + ENDS[what].strip() + "\n")


@pytest.mark.parametrize("what", ["generator", "coroutine", "permits", "entries", "cycle"])
def test_a_module_that_is_dropped_takes_what_it_held_with_it(what: str) -> None:
    run_apart(
        f"""
    import gc, sys, textwrap, types
    source = textwrap.dedent({(POLICIES + "    " + ENDS[what].strip())!r})
    module = types.ModuleType("dropped")
    exec(source, module.__dict__)
    kernels = module.breaker._kernel, module.bulkhead._kernel
    assert kernels[1].in_flight() > 0
    source = None
    del module
    gc.collect()
    assert [kernel.in_flight() for kernel in kernels] == [0, 0]
    """
    )
