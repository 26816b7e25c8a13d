"""Processes of a program under gevent or eventlet: the hub goes on, and ends are told at once."""

import importlib.util

import pytest

from tests.runtimes.greenlets import run_scenes

SCENES = {
    "the hub goes on while a process is stopped": """
        import signal, time
        from holdfast.supervision import ProcessComponent
        deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
        component = ProcessComponent("peer", deaf, kill_after=0.3)
        component.start()
        while not component.last_lines:
            sleep(0.01)
        turns = []
        def tick():
            while component.running:
                turns.append(1)
                sleep(0.01)
        together(tick, component.stop)
        print(len(turns) > 5, component.exit)
    """,
    "the end of a process is told, and its exit code is right": """
        from holdfast.supervision import ProcessComponent
        component = ProcessComponent("peer", ["sh", "-c", "echo said; exit 3"])
        component.watch(log.append)
        component.start()
        while not log:
            sleep(0.01)
        component.stop()
        print(log[0], component.last_lines)
    """,
    "many are started and stopped by greenlets at once": """
        from holdfast.supervision import ProcessComponent
        components = [ProcessComponent(f"peer-{n}", ["sleep", "600"]) for n in range(10)]
        def live(component):
            component.start()
            sleep(0.01)
            component.stop()
        together(*[lambda one=one: live(one) for one in components])
        print([one.exit.signal for one in components] == [15] * 10)
    """,
    "a supervised one that is killed comes back": """
        import logging, os, time
        logging.disable(logging.CRITICAL)
        from holdfast.supervision import ProcessComponent, Supervisor
        supervisor = Supervisor("service")
        component = ProcessComponent("peer", ["sleep", "600"])
        supervisor.add(component, first_delay=0)
        supervisor.start()
        def wait(is_so):
            until = time.monotonic() + 30
            while not is_so():
                assert time.monotonic() < until
                sleep(0.01)
        wait(lambda: component.running)
        first = component.pid
        os.kill(first, 9)
        wait(lambda: component.pid not in (None, first))
        supervisor.stop()
        print(component.running)
    """,
}
EXPECTED = {
    "the hub goes on while a process is stopped": ["True killed by SIGKILL"],
    "the end of a process is told, and its exit code is right": ["exit code 3 ('said',)"],
    "many are started and stopped by greenlets at once": ["True"],
    "a supervised one that is killed comes back": ["False"],
}


@pytest.mark.parametrize(
    ("library", "patched", "late"),
    [
        ("gevent", True, False),
        pytest.param("gevent", True, True, marks=pytest.mark.slow),
        pytest.param("gevent", False, False, marks=pytest.mark.slow),
        pytest.param("eventlet", True, False, marks=pytest.mark.slow),
    ],
)
def test_processes_live_beside_greenlets(library, patched, late):
    if importlib.util.find_spec(library) is None:  # imported, it would warn of any fork
        pytest.skip(f"{library} is not installed")
    assert run_scenes(library, patched, SCENES, late=late) == EXPECTED
