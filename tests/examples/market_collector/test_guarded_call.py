"""What the guard of a request to an exchange costs, compared with an operation of a manager."""

from examples.market_collector.collector import make_manager
from holdfast.bench.cases import Case
from holdfast.bench.timing import run_in_turn
from tests.examples.market_collector.parts import Settings


def test_a_guarded_request_costs_what_an_operation_costs():
    rm = make_manager(Settings())
    guards = {"operation": rm.operation("exchange"), "exchange": rm.keyed("exchange", "a")}
    assert [policy.kind for policy in guards["exchange"].policies] == [
        policy.kind for policy in guards["operation"].policies
    ]
    cases = {
        name: Case("guard.call(fn)", guard=guard, fn=lambda: None) for name, guard in guards.items()
    }
    # The least of many short rounds, in turn: what else runs on the machine strikes both.
    ns = run_in_turn(cases, rounds=200)
    assert ns["exchange"] <= 1.5 * ns["operation"], ns
