"""Who is told of retries by the face of stamina, and what hooks may return."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
from types import ModuleType

import pytest

import holdfast as hf
from holdfast.compat import stamina
from holdfast.compat.stamina import instrumentation
from holdfast.compat.stamina.instrumentation import (
    LoggingOnRetryHook,
    PrometheusOnRetryHook,
    RetryDetails,
    RetryHookFactory,
    StructlogOnRetryHook,
    get_on_retry_hooks,
    get_prometheus_counter,
    set_on_retry_hooks,
)
from holdfast.compat.stamina.instrumentation._hooks import get_default_hooks
from holdfast.testing import use_clock


def retried(fn, **settings):
    waits = {"wait_initial": 0, "wait_max": 0, "wait_jitter": 0}
    return stamina.retry(**{"on": ConnectionError, **waits, **settings})(fn)


class Context:
    """A context manager that notes how it is used."""

    def __init__(self, notes, name, error=None):
        self.notes, self.name, self.error = notes, name, error

    def __enter__(self):
        self.notes.append(f"enter {self.name}")

    def __exit__(self, kind, error, traceback):
        self.notes.append(f"leave {self.name}" + (f" {kind.__name__}" if kind else ""))
        if self.error:
            raise self.error
        return True


def test_a_hook_is_told_of_each_retry_before_its_pause(flaky, told):  # RT-18
    with use_clock():
        wobbly = flaky(2)
        stamina.retry(on=ConnectionError, wait_initial=2, wait_jitter=0)(wobbly)("answer")
    first, second = told
    assert first == RetryDetails(
        name=f"{type(wobbly).__module__}.<unnamed object>",
        args=("answer",),
        kwargs={},
        retry_num=1,
        wait_for=2.0,
        waited_so_far=0.0,
        caused_by=first.caused_by,
    )
    assert isinstance(first.caused_by, ConnectionError)
    assert (second.retry_num, second.wait_for, second.waited_so_far) == (2, 4.0, 2.0)


def test_a_hook_is_told_the_name_and_the_arguments_of_the_function(told):
    @retried
    def fails(*args, **kwargs):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fails(1, key="value")
    assert {details.name for details in told} == {f"{__name__}.{fails.__qualname__}"}
    assert (told[0].args, told[0].kwargs, len(told)) == ((1,), {"key": "value"}, 9)


def test_blocks_and_callers_are_told_as_blocks(flaky, told):
    wobbly = flaky(1)
    for attempt in stamina.retry_context(ConnectionError, wait_initial=0, wait_jitter=0):
        with attempt:
            wobbly()
    stamina.RetryingCaller(wait_initial=0, wait_jitter=0)(ConnectionError, flaky(1), 7)
    assert [(one.name, one.args, one.kwargs) for one in told] == [("<context block>", (), {})] * 2


def test_details_cannot_be_changed(flaky, told):
    retried(flaky(1))()
    with pytest.raises(AttributeError):
        told[0].name = "other"


def test_the_contexts_of_hooks_are_left_once_before_the_next_attempt(flaky):
    notes = []
    set_on_retry_hooks(
        [
            lambda details: Context(notes, f"a{details.retry_num}"),
            lambda details: Context(notes, f"b{details.retry_num}"),
        ]
    )
    wobbly = flaky(2)

    def noted():
        notes.append("attempt")
        wobbly()

    for _ in range(2):
        retried(noted)()
        wobbly.calls = 0
    once = ["attempt"]
    for number in (1, 2):
        once += [f"enter a{number}", f"enter b{number}", f"leave b{number}", f"leave a{number}"]
        once += ["attempt"]
    assert notes == once * 2


def test_a_generator_as_context_manager_is_a_hook(flaky):
    notes = []

    @contextlib.contextmanager
    def span(details):
        notes.append(f"pause {details.retry_num}")
        yield
        notes.append("over")

    set_on_retry_hooks([span])
    retried(flaky(2))()
    assert notes == ["pause 1", "over", "pause 2", "over"]


async def test_the_contexts_of_an_interrupted_pause_are_left_and_swallow_nothing(flaky):
    notes = []
    set_on_retry_hooks([lambda details: Context(notes, "a")])

    @stamina.retry(on=ConnectionError, wait_initial=5)
    async def fails():
        flaky(1)()

    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes == ["enter a", "leave a CancelledError"]


def test_what_a_hook_raises_ends_the_call_and_leaves_the_contexts_before_it(flaky):
    notes = []

    def broken(details):
        raise LookupError("in the hook")

    set_on_retry_hooks([lambda details: Context(notes, "a"), broken])
    wobbly = flaky(1)
    with pytest.raises(LookupError, match="in the hook"):
        retried(wobbly)()
    assert wobbly.calls == 1
    assert notes == ["enter a", "leave a LookupError"]


def test_what_a_context_raises_as_it_is_left_ends_the_call(flaky):
    notes = []
    set_on_retry_hooks([lambda details: Context(notes, "a", LookupError("as it is left"))])
    wobbly = retried(flaky(1))
    with pytest.raises(LookupError, match="as it is left"):
        wobbly()
    assert wobbly.policy.snapshot().failed == 1


# ---- which hooks ----


def test_factories_are_called_once_at_the_first_retry(flaky):
    made, told = [], []

    def make():
        made.append(1)
        return told.append

    set_on_retry_hooks(iter([RetryHookFactory(make)]))
    wobbly = flaky(0)
    retried(wobbly)()
    assert made == []
    for _ in range(2):
        retried(flaky(1))()
    assert (len(made), len(told)) == (1, 2)
    assert get_on_retry_hooks() == (told.append,)


def test_a_factory_is_called_once_though_threads_retry_at_once(flaky):
    made, barrier = [], threading.Barrier(4)

    def make():
        made.append(1)
        return lambda details: None

    set_on_retry_hooks([RetryHookFactory(make)])

    def work():
        barrier.wait()
        retried(flaky(1))()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_factory_may_retry_itself_and_set_hooks(flaky):
    told = []

    def make():
        retried(flaky(1))()  # nobody is told, and nobody waits for ever
        return told.append

    set_on_retry_hooks([RetryHookFactory(make)])
    retried(flaky(1))()
    assert len(told) == 1

    def replaces():
        set_on_retry_hooks([told.append])
        return lambda details: None

    set_on_retry_hooks([RetryHookFactory(replaces)])
    get_on_retry_hooks()
    assert get_on_retry_hooks() == (told.append,)


def test_a_factory_that_fails_is_asked_again(flaky):
    made = []

    def make():
        made.append(1)
        if len(made) == 1:
            raise ImportError("something_expensive")
        return lambda details: None

    set_on_retry_hooks([RetryHookFactory(make)])
    with pytest.raises(ImportError):
        retried(flaky(1))()
    retried(flaky(1))()
    assert len(made) == 2


@pytest.mark.parametrize(
    ("there", "hooks"),
    [
        (["prometheus_client", "structlog"], (PrometheusOnRetryHook, StructlogOnRetryHook)),
        (["prometheus_client"], (PrometheusOnRetryHook, LoggingOnRetryHook)),
        (["structlog"], (StructlogOnRetryHook,)),
        ([], (LoggingOnRetryHook,)),
    ],
    ids=["both", "prometheus", "structlog", "neither"],
)
def test_by_default_hooks_are_those_of_the_libraries_there_are(monkeypatch, there, hooks):
    for library in ("prometheus_client", "structlog"):
        module = ModuleType(library) if library in there else None
        monkeypatch.setitem(sys.modules, library, module)
    assert get_default_hooks() == hooks


# ---- the hooks that there are ----


def test_logging_tells_of_a_retry_with_its_fields(flaky, caplog):
    set_on_retry_hooks([LoggingOnRetryHook])
    retried(flaky(1))("answer")
    (record,) = [one for one in caplog.records if one.name == "stamina"]
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "stamina.retry_scheduled")
    fields = {key: value for key, value in vars(record).items() if key.startswith("stamina.")}
    assert fields["stamina.args"] == ("'answer'",)
    assert fields["stamina.caused_by"] == "ConnectionError()"
    names = {"callable", "args", "kwargs", "retry_num", "caused_by", "wait_for", "waited_so_far"}
    assert set(fields) == {f"stamina.{name}" for name in names}


def test_structlog_tells_of_a_retry_with_its_fields(flaky, require_real):
    try:
        from structlog.testing import capture_logs
    except ImportError:
        require_real("structlog is not installed")
    set_on_retry_hooks([StructlogOnRetryHook])
    with capture_logs() as entries:
        retried(flaky(1))("answer")
    (entry,) = entries
    assert entry == {
        "callable": f"{flaky.__module__}.<unnamed object>",
        "event": "stamina.retry_scheduled",
        "log_level": "warning",
        "args": ("'answer'",),
        "kwargs": {},
        "retry_num": 1,
        "caused_by": "ConnectionError()",
        "wait_for": 0.0,
        "waited_so_far": 0.0,
    }


def test_prometheus_counts_retries_by_callable_number_and_error(flaky, require_real):
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        require_real("prometheus_client is not installed")

    def failing():
        raise ConnectionError

    set_on_retry_hooks([PrometheusOnRetryHook])
    with pytest.raises(ConnectionError):
        retried(failing, attempts=3)()
    counter = get_prometheus_counter()
    assert counter is not None
    for number in ("1", "2"):
        labels = {
            "callable": f"{__name__}.{failing.__qualname__}",
            "retry_num": number,
            "error_type": "ConnectionError",
        }
        assert REGISTRY.get_sample_value("stamina_retries_total", labels) == 1
        assert counter.labels(**labels)._value.get() == 1


# In a process of its own: a registry has each name once.
_BESIDE = """
import sys, types
from holdfast.compat import stamina
from holdfast.compat.stamina.instrumentation import get_prometheus_counter, set_on_retry_hooks
from holdfast.compat.stamina.instrumentation import PrometheusOnRetryHook, _prometheus
from prometheus_client import REGISTRY, Counter, generate_latest

