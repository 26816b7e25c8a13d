"""Starts and stops with time limits, where threads cross."""

import threading

from holdfast.clock import system_clock
from holdfast.supervision.jobs import Job, Jobs

SOON = 20.0  # a generous limit for what happens at once


def test_a_start_is_hastened_though_its_thread_begins_at_that_moment():  # MG-12
    runs, go, ended = threading.Event(), threading.Event(), threading.Event()
    main, crossing = threading.current_thread(), []

    class Crossed(Job):
        """A stop comes just when the thread that begins it has read its limit."""

        @property
        def limit_ns(self):
            limit_ns = self.limit
            if threading.current_thread() is not main and not crossing:
                crossing.append(threading.Thread(target=jobs.hasten, args=("db", 10**9)))
                crossing[0].start()
                crossing[0].join(0.2)  # less: it may wait for this thread
            return limit_ns

        @limit_ns.setter
        def limit_ns(self, limit_ns):
            self.limit = limit_ns

    def call():
        runs.set()
        go.wait(SOON)

    jobs = Jobs("crew", system_clock, None, lambda job, error: ended.set())
    jobs.begin(Crossed("db", 1, "start", call, 600 * 10**9), in_task=False)
    try:
        assert runs.wait(SOON)
        crossing[0].join(SOON)
        assert jobs.next_ns() - system_clock.now_ns() <= 10**9
    finally:
        go.set()
        assert ended.wait(SOON)
        jobs.close()
        assert jobs.join(SOON)
