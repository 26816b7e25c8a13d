"""A supervisor on a manual clock: recoveries, attempts, cool-downs, and what it tells of them."""

import signal

import pytest

import holdfast as hf
from holdfast.supervision import Exit, Supervisor
from tests.supervision.crewed import Checked, Crewed, Part

FAILED = Exit(code=1)


# ---- starting and stopping ----


def test_components_start_in_the_order_of_their_dependencies_and_stop_in_reverse():  # MG-09
    crew = Crewed("web", "db", "cache", needs={"web": ["db", "cache"], "cache": ["db"]})
    with crew.supervisor:
        assert crew.taken() == "+db +cache +web"
        assert crew.states() == ["running"] * 3
    assert crew.taken() == "-web -cache -db"
    assert crew.states() == ["stopped"] * 3


def test_a_component_starts_only_once_the_check_of_its_dependency_has_passed():  # MG-09
    crew = Crewed("db", "web", kind=Checked, needs={"web": ["db"]})
    crew["db"].healthy = False
    crew.supervisor.start()
    crew.clock.advance(5)
    assert crew.taken() == "+db"
    assert crew.states() == ["starting", "starting"]
    crew["db"].healthy = True
    crew.clock.advance(1)
    assert crew.taken() == "+web"
    assert crew.states() == ["running", "running"]


def test_starting_twice_and_stopping_twice_do_nothing():  # MG-11, D-HC-2
    crew = Crewed("db")
    crew.supervisor.start()
    crew.supervisor.start()
    assert crew.taken() == "+db"
    assert crew.supervisor.stop()
    assert crew.supervisor.stop()
    assert crew.taken() == "-db"


def test_it_checks_and_recovers_again_after_a_stop_and_a_start():  # D-HC-2, MG-11
    crew = Crewed("db", kind=Checked)
    crew.supervisor.start()
    crew.supervisor.stop()
    crew.supervisor.start()
    crew["db"].healthy = False
    crew.clock.advance(30)
    assert "unhealthy" in crew.kinds()
    crew["db"].healthy = True
    crew.clock.advance(10)
    assert crew.states() == ["running"]


# ---- recovering ----


def test_a_component_that_ends_is_stopped_and_started_after_the_back_off():  # MG-05, MG-06
    crew = Crewed("db")
    crew.supervisor.start()
    crew.taken()
    crew["db"].end(FAILED)
    assert crew.states() == ["recovering"]
    crew.clock.advance(0.99)
    assert "+db" not in crew.calls
    crew.clock.advance(0.01)
    assert crew.taken() == "-db +db"
    assert crew.kinds() == ["started", "exited", "recovering", "recovered"]


def test_an_unhealthy_component_is_recovered_only_once_its_check_passes_again():  # D-MG-4, MG-07
    crew = Crewed("db", kind=Checked)
    crew.supervisor.start()
    crew["db"].healthy = False
    crew.clock.advance(30)
    assert crew.states() == ["recovering"]
    assert "-db" in crew.calls
    assert "recovered" not in crew.kinds()
    crew["db"].healthy = True
    crew.clock.advance(1)
    assert crew.states() == ["running"]
    assert crew.kinds()[-1] == "recovered"


def test_attempts_come_after_one_two_and_four_seconds_and_then_it_cools_down():  # RT-17, MG-05
    crew = Crewed("db")
    crew.supervisor.start()
    crew["db"].starts = [OSError("no")] * 3
    starts = []
    crew.supervisor.on_event(
        lambda event: starts.append(event.at) if event.kind == "attempt_failed" else None
    )
    crew["db"].end(FAILED)
    crew.clock.advance(10)
    assert starts == [1.0, 3.0, 7.0]
    assert crew.states() == ["cooling_down"]
    assert crew.kinds()[-1] == "cooling_down"


