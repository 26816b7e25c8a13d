"""The switch of chaos: who may turn it, for how long, and what the seed decides."""

import logging
import os

import pytest

import holdfast as hf
from holdfast import chaos
from tests.waiting.parties import Party

CALLS = 400


def struck(fault, calls=CALLS):
    """Return the numbers of the calls that were struck."""
    return [number for number in range(calls) if not fault.try_call(len, "ok").ok]


@pytest.mark.parametrize("value", ["", "0", "true", "yes"])
def test_chaos_needs_its_environment_variable(monkeypatch, caplog, value):  # CH-01, CH-14
    monkeypatch.setenv("HOLDFAST_CHAOS", value)
    assert not chaos.enable()
    assert not chaos.enabled()
    assert "HOLDFAST_CHAOS is not 1" in caplog.text


@pytest.mark.parametrize("value", ["production", "Production", " prod "])
@pytest.mark.parametrize("allowed", ["0", "1"])
def test_chaos_is_refused_in_production(monkeypatch, value, allowed):  # CH-14
    monkeypatch.setenv("HOLDFAST_ENV", value)
    monkeypatch.setenv("HOLDFAST_CHAOS", allowed)
    with pytest.raises(chaos.ChaosRefusedError, match="HOLDFAST_ENV is 'prod"):
        chaos.enable()
    assert not chaos.enabled()


def test_chaos_ends_by_itself():  # CH-14
    clock = hf.ManualClock()
    fault = chaos.Error(probability=1, clock=clock)
    chaos.enable(duration=10, clock=clock)
    clock.advance(9.9)
    assert not fault.try_call(len, "ok").ok
    clock.advance(0.1)
    assert not chaos.enabled()
    assert fault.try_call(len, "ok").ok
    assert fault.snapshot().checked == 1


def test_a_fault_ends_before_chaos_does():  # CH-14
    clock = hf.ManualClock()
    brief, whole = (
        chaos.Error(probability=1, duration=duration, clock=clock) for duration in (5, None)
    )
    chaos.enable(duration=10, clock=clock)
    clock.advance(5)
    assert brief.try_call(len, "ok").ok
    assert not whole.try_call(len, "ok").ok


def test_a_limit_bounds_the_injections_of_one_run():
    fault = chaos.Error(probability=1, limit=3)
    for _ in range(2):
        chaos.enable()
        assert struck(fault, 10) == [0, 1, 2]
    assert fault.snapshot().left == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"duration": 0},
        {"duration": None},
        {"duration": float("inf")},
        {"duration": 86_401},
        {"seed": -1},
        {"seed": 2**64},
        {"clock": 5},
    ],
)
def test_settings_of_a_run_are_checked_before_it_begins(settings):
    [field] = settings
    with pytest.raises(hf.ConfigError, match=field):
        chaos.enable(**settings)
    assert not chaos.enabled()


@pytest.mark.parametrize("probability", [0, 0.1, 0.5, 1])
def test_faults_strike_their_share_of_the_calls(probability):  # CH-01
    fault = chaos.Error(probability=probability, seed=4)
    chaos.enable()
    share = len(struck(fault, 4000)) / 4000
    assert share == pytest.approx(probability, abs=0.03)
    assert fault.snapshot().rate == pytest.approx(share)


def test_the_same_seed_and_order_of_calls_give_the_same_faults():  # D-CH-3
    def run(**settings):
        fault = chaos.Error([KeyError, ValueError], probability=0.3, **settings)
        chaos.enable(seed=None if settings else 11)
        return [repr(fault.try_call(len, "ok").error) for _ in range(CALLS)]

    assert run(seed=5) == run(seed=5) != run(seed=6)
    assert run() == run()


def test_a_run_without_a_seed_is_replayed_from_the_log(caplog):  # CH-14
    caplog.set_level(logging.DEBUG, "holdfast.chaos")
    fault = chaos.Error(probability=0.3)
    chaos.enable()
    first = struck(fault)
    seeds = [record.holdfast_seed for record in caplog.records if "ENABLED" in record.message]
    strikes = [record for record in caplog.records if "strikes" in record.message]
    assert [record.holdfast_number for record in strikes] == first
    assert {record.holdfast_seed for record in strikes} == {fault.snapshot().seed}
    chaos.enable(seed=seeds[0])
    assert struck(fault) == first
    chaos.enable()
    assert struck(fault) != first


