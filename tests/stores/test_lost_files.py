"""Files of living workers that are removed or truncated: no worker fails, each makes another."""

import os
import shutil
import stat

import pytest

from tests.apart import run_apart
from tests.stores.crew import assert_none_fell


def remove(path):
    path.unlink()


def empty(path):
    os.truncate(path, 0)


def cut_in_the_header(path):
    os.truncate(path, 10)


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path):
    path.write_bytes(b"not a ledger")


def losses(*kinds):
    return pytest.mark.parametrize("lose", kinds, ids=lambda kind: kind.__name__)


@losses(remove, empty, cut_in_the_header, cut_in_half, overwrite)
def test_a_worker_whose_file_is_lost_goes_on_and_makes_another(lose, start, directory):
    worker, other = start(), start()
    for kind in ("bulkhead", "limiter", "window", "retry", "timeout", "fallback", "latency"):
        worker("make", kind, kind)
    worker("call", "b", 3)
    other("call", "b", 1)
    lost = worker("file")
    lose(directory / lost)
    assert worker("call", "b", 4) == 4
    assert worker("call", "afterwards", 1) == 1
    assert worker.calls("b") >= 4
    assert worker("file") != lost
    assert not (directory / lost).exists()
    anew = worker("file")
    worker.scrape()
    assert worker("file") == anew
    assert other.calls("b") == worker.calls("b") >= 5
    assert other.calls("afterwards") == 1
    assert other.gauge("workers") == 2
    assert other.gauge("workers_unreadable") == 0
    assert other.gauge("bulkhead_concurrent", bulkhead="bulkhead") == 0


def test_a_removed_file_loses_no_count(start, directory):
    worker, other = start(), start()
    worker("make", "breaker", "b")
    worker("call", "b", 5)
    before = other.scrape()
    (directory / worker("file")).unlink()
    worker("call", "b", 2)
    worker.scrape()
    assert_none_fell(before, other.scrape())
    assert other.calls("b") == 7


@losses(remove, empty)
def test_a_scrape_that_has_a_file_mapped_goes_on_without_it(lose, start, directory):
    worker, other = start(), start()
    worker("call", "b", 3)
    other("call", "mine", 1)
    other.scrape()
    lose(directory / worker("file"))
    assert other.calls("mine") == 1
    assert other.gauge("workers_unreadable") == (lose is not remove)
    worker.scrape()
    assert other.gauge("workers_unreadable") == 0
    assert other.gauge("workers") == 2


@losses(remove, empty)
def test_a_forked_child_counts_apart_from_a_parent_whose_file_is_lost(lose, start, directory):
    worker = start()
    worker("call", "b", 3)
    lose(directory / worker("file"))
    worker("child", "b", 2)
    assert worker("call", "b", 1) == 1
    assert worker.calls("b") == (6 if lose is remove else 3)


def test_a_directory_that_was_removed_is_made_anew(start, directory):
    worker = start()
    worker("call", "b", 3)
    shutil.rmtree(directory)
    assert worker.calls("b") == 3
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (directory / worker("file")).exists()


def test_kernels_keep_their_settings_when_their_file_is_truncated(shared):
    told = run_apart(
        """
        import os
        import holdfast as hf
        from holdfast._native import ledger as native
        from holdfast.stores.files import FIRST_SIZE
        from holdfast.stores.ledger import ledger

        limiter = hf.RateLimiter("l", rate=2, per=3600)
        window = hf.RateLimiter("w", rate=3, per=3600, window="sliding")
        bulkhead = hf.Bulkhead("h", max_concurrent=1)
        crowd = [hf.CircuitBreaker("crowd") for _ in range(500)]
        assert native.size() > FIRST_SIZE  # the rest stands in what the file has grown by
        breaker = hf.CircuitBreaker("b", failure_threshold=2)
        timeout = hf.Timeout(60, name="t")
        resized = hf.Bulkhead("r", max_concurrent=1)
        with resized:
            resized.resize(2)
        os.truncate(os.path.join(os.environ["HOLDFAST_DIR"], ledger.file), 0)

        def fail():
            raise OSError

        print([limiter.try_acquire() for _ in range(4)])
        print([window.try_acquire() for _ in range(4)])
        bulkhead.enter()
        print(bulkhead.try_call(int).ok)
        breaker.try_call(fail), breaker.try_call(fail)
        print(breaker.state.value, timeout.call(int))
        resized.enter(), resized.enter()
        print(resized.try_call(int).ok)
        """
    ).splitlines()
    assert told == [
        "[True, True, False, False]",
        "[True, True, True, False]",
        "False",
        "open 0",
        "False",
    ]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_faults_beside_it_does_no_harm(when, shared):
    told = run_apart(
        f"""
        import faulthandler, os
        when = {when!r}
        faulthandler.disable()
        nowhere = open(os.devnull, "w")
        if when == "before":
            faulthandler.enable(nowhere)
        import holdfast as hf
        from holdfast.stores.ledger import ledger
        breaker = hf.CircuitBreaker("b")
        if when == "after":
            faulthandler.enable(nowhere)
        os.truncate(os.path.join(os.environ["HOLDFAST_DIR"], ledger.file), 0)
        breaker.call(int)
        print(breaker.snapshot().succeeded)
        faulthandler.disable()
        nowhere.close()
        """
    )
    assert told.split() == ["1"]


def test_calls_that_go_on_while_their_file_is_emptied_end_as_usual(start, directory):
    worker, other = start(), start()
    worker.begin("endless", "b")
    worker._answer()
    for _ in range(5):
        for path in directory.glob("worker-*"):
            if path.name != other("file"):
                os.truncate(path, 0)
    assert other.gauge("workers_unreadable") == 1
    assert worker.process.poll() is None
    worker.kill()


def test_a_forked_child_that_could_make_no_file_makes_one_at_a_scrape(shared):
    said = run_apart(
        """
        import logging, os, sys
        import holdfast as hf
        from holdfast.stores.ledger import ledger
        from holdfast.telemetry.prometheus import Collector

        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        collector = Collector()
        hf.CircuitBreaker("b")
        gone = ledger.directory.with_name("gone")
        ledger.directory.rename(gone)
        pid = os.fork()
        if pid == 0:
            print(ledger.file)
            gone.rename(ledger.directory)
            list(collector.collect())
            print((ledger.directory / ledger.file).exists(), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """
    ).splitlines()
    assert said[0] == "None"
    assert said[-1] == "True"
