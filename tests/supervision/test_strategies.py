"""What is restarted with a component, how often, and what follows if that is too often."""

import pytest

import holdfast as hf
from holdfast.degradation.level import Level
from holdfast.degradation.manager import DegradationManager
from holdfast.supervision import Exit, Supervisor
from tests.supervision.crewed import Checked, Crewed, Part

FAILED = Exit(code=1)


# ---- strategies ----


def test_one_for_one_restarts_it_alone():
    crew = Crewed("a", "b", "c")
    crew.supervisor.start()
    crew.taken()
    crew["b"].end(FAILED)
    crew.clock.advance(1)
    assert crew.taken() == "-b +b"


def test_one_for_all_stops_all_in_reverse_and_starts_all_in_order():
    crew = Crewed("a", "b", "c", strategy="one_for_all")
    crew.supervisor.start()
    crew.taken()
    crew["b"].end(FAILED)
    crew.clock.advance(1)
    assert crew.taken() == "-b -c -a +a +b +c"
    assert crew.states() == ["running"] * 3
    assert crew.kinds("a") == ["started", "recovering", "recovered"]


def test_rest_for_one_restarts_it_and_those_that_start_after_it():
    crew = Crewed("a", "b", "c", strategy="rest_for_one")
    crew.supervisor.start()
    crew.taken()
    crew["b"].end(FAILED)
    crew.clock.advance(1)
    assert crew.taken() == "-b -c +b +c"


def test_those_that_were_stopped_with_a_component_start_after_it_only():
    crew = Crewed("a", "b", "c", strategy="rest_for_one")
    crew.supervisor.start()
    crew["a"].starts = [OSError("no")]
    crew["a"].end(FAILED)
    crew.clock.advance(2.9)
    assert crew.states() == ["recovering"] * 3
    crew.taken()
    crew.clock.advance(0.1)
    assert crew.taken() == "+a +b +c"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_one_that_waits_for_a_given_up_one_holds_nobody_else_back(strategy):
    crew = Crewed(
        "a",
        "b",
        "c",
        strategy=strategy,
        needs={"b": ("a",)},
        settings={"on_exit": {4: "give_up"}},
    )
    crew["b"].starts = [OSError("no")] * 9
    crew.supervisor.start()
    assert crew.states()[2] == "starting"  # b may still start
    crew["a"].end(Exit(code=4))
    crew.clock.advance(10)
    assert crew.states()[0] == "given_up"
    assert crew.states()[2] == "running"
    crew["c"].end(FAILED)
    crew.clock.advance(2)
    assert crew.states()[2] == "running"


def test_an_unhealthy_one_takes_all_with_it_in_one_for_all():
    crew = Crewed("a", "b", kind=Checked, strategy="one_for_all")
    crew.supervisor.start()
    crew.taken()
    crew["a"].healthy = False
    while "-a" not in crew.calls:
        crew.clock.advance(0.5)
    crew["a"].healthy = True
    crew.clock.advance(1)
    assert crew.taken() == "-b -a +a +b"


def test_a_temporary_component_is_stopped_with_the_others_and_not_restarted():
    crew = Crewed("a", strategy="one_for_all")
    crew.add(Part("job", crew.calls), restart="temporary")
    crew.supervisor.start()
    crew["a"].end(FAILED)
    crew.clock.advance(1)
    assert crew.states() == ["running", "finished"]
    assert crew.calls.count("+job") == 1


def test_recreate_makes_a_new_object_for_each_start_but_the_first():  # MG-06, D-MG-4
    crew = Crewed(strategy="recreate")
    made = []

    def make():
        made.append(Part("transport", crew.calls))
        return made[-1]

    first = crew.add(Part("transport", crew.calls), recreate=make)
    crew.supervisor.start()
    assert crew.supervisor.component("transport") is first
    first.end(FAILED)
    crew.clock.advance(1)
    assert crew.taken() == "+transport -transport +transport"
    assert crew.supervisor.component("transport") is made[0]
    assert (first.alive, made[0].alive) == (0, 1)
    made[0].end(FAILED)
    crew.clock.advance(2)
    assert crew.supervisor.component("transport") is made[1]


def test_recreate_refuses_a_component_without_a_factory():
    with pytest.raises(hf.ConfigError, match="recreate: got None, allowed a callable"):
        Supervisor("x", strategy="recreate").add(Part("a"))


def test_a_factory_that_raises_or_makes_no_component_is_a_failed_attempt():
    crew = Crewed()
    answers = [OSError("no memory"), 3, Part("db")]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    crew.add(Part("db"), recreate=make)
    crew.supervisor.start()
    crew["db"].end(FAILED)
    crew.clock.advance(7)
    reasons = [event.reason for event in crew.events if event.kind == "attempt_failed"]
    assert "OSError: no memory" in reasons[0]
    assert "what recreate() returned: got 3" in reasons[1]
    assert crew.states() == ["running"]


# ---- too many restarts ----


