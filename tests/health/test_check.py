"""The base of all checks: what a probe may return and raise, and what a run makes of it."""

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from contextvars import Context
from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.health import Check, CheckResult, HealthLevel, HealthState, PingCheck


class Plain(Check):
    def __init__(self, name, does, **settings):
        super().__init__(name, **settings)
        self.does = does

    def probe(self):
        return self.does()


class Async(Check):
    def __init__(self, name, does, **settings):
        super().__init__(name, **settings)
        self.does = does

    async def aprobe(self):
        return await self.does()


def raising(error):
    def fail():
        raise error

    return fail


class OddError(BaseException):
    pass


@pytest.mark.parametrize(
    ("returned", "verdict"),
    [
        (None, "passed"),
        (True, "passed"),
        (False, "failed"),
        (CheckResult.degraded("slow"), "degraded"),
        ("PONG", "failed"),
        (0, "failed"),
    ],
)
def test_a_probe_says_by_what_it_returns_whether_it_passed(returned, verdict):  # HC-02
    async def coroutine():
        return returned

    assert Plain("a", lambda: returned).run().verdict == verdict
    assert Async("a", coroutine).run().verdict == verdict


def test_a_result_of_another_kind_fails_and_the_message_names_what_is_allowed():
    message = Plain("a", lambda: "PONG").run().message
    assert message == "the check gave result 'PONG', not None, True, False or a CheckResult"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("no"), asyncio.CancelledError(), GeneratorExit(), StopIteration(1),
        OddError("no"), BaseExceptionGroup("several", [OddError("no")]), MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_probe_raises_is_a_failed_check(error):  # D-HC-4
    async def coroutine():
        raise error

    for result in (
        Plain("a", raising(error)).run(),
        Async("a", coroutine).run(),
        asyncio.run(Plain("a", raising(error)).arun()),
        asyncio.run(Async("a", coroutine).arun()),
    ):
        assert result.verdict == "failed"
        assert result.message


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), BaseExceptionGroup("", [KeyboardInterrupt()])]
)
def test_an_interrupt_of_a_probe_is_raised_on(error):
    async def coroutine():
        raise error

    for run in (Plain("a", raising(error)).run, Async("a", coroutine).run):
        with pytest.raises(type(error)):
            run()


def test_the_message_of_an_error_names_its_class_and_hides_secrets():
    error = ConnectionError("postgres://app:hunter2@db:5432/orders refused")
    message = Plain("a", raising(error)).run().message
    assert message == "ConnectionError: postgres://app:***@db:5432/orders refused"


async def test_the_cancellation_of_a_task_that_runs_a_check_is_no_failed_check():
    begun = asyncio.Event()

    async def hang():
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(Async("a", hang).arun())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_coroutine_that_waits_for_nothing_sets_no_timer(monkeypatch):
    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", None)

    async def passes():
        return True

    assert (await Async("a", passes).arun()).verdict == "passed"
    waits = await Async("a", lambda: asyncio.sleep(1)).arun()
    assert "TypeError" in waits.message  # one that waits cannot do without


async def test_the_time_before_a_coroutine_first_waits_is_part_of_its_time():  # HC-01
    async def blocks_and_waits():
        time.sleep(0.3)  # noqa: ASYNC251 - what is tested
        began = time.monotonic()
        try:
            await asyncio.sleep(60)
        finally:
            waited.append(time.monotonic() - began)

    waited = []
    assert (await Async("a", blocks_and_waits, timeout=0.25).arun()).verdict == "failed"
    assert waited[0] < 0.2


async def test_what_a_coroutine_waits_for_may_raise_or_be_cancelled_and_it_goes_on():
    async def tries():
        failed = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failed.set_exception, ConnectionError("no"))
        with pytest.raises(ConnectionError):
            await failed
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        return CheckResult.passed("at last")

    assert (await Async("a", tries).arun()).message == "at last"


async def test_a_coroutine_is_cut_when_its_time_is_up():  # HC-01
    result = await Async("a", asyncio.Event().wait, timeout=0.25).arun()
    assert (result.verdict, result.message) == ("failed", "took longer than 0.25 s")
    assert (await Async("a", asyncio.Event().wait).arun(2)).message == "took longer than 2 s"


async def test_a_coroutine_that_passes_after_its_time_has_failed():  # D-HC-1
    async def ignores_it():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return True

    assert (await Async("a", ignores_it, timeout=0.25).arun()).verdict == "failed"


