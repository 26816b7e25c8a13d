"""Managers and their parts where frameworks copy values that they are given."""

import copy
import dataclasses
import pickle
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.telemetry.prometheus import Collector


def belongings() -> dict[str, Any]:
    """A manager and what belongs to it."""
    rm = hf.ResilienceManager("copied")
    rm.register_circuit_breaker("send")
    rm.register_error_budget("send")
    return {
        "manager": rm,
        "operation": rm.operation("send"),
        "operation of a key": rm.keyed("send", "key"),
        "keys": rm.keys("send"),
        "health": rm.health,
        "degradation": rm.degradation,
        "component": rm.degradation.component("send"),
        "chaos": rm.chaos,
        "slo": rm.slo,
        "timeouts": rm.timeouts,
        "timed operation": rm.timeouts.operation("send"),
        "recovery": hf.ErrorRecoveryManager("copied"),
        "collector": Collector(rm),
    }


# RM-01
@pytest.mark.parametrize("name", belongings())
def test_a_copy_of_what_belongs_to_a_manager_is_itself_and_it_is_not_pickled(name: str) -> None:
    one = belongings()[name]
    assert copy.copy(one) is one
    assert copy.deepcopy({"in": [one]})["in"][0] is one
    with pytest.raises(TypeError, match=r"belongs to one process\. .* in the other process"):
        pickle.dumps(one)


def test_a_manager_is_a_default_of_a_model_and_a_field_of_a_dataclass() -> None:
    rm = hf.ResilienceManager("default")

    class Client(pydantic.BaseModel, arbitrary_types_allowed=True):
        manager: hf.ResilienceManager = rm
        timeouts: Any = rm.timeouts

    @dataclasses.dataclass
    class Settings:
        manager: hf.ResilienceManager

    assert Client().manager is rm
    assert Client().model_copy(deep=True).timeouts is rm.timeouts
    assert dataclasses.asdict(Settings(rm)) == {"manager": rm}
