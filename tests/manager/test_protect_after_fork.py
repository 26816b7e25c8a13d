"""A forked child protects what it likes."""

import threading

import pytest

import holdfast as hf
from holdfast.manager import protect
from tests.apart import in_child

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def test_a_child_protects_although_a_thread_of_its_parent_was_protecting():
    hf.protect("fork-before").call(len, "ok")
    held, done = threading.Event(), threading.Event()

    def hold():
        with protect._locks[0]:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def check():
        assert hf.protect("fork-before").call(len, "ok") == 2
        assert hf.protect("fork-after").call(len, "four") == 4

    try:
        in_child(check)
    finally:
        done.set()
        thread.join()