def test_the_component_that_exceeds_the_restarts_cools_down_and_no_other():  # MG-17
    crew = Crewed("a", "b", settings={"first_delay": 0, "attempts": 9}, max_restarts=3)
    crew.supervisor.start()
    crew["a"].end(FAILED)
    crew["b"].end(FAILED)
    crew.clock.advance(0)
    crew["a"].end(FAILED)
    crew.clock.advance(2)
    assert crew.states() == ["running"] * 2
    crew["b"].end(FAILED)
    crew.clock.advance(2)
    assert crew.states() == ["running", "cooling_down"]
    assert crew.supervisor.snapshot().escalations == 1
    escalated = next(event for event in crew.events if event.kind == "escalated")
    assert escalated.name == "b"
    assert "more than 3 restarts within 60 s" in escalated.reason
    crew.clock.advance(62)
    assert crew.states() == ["running", "running"]


def test_without_a_cool_down_too_many_restarts_give_up_on_all():  # MG-07
    crew = Crewed("a", "b", settings={"first_delay": 0}, max_restarts=0, cool_down=None)
    crew.supervisor.start()
    crew.taken()
    crew["a"].end(FAILED)
    assert crew.states() == ["given_up", "given_up"]
    assert crew.taken() == "-a -b"
    assert "more than 0 restarts" in crew.supervisor.snapshot().given_up
    assert crew.supervisor.running
    assert crew.supervisor.restart("a")
    assert crew.states() == ["running", "given_up"]
    crew.supervisor.stop()
    crew.supervisor.start()
    assert crew.states() == ["running", "running"]


def test_what_an_operator_restarts_counts_towards_no_limit():  # trap 64
    crew = Crewed("a", settings={"first_delay": 0}, max_restarts=1)
    crew.supervisor.start()
    for _ in range(10):
        assert crew.supervisor.restart("a")
    crew["a"].end(FAILED)
    assert crew.states() == ["running"]
    assert crew.supervisor.snapshot().restarts_in_window == 1


def test_an_operator_ends_a_cool_down_and_a_back_off_at_once():  # trap 64
    crew = Crewed("a", settings={"attempts": 1})
    crew.supervisor.start()
    crew["a"].starts = [OSError("no")]
    crew["a"].end(FAILED)
    assert crew.supervisor.restart("a") is False  # it has failed
    assert crew.states() == ["recovering"]
    crew["a"].starts = [OSError("no")]
    crew.clock.advance(1)
    assert crew.states() == ["cooling_down"]
    assert crew.supervisor.restart("a")
    assert crew.supervisor.status("a").attempt == 0


def test_a_restart_needs_a_supervisor_that_runs():
    crew = Crewed("a")
    with pytest.raises(RuntimeError, match="supervisor 'crew' does not run: start"):
        crew.supervisor.restart("a")


# ---- supervisors of supervisors ----


class Nested:
    """A supervisor with one of a part "worker" in it, on one clock."""

    def __init__(self, backoff=0, **settings):
        self.outer = Crewed()
        clock = self.outer.clock
        settings = {"max_restarts": 1, **settings}
        self.inner = Supervisor("inner", clock=clock, **settings)
        self.worker = Part("worker", self.outer.calls)
        self.inner.add(self.worker, backoff=backoff, attempts=9)
        self.outer.add(self.inner, first_delay=0)


def test_a_nested_supervisor_starts_and_stops_with_the_outer_one():
    nested = Nested()
    nested.outer.supervisor.start()
    assert nested.outer.states() == ["running"]
    assert nested.inner.status("worker").state == "running"
    assert nested.outer.supervisor.stop()
    assert nested.outer.taken() == "+worker -worker"
    assert not nested.inner.running


def test_a_nested_supervisor_that_restarts_too_often_ends_and_is_restarted():
    nested = Nested()
    nested.outer.supervisor.start()
    nested.worker.end(FAILED)
    assert nested.outer.kinds() == ["started"]
    nested.worker.end(FAILED)
    assert nested.outer.kinds() == ["started", "exited", "recovering", "recovered"]
    exited = nested.outer.events[1]
    assert "more than 1 restart within 60 s" in exited.reason
    assert nested.inner.status("worker").state == "running"
    assert nested.outer.calls.count("+worker") == 3
    nested.worker.end(FAILED)
    assert nested.outer.kinds().count("exited") == 1  # its count has begun anew


def test_a_nested_supervisor_is_verified_once_all_of_it_runs_and_then_it_may_limp():
    nested = Nested(backoff=1, max_restarts=None)
    nested.worker.starts = [OSError("no")] * 2
    nested.outer.supervisor.start()
    assert nested.outer.states() == ["starting"]
    nested.outer.clock.advance(5)
    assert nested.outer.states() == ["running"]
    nested.worker.starts = [OSError("no")] * 20
    nested.worker.end(FAILED)
    nested.outer.clock.advance(40)
    assert nested.inner.check().verdict == "degraded"
    assert nested.outer.states() == ["running"]  # the inner one is at it


# ---- while it runs ----


