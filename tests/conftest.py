"""What every test may ask for.

Not here: models (tests/models), anything that only one directory of tests needs.
"""

import asyncio
import gc
import inspect
import logging
import os
import re
import signal
from collections.abc import Callable

import pytest
from hypothesis import Phase, settings

# Read once: whoever runs the tests with another mode or a directory means another process.
os.environ.pop("HOLDFAST_MODE", None)
os.environ.pop("HOLDFAST_DIR", None)

import holdfast
from holdfast import records
from holdfast.named import Named
from holdfast.testing import loops
from tests.waiting.virtual import VirtualLoop

# The machine is shared: how long an example takes says nothing about us. Quick runs try the same
# examples each time; those of `make stress` differ. A failure is told at once: STRESS_SHRINK=1
# looks for a smaller one, which may take minutes.
settings.register_profile(
    "holdfast",
    deadline=None,
    print_blob=True,
    derandomize=os.environ.get("STRESS_SCALE", "1") == "1",
    phases=[
        phase
        for phase in Phase
        if phase not in (Phase.shrink, Phase.explain) or os.environ.get("STRESS_SHRINK") == "1"
    ],
)
settings.load_profile("holdfast")

ADDRESS = re.compile(r"at 0x[0-9a-f]+|id='\d+'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse tests whose name has an address in it: each process would name them otherwise."""
    if wrong := [item.nodeid for item in items if ADDRESS.search(item.nodeid)]:
        raise pytest.UsageError("tests need ids without addresses: " + ", ".join(wrong[:5]))


def pytest_collection_finish() -> None:
    """Keep modules and tests out of the tests' own collections, which took half of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _heed_ctrl_c() -> None:
    """Heed Ctrl-C even where the tests were started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def require_real() -> Callable[[str], None]:
    """Return what a test calls when a real part (a package, a right, a server) is missing.

    It skips with that reason. With ``REQUIRE_REAL=1``, as in continuous integration, it fails.
    """

    def missing(reason: str) -> None:
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(f"REQUIRE_REAL=1, but {reason}")
        pytest.skip(reason)

    return missing


@pytest.fixture
def clock() -> holdfast.ManualClock:
    """A clock that moves only when the test moves it."""
    return holdfast.ManualClock()


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default registry begins each test empty, whatever earlier ones left to the collector."""
    monkeypatch.setattr(holdfast.registry, "_entries", Named())
    monkeypatch.setattr(holdfast.registry, "_shared", {})


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """No record is held back because an earlier test has caused many like it."""
    levels: dict[str, int | None] = dict(records.LEVELS)
    monkeypatch.setattr(records, "_alone", records.Log(None, levels, records.MOST))


@pytest.fixture(scope="session")
def stress_scale() -> int:
    """How many times its quick length a stress test runs; ``make stress`` sets 20."""
    return int(os.environ.get("STRESS_SCALE", "1"))


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long a fuzz test goes on; ``make fuzz`` sets ten minutes."""
    return float(os.environ.get("FUZZ_SECONDS", "2"))


@pytest.fixture
def loop() -> VirtualLoop:
    """The loop of an asynchronous test: its time passes by itself."""
    return VirtualLoop()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an asynchronous test in its ``loop``, or in one that also waits for other threads."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asked = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    with asyncio.Runner(loop_factory=lambda: asked.get("loop") or loops.VirtualLoop()) as runner:
        runner.run(pyfuncitem.obj(**asked))
    return True


@pytest.fixture
def said(caplog):
    """Return what was logged since it was asked last: logger, level and text."""
    caplog.set_level(logging.DEBUG, "holdfast")

    def news():
        told = [
            (record.name.removeprefix("holdfast."), record.levelname, record.getMessage())
            for record in caplog.records
        ]
        caplog.clear()
        return told

    return news
