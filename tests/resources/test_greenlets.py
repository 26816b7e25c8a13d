"""A resource manager under gevent, in a process of its own: clean-ups block no other greenlet."""

import importlib.util
import subprocess
import sys

CODE = """
from gevent import monkey
monkey.patch_all()
import gevent, logging, time
import holdfast as hf

logging.getLogger("holdfast").setLevel(logging.CRITICAL)
resources, closed, beats = hf.ResourceManager("shop", cleanup_timeout=0.2), [], []
resources.start()
resources.register("first", "file", lambda: closed.append("first"))
resources.register("hangs", "file", lambda: time.sleep(60))
resources.register("last", "file", lambda: closed.append("last"))

def beat():
    while True:
        beats.append(1)
        gevent.sleep(0.01)

other = gevent.spawn(beat)
assert resources.stop(30)
other.kill()
assert closed == ["last", "first"]
assert len(beats) > 3
assert resources.snapshot().kinds["file"].cleanup_errors == 1
"""


def test_a_cleanup_that_hangs_stops_no_other_greenlet(require_real):
    if importlib.util.find_spec("gevent") is None:
        require_real("gevent is not installed")
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
