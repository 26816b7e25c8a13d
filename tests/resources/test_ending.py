"""The end of a child of multiprocessing, which calls no function of ``atexit``."""

import subprocess
import sys

import pytest

CHILD = """
import multiprocessing, os, sys
import holdfast as hf

def closed(what):
    os.write(1, what.encode())

def work():
    started = hf.ResourceManager("started")
    started.start()
    started.register("temporary", "file", lambda: closed("temporary "))
    stopped = hf.ResourceManager("stopped")
    with stopped:
        stopped.register("block", "file", lambda: closed("block "))

if __name__ == "__main__":
    parent = hf.ResourceManager("parent")
    parent.start()
    parent.register("own", "file", lambda: closed("own"))
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join(60)
    closed(f"{child.exitcode} ")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_cleans_at_its_end_what_is_its_own(tmp_path, method):  # RS-07
    program = tmp_path / "program.py"
    program.write_text(CHILD)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", program, method],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "block temporary 0 own"