def test_a_component_that_is_added_while_it_runs_starts_at_once():
    crew = Crewed("a")
    crew.supervisor.start()
    crew.add(Part("b", crew.calls), needs=["a"])
    assert crew.taken() == "+a +b"
    assert crew.states() == ["running", "running"]


def test_a_component_that_is_removed_is_stopped_and_forgotten():
    crew = Crewed("a", "b")
    crew.supervisor.start()
    assert crew.supervisor.remove("a")
    assert crew.taken() == "+a +b -a"
    assert list(crew.supervisor.status()) == ["b"]
    assert crew.kinds("a") == ["started", "stopped"]
    crew["a"].end(FAILED)
    crew.clock.advance(100)
    assert crew.taken() == ""
    crew.add(Part("a", crew.calls))
    assert crew.taken() == "+a"


def test_a_component_that_another_needs_is_not_removed():
    crew = Crewed("a", "b", needs={"b": ["a"]})
    with pytest.raises(hf.ConfigError, match="one that nothing depends on, unlike 'b'"):
        crew.supervisor.remove("a")
    crew.supervisor.remove("b")
    crew.supervisor.remove("a")
    assert crew.supervisor.status() == {}


def test_removing_one_that_recovers_cancels_the_recovery():  # D-MG-3
    crew = Crewed("a")
    crew.supervisor.start()
    crew["a"].end(FAILED)
    crew.supervisor.remove("a")
    crew.taken()
    crew.clock.advance(100)
    assert crew.taken() == ""


# ---- what others see ----


def test_levels_follow_a_component_that_cools_down_or_is_given_up():  # MG-16
    levels = DegradationManager("crew", stable_time=0)
    crew = Crewed("a", degradation=levels, settings={"attempts": 1})
    crew.supervisor.start()
    crew["a"].starts = [OSError("no")]
    crew["a"].end(FAILED)
    crew.clock.advance(1)
    assert levels.level("a") is Level.DEGRADED
    crew.clock.advance(61)
    assert crew.states() == ["running"]
    assert levels.level("a") is Level.NORMAL


def test_downtime_grows_while_it_is_down_and_not_while_it_is_stopped():  # MG-15, MX-28
    crew = Crewed("a")
    crew.supervisor.start()
    crew.clock.advance(100)
    assert crew.supervisor.status("a").downtime == 0
    crew["a"].end(FAILED)
    crew.clock.advance(0.5)
    assert crew.supervisor.status("a").downtime == 0.5
    crew.clock.advance(100)
    assert crew.supervisor.status("a").downtime == 1
    crew.supervisor.stop()
    crew.clock.advance(100)
    assert crew.supervisor.status("a").downtime == 1


def test_the_counts_of_recoveries_are_those_that_were_made():  # MG-15, MG-17
    crew = Crewed("a", settings={"attempts": 2}, max_restarts=None)
    crew.supervisor.start()
    crew["a"].starts = [OSError("no"), OSError("no"), OSError("no"), None]
    crew["a"].end(FAILED)
    crew.clock.advance(3)
    status = crew.supervisor.status("a")
    assert (status.recovery_attempts, status.recoveries, status.failed_recoveries) == (2, 0, 1)
    assert status.last_recovery_succeeded is False
    crew.clock.advance(63)
    status = crew.supervisor.status("a")
    assert (status.recovery_attempts, status.recoveries, status.failed_recoveries) == (4, 1, 1)
    assert status.restarts == 4
    assert status.average_recovery_time == 3  # 1 and 2 s of back-off
    assert status.last_recovery_succeeded is True


def test_a_listener_that_raises_changes_nothing_and_is_counted():  # MG-16
    crew = Crewed("a")

    def raises(event):
        raise ValueError("no")

    crew.supervisor.on_event(raises)
    crew.supervisor.start()
    assert crew.states() == ["running"]
    assert crew.supervisor.snapshot().callback_failures == 1


def test_messages_are_word_for_word_those_of_the_original(caplog):  # LG-01, MG-04, MG-07
    crew = Crewed("transport", kind=Checked, settings={"attempts": 1, "start_timeout": 5})
    crew.supervisor.start()
    crew["transport"].healthy = False
    crew.clock.advance(60)
    text = caplog.text
    for words in (
        "Component health check failed: 'transport' of supervisor 'crew'",
        "Component unhealthy: 'transport'",
        "Attempting component recovery: 'transport'",
        "Recovery attempt: 'transport' of supervisor 'crew' 1 of 1",
        "Component recovery failed after all attempts: 'transport'",
    ):
        assert words in text
    record = next(one for one in caplog.records if "Component unhealthy" in one.message)
    assert record.holdfast_component == "transport"
    assert (record.name, record.levelname) == ("holdfast.supervision", "WARNING")


def test_a_back_off_that_raises_delays_by_a_second():
    class Broken(hf.Backoff):
        def delay(self, attempt, previous=None):
            raise OSError("no")

    crew = Crewed("a", settings={"backoff": Broken()})
    crew.supervisor.start()
    crew["a"].end(FAILED)
    crew.clock.advance(1)
    assert crew.states() == ["running"]
