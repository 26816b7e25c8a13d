"""Calls that run together in a process of their own: limits of the system, and Ctrl-C."""

from __future__ import annotations

import sys

import pytest

from tests.apart import run_apart

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of Linux")

QUIET = """
import logging
logging.disable(logging.WARNING)
from holdfast.degradation import agather_or_sequential, gather_or_sequential
"""


def test_calls_that_use_up_the_file_descriptors_go_on_one_by_one():  # DG-08
    told = run_apart(
        QUIET
        + """
import asyncio, os, resource
async def main():
    free = os.open(os.devnull, os.O_RDONLY) + 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
    async def uses_one():
        fd = os.open(os.devnull, os.O_RDONLY)
        try:
            await asyncio.sleep(0.01)
            return 1
        finally:
            os.close(fd)
    report = await agather_or_sequential([uses_one] * 9)
    print(report.switched, sum(report.values))
asyncio.run(main())
"""
    )
    assert told.split() == ["resource", "9"]


def test_where_the_system_has_no_room_for_a_thread_calls_run_in_the_callers():  # DG-08
    told = run_apart(
        QUIET
        + """
import resource, threading
threading.stack_size(1 << 32)
resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
report = gather_or_sequential([threading.get_ident] * 3)
print(report.switched, set(report.values) == {threading.get_ident()})
"""
    )
    assert told.split() == ["resource", "True"]


@pytest.mark.parametrize("failure_rate", [None, 0.1])
def test_ctrl_c_ends_the_wait_for_calls_and_for_their_end_and_nothing_more_begins(failure_rate):
    told = run_apart(
        f"""
import logging, sys, threading
logging.disable(logging.WARNING)
sys.path.insert(0, ".")
import holdfast as hf
from holdfast.degradation import gather_or_sequential
from tests.ctrl_c import CtrlC
clock = hf.ManualClock(auto=False)
begun, go = [], threading.Event()
def fails():
    raise ConnectionError
def call():
    begun.append(threading.current_thread())
    go.wait()
rate = {failure_rate}
settings = {{"max_concurrent": 3, "timeout": 60, "grace": 90, "failure_rate": rate, "clock": clock}}
def waits():
    return len(begun) == 2 and clock.next_due_ns() == (60 if rate is None else 90) * 10**9
sender = CtrlC().when(waits)
try:
    gather_or_sequential([call, call, fails, *[call] * (5 if rate else 0)], **settings)
except KeyboardInterrupt:
    print("interrupted", len(begun))
sender.result()
go.set()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(20)
print(len(begun), threading.active_count())
"""
    )
    assert told.split() == ["interrupted", "2", "2", "1"]