def test_a_cool_down_doubles_to_ten_minutes_and_a_new_round_follows_each():  # MG-17
    crew = Crewed("db", settings={"attempts": 1, "first_delay": 0, "healthy_after": 1e6})
    crew.supervisor.start()
    crew["db"].starts = [OSError("no")] * 7
    waits = []
    crew.supervisor.on_event(
        lambda event: waits.append(event.retry_after) if event.kind == "cooling_down" else None
    )
    crew["db"].end(FAILED)
    crew.clock.advance(3600)
    assert waits == [60, 120, 240, 480, 600, 600, 600]
    assert crew.states() == ["running"]


def test_without_a_cool_down_it_is_given_up_and_an_operator_can_restart_it():  # MG-07, trap 64
    crew = Crewed("db", cool_down=None, settings={"attempts": 2})
    crew.supervisor.start()
    crew["db"].starts = [OSError("no")] * 2
    crew["db"].end(FAILED)
    crew.clock.advance(1000)
    assert crew.states() == ["given_up"]
    assert crew.kinds()[-1] == "gave_up"
    assert crew.supervisor.restart("db")
    assert crew.states() == ["running"]


def test_an_attempt_that_is_not_verified_in_time_has_failed():  # D-MG-4
    crew = Crewed("db", kind=Checked, settings={"start_timeout": 5})
    crew["db"].healthy = False
    crew.supervisor.start()
    crew.clock.advance(5.5)
    failed = next(event for event in crew.events if event.kind == "attempt_failed")
    assert failed.at == 5.0
    assert "did not pass within 5 s: the check returned False" in failed.reason


def test_a_start_is_verified_at_a_quick_pace_and_then_checked_once_an_interval():  # MG-01
    crew = Crewed("db", kind=Checked, interval=10)
    crew["db"].healthy = False
    crew.supervisor.start()
    crew.clock.advance(1)
    assert crew["db"].checked >= 5
    crew["db"].healthy = True
    crew.clock.advance(1)
    assert crew.states() == ["running"]
    before = crew["db"].checked
    crew.clock.advance(100)
    assert crew["db"].checked - before <= 12


def test_a_start_that_is_not_verified_yet_is_no_failure_of_its_check(caplog):  # MG-01
    caplog.set_level("INFO", "holdfast")
    crew = Crewed("db", kind=Checked)
    crew["db"].healthy = False
    crew.supervisor.start()
    crew.clock.advance(5)
    assert crew.supervisor.status("db").check.state == "unknown"
    crew["db"].healthy = True
    crew.clock.advance(1)
    assert crew.states() == ["running"]
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    assert "unhealthy" not in caplog.text
    crew["db"].healthy = False
    crew.clock.advance(30)
    assert "check 'db' failed" in caplog.text


@pytest.mark.parametrize("healthy_for", [59, 60])
def test_the_back_off_begins_anew_only_after_a_healthy_time(healthy_for):  # trap 63
    crew = Crewed("db")
    crew.supervisor.start()
    crew["db"].end(FAILED)
    crew.clock.advance(1)
    crew.clock.advance(healthy_for)
    crew["db"].end(FAILED)
    status = crew.supervisor.status("db")
    assert (status.attempt, status.next_in) == ((1, 1.0) if healthy_for == 60 else (2, 2.0))


def test_there_is_one_recovery_at_a_time_though_the_check_goes_on_failing():  # D-MG-2
    crew = Crewed("db", kind=Checked, settings={"start_timeout": 7}, interval=0.5)
    crew.supervisor.start()
    crew["db"].healthy = False
    crew.clock.advance(20)
    assert crew.kinds().count("recovering") == 1
    starts = [event.at for event in crew.events if event.kind == "attempt_failed"]
    assert len(starts) == 2  # 7 s each, and back-offs


def test_a_result_of_an_old_incarnation_does_not_speak_for_the_new_one():  # trap 65
    crew = Crewed("db")
    crew.supervisor.start()
    old = crew["db"].ends[-1]
    crew.supervisor.restart("db")
    old(FAILED)
    assert crew.states() == ["running"]
    assert "exited" not in crew.kinds()


def test_the_run_of_failures_begins_at_zero_after_a_restart():  # trap 61
    crew = Crewed("db", kind=Checked)
    crew.supervisor.start()
    crew["db"].healthy = False
    while not crew.supervisor.status("db").check.failures_in_a_row:
        crew.clock.advance(0.5)
    crew["db"].healthy = True
    crew.supervisor.restart("db")
    check = crew.supervisor.status("db").check
    assert (check.failures_in_a_row, check.check_count) == (0, 1)


