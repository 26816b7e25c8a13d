"""A forked child, of Python's or of C's making, does what is due and waits for no lock."""

import os

import pytest

from tests.apart import run_apart

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORKS = {
    "by Python": "fork = os.fork",
    "by C": "import ctypes; fork = ctypes.PyDLL(None).fork",
}


@pytest.fixture(params=FORKS.values(), ids=FORKS)
def forks(request):
    """What begins a script that forks by ``fork()`` and ends the child by ``end(check)``."""
    return f"""
import os, sys, threading
import holdfast as hf
{request.param}

def end(check):
    try:
        check()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(1)

def ended(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_everything_in_use_is_told_of_a_fork_although_some_raise(forks):  # trap 58
    printed = run_apart(
        forks
        + """
from holdfast.forks import mind
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")

class Minded:
    told = 0
    def _after_fork(self):
        self.told += 1
        if self.broken:
            raise RuntimeError("out of order")

all_of_them = [Minded() for _ in range(3)]
for one in all_of_them:
    one.broken = one is all_of_them[1]
    mind(one)
mind(Minded())  # it is dead by now
pid = fork()
if pid == 0:
    def check():
        assert [one.told for one in all_of_them] == [1, 1, 1]
        hf.CircuitBreaker("b")
        sys.stdout.flush()
    end(check)
ended(pid)
assert [one.told for one in all_of_them] == [0, 0, 0]
"""
    )
    assert "out of order" in printed


HELD = """
import logging, signal, tempfile
from pathlib import Path
records = []

class Handler(logging.Handler):
    def emit(self, record):
        records.append(record.getMessage())

handler = Handler()
logging.getLogger("holdfast").addHandler(handler)
breaker = hf.CircuitBreaker("b")
breaker.call(int)
lock = handler.lock if LOCK == "handler" else logging._lock
held, let_go = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        let_go.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
from tests.runtimes.asleep import until_others_sleep
until_others_sleep()
os.rename(os.environ["HOLDFAST_DIR"], os.environ["HOLDFAST_DIR"] + ".gone")
"""


@pytest.mark.parametrize("lock", ["handler", "module"])
def test_a_log_handler_held_during_a_fork_holds_no_child_up(forks, lock, tmp_path):  # trap 58
    if lock == "module" and "os.fork" in forks:
        pytest.skip("a fork of Python's waits until nobody has that lock")
    run_apart(
        f"""
{forks}
os.environ["HOLDFAST_DIR"] = {str(tmp_path / "figures")!r}
os.mkdir(os.environ["HOLDFAST_DIR"], 0o700)
LOCK = {lock!r}
"""
        + HELD
        + """
pid = fork()
if pid == 0:
    signal.alarm(30)  # it would wait for ever
    def check():
        breaker.call(int)
        assert breaker.snapshot().succeeded == 1
        assert not records
        # Now the lock is this process's to have again, and what was noted is said.
        logging._lock = threading.RLock()
        handler.createLock()
        hf.Bulkhead("later")
        assert "other workers do not see this worker" in records[0], records
    end(check)
ended(pid)
let_go.set()
holder.join()
"""
    )


def test_policies_that_nobody_waits_for_cost_a_fork_no_line_of_python(tmp_path):
    printed = run_apart(f"""
import os, sys
os.environ["HOLDFAST_DIR"] = {str(tmp_path)!r}
os.chmod(os.environ["HOLDFAST_DIR"], 0o700)
import holdfast as hf

def lines():
    out_of, into = os.pipe()
    seen = []
    sys.setprofile(lambda frame, event, arg: seen.append(event))
    pid = os.fork()
    sys.setprofile(None)
    if pid == 0:
        os.write(into, str(len(seen)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return int(os.read(out_of, 100))

kept = [hf.Pipeline.standard(f"p{{n}}", rate=10) for n in range(3)]
few = lines()
kept += [hf.Pipeline.standard(f"p{{n}}", rate=10) for n in range(3, 300)]
print(few, lines())
""")
    few, many = map(int, printed.split())
    assert 0 < many <= few + 50, (few, many)
