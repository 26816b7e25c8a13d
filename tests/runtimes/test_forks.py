"""Forks: of Python's and of C's making, from threads, in the middle of a wait, twice, in pools."""

import textwrap

import pytest

from tests.apart import run_apart

SILENT = """
import ctypes, os, threading, holdfast as hf
from tests.runtimes.asleep import until_others_sleep
fork = ctypes.PyDLL(None).fork
"""


def test_a_child_forked_by_c_holds_nothing_of_its_parent():
    source = """
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    pool = hf.PoolBulkhead("p", workers=1)
    pool.submit(int).result()
    until_others_sleep()
    with bulkhead:
        child = fork()
        if child == 0:
            with bulkhead:
                print("child", bulkhead.snapshot().active, pool.submit(int).result(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print("parent", bulkhead.snapshot().active)
    """
    assert apart(SILENT, source) == ["child 1 0", "parent 1"]


def test_a_child_forked_by_c_in_a_thread_gives_back_nothing_of_its_parent():
    source = """
    bulkhead = hf.Bulkhead("b", max_concurrent=2)

    def run():  # no main thread is there to be told of the fork
        until_others_sleep()
        with bulkhead, hf.Pipeline("p", bulkhead).acquire():
            child = fork()
            if child != 0:
                os.waitpid(child, 0)
            else:
                kept = hf.Pipeline("q", bulkhead).acquire()
        if child == 0:
            print("child", bulkhead.snapshot().active, bulkhead.snapshot().completed, flush=True)
            os._exit(0)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    print("parent", bulkhead.snapshot().completed)
    """
    assert apart(SILENT, source) == ["child 1 0", "parent 2"]


def test_a_child_forked_by_c_counts_in_a_file_of_its_own(tmp_path):
    source = f"""
    os.environ["HOLDFAST_DIR"] = {str(tmp_path)!r}
    breaker = hf.CircuitBreaker("b")
    breaker.call(int)
    child = fork()
    for _ in range(3):
        breaker.call(int)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    from holdfast.telemetry.prometheus import Collector
    for family in Collector().collect():
        for sample in family.samples:
            if sample.labels.get("result") == "success":
                print(sample.value)
    """
    assert apart(SILENT, source) == ["7"]


def test_what_the_gate_of_the_parent_has_counted_is_not_counted_in_the_child():
    source = """
    clock = hf.ManualClock()
    bulkhead = hf.Bulkhead("b", clock=clock)
    bulkhead.call(clock.advance, 5)
    breaker = hf.CircuitBreaker("c", clock=clock)
    permit = breaker.acquire()
    permit.success()
    permit.success()
    child = fork()
    bulkhead.call(clock.advance, 1)
    found = bulkhead.snapshot().average_execution_time, breaker.snapshot().settled_twice
    if child == 0:
        print(*found, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(*found)
    """
    assert apart(SILENT, source) == ["1.0 0", "3.0 1"]


def test_whoever_forks_while_threads_wait_finds_nobody_waiting_in_the_child():
    source = """
    import os, threading, warnings, holdfast as hf
    warnings.simplefilter("ignore")
    from tests.waiting.parties import until
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=3, max_wait=None)
    with bulkhead:
        threads = [threading.Thread(target=bulkhead.call, args=(int,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: bulkhead.snapshot().queued == 3)
        child = os.fork()
        if child == 0:
            with bulkhead:
                print(bulkhead.snapshot().queued, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    for thread in threads:
        thread.join()
    print(bulkhead.snapshot().completed)
    """
    assert apart(source) == ["0", "4"]


def test_whoever_forks_in_a_signal_handler_asks_again_in_the_child():
    source = """
    import os, signal, threading, warnings, holdfast as hf
    warnings.simplefilter("ignore")
    from tests.waiting.parties import until
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=3, max_wait=None)
    children, free = [], threading.Event()
    def holds():
        with bulkhead:
            inside.set()
            free.wait()
    inside = threading.Event()
    holder = threading.Thread(target=holds)
    holder.start()
    inside.wait()
    once = iter([True])
    def fork(*_):
        for _ in once:  # a signal may come in the handler of another
            children.append(os.fork())
    signal.signal(signal.SIGUSR1, fork)
    def signals():
        until(lambda: bulkhead.snapshot().queued)
        while not children:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        os.waitpid(children[0], 0)
        free.set()
    threading.Thread(target=signals).start()
    with bulkhead:
        print("child" if children == [0] else "parent", bulkhead.snapshot().active, flush=True)
    if children == [0]:
        os._exit(0)
    """
    assert apart(source) == ["child 1", "parent 1"]


def test_a_daemon_that_has_forked_twice_and_closed_all_files_counts_on(tmp_path):
    source = f"""
    import os
    os.environ["HOLDFAST_DIR"] = {str(tmp_path)!r}
    import holdfast as hf
    breaker = hf.CircuitBreaker("b")
    pool = hf.PoolBulkhead("p", workers=1)
    pool.submit(breaker.call, int).result()
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        os.closerange(3, theirs)
        os.closerange(theirs + 1, 1024)
        pool.submit(breaker.call, int).result()
        from holdfast.telemetry.prometheus import Collector
        counted = [sample.value for family in Collector().collect() for sample in family.samples
                   if sample.labels.get("result") == "success"]
        os.write(theirs, str(counted).encode())
        os._exit(0)
    os.close(theirs)
    os.wait()
    print(os.read(ours, 100).decode())
    """
    assert apart(source) == ["[2]"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_processes_of_multiprocessing_call_guarded_functions(method):
    source = f"""
    import multiprocessing, os, warnings
    warnings.simplefilter("ignore")
    from tests.runtimes import jobs
    if __name__ == "__main__":
        jobs.double(1)
        with multiprocessing.get_context({method!r}).Pool(1) as pool:
            print(pool.map(jobs.double, range(3)), pool.map(jobs.process, [0]) != [os.getpid()])
    """
    assert apart(source) == ["[0, 2, 4] True"]


def apart(*parts):
    return run_apart("\n".join(map(textwrap.dedent, parts))).splitlines()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_short_jobs_have_counted_remains_for_a_process_that_only_scrapes(tmp_path, method):
    source = f"""
    import multiprocessing, os, sys
    os.environ["HOLDFAST_DIR"] = {str(tmp_path / "shared")!r}
    from tests.runtimes import jobs_counted
    context = multiprocessing.get_context({method!r})
    for _ in range(3):
        job = context.Process(target=jobs_counted.job)
        job.start()
        job.join()
        assert job.exitcode == 0
    from holdfast.telemetry.prometheus import Collector
    for family in Collector().collect():
        for sample in family.samples:
            if sample.labels.get("result") == "success" or sample.name.endswith("_workers"):
                print(sample.name, sample.value)
    """
    said = [
        "holdfast_circuit_breaker_requests_total 3",
        "holdfast_workers 0",
    ]
    assert apart("", source) == said