def test_checks_are_spread_after_a_restart_of_all():  # trap 66
    crew = Crewed(*(f"part-{n}" for n in range(20)), kind=Checked, strategy="one_for_all")
    crew.supervisor.start()
    crew["part-0"].end(FAILED)
    crew.clock.advance(1)
    assert crew.states() == ["running"] * 20
    due = sorted(one.check.next_due for one in crew.supervisor.status().values())
    assert due[-1] - due[0] > 5


# ---- never two instances ----


def test_an_old_one_that_cannot_be_stopped_is_not_joined_by_another():  # MG-06
    crew = Crewed("db", kind=Checked)
    crew.supervisor.start()
    crew["db"].healthy = False
    crew["db"].stops = [OSError("busy")] * 2
    crew.clock.advance(30)
    crew["db"].healthy = True
    assert crew.supervisor.wait_until_running(0) is False
    crew.clock.advance(10)
    assert crew.calls == ["+db", "-db", "-db", "-db", "+db"]
    assert crew.kinds().count("attempt_failed") == 2


def test_what_a_failed_start_has_begun_is_stopped():  # D-MG-6, MG-12
    crew = Crewed("db")
    crew["db"].starts = [OSError("no")]
    crew.supervisor.start()
    assert crew.taken() == "+db -db"
    crew.clock.advance(1)
    assert crew.taken() == "+db"
    assert crew.kinds() == ["attempt_failed", "recovering", "recovered"]


def test_stop_cancels_a_recovery_that_waits():  # D-MG-3
    crew = Crewed("db")
    crew.supervisor.start()
    crew["db"].end(FAILED)
    crew.supervisor.stop()
    crew.taken()
    crew.clock.advance(1000)
    assert crew.calls == []
    assert crew.states() == ["stopped"]


# ---- what ends by itself ----


@pytest.mark.parametrize(
    ("restart", "end", "state"),
    [
        ("permanent", Exit(code=0), "recovering"),
        ("permanent", FAILED, "recovering"),
        ("transient", Exit(code=0), "finished"),
        ("transient", FAILED, "recovering"),
        ("transient", Exit(signal=signal.SIGTERM), "recovering"),
        ("temporary", Exit(code=0), "finished"),
        ("temporary", FAILED, "finished"),
    ],
)
def test_what_follows_an_exit_is_said_by_restart(restart, end, state):  # MG-17
    crew = Crewed("job", settings={"restart": restart})
    crew.supervisor.start()
    crew["job"].end(end)
    assert crew.states() == [state]
    assert crew.supervisor.status("job").last_exit == end


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (Exit(code=3), "given_up"),
        (Exit(code=15), "recovering"),
        (Exit(signal=15), "finished"),
        (Exit(code=4), "running"),
        (Exit(code=5), "cooling_down"),
    ],
)
def test_rules_by_exit_code_and_signal_go_first(end, state):  # MG-17
    rules = {3: "give_up", signal.SIGTERM: "finish", 4: "restart_now", 5: "escalate"}
    crew = Crewed("job", settings={"on_exit": rules})
    crew.supervisor.start()
    crew["job"].end(end)
    assert crew.states() == [state]


def test_an_unhealthy_temporary_component_is_left_alone_and_may_get_well():
    crew = Crewed("job", kind=Checked, settings={"restart": "temporary"})
    crew.supervisor.start()
    crew["job"].healthy = False
    crew.clock.advance(60)
    assert crew.states() == ["unhealthy"]
    crew["job"].healthy = True
    crew.clock.advance(60)
    assert crew.states() == ["running"]
    assert crew.taken() == "+job"


def test_a_first_delay_of_zero_restarts_at_once():  # MG-17
    crew = Crewed("db", settings={"first_delay": 0})
    crew.supervisor.start()
    crew["db"].end(FAILED)
    assert crew.states() == ["running"]
    assert crew.clock.now() == 0


