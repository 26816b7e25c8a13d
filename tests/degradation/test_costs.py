"""What asking costs, by the yardstick of the project."""

from holdfast.bench.cases import CASES
from holdfast.bench.rows import partial_cost
from holdfast.bench.timing import run_in_turn

CASE_NAMES = ("component_level", "feature_enabled", "feature_by_name")


def test_reading_a_level_or_a_flag_costs_two_partials_at_most():
    names = ("empty", "bare_call", "partial_call", *CASE_NAMES)
    for _ in range(5):  # a busy machine makes any figure worse, and none better
        ns = run_in_turn({name: CASES[name]() for name in names}, rounds=40)
        costs = {name: (ns[name] - ns["empty"]) / partial_cost(ns) for name in CASE_NAMES}
        if max(costs.values()) <= 2:
            return
    raise AssertionError(costs)
