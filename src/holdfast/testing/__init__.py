"""For tests of code that holdfast guards: time by hand, scripted outcomes, recorded events.

>>> import holdfast as hf
>>> from holdfast.testing import recorded, use_clock
>>> with use_clock() as clock, recorded() as events:
...     hf.CircuitBreaker("db", reset_timeout=30).trip()
>>> events.assert_order("db: closed -> open")

With pytest, fixtures and a marker do the same: see ``pytest_holdfast``.
"""

from holdfast.clock import ManualClock
from holdfast.testing.events import Recorder, recorded, told
from holdfast.testing.loops import VirtualLoop, run
from holdfast.testing.outcomes import Script, ScriptExhaustedError
from holdfast.testing.switches import isolated_registry, retries_off, use_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.testing.chaos import chaos_enabled

__all__ = [
    "ManualClock",
    "Recorder",
    "Script",
    "ScriptExhaustedError",
    "VirtualLoop",
    "chaos_enabled",
    "isolated_registry",
    "recorded",
    "retries_off",
    "run",
    "told",
    "use_clock",
]


def __getattr__(name: str) -> object:
    if name == "chaos_enabled":
        from holdfast.testing.chaos import chaos_enabled

        globals()[name] = chaos_enabled
        return chaos_enabled
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
