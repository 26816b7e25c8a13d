"""Operations in greenlets are cancelled by other greenlets, and by real threads."""

import importlib.util

import pytest

from tests.runtimes.greenlets import run_scenes

SCENES = {
    # TO-04, GEN-04
    "a pause before a retry ends": """
        timeouts = hf.TimeoutManager()
        retry = hf.Retry("r", attempts=3, backoff=hf.Constant(20))
        def fail():
            raise ConnectionError
        def work():
            try:
                timeouts.operation("api_call", "one").call(retry.call, fail)
            except hf.OperationCancelledError as error:
                print(error.operation_id, timeouts.active_count)
        def cancel():
            sleep(0.01)
            print(timeouts.cancel("one"))
        together(work, cancel)
    """,
    "a place in a queue is given back": """
        timeouts = hf.TimeoutManager()
        bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=2, max_wait=None)
        bulkhead.enter()
        def work():
            try:
                timeouts.operation("api_call", "two").call(bulkhead.call, len, "")
            except hf.OperationCancelledError as error:
                print(error.operation_id, bulkhead.snapshot().queued)
        def cancel():
            sleep(0.01)
            print(timeouts.stop(5))
        together(work, cancel)
    """,
}


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_greenlet_is_cancelled_where_it_waits_and_the_others_go_on(library, require_real):
    if importlib.util.find_spec(library) is None:  # imported, it would warn of any fork
        require_real(f"{library} is not installed")
    said = run_scenes(library, True, SCENES)
    assert sorted(said["a pause before a retry ends"]) == ["True", "one 0"]
    assert sorted(said["a place in a queue is given back"]) == ["True", "two 0"]
