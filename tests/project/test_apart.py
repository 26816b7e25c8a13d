"""What runs pieces of tests in processes of their own."""

import os
import select
from contextlib import suppress

from tests.apart import run_apart


def test_what_a_piece_has_started_ends_with_it():
    pid = run_apart("import os; print(os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '600'))")
    with suppress(ProcessLookupError):  # it has ended
        process = os.pidfd_open(int(pid))
        assert select.select([process], [], [], 60)[0]
        os.close(process)
