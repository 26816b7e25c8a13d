"""gevent or eventlet patches the standard library once holdfast is at work.

So does a worker of gunicorn: its patch comes after ``post_fork``.
"""

import sys
import textwrap
from importlib.util import find_spec
from types import ModuleType

import pytest

from holdfast.clock import system_clock
from holdfast.supervision.originals import original, original_module
from holdfast.waiting.hubs import thread_beside_hub
from holdfast.waiting.parking import ThreadWaiter
from tests.apart import run_apart
from tests.runtimes.greenlets import NAMES, PATCH

BEFORE = """
    import sys, warnings; warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None  # they forget threads that ran before
    import _thread, os
    from holdfast.waiting.daemons import DaemonThreads
    def wait_for(is_so):
        while not is_so():
            sleep(0.01)
"""
# Two threads that made their first hubs after the patch could wait for each other in an import.
AFTER_NAMES = "sleep(0)"
POOL = """
    done = []
    held = _thread.allocate_lock(); held.acquire()
    pool = DaemonThreads("pool", 4)
    pool.submit(lambda: (held.acquire(), done.append("first")))
    PATCH
    for n in range(6):
        pool.submit(lambda n=n: (sleep(0.01), done.append(n)))
    wait_for(lambda: len(done) == 6)
    held.release()
    pool.shutdown(wait=False)
    print(pool.join(10), done[-1])
"""
SUPERVISOR = """
    import logging; logging.disable(logging.CRITICAL)
    from holdfast.supervision import ProcessComponent, Supervisor, ThreadComponent
    component = ProcessComponent("peer", ["sleep", "600"])
    supervisor = Supervisor("service")
    supervisor.add(component, first_delay=0)
    events = []
    supervisor.add(ThreadComponent("thread", lambda event: (events.append(event), event.wait())))
    supervisor.start()
    supervisor.wait_until_running()
    wait_for(lambda: events and events[0]._cond._waiters)  # a wait after the patch is eventlet's
    first = component.pid
    PATCH
    os.kill(first, 9)
    wait_for(lambda: supervisor.status("peer").recoveries == 1)
    print(component.pid != first, supervisor.stop())
"""

# eventlet puts locks of its own in the place of those that it finds; gevent leaves them.
LOCKS = """
    import logging; logging.disable(logging.CRITICAL)
    import gc, threading
    import holdfast
    from holdfast.telemetry.prometheus import Collector
    from holdfast import degradation, health, resources, supervision
    kept = [
        manager := holdfast.ResilienceManager("service"), holdfast.chaos,
        holdfast.TimeoutManager(), holdfast.PoolBulkhead("pool"), holdfast.ManualClock(),
        holdfast.SloTracker(holdfast.ErrorBudget("errors")), holdfast.Hedge("hedge", delay=1),
        monitor := health.HealthMonitor("health"), health.Outlook("outlook"),
        degradation.DegradationManager("service"), Collector(),
        supervision.ComponentManager("service"), supervision.Supervisor("service"),
        supervision.ProcessComponent("peer", ["sleep", "600"]),
        resources.ResourceManager("service"),
        performance := resources.PerformanceMonitor("service"),
        resources.ResourceOptimiser("service", monitor=performance),
    ]
    manager.register_circuit_breaker("hosts")
    manager.register_operation("hosts", circuit_breaker="hosts")
    manager.keyed("hosts", "a")
    monitor.start(); monitor.stop()
    PATCH
    from holdfast.testing import switches
    ours = [one for one in gc.get_objects() if str(type(one).__module__).startswith("holdfast")]
    ours += [one for name, one in sys.modules.items() if name.startswith("holdfast")]
    print(sorted({
        f"{getattr(one, '__name__', type(one).__name__)}.{name}"
        for one in ours for name, held in getattr(one, "__dict__", {}).items()
        if isinstance(held, threading._PyRLock)
    }))
"""


def under(library, source):
    if find_spec(library) is None:  # not imported here: eventlet minds every later fork
        pytest.skip(f"there is no {library}")
    names = textwrap.dedent(NAMES[library])
    program = textwrap.dedent(source).replace("PATCH", PATCH[library])
    source = f"{textwrap.dedent(BEFORE)}\n{names}\n{AFTER_NAMES}\n{program}"
    return run_apart(source).splitlines()[-1]


@pytest.mark.parametrize("library", PATCH)
def test_a_pool_goes_on_and_ends_if_the_library_is_patched_meanwhile(library):
    assert under(library, POOL) == "True first"


@pytest.mark.parametrize("library", PATCH)
def test_a_supervisor_goes_on_and_stops_if_the_library_is_patched_meanwhile(library):  # NX-07
    assert under(library, SUPERVISOR) == "True True"


@pytest.mark.parametrize("library", PATCH)
def test_a_lock_that_threads_share_stays_a_lock_of_the_system(library):
    assert under(library, LOCKS) == "[]"


@pytest.mark.parametrize(
    "modules",
    [
        ("gevent.hub", "gevent.monkey", "gevent._hub_local"),
        ("eventlet.hubs", "eventlet.patcher"),
    ],
)
def test_threads_wait_while_another_thread_imports_a_library_of_greenlets(monkeypatch, modules):
    for name in modules:  # as it is before the first line of the module has run
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert not ThreadWaiter().park(system_clock, 1)
    assert thread_beside_hub() is None
    assert original("_thread", "RLock")() is not None
    assert original_module("subprocess").Popen is not None
