"""Threads that run jobs at their times: how many there are, and what becomes of them."""

import threading

import pytest

from holdfast.clock import system_clock
from holdfast.waiting import timer_threads
from holdfast.waiting.timer_threads import TimerThreads
from tests.waiting.parties import LIMIT, until


class Job:
    """Notes that it was run, and stays for as long as a test wants."""

    def __init__(self, do=lambda: None):
        self.do = do
        self.runs = 0
        self.is_running = False
        self.wanted = True

    def run(self):
        self.is_running = True
        self.do()
        self.is_running = False
        self.runs += 1

    def is_wanted(self):
        return self.wanted

    def is_at_work(self):
        return self.is_running


@pytest.fixture
def out():
    """What lets jobs that stay come to their end."""
    out = threading.Event()
    yield out
    out.set()


@pytest.fixture
def threads(out):
    threads = TimerThreads()
    yield threads
    threads.close()
    out.set()
    until(lambda: not threads._hands)


def in_ns(seconds):
    return system_clock.now_ns() + int(seconds * 1e9)


def test_jobs_run_in_the_order_of_their_times_and_the_last_time_given_counts(threads):
    order = []
    jobs = [Job(lambda n=n: order.append(n)) for n in range(5)]
    with threads.lock:  # the thread begins when all are there
        threads.put(jobs[0], in_ns(-1))
        for n in (3, 2, 4, 1):
            threads.put(jobs[n], in_ns(3600))
        for n in (4, 3, 2, 1):
            threads.put(jobs[n], in_ns(n - 10))
        threads.put(jobs[0], in_ns(-20))
    until(lambda: len(order) == 5)
    assert order == [0, 1, 2, 3, 4]
    assert len(threads._hands) <= 2


def test_each_job_that_hangs_takes_one_thread_and_none_stays_without_need(threads, out):
    hanging = [Job(lambda: out.wait(LIMIT)) for _ in range(5)]
    for job in hanging:
        threads.put(job, 0)
    until(lambda: all(job.is_running for job in hanging))
    quick = Job()
    threads.put(quick, 0)
    until(lambda: quick.runs)
    assert len(threads._hands) <= len(hanging) + 2
    for job in hanging:
        threads.drop(job)
    out.set()
    until(lambda: len(threads._hands) <= 2)
    threads.drop(quick)
    until(lambda: not threads._hands)


def test_a_job_that_is_not_wanted_or_was_dropped_does_not_run(threads):
    stays, unwanted, dropped, last = Job(), Job(), Job(), Job()
    unwanted.wanted = False
    threads.put(stays, in_ns(3600))
    with threads.lock:
        threads.put(unwanted, 0)
        threads.put(dropped, 0)
        threads.drop(dropped)
        threads.put(last, 0)
    until(lambda: last.runs)
    assert unwanted.runs == dropped.runs == stays.runs == 0


def test_the_heap_forgets_times_that_do_not_count_any_more(threads):
    job, other = Job(), Job()
    threads.put(other, in_ns(3600))
    for n in range(1000):
        threads.put(job, in_ns(3600 - n))
    assert len(threads._heap) <= 70


def test_without_a_thread_a_job_is_refused_and_without_a_second_one_the_others_wait(
    threads, out, monkeypatch, caplog
):
    class NoThread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(timer_threads.threading, "Thread", NoThread)
    job, other = Job(lambda: out.wait(LIMIT)), Job()
    with pytest.raises(RuntimeError):
        threads.put(job, 0)
    assert not threads._jobs
    monkeypatch.undo()
    threads.put(job, 0)
    until(lambda: job.is_running)
    monkeypatch.setattr(timer_threads.threading, "Thread", NoThread)
    threads.put(other, 0)
    assert "no second thread" in caplog.text
    out.set()
    until(lambda: other.runs)
