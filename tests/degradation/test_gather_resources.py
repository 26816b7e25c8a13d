"""Resources of the system that are really used up by calls that run together."""

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