def test_faults_of_one_name_strike_different_calls():
    one, other = chaos.Error(probability=0.3), chaos.Error(probability=0.3)
    chaos.enable(seed=1)
    assert struck(one) != struck(other)


def test_a_fault_that_is_made_while_chaos_is_enabled_strikes():
    chaos.enable()
    fault = chaos.Error(probability=1)
    assert not hf.Pipeline("p", fault).try_call(len, "ok").ok
    assert not fault.try_call(len, "ok").ok


def test_an_episode_strikes_every_call_until_it_is_over():
    clock = hf.ManualClock()
    fault = chaos.Error(probability=0, clock=clock)
    fault.strike(100)  # chaos is disabled: this has no effect
    chaos.enable(clock=clock)
    assert fault.try_call(len, "ok").ok
    fault.strike(10, after=5)
    answers = []
    for _ in range(4):
        answers.append(fault.try_call(len, "ok").ok)
        clock.advance(5)
    assert answers == [True, False, False, True]


def test_events_tell_of_each_injection():  # CH-14
    fault, events = chaos.Error(probability=1, name="down"), []
    fault.on_event(events.append)
    chaos.enable()
    struck(fault, 2)
    assert [(event.kind, event.name, event.reason) for event in events] == [
        ("injected", "down", "error")
    ] * 2


def test_a_forked_child_has_other_faults_unless_the_seed_is_given():  # trap 58
    fault, seeded = chaos.Error(probability=0.3), chaos.Error(probability=0.3, seed=8)
    chaos.enable()
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(write, repr([struck(fault), struck(seeded)]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    first, second = eval(os.read(read, 65_536))
    assert first != struck(fault)
    assert second == struck(seeded)


def test_a_fault_that_raises_when_told_of_chaos_keeps_no_other_from_it(caplog):
    class Clumsy(chaos.Fault):
        def armed(self, left):
            raise ValueError(left)

        disarmed = armed

    clumsy, fault = Clumsy(), chaos.Error(probability=1)
    chaos.enable()
    assert not fault.try_call(len, "ok").ok
    chaos.disable()
    assert fault.try_call(len, "ok").ok
    assert "fault 'clumsy': armed() raised" in caplog.text
    assert clumsy.name == "clumsy"


class Attentive(chaos.Fault):
    """A fault that does something when it is told that chaos is enabled."""

    def __init__(self, told, **settings):
        self.told = []
        self._do = told
        super().__init__(probability=1, **settings)

    def inject(self, injection):
        assert "armed" in self.told

    def armed(self, left):
        self.told.append("armed")
        self._do()

    def disarmed(self):
        self.told.append("disarmed")


def test_a_fault_that_is_told_of_chaos_may_wait_for_a_thread_that_uses_it():
    made = []
    fault = Attentive(lambda: made.append(Party(chaos.Error).result()))
    chaos.enable()
    assert len(made) == 1
    fault.call(len, "ok")
    assert fault.snapshot().injected == 1


def test_a_fault_that_is_told_of_chaos_may_disable_it():
    first, second = Attentive(chaos.disable), chaos.Error(probability=1)
    assert not chaos.enable()
    assert first.told == ["armed", "disarmed", "disarmed"]
    assert second.call(len, "ok") == 2
    assert not second.snapshot().armed


def test_an_error_that_is_raised_again_and_again_has_one_note():
    error = ConnectionError("the same")

    def inject(injection):
        raise error

    fault = chaos.Custom(inject, probability=1, seed=1)
    chaos.enable()
    for _ in range(3):
        assert fault.try_call(len, "ok").error is error
    assert error.__notes__ == ["injected by chaos: fault 'custom', call 2, seed 1"]


def test_an_error_that_cannot_be_changed_is_raised_all_the_same():
    class FrozenError(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    fault = chaos.Error(FrozenError, probability=1)
    chaos.enable()
    assert isinstance(fault.try_call(len, "ok").error, FrozenError)


def test_a_fault_that_is_off_uses_up_no_injections_where_it_is_attached():
    fault = chaos.Error(probability=1, limit=1, mode="off")
    pipe = hf.Pipeline("p", hf.CircuitBreaker("b"))
    chaos.attach(fault, pipe)
    chaos.enable()
    assert pipe.call(len, "ok") == 2
    assert (fault.snapshot().checked, fault.snapshot().left) == (0, 1)