async def test_a_run_that_nobody_awaits_ends_in_any_context():
    run = Async("a", asyncio.Event().wait).arun()
    Context().run(run.send, None)
    run.close()  # as a collection does, once nobody has its task any more
    assert run.cr_frame is None


def test_a_check_without_a_plain_probe_runs_in_a_loop_of_its_own():
    async def look():
        await asyncio.sleep(0)
        return threading.current_thread() is threading.main_thread()

    before = set(threading.enumerate())
    assert Async("a", look).run().verdict == "passed"
    assert Async("a", asyncio.Event().wait, timeout=0.01).run().verdict == "failed"
    assert set(threading.enumerate()) <= before


async def test_a_check_without_a_plain_probe_refuses_to_block_a_loop():
    check = Async("a", asyncio.Event().wait)
    with pytest.raises(
        RuntimeError, match=r"Async 'a' needs a private event loop.*await check\.arun"
    ):
        check.run()


def test_a_plain_probe_that_is_awaited_runs_in_a_thread_which_ends():
    seen = []

    async def main():
        check = Plain("a", lambda: seen.append(threading.current_thread()))
        assert (await check.arun()).verdict == "passed"

    asyncio.run(main())
    assert seen[0] is not threading.main_thread()
    seen[0].join(10)
    assert not seen[0].is_alive()


def test_a_probe_knows_how_much_time_it_has_left():
    def look():
        lefts.append(check.time_left())

    lefts = []
    check = Plain("a", look)
    own = Plain("b", look, timeout=2)
    check.run()
    check.run(timedelta(seconds=60))
    asyncio.run(check.arun(30))
    check.run(0)
    check.run(1e-9)
    assert [round(left) for left in lefts] == [5, 60, 30, 0, 0]
    assert min(lefts) == 0
    assert own.time_left() == 2.0  # outside of a run


def test_the_time_left_is_real_time_that_passes():
    check = Plain("a", lambda: (time.sleep(0.002), check.time_left())[1] < 59.999)
    assert check.run(60).verdict == "passed"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"interval": 0}, "interval: got 0, allowed seconds or a timedelta from 0.001"),
        ({"timeout": 0}, "timeout: got 0, allowed seconds or a timedelta from 0.001"),
        ({"failures": 0}, "failures: got 0, allowed an integer from 1 to 1000"),
        ({"successes": 1.5}, "successes: got 1.5, allowed an integer from 1"),
        ({"start_period": -1}, "start_period: got -1, allowed seconds"),
        ({"jitter": 2}, "jitter: got 2, allowed a number from 0 to 1"),
        ({"critical": 1}, "critical: got 1, allowed True or False"),
        ({"liveness": None}, "liveness: got None, allowed True or False"),
    ],
)
def test_a_bad_setting_is_refused_by_name(settings, told):
    with pytest.raises(hf.ConfigError, match="Check 'a': ") as caught:
        PingCheck("a", len, **settings) if "x" in settings else PingCheck("a", int, **settings)
    assert told in str(caught.value)


def test_all_bad_settings_are_told_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        PingCheck("", 5, interval=0, quick=True)
    assert len(caught.value.problems) == 4


def test_a_class_without_a_probe_is_abstract():
    with pytest.raises(TypeError, match=r"has probe\(\) or aprobe\(\)"):
        Check("a")


def test_the_settings_of_a_check_can_be_read_and_not_changed():
    check = Plain(
        "a", int, interval=1, timeout=timedelta(seconds=2), failures=4, successes=5,
        start_period=6, jitter=0.5, critical=False, liveness=True,
    )  # fmt: skip
    shown = (
        check.name, check.interval, check.timeout, check.failures, check.successes,
        check.start_period, check.jitter, check.critical, check.liveness, check.is_async,
    )  # fmt: skip
    assert shown == ("a", 1.0, 2.0, 4, 5, 6.0, 0.5, False, True, False)
    for name in ("name", "interval", "failures", "is_async"):
        with pytest.raises(AttributeError):
            setattr(check, name, 1)
    bare = Plain("b", int)
    assert (bare.interval, bare.timeout, bare.jitter) == (None, None, None)
    assert repr(bare) == "<Plain 'b'>"


# ---- results and states ----