# ---- dependencies ----


def test_a_component_is_not_restarted_while_what_it_depends_on_is_down():
    crew = Crewed("db", "web", kind=Checked, needs={"web": ["db"]})
    crew.supervisor.start()
    crew["db"].healthy = False
    crew.clock.advance(30)
    crew["web"].healthy = False
    crew.clock.advance(30)
    assert crew.state("web") == "unhealthy"
    assert crew.calls.count("+web") == 1
    crew["db"].healthy = crew["web"].healthy = True
    crew.clock.advance(60)
    assert crew.states() == ["running", "running"]
    assert crew.calls.count("+web") == 1


def test_one_that_ends_while_its_dependency_is_down_starts_after_it():
    crew = Crewed("db", "web", needs={"web": ["db"]}, max_restarts=None)
    crew.supervisor.start()
    crew["db"].starts = [OSError("no")] * 2
    crew["db"].end(FAILED)
    crew["web"].end(FAILED)
    crew.clock.advance(6.9)
    assert crew.states() == ["recovering", "recovering"]
    crew.taken()
    crew.clock.advance(0.1)
    assert crew.taken() == "+db +web"
    assert crew.states() == ["running", "running"]


# ---- refusals ----


def test_unknown_settings_are_refused_all_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        Supervisor("x", strategy="one_for_two", max_restarts=-1, within=0, interval=0)
    text = str(caught.value)
    assert "strategy: got 'one_for_two', allowed one of 'one_for_one', 'one_for_all'" in text
    assert all(word in text for word in ("max_restarts", "within", "interval"))


def test_what_a_component_must_not_have_is_refused_all_at_once():
    supervisor = Supervisor("x")
    with pytest.raises(hf.ConfigError) as caught:
        supervisor.add(
            Part("db"),
            check=3,
            restart="always",
            attempts=0,
            on_exit={"3": "restart", 4: "explode"},
            stop_timeout=0,
            depends_on="store",
        )
    for word in ("check", "restart", "attempts", "on_exit", "stop_timeout", "depends_on"):
        assert word in str(caught.value)
    assert supervisor.status() == {}


def test_the_same_name_twice_is_refused():
    crew = Crewed("db")
    with pytest.raises(hf.ConfigError, match="allowed one with a name other than 'db'"):
        crew.supervisor.add(Part("db"))


def test_a_circle_of_dependencies_is_named_in_full():
    supervisor = Supervisor("x")
    supervisor.add(Part("a"), depends_on=["b"])
    supervisor.add(Part("b"), depends_on=["c"])
    with pytest.raises(hf.ConfigError, match="'c' needs 'a' needs 'b' needs 'c'"):
        supervisor.add(Part("c"), depends_on=["a"])
    with pytest.raises(hf.ConfigError, match="'d' needs 'd'"):
        supervisor.add(Part("d"), depends_on=["d"])


def test_an_unknown_dependency_is_refused_at_the_start_with_the_nearest_name():
    supervisor = Supervisor("x")
    supervisor.add(Part("store"))
    supervisor.add(Part("web"), depends_on=["stroe"])
    with pytest.raises(hf.ConfigError, match=r"depends_on of 'web': got 'stroe'.*'store'"):
        supervisor.start()
    assert not supervisor.running


def test_an_unknown_dependency_is_refused_at_once_while_it_runs():
    crew = Crewed("db")
    with crew.supervisor, pytest.raises(hf.ConfigError, match="depends_on of 'web'"):
        crew.supervisor.add(Part("web"), depends_on=["bd"])


def test_a_name_that_there_is_not_is_told_with_the_nearest_one():
    crew = Crewed("store")
    for method in (crew.supervisor.status, crew.supervisor.remove, crew.supervisor.component):
        with pytest.raises(LookupError, match=r"has no component 'stroe'.*'store'"):
            method("stroe")


def test_a_supervisor_does_not_supervise_itself():
    supervisor = Supervisor("x")
    with pytest.raises(hf.ConfigError, match="another one than this supervisor"):
        supervisor.add(supervisor)