sys.modules["stamina"] = types.ModuleType("stamina")  # another library is there as well
set_on_retry_hooks([PrometheusOnRetryHook])

def work(left=[1, 0, 1, 0]):
    if left.pop(0):
        raise ConnectionError

work = stamina.retry(on=ConnectionError, wait_initial=0, wait_jitter=0)(work)
work()
assert b'"} 1.0' in generate_latest(), generate_latest()

original = sys.modules["stamina.instrumentation._prometheus"] = types.ModuleType("_prometheus")
original.RETRIES_TOTAL = Counter(
    "stamina_retries_total", "Total.", ("callable", "retry_num", "error_type")
)
original.RETRIES_TOTAL.labels("other", 1, "OSError").inc()
if sys.argv[1] == "count":
    work()
text = generate_latest().decode()
assert text.count("# TYPE stamina_retries_total counter") == 1, text
expected = 2.0 if sys.argv[1] == "count" else 1.0
assert f'error_type="ConnectionError",retry_num="1"}} {expected}' in text, text
assert 'callable="other"' in text
assert get_prometheus_counter() is original.RETRIES_TOTAL
"""


@pytest.mark.parametrize("first", ["count", "look"])
def test_a_process_that_also_uses_stamina_has_one_counter_for_both(first, require_real):
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        require_real("prometheus_client is not installed")
    run = [sys.executable, "-c", _BESIDE, first]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_import_of_the_face_imports_nothing_heavy():
    program = (
        "import sys, holdfast; before = set(sys.modules)\n"
        "from holdfast.compat import stamina\n"
        "@stamina.retry(on=ConnectionError)\n"
        "def work(): return 42\n"
        "assert work() == 42\n"
        "heavy = {'asyncio', 'trio', 'structlog', 'prometheus_client', 'tenacity'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_instrumentation_is_an_attribute_of_the_face():
    assert stamina.instrumentation is instrumentation
    with pytest.raises(AttributeError, match="instrument"):
        stamina.instrument  # noqa: B018
    assert set(stamina.__all__) <= {*dir(stamina), "instrumentation"}
    assert hf.compat.stamina is stamina