def test_a_result_is_plain_data():
    result = CheckResult.degraded("slow", seconds=2)
    assert (result.verdict, result.message, result.details) == ("degraded", "slow", {"seconds": 2})
    assert pickle.loads(pickle.dumps(result)) == result
    assert hash(result) == hash(CheckResult("degraded", "slow"))
    with pytest.raises(AttributeError):
        result.verdict = "passed"
    verdicts = [make().verdict for make in (CheckResult.passed, CheckResult.failed)]
    assert [*verdicts, CheckResult.unproven().verdict] == ["passed", "failed", "unproven"]


def test_the_message_of_a_result_is_one_line_without_secrets():
    assert CheckResult.failed("password=hunter2\nagain").message == "password=*** again"


def test_a_result_is_not_changed_by_what_it_was_made_of():
    details = {"a": 1}
    result = CheckResult("passed", "", details)
    details["a"] = 2
    assert result.details == {"a": 1}


def test_a_bad_result_is_refused():
    with pytest.raises(hf.ConfigError) as caught:
        CheckResult("fine", 5, {1: 2})
    assert len(caught.value.problems) == 3
    with pytest.raises(hf.ConfigError, match="details: got 5"):
        CheckResult("passed", "", 5)


def test_a_result_of_a_subclass_that_checks_nothing_fails_its_run():  # D-HC-4
    class Loose(CheckResult):
        def __post_init__(self):
            pass

    result = Plain("a", lambda: Loose("fine", 5)).run()
    assert result.verdict == "failed"
    assert result.message.startswith("holdfast.errors.ConfigError: CheckResult")
    assert Plain("a", lambda: Loose("passed", "")).run().verdict == "passed"


@pytest.mark.parametrize(
    ("make", "module"),
    [
        ("type('Own', (Check,), {'aprobe': Check.run})('a')", "asyncio"),
        ("HttpCheck('a', 'http://127.0.0.1/')", "http.client"),
    ],
)
def test_what_a_run_needs_is_imported_before_a_thread_runs_it(make, module):
    # A child that is forked while a thread imports a module can never import it.
    lines = (
        "import sys",
        "from holdfast.health import Check, HttpCheck",
        f"assert {module!r} not in sys.modules",
        make,
        f"assert {module!r} in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_the_words_of_other_systems_are_understood():  # HC-15
    assert HealthState("critical") is HealthState("error") is HealthState.UNHEALTHY
    assert HealthLevel("unhealthy") is HealthLevel.CRITICAL
    assert HealthLevel("no_data_directory") is HealthLevel("error") is HealthLevel.FAILED
    assert [level.is_ready for level in HealthLevel] == [True, True, False, False, False]
    with pytest.raises(ValueError, match="'fine' is not a valid HealthState"):
        HealthState("fine")


# ---- mistakes of who writes a check ----


def test_a_result_is_true_if_the_dependency_works():
    shown = [CheckResult.passed(), CheckResult.degraded(), CheckResult.failed()]
    assert [bool(result) for result in [*shown, CheckResult.unproven()]] == [
        True,
        True,
        False,
        False,
    ]


def test_a_probe_that_is_a_coroutine_function_is_refused_when_the_check_is_made():
    class Misnamed(Check):
        async def probe(self):
            return True

    with pytest.raises(
        TypeError, match=r"Misnamed\.probe\(\) is a coroutine .* call it aprobe\(\)"
    ):
        Misnamed("a")


@pytest.mark.parametrize("use", [Check.run, lambda check: hf.HealthMonitor("shop").add(check)])
def test_a_check_that_was_not_initialised_says_what_is_missing(use):
    class Forgetful(Check):
        def __init__(self, name):
            self.title = name

        def probe(self):
            return True

    with pytest.raises(AttributeError, match=r"Forgetful\.__init__\(\) has to call super\(\)"):
        use(Forgetful("a"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PingCheck(lambda: True, "a"), "name comes first"),
        (lambda: PingCheck("a", lambda: True, failure_threshold=2), "did you mean 'failures'?"),
        (lambda: hf.HttpCheck("a", "http://b", expected_status=204), "did you mean 'status'?"),
        (lambda: hf.CompositeCheck("a", [PingCheck("b", print)]), "unpack it, as in *checks"),
        (lambda: hf.HealthMonitor(PingCheck("a", print)), "name comes first"),
    ],
)
def test_a_refused_argument_is_followed_by_what_was_probably_meant(make, said):
    with pytest.raises(hf.ConfigError) as caught:
        make()
    assert said in str(caught.value)
    assert "@policy" not in str(caught.value)
